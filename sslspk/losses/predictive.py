"""Losses of contrastive predictive coding: which of several candidates is the future of a context? Everything is computed in float32.

Letters: B recordings, P positions that predict, K steps ahead, C channels, N candidates.
"""
import torch
from torch import Tensor
from torch.nn import functional as F

from sslspk.losses.precision import wide


def batch_scores(anchors: Tensor, candidates: Tensor, average: bool = False) -> Tensor:
    """Each anchor against the candidates of all recordings at the same place: log f_k (van den Oord et al. 2018, Eq. 3).

    anchors (n, M, C) and candidates (N, M, C), M = P K places; returns (n, M, N). anchors predictions, candidates futures:
    -log softmax over N is the paper's Eq. 4, and log_softmax(axis=0) of Lepage 2021, listing 1 (July 2021). Swapped, a softmax over
    contexts for each future: its later version. average: the mean over channels, not the sum (CPC_audio).
    """
    with torch.autocast(anchors.device.type, enabled=False):
        scores = torch.einsum("nmc,jmc->nmj", wide(anchors), wide(candidates))
    return scores / anchors.shape[-1] if average else scores


def sampled_scores(predictions: Tensor, futures: Tensor, negatives: Tensor, average: bool = False) -> Tensor:
    """Each prediction against its own future, which comes first, and against negatives: (B, P, K, 1 + m).

    predictions and futures (B, P, K, C); negatives (B, P, m, C), the same for all K steps of a position (CPC_audio). average: as above.
    """
    with torch.autocast(predictions.device.type, enabled=False):
        own = (wide(predictions) * wide(futures)).sum(-1, keepdim=True)
        others = wide(predictions) @ wide(negatives).transpose(-1, -2)
    scores = torch.cat([own, others], -1)
    return scores / predictions.shape[-1] if average else scores


def which_future(scores: Tensor, own: Tensor) -> tuple[Tensor, Tensor]:
    """-log softmax of the right candidate, and whether it scored highest (bool), both (..., ).

    scores (..., N); own: int64 that broadcasts to (...), the right candidate's place. log N less the mean loss is a lower bound on the
    mutual information of context and future, in nats (van den Oord et al. 2018, section 2.3).
    """
    own = own.expand(scores.shape[:-1])
    losses = F.cross_entropy(scores.flatten(0, -2), own.flatten(), reduction="none")
    return losses.view(own.shape), scores.argmax(-1) == own


def elsewhere(recordings: int, steps: int, first: int, ahead: int, count: int, generator: torch.Generator) -> Tensor:
    """Where the negatives lie: int64 (recordings, steps - ahead - first, count), places in (recordings * steps).

    Any step of any recording but the `ahead` ones that the position itself is to predict, all with equal chance; positions are the steps
    from `first` on. (CPC_audio leaves out the position instead, and may draw the future itself.)
    """
    device = generator.device
    position = torch.arange(first, steps - ahead, device=device)
    future = torch.arange(recordings, device=device)[:, None, None] * steps + position[:, None] + 1
    places = torch.randint(recordings * steps - ahead, (recordings, len(position), count), generator=generator, device=device)
    return places + ahead * (places >= future)


def later_scores(predictions: Tensor, steps: Tensor, negatives: Tensor, offset: int) -> Tensor:
    """Each prediction against the step that it is of, which comes first, and against that step's negatives: (B, P, 1 + m).

    predictions (B, T, K, C): those of step t are of t + offset, ..., t + offset + K - 1, as far as there are such; P counts them all.
    steps (B, T, C); negatives (B, T, m, C): those of each step, whatever predicts it (Schneider et al. 2019, arXiv 1904.05862, Eq. 2).
    """
    size, aheads = steps.shape[1], range(offset, min(offset + predictions.shape[2], steps.shape[1]))
    # The predictions that are of a step stand side by side, so that its candidates are read, and kept for backward, once and not K times.
    of_step = torch.stack([F.pad(predictions[:, :size - ahead, k], (0, 0, ahead, 0)) for k, ahead in enumerate(aheads)], 2)   # (B, T, K, C)
    candidates = torch.cat([steps[:, :, None], negatives], 2)
    with torch.autocast(steps.device.type, enabled=False):
        scores = wide(of_step) @ wide(candidates).transpose(-1, -2)
    return torch.cat([scores[:, ahead:, k] for k, ahead in enumerate(aheads)], 1)


def binary_futures(scores: Tensor, weight: float) -> tuple[Tensor, Tensor]:
    """-log s(own) - weight * sum_negatives log s(-negative), s the logistic function, and the share of right answers, both (...).

    scores (..., 1 + m), the own step's first. weight 1 / m: both kinds count alike, 2 ln 2 by chance, as they do in the share of right
    answers: half of it is a yes to the own step, half the noes to the others. (Whether the own step scores highest says little of code
    words: other steps often have the same.)
    """
    own, others = scores[..., 0], scores[..., 1:]
    right = ((own > 0).to(scores.dtype) + (others < 0).to(scores.dtype).mean(-1)) / 2
    return F.softplus(-own) + weight * F.softplus(others).sum(-1), right
