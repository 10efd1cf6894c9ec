"""Contrast within the batch of all ranks: SimCLR (Chen et al. 2020), SupCon (Khosla et al. 2020) and GCL (Inoue & Goto 2020).

The three differ in their affinity alone, which says how much a pair of views attracts each other: two views of a recording, and,
where labels are used, two views of a speaker. Everything else in the batch repels.
"""
from collections.abc import Callable

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from sslspk.encoders.base import Encoder
from sslspk.encoders.projected import projected
from sslspk.losses.contrastive import affinity_contrastive
from sslspk.losses.precision import dots
from sslspk.methods.base import Batch, Corpus, LabelledSpeakers, Method, Progress
from sslspk.methods.config import GclConfig, SimclrConfig, SupconConfig
from sslspk.nn import comm, monitors


class InBatch(Method):
    def __init__(self, config: SimclrConfig | SupconConfig | GclConfig, new_encoder: Callable[[], Encoder], corpus: Corpus):
        super().__init__()
        self.config, self.crops, self.evaluate = config, config.crops, config.evaluate
        self.network = projected(new_encoder(), config.projection)
        share = getattr(config, "labelled_share", 0.0)
        self.known = LabelledSpeakers(share, corpus, f"{config.name} training")
        self.labels = self.known.describe()
        if config.learn_scale:
            self.scale = nn.Parameter(torch.tensor(1.0 / config.temperature))
            self.bias = nn.Parameter(torch.tensor(config.scale_bias))

    def encoders(self) -> dict[str, nn.Module]:
        found = {"encoder": self.network.encoder}
        return found if self.config.projection is None else {**found, "projected": self.network}

    def backbones(self) -> list[nn.Module]:
        return [self.network.encoder]

    def forward(self, batch: Batch, progress: Progress) -> dict[str, Tensor]:
        views = batch.views[0]
        z = F.normalize(self.network(views.flatten(0, 1)).float())
        everyone = comm.gather_with_gradient(z)
        recording, speaker = batch.units.repeat(len(views)), self.known(batch.labels).repeat(len(views))
        affinity = self._affinity(recording, speaker, comm.gather(recording), comm.gather(speaker))
        valid = torch.ones_like(affinity, dtype=torch.bool)
        valid[:, comm.rows_of_this_rank(len(z))].fill_diagonal_(False)
        logits = self._logits(dots(z, everyone))
        out = {"loss": affinity_contrastive(logits, affinity, valid).mean()}
        if progress.log:
            out.update(self._figures(z.detach(), logits.detach(), affinity, valid))
        return out

    def _logits(self, cosine: Tensor) -> Tensor:
        if self.config.learn_scale:
            return self.scale.clamp_min(1e-6) * cosine + self.bias
        return cosine / self.config.temperature

    def _affinity(self, recording: Tensor, speaker: Tensor, recordings: Tensor, speakers: Tensor) -> Tensor:
        """(n,), (n,) of this rank's views and (N,), (N,) of everyone's -> (n, N)."""
        same_recording = recording[:, None] == recordings
        same_speaker = (speaker[:, None] == speakers) & (speaker >= 0)[:, None] & ~same_recording
        if isinstance(self.config, GclConfig):
            return self.config.same_recording * same_recording.float() + self.config.same_speaker * same_speaker.float()
        return (same_recording | same_speaker).float()

    @staticmethod
    def _figures(z: Tensor, logits: Tensor, affinity: Tensor, valid: Tensor) -> dict[str, Tensor]:
        nearest = logits.masked_fill(~valid, -torch.inf).argmax(1, keepdim=True)
        first, second = z.chunk(2)
        return {"accuracy": (affinity.gather(1, nearest) > 0).float().mean(), "alignment": monitors.alignment(first, second),
                "uniformity": monitors.uniformity(first), "effective_rank": monitors.effective_rank(first)}
