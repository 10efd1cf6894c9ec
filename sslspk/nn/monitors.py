"""Figures about the progress of a training; no loss depends on them. All are scalars that stay on their device.

Figures other than means over recordings are computed for the batch of all ranks together, so that any number of ranks logs the same; all
ranks must call them. An undefined figure (a mean of nothing) is 0.
"""
import torch
from torch import Tensor
from torch.nn import functional as F

from sslspk.losses.precision import wide
from sslspk.nn import comm


@torch.no_grad()
def effective_rank(x: Tensor) -> Tensor:
    """exp of the entropy of the normalised singular values of the centred embeddings (N, D) (Roy & Vetterli 2007)."""
    x = comm.gather(wide(x)).nan_to_num(0.0, 0.0, 0.0)  # the training loop reports a loss that is not finite
    x = x.double()   # for the squares; in float32 the last digits depend on where x lies in memory, and a resumed training would log others
    x = x - x.mean(0)
    values = torch.linalg.eigvalsh(x @ x.T if len(x) < x.shape[1] else x.T @ x)
    noise = len(values) * torch.finfo(values.dtype).eps * values.max()   # a 0 is computed as anything up to this, and its root would count
    values = values.where(values > noise, 0.0).sqrt()
    share = values / values.sum().clamp_min(1e-12)
    return torch.exp(-(share * torch.log(share.clamp_min(1e-12))).sum()).float()


@torch.no_grad()
def alignment(a: Tensor, b: Tensor) -> Tensor:
    """Mean squared distance of the positive pairs (a_i, b_i) of unit vectors (B, D): 0 to 4, 2 at random (Wang & Isola 2020)."""
    return (wide(a) - wide(b)).square().sum(1).mean()


@torch.no_grad()
def uniformity(x: Tensor) -> Tensor:
    """Log of the mean of exp(-2 d^2) over the pairs i != j of unit vectors (N, D): 0 if all are equal (Wang & Isola 2020)."""
    x = comm.gather(wide(x))
    if x.shape[0] < 2:
        return x.new_zeros(())
    return torch.exp(-2 * torch.pdist(x).square()).mean().log()


def of_pairs(a: Tensor, b: Tensor) -> dict[str, Tensor]:
    """Alignment, uniformity and effective rank of the two views (B, D) that a loss compares; the first two scale them to length 1."""
    first, second = F.normalize(a, dim=1), F.normalize(b, dim=1)
    return {"alignment": alignment(first, second), "uniformity": uniformity(first), "effective_rank": effective_rank(a)}


@torch.no_grad()
def flag_quality(flag: Tensor, same: Tensor) -> dict[str, Tensor]:
    """Precision and recall of `flag` (B, K) bool, the guess that key k is of anchor b's speaker; `same` (B, K) bool is the truth."""
    hits, flagged, those = comm.sum_over_ranks(torch.stack([(flag & same).sum(), flag.sum(), same.sum()]))
    return {"precision": hits / flagged.clamp_min(1), "recall": hits / those.clamp_min(1)}


@torch.no_grad()
def purity(assignment: Tensor, labels: Tensor) -> Tensor:
    """Share of the points (N,) whose label is the most frequent one of their cluster; negative labels and clusters are left out.

    Points are sorted by cluster and label, so equal pairs form runs; the longest run of each cluster counts. All shapes are
    known in advance, so the host need not wait for the device.
    """
    known = (labels >= 0) & (assignment >= 0)
    names = labels.max().clamp_min(0) + 1
    pair = torch.where(known, assignment.long() * names + labels, torch.iinfo(torch.int64).max).sort().values
    cluster = torch.div(pair, names, rounding_mode="floor")
    run_length = _place_in_run(pair) * (pair != torch.iinfo(torch.int64).max)
    number = (torch.diff(cluster, prepend=cluster[:1]) != 0).cumsum(0)
    longest = torch.zeros_like(pair).scatter_reduce(0, number, run_length, "amax")
    return longest.sum() / known.sum().clamp_min(1)


def _place_in_run(x: Tensor) -> Tensor:
    """1, 2, ... within each run of equal values of the sorted x (N,)."""
    place = torch.arange(1, x.shape[0] + 1, device=x.device)
    starts = torch.diff(x, prepend=x[:1] - 1) != 0
    return place - torch.where(starts, place - 1, 0).cummax(0).values


@torch.no_grad()
def perplexity(labels: Tensor, classes: int) -> Tensor:
    """exp of the entropy of all ranks' labels int64 (...), the same number on each rank: 1 to `classes`."""
    ones = torch.ones(labels.numel(), device=labels.device)
    share = comm.mean_over_ranks(torch.zeros(classes, device=labels.device).scatter_add_(0, labels.flatten(), ones) / labels.numel())
    return torch.special.entr(share).sum().exp()
