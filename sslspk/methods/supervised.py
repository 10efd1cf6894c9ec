"""Classification with labels or pseudo-labels of speakers or of other classes, on cropped utterances; a gate for labels in doubt."""
from collections.abc import Callable

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from sslspk.encoders.base import Encoder
from sslspk.errors import InputError
from sslspk.losses.aam import aam_losses, am_logits
from sslspk.methods import classifier
from sslspk.methods.anchor import Anchor, balanced
from sslspk.methods.base import Batch, Corpus, Method, Progress
from sslspk.methods.config_supervised import SupervisedConfig
from sslspk.methods.relabelling import Relabelling
from sslspk.nn import comm
from sslspk.nn.corrections import Corrections
from sslspk.nn.loss_gate import LossGate
from sslspk.nn.schedules import linear_ramp


class Supervised(Method):
    labels = "speaker"

    def __init__(self, config: SupervisedConfig, new_encoder: Callable[[], Encoder], corpus: Corpus):
        super().__init__()
        if corpus.classes < 2:
            raise InputError(f"supervised training needs at least 2 classes (speakers in utt2spk, or what data.labels names) and found "
                             f"{corpus.classes}.")
        self.config, self.crops, self.evaluate = config, config.crops, config.evaluate
        self.encoder = new_encoder()
        self.classifier = classifier.build(config, self.encoder.embed_dim, corpus.classes)
        self.gate = LossGate(corpus.recordings) if config.gate else None
        self.corrections = (Corrections(corpus.recordings, corpus.classes, config.gate.correct_growth)
                            if config.corrects and config.gate.correct_growth else None)
        self.anchor = Anchor(self.encoder) if config.near_start else None
        self.relabelling = None
        if config.relabel:
            teacher = classifier.build(config, self.encoder.embed_dim, corpus.classes)
            self.relabelling = Relabelling(config.relabel, new_encoder(), teacher, corpus)
            self.relabelling.encoder.load_state_dict(self.encoder.state_dict())
            teacher.load_state_dict(self.classifier.state_dict())

    def backbones(self) -> list[nn.Module]:
        return [self.encoder, *([self.relabelling.encoder] if self.relabelling is not None else [])]

    def after_step(self, progress: Progress) -> None:
        if self.relabelling is not None:
            self.relabelling.follow(self.encoder, self.classifier, progress)

    def encoders(self) -> dict[str, nn.Module]:
        return {"encoder": self.encoder}

    def before_epoch(self, embed_all, progress: Progress) -> dict[str, Tensor]:
        if self.anchor is not None and progress.step == 0:   # with the weights of train.init_from
            self.anchor.take(self.encoder)
        if self.relabelling is not None:
            return self.relabelling.before_epoch(progress)
        if self.gate is None or progress.epochs < self.config.gate.start_epochs:
            return {}
        if self.config.gate.kind == "fixed":
            self.gate.fix(self.config.gate.threshold)
        else:
            self.gate.fit()
        self.gate.believe(self.config.gate.least_believed)
        return {"gate": self.gate.threshold.clone()} if self.gate.threshold.isfinite() else {}

    def forward(self, batch: Batch, progress: Progress) -> dict[str, Tensor]:
        figures, near = self._classified(batch, progress), self.config.near_start
        if near is None:
            return figures
        loss, distance = figures["loss"], self.anchor.distance(self.encoder)
        terms = {"loss_classes": loss.detach(), "loss_distance": near.weight * distance.detach()}
        return {**figures, "loss": balanced(loss, distance, near.weight) if near.balanced else loss + near.weight * distance, **terms}

    def _classified(self, batch: Batch, progress: Progress) -> dict[str, Tensor]:
        cfg = self.config
        views = batch.views[:-1] if cfg.reads_clean else batch.views
        scores = self.classifier(torch.cat([self.encoder(x.flatten(0, 1)) for x in views]))
        if self.relabelling is not None:
            return self._relabelled(scores, batch, progress)
        labels = batch.labels.repeat(scores.shape[0] // len(batch.labels))
        losses = self._losses(scores, labels, progress)
        figures = {"accuracy": (scores.argmax(1) == labels).float().mean()}
        if self.gate is None:
            return {"loss": losses.mean(), **figures}
        self.gate.record(losses.unflatten(0, (-1, len(batch.labels))).mean(0), batch.units)
        if self.corrections is not None:
            self.corrections.see(batch.units, batch.labels)
        believed = losses.detach() < self.gate.threshold
        figures["believed"] = believed.float().mean()
        if cfg.corrects and progress.epochs >= cfg.gate.correct_epochs:
            seen, sure = self._seen(batch.views[-1].flatten(0, 1))
            if self.corrections is not None:
                doubted = ~believed.unflatten(0, (-1, len(seen))).all(0)
                sure = self.corrections.admit(batch.units, seen, sure & doubted & (seen != batch.labels)) | (sure & (seen == batch.labels))
            seen, sure = (x.repeat(len(labels) // len(batch.labels)) for x in (seen, sure))
            corrected = ~believed & sure
            losses = torch.where(corrected, self._losses(scores, torch.where(corrected, seen, labels), progress), losses)
            believed = believed | corrected
            figures["corrected"] = corrected.float().mean()
        return {"loss": _weighted_over_all(losses, believed.float()), **figures}

    def _relabelled(self, scores: Tensor, batch: Batch, progress: Progress) -> dict[str, Tensor]:
        """The loss of scores (V B, classes) under renewed labels, each recording weighted by how likely its label is right."""
        labels, weight = self.relabelling(batch, progress)
        views = len(scores) // len(labels)
        losses = self._losses(scores, labels.repeat(views), progress)
        self.relabelling.weights.record(losses.unflatten(0, (views, -1)).mean(0), batch.units)
        return {"loss": _weighted_over_all(losses, weight.repeat(views)),
                "accuracy": (scores.argmax(1) == labels.repeat(views)).float().mean(),
                "corrected": (labels != batch.labels).float().mean(), "believed": weight.mean()}

    def _losses(self, scores: Tensor, labels: Tensor, progress: Progress) -> Tensor:
        cfg = self.config
        if cfg.loss == "softmax":
            return F.cross_entropy(scores, labels, reduction="none")
        margin = linear_ramp(progress.epochs, 0.0, cfg.margin, cfg.margin_warmup_epochs)
        if cfg.loss == "am":
            return F.cross_entropy(am_logits(scores, labels, cfg.scale, margin), labels, reduction="none")
        return aam_losses(scores, labels, cfg.scale, margin, cfg.inter_margin, cfg.inter_top_k)

    @torch.no_grad()
    def _seen(self, clean: Tensor) -> tuple[Tensor, Tensor]:
        """The class that the network, in evaluation mode, predicts for clean views (B, T, F), and whether it is confident: (B,), (B,)."""
        self.encoder.eval()
        cosine = self.classifier(self.encoder(clean))
        self.encoder.train()
        share, seen = (cosine / self.config.gate.correct_temperature).softmax(1).max(1)
        return seen, share > self.config.gate.correct_confidence


def _weighted_over_all(losses: Tensor, weight: Tensor) -> Tensor:
    """A value whose mean over the ranks is the weighted mean of all losses. losses: (B,). weight: (B,), from 0 to 1. If all weights
    together are below 1, it is the weighted sum."""
    total = comm.sum_over_ranks(weight.sum()).clamp_min(1)
    return comm.world_size() * (losses.where(weight > 0, 0) * weight).sum() / total
