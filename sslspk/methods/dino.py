"""DINO for utterances (Caron et al. 2021; Cho et al. 2022; Zhang & Yu 2022): self-distillation without labels.

A student sees every crop of a recording, a teacher only the long ones. For each crop, the student learns to give the distribution over K
prototypes that the teacher gives for the other crops. The teacher is a moving average of the student. Centring, and a lower temperature of
the teacher, prevent collapse to one distribution for all recordings.
"""
import itertools
from collections.abc import Callable

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from sslspk.encoders.base import Encoder
from sslspk.losses.dino import dino_loss, updated_centre
from sslspk.losses.precision import unit_rows, wide
from sslspk.methods import positives
from sslspk.methods.base import Batch, Corpus, Method, Plain, Progress
from sslspk.methods.config import DinoConfig
from sslspk.methods.config_positives import drawn_crops
from sslspk.methods.regularise import Regulariser, regularised
from sslspk.nn import comm
from sslspk.nn.monitors import effective_rank
from sslspk.nn.schedules import cosine_ramp, linear_ramp


def head_mlp(dims: tuple[int, ...], batch_norm: bool) -> nn.Sequential:
    """Linear layers between the dimensions, GELU (after BatchNorm) between them; small weights, no biases at the start."""
    layers: list[nn.Module] = []
    for i, (a, b) in enumerate(itertools.pairwise(dims)):
        layers.append(nn.Linear(a, b))
        if i < len(dims) - 2:
            layers += [nn.BatchNorm1d(b), nn.GELU()] if batch_norm else [nn.GELU()]
    for layer in layers:
        if isinstance(layer, nn.Linear):
            nn.init.trunc_normal_(layer.weight, std=0.02)
            nn.init.zeros_(layer.bias)
    return nn.Sequential(*layers)


@torch.no_grad()
def follow(teacher: nn.Module, student: nn.Module, config, progress: Progress) -> None:
    """Move the teacher's parameters to the student's by 1 - momentum, which rises from config.teacher_momentum to _end by a cosine."""
    momentum = cosine_ramp(progress.step, config.teacher_momentum, config.teacher_momentum_end, progress.total)
    torch._foreach_lerp_(list(teacher.parameters()), list(student.parameters()), 1 - momentum)


class DinoHead(nn.Module):
    """MLP -> L2 normalisation -> weight-normed linear layer without bias whose gain stays 1: (N, D) -> (N, K)."""

    def __init__(self, embed_dim: int, config: DinoConfig):
        super().__init__()
        self.mlp = head_mlp((embed_dim, *[config.hidden_dim] * (config.head_layers - 1), config.bottleneck_dim), config.head_batch_norm)
        self.prototypes = nn.Parameter(torch.empty(config.out_dim, config.bottleneck_dim))
        if config.prototype_init == "uniform":
            nn.init.uniform_(self.prototypes, -config.bottleneck_dim ** -0.5, config.bottleneck_dim ** -0.5)
        else:
            nn.init.trunc_normal_(self.prototypes, std=0.02)

    def forward(self, x: Tensor) -> Tensor:
        return self.logits(self.bottleneck(x))

    def bottleneck(self, x: Tensor) -> Tensor:
        """(N, D) -> (N, bottleneck_dim) of length 1, float32."""
        x = self.mlp(x)
        with torch.autocast(x.device.type, enabled=False):
            return F.normalize(wide(x), dim=-1)

    def logits(self, z: Tensor) -> Tensor:
        """(N, bottleneck_dim) of length 1 -> (N, K) cosines. They are divided by 0.04 later: bfloat16 would be too coarse."""
        with torch.autocast(z.device.type, enabled=False):
            return z @ unit_rows(self.prototypes).T


