"""Contrastive predictive coding (van den Oord, Li and Vinyals 2018, arXiv 1807.03748), as Lepage 2021 and CPC_audio train it.

From the audio so far, the encoder's context predicts the next K steps of the convolutions' output. The loss is whether each prediction is
closest to the true step among other steps. The other steps come from other recordings, so it helps to recognise the speaker.
"""
import math
from collections.abc import Callable

import torch
from torch import Tensor, nn

from sslspk.encoders.cpc import CpcEncoder
from sslspk.errors import InputError
from sslspk.losses.predictive import batch_scores, elsewhere, sampled_scores, which_future
from sslspk.methods.base import Batch, Corpus, Method, Progress, require_others
from sslspk.methods.config_frames import CpcConfig
from sslspk.nn import comm
from sslspk.nn.causal_transformer import TransformerPredictors
from sslspk.nn.monitors import effective_rank


class Cpc(Method):
    """One predictor for each step ahead; a bidirectional encoder has a second set for the waveform played backwards.

    The loss is the mean over directions, recordings, positions and steps (CPC_audio sums the steps, Lepage's report the directions:
    with Adam the same). Candidates come from the batch of all ranks, so that two ranks compute what one computes.
    Logged: bound = log N - loss in nats, N candidates, at most log N, and accuracy, how often the right one scored highest.
    Raises InputError for a crop of no more than K steps, and for a batch without another recording.
    """

    def __init__(self, config: CpcConfig, new_encoder: Callable[[], CpcEncoder], corpus: Corpus):
        super().__init__()
        self.config, self.crops, self.evaluate = config, config.crops, config.evaluate
        self.encoder = new_encoder()
        self.predictors = nn.ModuleList(self._predictor() for _ in range(self.encoder.directions))

    def _predictor(self) -> nn.Module:
        """Contexts (B, T, H) -> predictions (B, T, K C)."""
        cfg, encoder = self.config, self.encoder
        if cfg.predictor == "linear":
            return nn.Linear(encoder.context_dim, cfg.steps * encoder.latent_dim, bias=cfg.bias)
        size = encoder.config.steps(round(cfg.crops[0].seconds * encoder.config.rate)) - cfg.steps
        return TransformerPredictors(cfg.steps, encoder.latent_dim, size, cfg.predictor_dim, cfg.predictor_dropout)

    def encoders(self) -> dict[str, nn.Module]:
        return {"encoder": self.encoder}

    def forward(self, batch: Batch, progress: Progress) -> dict[str, Tensor]:
        ahead, waves = self.config.steps, batch.views[0][0]
        latents = self.encoder.latents(waves)
        if latents[0].shape[1] <= ahead:
            raise InputError(f"a crop of {waves.shape[1]} samples has {latents[0].shape[1]} steps, and method.steps is {ahead}; leave "
                             "short recordings out with data.min_seconds, or lower it.")
        require_others(self._candidates(len(waves)))
        contexts = self.encoder.context([steps[:, :-ahead] for steps in latents])
        parts = [which_future(*self._scores(latents[i], contexts[i], i, progress)) for i in range(self.encoder.directions)]
        loss = torch.stack([losses.mean() for losses, _ in parts]).mean()
        out = {"loss": loss, "bound": math.log(self._candidates(len(waves))) - loss.detach(),
               "accuracy": torch.stack([right.float().mean() for _, right in parts]).mean()}
        if progress.log:
            out["effective_rank"] = effective_rank(contexts[0][:, -1].detach())
        return out

    def _candidates(self, rows: int) -> int:
        return 1 + self.config.num_negatives if self.config.negatives == "anywhere" else rows * comm.world_size()

    def _scores(self, latents: Tensor, contexts: Tensor, direction: int, progress: Progress) -> tuple[Tensor, Tensor]:
        """Steps (B, T, C) and contexts (B, T - K, H) of one direction -> scores of the candidates (..., N), and the right one's place."""
        cfg, rows, predictor = self.config, len(latents), self.predictors[direction]
        first = 0 if cfg.positions == "every" else contexts.shape[1] - 1
        predictions = predictor(contexts[:, first:]) if cfg.predictor == "linear" \
            else predictor(contexts, progress.draw, direction)[:, first:]
        predictions = predictions.unflatten(-1, (cfg.steps, -1))                           # (B, P, K, C)
        futures = latents[:, first + 1:].unfold(1, cfg.steps, 1).transpose(2, 3)           # (B, P, K, C)
        mine, average = comm.rows_of_this_rank(rows), cfg.score == "mean"
        if cfg.negatives == "batch":
            anchors, candidates = (predictions, futures) if cfg.softmax == "futures" else (futures, predictions)
            everyone = comm.gather_with_gradient(candidates.flatten(1, 2))
            own = torch.arange(mine.start, mine.stop, device=latents.device)
            return batch_scores(anchors.flatten(1, 2), everyone, average), own[:, None]
        everyone = comm.gather_with_gradient(latents)
        generator = torch.Generator(latents.device).manual_seed(progress.draw)           # the same draw on every rank
        places = elsewhere(*everyone.shape[:2], first, cfg.steps, cfg.num_negatives, generator)[mine]
        negatives = everyone.flatten(0, 1)[places]                                         # (B, P, m, C)
        return sampled_scores(predictions, futures, negatives, average), places.new_zeros(())
