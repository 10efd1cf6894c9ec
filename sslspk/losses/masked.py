"""The contrastive loss of wav2vec 2.0 (Baevski et al. 2020, arXiv 2006.11477, Eq. 3): which candidate stood at a hidden step?

Everything is computed in float32. Letters: R recordings, K hidden steps of each, N negatives, D channels, G groups of codes.
"""
import torch
from torch import Tensor
from torch.nn import functional as F

from sslspk.losses.precision import wide


def others(steps: int, count: int, generator: torch.Generator) -> Tensor:
    """int64 (steps, count): for each of `steps` places, places of other ones, with equal chance and with replacement."""
    drawn = torch.randint(steps - 1, (steps, count), generator=generator, device=generator.device)
    return drawn + (drawn >= torch.arange(steps, device=drawn.device)[:, None])


def anywhere(steps: int, count: int, generator: torch.Generator) -> Tensor:
    """int64 (steps, count): for each place, any of `steps` ones."""
    return torch.randint(steps, (steps, count), generator=generator, device=generator.device)


def masked_scores(predictions: Tensor, targets: Tensor, candidates: Tensor, same: Tensor, places: Tensor, temperature: float) -> Tensor:
    """Cosines over temperature, the true target's first: (R, K, 1 + N).

    predictions, targets (R, K, D); candidates (R, J, D) hold the negatives, int64 `places` (R, K, N) says which; a negative that `same`,
    bool (R, K, J), calls identical to the target gets -inf.
    """
    with torch.autocast(predictions.device.type, enabled=False):
        predictions, targets, candidates = (F.normalize(wide(x), dim=-1, eps=1e-8) for x in (predictions, targets, candidates))
        own = (predictions * targets).sum(-1, keepdim=True)
        every = (predictions @ candidates.transpose(1, 2)).masked_fill(same, float("-inf"))   # (R, K, J): fewer products than K N
    return torch.cat([own, every.gather(2, places)], -1) / temperature


def which_target(scores: Tensor) -> tuple[Tensor, Tensor]:
    """(mean of -log softmax of the first candidate in nats, how often it scored highest).

    A step all of whose negatives are -inf has the loss 0, and does not count as found.
    """
    best = scores[..., 1:].amax(-1)
    found = (scores[..., 0] > best) & best.isfinite()
    return F.cross_entropy(scores.flatten(0, -2), scores.new_zeros(scores[..., 0].numel(), dtype=torch.long)), found.float().mean()