class Dino(Method):
    """Student, teacher and centre. The teacher has BatchNorm statistics of its own (it runs in training mode)."""

    def __init__(self, config: DinoConfig, new_encoder: Callable[[], Encoder], corpus: Corpus):
        super().__init__()
        self.config, self.crops, self.evaluate = config, drawn_crops(config), config.evaluate
        self.student = nn.ModuleDict({"encoder": new_encoder(), "head": None})
        self.student["head"] = DinoHead(self.student["encoder"].embed_dim, config)
        self.teacher = nn.ModuleDict({"encoder": new_encoder(), "head": None})
        self.teacher["head"] = DinoHead(self.teacher["encoder"].embed_dim, config)
        self.teacher.load_state_dict(self.student.state_dict())
        self.teacher.requires_grad_(False)
        centre = torch.zeros(config.out_dim)
        if config.centre_init == "random":
            nn.init.normal_(centre, std=0.1)  # the logits are cosines; a tenth of their range
        self.register_buffer("centre", centre)
        self.regulariser = Regulariser(config.regularise, self.student["encoder"].embed_dim) if config.regularise else None
        long = config.crops[0].count
        self.positives = positives.build(config.positives, config.bottleneck_dim, long, corpus, self.teacher["encoder"].embed_dim)
        if self.positives is not None:
            self.labels = self.positives.labels
        self.register_buffer("centre_sum", torch.zeros(config.out_dim), persistent=False)
        self.register_buffer("centre_count", torch.zeros(()), persistent=False)

    def encoders(self) -> dict[str, nn.Module]:
        return {"teacher": self.teacher["encoder"], "student": self.student["encoder"]}

    def teacher_temp(self, progress: Progress) -> float:
        cfg = self.config
        return linear_ramp(progress.epochs, cfg.teacher_temp_start, cfg.teacher_temp, cfg.teacher_temp_warmup_epochs)

    def forward(self, batch: Batch, progress: Progress) -> dict[str, Tensor]:
        return self.loss(self.embed(self.student, batch.views[:len(self.config.crops)]), batch, progress)

    def embed(self, network: nn.ModuleDict, views: list[Tensor]) -> list[Tensor]:
        """One encoder call per crop length: for each, its embeddings (V*B, D), view by view."""
        return [network["encoder"](x.flatten(0, 1)) for x in views]

    def loss(self, embeddings: list[Tensor], batch: Batch, progress: Progress) -> dict[str, Tensor]:
        """DINO's loss of the student's embeddings (as `embed` gives them); the teacher's are computed here."""
        cfg, size = self.config, batch.views[0].shape[1]
        logits = self.student["head"](torch.cat(embeddings)).unflatten(0, (-1, size))
        with torch.no_grad():
            targets, figures = self._targets(batch, progress)
        out = dino_loss(logits, targets, self.centre, cfg.student_temp, self.teacher_temp(progress))
        out = regularised(out, self.regulariser, embeddings[0].unflatten(0, (-1, size)), progress)
        self.centre_sum += wide(targets).mean((0, 1))
        self.centre_count += 1
        out.update(figures)
        if progress.log:
            out["effective_rank"] = effective_rank(embeddings[0].detach())
        return out

    def _targets(self, batch: Batch, progress: Progress) -> tuple[Tensor, dict[str, Tensor]]:
        """The teacher's logits (V, B, K) of the long views, of other recordings where positives are substituted; figures to log.

        The queue holds the output of the bottleneck, not the K logits, which would need too much memory. The current prototypes are applied
        to it.
        """
        z = self.teacher["head"].bottleneck(self.embed(self.teacher, batch.views[:1])[0]).unflatten(0, (-1, batch.views[0].shape[1]))
        figures = {}
        if self.positives is not None:
            self.positives.observe(self.teacher["encoder"], batch, progress)
            chosen = self.positives(z, batch, progress)
            z, figures = chosen.embeddings, chosen.figures
        return self.teacher["head"].logits(z), figures

    def before_epoch(self, embed_all: Callable[[nn.Module], Plain], progress: Progress) -> dict[str, Tensor]:
        return {} if self.positives is None else self.positives.before_epoch(self.teacher["encoder"], embed_all, progress)

    def after_backward(self, progress: Progress) -> None:
        """The last layer is frozen in the first epochs. Its gradient is removed, since with a zero gradient weight decay would still change
        it."""
        if progress.epochs < self.config.freeze_last_layer_epochs:
            self.student["head"].prototypes.grad = None

    @torch.no_grad()
    def after_step(self, progress: Progress) -> None:
        """Teacher: moving average of the parameters, momentum rising to its end value by a cosine. Centre: after the loss."""
        mean = comm.mean_over_ranks(self.centre_sum / self.centre_count)
        self.centre.copy_(updated_centre(self.centre, mean, self.config.centre_momentum))
        self.centre_sum.zero_()
        self.centre_count.zero_()
        follow(self.teacher, self.student, self.config, progress)
        if self.positives is not None:
            self.positives.after_step(progress)
