"""vq-wav2vec (Baevski, Schneider & Auli 2020, arXiv 1910.05453), which learns discrete codes by predicting future steps.

From the code words so far, the encoder's context predicts the next K code words whose samples it has not read. Each prediction is trained
to score high for its own step and low for ten other steps of the recording.
"""
import math
from collections.abc import Callable

import torch
from torch import Tensor, nn

from sslspk.encoders.vq_wav2vec import VqWav2vecEncoder
from sslspk.errors import InputError
from sslspk.losses.masked import others
from sslspk.losses.precision import wide
from sslspk.losses.predictive import batch_scores, binary_futures, later_scores, which_future
from sslspk.methods.base import Batch, Corpus, Method, Progress, require_others, weighted_sum
from sslspk.methods.config_vq_wav2vec import VqWav2vecConfig
from sslspk.nn import comm, draws
from sslspk.nn.masks import as_mask, hidden_steps
from sslspk.nn.monitors import effective_rank
from sslspk.nn.quantise import GumbelQuantiser
from sslspk.nn.schedules import geometric_decay

NOISE, NEGATIVES = 0, 1   # what random numbers of a step are for


class VqWav2vec(Method):
    """A linear predictor for each of K steps ahead, with one bias for all of them (seed: a bias each).

    Every pair of a step and one ahead of it counts once in the mean. Logged: accuracy, the share of right answers (seed: how often the
    right recording scores highest); code_perplexity of the code words taken, perplexity of the probabilities that they are drawn with, the
    temperature of the draw. Terms loss_X add up to the loss. Raises InputError for a crop of too few steps.
    """

    def __init__(self, config: VqWav2vecConfig, new_encoder: Callable[[], VqWav2vecEncoder], corpus: Corpus):
        super().__init__()
        self.config, self.crops, self.evaluate = config, config.crops, config.evaluate
        self.encoder = new_encoder()
        dim, self.code_groups = self.encoder.latent_dim, self.encoder.quantiser.groups if self.encoder.quantiser is not None else 0
        self.predictor = nn.Linear(self.encoder.context_dim, config.steps * dim, bias=config.seed)
        if config.seed:
            self.mask = nn.Parameter(torch.rand(self.encoder.context_dim))
        else:
            self.bias = nn.Parameter(torch.zeros(dim))
            bound = 1 / math.sqrt(config.steps * dim)   # of the transposed convolution that fairseq predicts with
            for weight in (self.predictor.weight, self.bias):
                nn.init.uniform_(weight, -bound, bound)

    def encoders(self) -> dict[str, nn.Module]:
        return {"encoder": self.encoder}

    def forward(self, batch: Batch, progress: Progress) -> dict[str, Tensor]:
        latents = self.encoder.latents(batch.views[0][0])
        self._require_steps(latents.shape[1])
        steps, terms, figures = self._quantised(latents, progress)
        prediction, right, context = (self._of_the_batch if self.config.seed else self._binary)(steps, progress)
        terms["loss_prediction"] = 1.0, prediction
        if self.config.seed:
            terms["loss_features"] = self.config.feature_penalty, wide(latents).square().mean()
        out = {**weighted_sum(terms), **figures, "accuracy": right.float().mean()}
        if progress.log:
            out["effective_rank"] = effective_rank(context.detach().mean(1))
        return out

    def _require_steps(self, steps: int) -> None:
        needed = self.config.steps + 1 + (0 if self.config.seed else self.encoder.offset)
        if steps < needed:
            raise InputError(f"a crop has {steps} steps, and to predict {self.config.steps} ahead takes {needed}; leave short recordings "
                             "out with data.min_seconds, or lower method.steps.")

    def _quantised(self, latents: Tensor, progress: Progress) -> tuple[Tensor, dict[str, tuple[float, Tensor]], dict[str, Tensor]]:
        """Steps (B, T, C) -> code words (B, T, latent_dim), weights and terms that their quantiser adds to the loss, figures to log."""
        cfg, quantiser = self.config, self.encoder.quantiser
        if quantiser is None:
            return latents, {}, {}
        if not isinstance(quantiser, GumbelQuantiser):
            found = self.encoder.quantise(latents)
            return found.values, {"loss_codes": (cfg.codes_weight, found.loss_codes),
                                  "loss_commitment": (cfg.codes_weight * cfg.commitment, found.loss_commitment)}, \
                {"code_perplexity": found.code_perplexity}
        temperature = geometric_decay(progress.step, cfg.gumbel_start, cfg.gumbel_end, cfg.gumbel_decay)
        shape = (latents.shape[1], quantiser.groups, quantiser.codes)
        noise = draws.for_rows(len(latents), progress.draw, NOISE, latents.device,
                               lambda generator: torch.rand(shape, generator=generator, device=latents.device)) if self.training else None
        found = self.encoder.quantise(latents, temperature, noise)
        most = quantiser.groups * quantiser.codes
        terms = {"loss_diversity": (cfg.diversity, (most - found.perplexity) / most)} if cfg.seed else {}
        return found.values, terms, {"code_perplexity": found.code_perplexity.detach(), "perplexity": found.perplexity.detach(),
                                     "temperature": torch.full((), temperature, device=latents.device)}

    def _binary(self, steps: Tensor, progress: Progress) -> tuple[Tensor, Tensor, Tensor]:
        """Code words (B, T, D) -> (loss, which predictions were right, contexts (B, T, H))."""
        cfg, (rows, size) = self.config, steps.shape[:2]
        context = self.encoder.context(steps)
        predictions = self.predictor(context).unflatten(-1, (cfg.steps, -1)) + self.bias                 # (B, T, K, D)
        places = draws.for_rows(rows, progress.draw, NEGATIVES, steps.device,
                                lambda generator: others(size, cfg.num_negatives, generator))      # (B, T, m)
        negatives = steps[torch.arange(rows, device=steps.device)[:, None, None], places]
        scores = later_scores(predictions, steps, negatives, self.encoder.offset)
        losses, right = binary_futures(scores, 1 / cfg.num_negatives if cfg.negative_weight is None else cfg.negative_weight)
        return losses.mean(), right, context

    def _of_the_batch(self, steps: Tensor, progress: Progress) -> tuple[Tensor, Tensor, Tensor]:
        """Lepage's: the last context of masked code words tells their futures from those of the other recordings."""
        cfg, rows = self.config, len(steps)
        require_others(rows * comm.world_size())
        mine, past = comm.rows_of_this_rank(rows), steps.shape[1] - cfg.steps
        x = self.encoder.aggregator.project(steps[:, :past])
        if self.training:
            hidden = as_mask(hidden_steps(rows, past, cfg.mask_prob, cfg.mask_span, progress.draw).to(x.device, non_blocking=True), past)
            x = torch.where(hidden[..., None], self.mask.to(x.dtype), x)
        context = self.encoder.aggregator.relate(x)
        predictions = self.predictor(context[:, -1]).unflatten(-1, (cfg.steps, -1))                      # (B, K, D)
        futures = comm.gather_with_gradient(steps[:, past:])
        own = torch.arange(mine.start, mine.stop, device=x.device)[:, None]
        losses, right = which_future(batch_scores(predictions, futures), own)
        return losses.mean(), right, context
