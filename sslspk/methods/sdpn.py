"""SDPN, self-distillation prototypes (Chen et al. 2025, arXiv 2308.02774; regularised by dimension: arXiv 2505.13826).

The teacher assigns one clean view of each recording to prototypes that are learnt; the student learns to give each of its noisy views the
same assignment. Sinkhorn's iterations and me-max spread the recordings over the prototypes, and KoLeo spreads the embeddings. Without them,
all recordings would be assigned to one prototype.
"""
import math
from collections.abc import Callable

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from sslspk.encoders.base import Encoder
from sslspk.losses.koleo import koleo
from sslspk.losses.precision import dots, unit_rows, wide
from sslspk.losses.sdpn import assignment_loss, information, me_max
from sslspk.losses.sinkhorn import sinkhorn
from sslspk.methods import positives
from sslspk.methods.base import Batch, Corpus, Method, Plain, Progress, require_others
from sslspk.methods.config_positives import drawn_crops
from sslspk.methods.config_sdpn import SdpnConfig
from sslspk.methods.dino import follow, head_mlp
from sslspk.methods.regularise import Regulariser, of_all_ranks, regularised
from sslspk.nn import comm
from sslspk.nn.monitors import effective_rank


class Sdpn(Method):
    """Student, teacher (BatchNorm statistics of its own) and the prototypes of both, which learn from the student alone.

    Logged: loss_prototypes, loss_memax and loss_koleo without their weights; teacher_information, how many nats the teacher's
    distributions say of which recording it is: near 0 where it says the same of all.
    """

    def __init__(self, config: SdpnConfig, new_encoder: Callable[[], Encoder], corpus: Corpus):
        super().__init__()
        self.config, self.crops, self.evaluate = config, drawn_crops(config), config.evaluate
        self.student, self.teacher = self._network(new_encoder()), self._network(new_encoder())
        self.teacher.load_state_dict(self.student.state_dict())
        self.teacher.requires_grad_(False)
        bound = 1 / math.sqrt(config.bottleneck_dim)
        self.prototypes = nn.Parameter(torch.empty(config.prototypes, config.bottleneck_dim).uniform_(-bound, bound))
        self.regulariser = Regulariser(config.regularise, self.student["encoder"].embed_dim) if config.regularise else None
        self.positives = positives.build(config.positives, config.bottleneck_dim, 1, corpus, self.teacher["encoder"].embed_dim)
        if self.positives is not None:
            self.labels = self.positives.labels

    def _network(self, encoder: Encoder) -> nn.ModuleDict:
        cfg = self.config
        dims = (encoder.embed_dim, *[cfg.hidden_dim] * (cfg.head_layers - 1), cfg.bottleneck_dim)
        return nn.ModuleDict({"encoder": encoder, "head": head_mlp(dims, cfg.head_batch_norm)})

    def encoders(self) -> dict[str, nn.Module]:
        return {"teacher": self.teacher["encoder"], "student": self.student["encoder"]}

    def undecayed(self) -> list[nn.Parameter]:
        return [self.prototypes]

    def forward(self, batch: Batch, progress: Progress) -> dict[str, Tensor]:
        cfg, size = self.config, batch.views[0].shape[1]
        require_others(size * comm.world_size())
        embeddings = torch.cat([self.student["encoder"](x.flatten(0, 1)) for x in batch.views[1:len(cfg.crops)]])
        cosines = self._cosines(self._bottleneck(self.student, embeddings))
        log_p = torch.log_softmax(cosines / cfg.student_temp, dim=1).unflatten(0, (-1, size))
        with torch.no_grad():
            z, figures = self._teacher(batch, progress)
            seen = comm.gather(self._cosines(z))
            sharp = torch.log_softmax(seen / (cfg.student_temp * cfg.sharpen), dim=1)
            targets = sinkhorn(sharp, cfg.sinkhorn_iterations)[comm.rows_of_this_rank(size)]
        out = assignment_loss(log_p, targets)
        embeddings = embeddings.unflatten(0, (-1, size))
        out = regularised(self._summed(out, log_p, embeddings), self.regulariser, embeddings, progress)
        out.update(figures)
        if progress.log:
            out.update(effective_rank=effective_rank(embeddings[0].detach()), teacher_information=information(sharp.exp()))
        return out

    @staticmethod
    def _bottleneck(network: nn.ModuleDict, embeddings: Tensor) -> Tensor:
        """(N, D) -> (N, bottleneck_dim) of length 1, the head's output."""
        return F.normalize(wide(network["head"](embeddings)), dim=1)

    def _cosines(self, z: Tensor) -> Tensor:
        """(N, bottleneck_dim) of length 1 -> (N, K), with the prototypes."""
        return dots(z, unit_rows(self.prototypes))

    def _teacher(self, batch: Batch, progress: Progress) -> tuple[Tensor, dict[str, Tensor]]:
        """The teacher's bottleneck (B, P) of its view, of another recording's where positives are substituted; figures to log."""
        z = self._bottleneck(self.teacher, self.teacher["encoder"](batch.views[0].flatten(0, 1)))
        if self.positives is None:
            return z, {}
        self.positives.observe(self.teacher["encoder"], batch, progress)
        chosen = self.positives(z[None], batch, progress)
        return chosen.embeddings[0], chosen.figures

    def before_epoch(self, embed_all: Callable[[nn.Module], Plain], progress: Progress) -> dict[str, Tensor]:
        return {} if self.positives is None else self.positives.before_epoch(self.teacher["encoder"], embed_all, progress)

    def _summed(self, out: dict[str, Tensor], log_p: Tensor, embeddings: Tensor) -> dict[str, Tensor]:
        """The loss of what assignment_loss gave and of log_p (V, B, K) and embeddings (V, B, D), and its terms."""
        cfg, loss = self.config, out["loss_prototypes"]
        if cfg.me_max:
            out["loss_memax"] = me_max(comm.gather_with_gradient(log_p.exp().mean((0, 1))[None]).mean(0))
            loss = loss + cfg.me_max * out["loss_memax"]
        if cfg.koleo:
            out["loss_koleo"] = torch.stack([koleo(x) for x in of_all_ranks(embeddings)]).sum()
            loss = loss + cfg.koleo * out["loss_koleo"]
        return {"loss": loss, **{key: value.detach() for key, value in out.items()}}

    def after_step(self, progress: Progress) -> None:
        follow(self.teacher, self.student, self.config, progress)
        if self.positives is not None:
            self.positives.after_step(progress)
