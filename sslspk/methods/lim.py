"""LIM and GIM, local and global info max (Ravanelli & Bengio 2019, arXiv 1812.00271), as Lepage 2021 trains them.

Two parts are taken from one recording and a third from another. A discriminator learns which two are from one recording, and the encoder is
trained with it. The easiest common property of two parts of a recording is the speaker.
"""
import math
from collections.abc import Callable

import torch
from torch import Tensor, nn

from sslspk.encoders.base import Encoder
from sslspk.encoders.projected import mlp
from sslspk.errors import InputError
from sslspk.losses import mutual_information
from sslspk.losses.precision import wide
from sslspk.methods.base import Batch, Corpus, Method, Progress, of_another
from sslspk.methods.config_frames import LimConfig
from sslspk.nn import comm
from sslspk.nn.monitors import effective_rank


class Lim(Method):
    """Parts are single frames of the encoder (LIM), or means over `context_length` of them (GIM), from random places, each
    recording's own (Lepage draws three for the whole batch).

    The other recording is the one some places further on in the batch of all ranks, the same random number for all, so that two ranks
    compute what one computes. Logged: accuracy, how often the pair scores above the non-pair; with nce and mine bound, the lower bound on
    the mutual information in nats. Raises InputError for a crop shorter than a part, and for a batch without another recording.
    """

    def __init__(self, config: LimConfig, new_encoder: Callable[[], Encoder], corpus: Corpus):
        super().__init__()
        self.config, self.crops, self.evaluate = config, config.crops, config.evaluate
        self.encoder = new_encoder()
        self.discriminator = mlp((2 * self.encoder.embed_dim, config.hidden_dim, 1), batch_norm=False)

    def encoders(self) -> dict[str, nn.Module]:
        return {"encoder": self.encoder}

    def forward(self, batch: Batch, progress: Progress) -> dict[str, Tensor]:
        frames = self.encoder.frames(batch.views[0][0])
        first, second, other = self._parts(frames, progress)
        positive = wide(self.discriminator(torch.cat([first, second], 1))[:, 0])
        negative = wide(self.discriminator(torch.cat([first, other], 1))[:, 0])
        out = {"loss": self._loss(positive, negative), "accuracy": (positive > negative).float().mean()}
        if self.config.objective == "mine":
            out["bound"] = -out["loss"].detach()
        elif self.config.objective == "nce":
            out["bound"] = math.log(len(positive) * comm.world_size() + 1) - out["loss"].detach()
        if progress.log:
            out["effective_rank"] = effective_rank(frames.detach().mean(1))
        return out

    def _parts(self, frames: Tensor, progress: Progress) -> tuple[Tensor, Tensor, Tensor]:
        """Frames (B, T, C) -> two parts of each recording and one of another, (B, C) each."""
        length, (rows, steps) = self.config.context_length, frames.shape[:2]
        if steps < length:
            raise InputError(f"a crop has {steps} steps, and method.context_length is {length}; leave short recordings out with "
                             "data.min_seconds, or lower it.")
        count, mine = rows * comm.world_size(), comm.rows_of_this_rank(rows)
        generator = torch.Generator().manual_seed(progress.draw)                         # the same draw on every rank
        starts = torch.randint(steps - length + 1, (3, count), generator=generator)[:, mine].to(frames.device, non_blocking=True)
        places = starts[..., None] + torch.arange(length, device=frames.device)            # (3, B, L)
        own = torch.arange(rows, device=frames.device)[:, None]
        first, second, third = (frames[own, place].mean(1) for place in places)
        return first, second, of_another(third, generator)

    def _loss(self, positive: Tensor, negative: Tensor) -> Tensor:
        if self.config.objective == "bce":
            return mutual_information.bce(positive, negative)
        everyone = comm.gather_with_gradient(negative)
        return mutual_information.nce(positive, everyone) if self.config.objective == "nce" else mutual_information.mine(positive, everyone)
