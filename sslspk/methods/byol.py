"""BYOL (Grill et al. 2020): each of the student's views predicts the teacher's projection of the other one.

As the simple Siamese network it has no negatives; the teacher is a moving average of the student, without the predictor.
"""
from collections.abc import Callable

import torch
from torch import Tensor, nn

from sslspk.encoders.base import Encoder
from sslspk.encoders.projected import mlp, projected
from sslspk.losses.precision import wide
from sslspk.losses.siamese import negative_cosine
from sslspk.methods.base import Batch, Corpus, Method, Progress
from sslspk.methods.config_pairs import ByolConfig
from sslspk.methods.dino import follow
from sslspk.nn import monitors


class Byol(Method):
    """Student and teacher, each with BatchNorm statistics of its own (the teacher runs in training mode), and the predictor."""

    def __init__(self, config: ByolConfig, new_encoder: Callable[[], Encoder], corpus: Corpus):
        super().__init__()
        self.config, self.crops, self.evaluate = config, config.crops, config.evaluate
        self.student, self.teacher = projected(new_encoder(), config.projection), projected(new_encoder(), config.projection)
        self.teacher.load_state_dict(self.student.state_dict())
        self.teacher.requires_grad_(False)
        self.predictor = mlp((self.student.embed_dim, config.predictor_dim, self.student.embed_dim), batch_norm=True)

    def encoders(self) -> dict[str, nn.Module]:
        return {"student": self.student.encoder, "teacher": self.teacher.encoder}

    def forward(self, batch: Batch, progress: Progress) -> dict[str, Tensor]:
        """Eq. 2 and 3: the squared distance of unit vectors is 2 - 2 cos, of both views the sum."""
        views = batch.views[0].flatten(0, 1)
        z = self.student(views)
        p1, p2 = self.predictor(z).chunk(2)
        with torch.no_grad():
            z1, z2 = self.teacher(views).chunk(2)
        out = {"loss": 4 + 2 * negative_cosine(p1, z2) + 2 * negative_cosine(p2, z1)}
        if progress.log:
            out.update(monitors.of_pairs(*wide(z.detach()).chunk(2)))
        return out

    def after_step(self, progress: Progress) -> None:
        follow(self.teacher, self.student, self.config, progress)
