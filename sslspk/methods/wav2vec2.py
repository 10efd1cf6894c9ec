"""wav2vec 2.0's pre-training (Baevski et al. 2020, arXiv 2006.11477, section 3; fairseq's wav2vec2_base_librispeech).

Spans of the convolutions' output are masked. For each masked step, the Transformer must find the step's quantised output among those of
other masked steps of the recording.
"""
from collections.abc import Callable

import torch
from torch import Tensor, nn

from sslspk.encoders.wav2vec2 import Wav2Vec2
from sslspk.losses.masked import anywhere, masked_scores, others, which_target
from sslspk.losses.precision import wide
from sslspk.methods.base import Batch, Corpus, Method, Progress, of_another, weighted_sum
from sslspk.methods.config_wav2vec2 import Wav2Vec2Config
from sslspk.nn.draws import for_rows
from sslspk.nn.masks import as_mask, at, hidden_steps
from sslspk.nn.monitors import effective_rank
from sslspk.nn.quantise import GumbelQuantiser, Quantised
from sslspk.nn.schedules import geometric_decay

NOISE, NEGATIVES = 1, 2   # purposes of what is drawn in a step


class Wav2Vec2Pretraining(Method):
    """loss = contrastive + diversity (V G - perplexity) / (V G) + feature_penalty mean(z^2), a mean over the hidden steps of all ranks.

    Every recording of all ranks has equally many hidden steps, so that the mean of the ranks' losses is that mean. Masks, noise and
    negatives are drawn for the batch of all ranks. Logged: loss_contrastive, loss_diversity and loss_features add up to loss; accuracy, how
    often the true target scored highest; perplexity, of the softmax, and code_perplexity, of the likeliest codes, both at most V G.
    Raises InputError for a crop that has no room for two masks, and with `negatives: other` for a batch without another recording.
    """

    def __init__(self, config: Wav2Vec2Config, new_encoder: Callable[[], Wav2Vec2], corpus: Corpus):
        super().__init__()
        self.config, self.crops, self.evaluate = config, config.crops, config.evaluate
        self.encoder, self.code_groups = new_encoder(), config.groups
        self.mask = nn.Parameter(torch.rand(self.encoder.embed_dim))
        self.dropout = nn.Dropout(config.feature_dropout)
        self.quantiser = GumbelQuantiser(self.encoder.latent_dim, config.codes, config.groups, config.code_dim, config.quantiser_depth,
                                         combine_groups=config.combine_groups)
        self.project_targets = nn.Linear(config.code_dim, config.out_dim)
        self.predict = nn.Linear(self.encoder.embed_dim, config.out_dim)

    def encoders(self) -> dict[str, nn.Module]:
        return {"encoder": self.encoder}

    def forward(self, batch: Batch, progress: Progress) -> dict[str, Tensor]:
        cfg, latents = self.config, self.encoder.latents(batch.views[0][0])
        latents = latents.detach() + cfg.feature_gradient * (latents - latents.detach())        # the value itself, less gradient
        normed = self.encoder.norm(latents)
        places = hidden_steps(*latents.shape[:2], cfg.mask_prob, cfg.mask_span, progress.draw)                  # (R, K)
        places = places.to(latents.device, non_blocking=True)
        quantised = self._quantise(at(self.dropout(normed), places), progress)
        x = self.encoder.project(normed)
        context = self.encoder.contexts(torch.where(as_mask(places, x.shape[1])[..., None], self.mask.to(x.dtype), x))[-1]
        contrastive, accuracy = which_target(self._scores(self.predict(at(context, places)), quantised, progress))
        total = cfg.codes * cfg.groups
        out = {**weighted_sum({"loss_contrastive": (1.0, contrastive),
                               "loss_diversity": (cfg.diversity, (total - quantised.perplexity) / total),
                               "loss_features": (cfg.feature_penalty, wide(latents).square().mean())}),
               "accuracy": accuracy, "perplexity": quantised.perplexity.detach(), "code_perplexity": quantised.code_perplexity}
        if progress.log:
            out["effective_rank"] = effective_rank(context.detach().mean(1))
        return out

    def _quantise(self, normed: Tensor, progress: Progress) -> Quantised:
        """(R, K, C) -> the codes of the hidden steps."""
        cfg, (rows, hidden) = self.config, normed.shape[:2]
        temperature = geometric_decay(progress.step, cfg.gumbel_start, cfg.gumbel_end, cfg.gumbel_decay)
        noise = for_rows(rows, progress.draw, NOISE, normed.device, lambda rng: torch.rand(
            hidden, cfg.groups, cfg.codes, generator=rng, device=rng.device)) if self.training else None
        return self.quantiser(normed, temperature, noise)

    def _scores(self, predictions: Tensor, quantised: Quantised, progress: Progress) -> Tensor:
        """(R, K, D) -> (R, K, 1 + N)."""
        cfg, (rows, hidden) = self.config, predictions.shape[:2]
        targets, codes = self.project_targets(quantised.values), quantised.codes
        candidates, their_codes = targets, codes
        if cfg.negatives == "other":
            candidates, their_codes = (of_another(x, torch.Generator().manual_seed(progress.draw)) for x in (targets, codes))
        draw = others if cfg.negatives == "own" else anywhere
        places = for_rows(rows, progress.draw, NEGATIVES, predictions.device, lambda rng: draw(hidden, cfg.num_negatives, rng))
        same = (codes[:, :, None] == their_codes[:, None]).all(-1)
        return masked_scores(predictions, targets, candidates, same, places, cfg.temperature)
