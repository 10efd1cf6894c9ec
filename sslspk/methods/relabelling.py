"""Labels that a teacher renews while its student learns from them: SSRL (Cai et al. 2024, arXiv 2401.01473)."""
import torch
from torch import Tensor, nn

from sslspk.encoders.base import Encoder
from sslspk.methods import dino
from sslspk.methods.base import Batch, Corpus, Progress
from sslspk.methods.classifier import Classifier
from sslspk.methods.config_supervised import RelabelConfig
from sslspk.nn.corrections import Corrections
from sslspk.nn.label_queue import LabelQueue
from sslspk.nn.loss_gate import LossWeights


class Relabelling(nn.Module):
    """The teacher, the last labels of each recording, and how much each counts.

    forward(batch, progress) -> labels (B,) to learn from, weights (B,) from 0 to 1. Logged: classes, the clusters that are left.
    """

    def __init__(self, config: RelabelConfig, encoder: Encoder, classifier: Classifier, corpus: Corpus):
        super().__init__()
        self.config, self.classes = config, corpus.classes
        self.encoder, self.classifier = encoder.requires_grad_(False), classifier.requires_grad_(False)
        self.queue, self.weights = LabelQueue(corpus.recordings, config.queue), LossWeights(corpus.recordings)
        self.corrections = Corrections(corpus.recordings, corpus.classes, config.growth) if config.growth else None

    def begun(self, progress: Progress) -> bool:
        return progress.epochs >= self.config.start_epochs

    def before_epoch(self, progress: Progress) -> dict[str, Tensor]:
        if not self.begun(progress):
            return {}
        self.weights.fit()
        return {"classes": self.queue.classes(self.classes)}

    @torch.no_grad()
    def forward(self, batch: Batch, progress: Progress) -> tuple[Tensor, Tensor]:
        named = self._named(batch) if self.begun(progress) else batch.labels
        if self.corrections is not None:
            self.corrections.see(batch.units, batch.labels)
            named = named.where(self.corrections.admit(batch.units, named, named != batch.labels), batch.labels)
        self.queue.push(batch.units, named)
        return self.queue.majority(batch.units), self.weights.weight[batch.units]

    def _named(self, batch: Batch) -> Tensor:
        """The class (B,) whose centre is the nearest one to what the teacher, as it would be used, makes of the clean view."""
        self.eval()
        return self.classifier(self.encoder(batch.views[-1].flatten(0, 1))).argmax(1)

    @torch.no_grad()
    def follow(self, encoder: nn.Module, classifier: nn.Module, progress: Progress) -> None:
        """Move the teacher towards the student, and take its statistics of BatchNorm."""
        mine, theirs = nn.ModuleList([self.encoder, self.classifier]), nn.ModuleList([encoder, classifier])
        dino.follow(mine, theirs, self.config, progress)
        for own, new in zip(mine.buffers(), theirs.buffers(), strict=True):
            own.copy_(new)
