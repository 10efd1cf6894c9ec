"""Classification with labels or pseudo-labels of speakers or of other classes, on cropped utterances; a gate for labels in doubt."""
from collections.abc import Callable

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from sslspk.encoders.base import Encoder
from sslspk.errors import InputError
from sslspk.losses.aam import aam_losses, am_logits
from sslspk.methods import classifier
from sslspk.methods.base import Batch, Corpus, Method, Progress
from sslspk.methods.config_supervised import SupervisedConfig
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

    def encoders(self) -> dict[str, nn.Module]:
        return {"encoder": self.encoder}

    def before_epoch(self, embed_all, progress: Progress) -> dict[str, Tensor]:
        if self.gate is None or progress.epochs < self.config.gate.start_epochs:
            return {}
        if self.config.gate.kind == "fixed":
            self.gate.fix(self.config.gate.threshold)
        else:
            self.gate.fit()
        self.gate.believe(self.config.gate.least_believed)
        return {"gate": self.gate.threshold.clone()} if self.gate.threshold.isfinite() else {}

    def forward(self, batch: Batch, progress: Progress) -> dict[str, Tensor]:
        cfg = self.config
        views = batch.views[:-1] if cfg.corrects else batch.views
        scores = self.classifier(torch.cat([self.encoder(x.flatten(0, 1)) for x in views]))
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
        return {"loss": _mean_over_all(losses, believed), **figures}

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
        """The class that the network, as it would be used, sees in clean views (B, T, F), and whether it is sure of it: (B,), (B,)."""
        self.encoder.eval()
        cosine = self.classifier(self.encoder(clean))
        self.encoder.train()
        share, seen = (cosine / self.config.gate.correct_temperature).softmax(1).max(1)
        return seen, share > self.config.gate.correct_confidence


def _mean_over_all(losses: Tensor, chosen: Tensor) -> Tensor:
    """What the ranks' mean of is the mean of the chosen ones of all ranks' losses (B,); 0 where there are none."""
    count = comm.sum_over_ranks(chosen.sum().float()).clamp_min(1)
    return comm.world_size() * losses.where(chosen, 0).sum() / count
