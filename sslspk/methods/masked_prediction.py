"""Masked prediction: HuBERT (Hsu et al. 2021, arXiv 2106.07447) and BEST-RQ (Chiu et al. 2022, arXiv 2202.01855).

Spans of the convolutions' output are masked, and the Transformer predicts the label of each masked step. The labels are computed from the
waveform (frame_labels): clusters of cepstra or of a trained model's layer, or a random projection.
"""
from collections.abc import Callable

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from sslspk.encoders.wav2vec2 import Wav2Vec2
from sslspk.losses.precision import dots, wide
from sslspk.methods import frame_labels
from sslspk.methods.base import Batch, Corpus, Method, Plain, Progress, weighted_sum
from sslspk.methods.config_masked import MaskedPredictionConfig
from sslspk.nn.draws import for_rows
from sslspk.nn.masks import as_mask, at, hidden_steps
from sslspk.nn.monitors import effective_rank, perplexity

NOISE = 1          # the purpose of what is drawn in a step
DEVIATION = 0.1    # of the noise


class MaskedPrediction(Method):
    """loss = cross-entropy of the hidden steps' labels + unmasked_weight of the others' + feature_penalty mean(z^2).

    Every recording of all ranks has equally many hidden steps, so that means over ranks are means over steps. Logged: the terms as loss_X,
    accuracy at the hidden steps, and label_perplexity, of their labels in the batch of all ranks: how many labels are in use. Raises
    InputError for a crop that has no room for two masks.
    """

    def __init__(self, config: MaskedPredictionConfig, new_encoder: Callable[[], Wav2Vec2], corpus: Corpus):
        super().__init__()
        self.config, self.crops, self.evaluate = config, config.crops, config.evaluate
        self.encoder = new_encoder()
        self.targets = frame_labels.build(config.targets, self.encoder.config, corpus.read_model, corpus.recordings)
        self.labels = self.targets.labels
        self.mask = nn.Parameter(torch.rand(self.encoder.embed_dim)) if config.fill == "vector" else None
        cosine, classes = config.head == "cosine", self.targets.classes
        self.predict = nn.Linear(self.encoder.embed_dim, config.out_dim if cosine else classes)
        self.codes = nn.Parameter(torch.rand(classes, config.out_dim)) if cosine else None

    def encoders(self) -> dict[str, nn.Module]:
        return {"encoder": self.encoder}

    def before_epoch(self, embed_all: Callable[[nn.Module], Plain], progress: Progress) -> dict[str, Tensor]:
        """Before the first step, learn the labels from the training set."""
        return {} if progress.step else self.targets.learn(embed_all, self.encoder.config.steps)

    def forward(self, batch: Batch, progress: Progress) -> dict[str, Tensor]:
        cfg, waves = self.config, batch.views[0][0]
        latents = self.encoder.latents(waves)
        latents = latents.detach() + cfg.feature_gradient * (latents - latents.detach())        # the value itself, less gradient
        rows, steps = latents.shape[:2]
        places = hidden_steps(rows, steps, cfg.mask_prob, cfg.mask_span, progress.draw).to(latents.device, non_blocking=True)   # (R, K)
        hidden, labels = as_mask(places, steps), self.targets(waves, steps)
        context = self.encoder.contexts(self._filled(latents, hidden, progress))[-1]
        scores, asked = self._scores(at(context, places)), labels.gather(1, places)
        terms = {"loss_masked": (1.0, _entropy(scores, asked)), "loss_features": (cfg.feature_penalty, wide(latents).square().mean())}
        if cfg.unmasked_weight:
            shown = hidden.int().argsort(dim=1, stable=True)[:, :steps - places.shape[1]]
            terms["loss_unmasked"] = cfg.unmasked_weight, _entropy(self._scores(at(context, shown)), labels.gather(1, shown))
        out = {**weighted_sum(terms), "accuracy": (scores.argmax(-1) == asked).float().mean()}
        if progress.log:
            out["label_perplexity"] = perplexity(asked, self.targets.classes)
            out["effective_rank"] = effective_rank(context.detach().mean(1))
        return out

    def _filled(self, latents: Tensor, hidden: Tensor, progress: Progress) -> Tensor:
        """Steps (R, T, C) -> what the Transformer is given, (R, T, D), with something else in the place of the hidden ones."""
        normed = self.encoder.norm(latents)
        if self.mask is None:
            noise = for_rows(len(normed), progress.draw, NOISE, normed.device, lambda rng: torch.randn(
                normed.shape[1:], generator=rng, device=rng.device))
            return self.encoder.project(torch.where(hidden[..., None], (DEVIATION * noise).to(normed.dtype), normed))
        x = self.encoder.project(normed)
        return torch.where(hidden[..., None], self.mask.to(x.dtype), x)

    def _scores(self, context: Tensor) -> Tensor:
        """(R, K, D) -> (R, K, labels), float32: logits of a softmax."""
        x = self.predict(context)
        if self.codes is None:
            return wide(x)
        unit = F.normalize(wide(x), dim=-1).flatten(0, 1)
        return dots(unit, F.normalize(wide(self.codes), dim=-1)).unflatten(0, x.shape[:2]) / self.config.temperature


def _entropy(scores: Tensor, labels: Tensor) -> Tensor:
    return F.cross_entropy(scores.flatten(0, 1), labels.flatten())
