"""Contrast within the batch of all ranks: SimCLR (Chen et al. 2020), SupCon (Khosla et al. 2020) and GCL (Inoue & Goto 2020).

The three differ in their affinity alone, which says how much a pair of views attracts each other: two views of a recording, and,
where labels are used, two views of a speaker. Everything else in the batch repels. SimCLR's second view may be another recording's
(method.positives).
"""
from collections.abc import Callable

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from sslspk.encoders.base import Encoder
from sslspk.encoders.projected import by_name, projected
from sslspk.losses.contrastive import affinity_contrastive
from sslspk.losses.precision import dots, wide
from sslspk.methods import positives
from sslspk.methods.base import Batch, Corpus, LabelledSpeakers, Method, Plain, Progress
from sslspk.methods.config import GclConfig, SimclrConfig, SupconConfig
from sslspk.methods.config_positives import drawn_crops
from sslspk.nn import comm, monitors


class InBatch(Method):
    def __init__(self, config: SimclrConfig | SupconConfig | GclConfig, new_encoder: Callable[[], Encoder], corpus: Corpus):
        super().__init__()
        self.config, self.crops, self.evaluate = config, drawn_crops(config), config.evaluate
        self.network = projected(new_encoder(), config.projection)
        share = getattr(config, "labelled_share", 0.0)
        self.known = LabelledSpeakers(share, corpus, f"{config.name} training")
        self.labels = self.known.describe()
        self.positives = positives.build(getattr(config, "positives", None), self.network.embed_dim, 1, corpus,
                                         self.network.encoder.embed_dim)
        if self.positives is not None:
            self.labels = self.positives.labels
        if config.learn_scale:
            self.scale = nn.Parameter(torch.tensor(1.0 / config.temperature))
            self.bias = nn.Parameter(torch.tensor(config.scale_bias))

    def encoders(self) -> dict[str, nn.Module]:
        return by_name(self.network)

    def backbones(self) -> list[nn.Module]:
        return [self.network.encoder]

    def forward(self, batch: Batch, progress: Progress) -> dict[str, Tensor]:
        views = batch.views[0]
        z = F.normalize(wide(self.network(views.flatten(0, 1))))
        recording, speaker = batch.units.repeat(len(views)), self.known(batch.labels).repeat(len(views))
        affinity = self._affinity(recording, speaker, comm.gather(recording), comm.gather(speaker))
        valid = torch.ones_like(affinity, dtype=torch.bool)
        valid[:, comm.rows_of_this_rank(len(z))].fill_diagonal_(False)
        figures = {}
        if self.positives is not None:
            z, valid, figures = self._with_substitutes(z, batch, affinity, valid, progress)
        logits = self._logits(dots(z, comm.gather_with_gradient(z)))
        out = {"loss": affinity_contrastive(logits, affinity, valid).mean(), **figures}
        if progress.log:
            out.update(self._figures(z.detach(), logits.detach(), affinity, valid))
        return out

    def _with_substitutes(self, z: Tensor, batch: Batch, affinity: Tensor, valid: Tensor, progress: Progress) -> tuple:
        """z with other recordings' embeddings as second views, which pairs then take part, and figures to log.

        A recording in the batch that was also drawn as a substitute is not used as its own negative.
        """
        self.positives.observe(self.network.encoder, batch, progress)
        first, second = z.chunk(2)
        chosen = self.positives(second[None], batch, progress)
        whose = torch.cat([batch.units, chosen.units])
        everyone = comm.gather(whose)
        akin, near = whose[:, None] == everyone, self.positives.near(whose, everyone)
        valid = valid & ((affinity > 0) | ~(akin if near is None else akin | near))
        return torch.cat([first, chosen.embeddings[0]]), valid, chosen.figures

    def before_epoch(self, embed_all: Callable[[nn.Module], Plain], progress: Progress) -> dict[str, Tensor]:
        return {} if self.positives is None else self.positives.before_epoch(self.network.encoder, embed_all, progress)

    def after_step(self, progress: Progress) -> None:
        if self.positives is not None:
            self.positives.after_step(progress)

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
