"""DSVAE (Lian, Zhang & Yu 2022, arXiv 2203.16705) and C-DSVAE (Lian et al. 2022, arXiv 2205.05227).

A recording is encoded as one latent of the speaker, z_s, and one latent of the content for each frame, z_c, and decoded again. The prior of
z_s is N(0, I); that of z_c is an LSTM over its own samples, in C-DSVAE told the label of each frame. With a weight on the second divergence
much above that on the first, what stays the same over time is cheaper to send through z_s.
"""
from collections.abc import Callable

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from sslspk.encoders.dsvae import DsvaeEncoder
from sslspk.encoders.projected import FrameMean
from sslspk.losses.gaussian_kl import gaussian_kl, standard_kl
from sslspk.losses.precision import wide
from sslspk.methods.base import Batch, Corpus, Method, Progress, weighted_sum
from sslspk.methods.config_dsvae import CdsvaeConfig, DsvaeConfig
from sslspk.nn import draws
from sslspk.nn.latent_prior import LatentPrior
from sslspk.nn.masks import as_mask, at, hidden_steps
from sslspk.nn.monitors import effective_rank
from sslspk.nn.schedules import linear_ramp

SPEAKER, CONTENT, PRIOR = 0, 1, 2   # what random numbers of a step are for


class Dsvae(Method):
    """T loss = reconstruction + alpha KL(z_s) + beta sum_t KL(z_c,t) (+ the cross-entropy of hidden frames' labels), mean over the batch.

    reconstruction: -log N(X; decoded, I) without its constant, so half the squared error, summed over frames and (as configured) features;
    X is standardised for each feature; with encoder.ridge also without correlations, of the frames or of the crop's mean. The sum is
    divided by the T frames of a crop, so that the loss is in nats a frame. In evaluation the means stand for the samples. Logged: the
    terms as loss_X, each with its weight; kl_speaker in nats a crop, kl_content in nats a frame; error, the mean squared error of a
    feature, without a ridge 1 for the mean of all speech; on logged steps error_without_speaker and error_without_content, with zeros
    for that latent; accuracy at hidden frames.
    """

    def __init__(self, config: DsvaeConfig | CdsvaeConfig, new_encoder: Callable[[], DsvaeEncoder], corpus: Corpus):
        super().__init__()
        self.config, self.crops, self.evaluate = config, config.crops, config.evaluate
        encoder = new_encoder()
        self.content = FrameMean(encoder, encoder.content_dim)
        classes = corpus.frame_classes if config.name == "cdsvae" else 0
        self.prior = LatentPrior(encoder.content_dim, config.prior_dim, classes)
        self.masking = getattr(config, "masked_prediction", None)
        if self.masking:
            self.mask = nn.Parameter(torch.rand(encoder.channels))
            self.tell = nn.Linear(encoder.content_dim, classes)

    def encoders(self) -> dict[str, nn.Module]:
        return {"speaker": self.content.encoder, "content": self.content}

    def backbones(self) -> list[nn.Module]:
        return [self.content.encoder]

    def forward(self, batch: Batch, progress: Progress) -> dict[str, Tensor]:
        encoder, cfg, views = self.content.encoder, self.config, batch.views[0]
        heard, *clean = encoder.standardise(views).unbind()
        target = wide(clean[-1] if clean else heard)
        maps = encoder.shared(heard.transpose(1, 2))
        speaker = encoder.speaker(maps)
        maps, hidden = self._hidden(maps, progress)
        content = encoder.content(maps)
        z_s, z_c = self._sample(*speaker, progress, SPEAKER), self._sample(*content, progress, CONTENT)
        prior = self.prior(self._noise(content[0], progress, PRIOR), batch.frame_labels)
        missed = (encoder.decoder(z_s, z_c) - target).square()
        over_bins = missed.sum(2) if cfg.reconstruction == "sum" else missed.mean(2)
        kl_s, kl_c = standard_kl(*speaker), gaussian_kl(*content, *prior)
        steps, share = target.shape[1], linear_ramp(progress.step + 1, 0.0, 1.0, cfg.warmup_steps)
        terms = {"loss_reconstruction": (1.0, 0.5 * over_bins.mean()), "loss_speaker": (share * cfg.alpha / steps, kl_s.mean()),
                 "loss_content": (share * cfg.beta, kl_c.mean())}
        figures = {"kl_speaker": kl_s.mean(), "kl_content": kl_c.mean(), "error": missed.mean()}
        if self.masking:
            scores, asked = wide(self.tell(at(content[0], hidden))), batch.frame_labels.gather(1, hidden)
            terms["loss_labels"] = self.masking.weight * hidden.shape[1] / steps, F.cross_entropy(scores.flatten(0, 1), asked.flatten())
            figures["accuracy"] = (scores.argmax(-1) == asked).float().mean()
        if progress.log:
            figures |= self._without(z_s, z_c, target) | {"effective_rank": effective_rank(speaker[0])}
        return weighted_sum(terms) | {name: value.detach() for name, value in figures.items()}

    def _noise(self, like: Tensor, progress: Progress, purpose: int) -> Tensor:
        """Standard normal numbers in the shape of a mean (B, ...); zeros in evaluation."""
        if not self.training:
            return torch.zeros_like(like)
        return draws.for_rows(len(like), progress.draw, purpose, like.device,
                              lambda generator: torch.randn(like.shape[1:], generator=generator, device=like.device)).to(like.dtype)

    def _sample(self, mean: Tensor, log_variance: Tensor, progress: Progress, purpose: int) -> Tensor:
        return mean + torch.exp(0.5 * log_variance) * self._noise(mean, progress, purpose)

    def _hidden(self, maps: Tensor, progress: Progress) -> tuple[Tensor, Tensor | None]:
        """Maps (B, C, T) with a learnt vector in place of the hidden frames, and these (B, K); without masked prediction as they are."""
        if not self.masking:
            return maps, None
        rows, steps = len(maps), maps.shape[2]
        places = hidden_steps(rows, steps, self.masking.mask_prob, self.masking.mask_span, progress.draw).to(maps.device, non_blocking=True)
        return torch.where(as_mask(places, steps)[:, None], self.mask.to(maps.dtype)[:, None], maps), places

    @torch.no_grad()
    def _without(self, z_s: Tensor, z_c: Tensor, target: Tensor) -> dict[str, Tensor]:
        """The error of decoding with zeros for either latent."""
        decoder = self.content.encoder.decoder
        return {"error_without_speaker": (decoder(torch.zeros_like(z_s), z_c) - target).square().mean(),
                "error_without_content": (decoder(z_s, torch.zeros_like(z_c)) - target).square().mean()}
