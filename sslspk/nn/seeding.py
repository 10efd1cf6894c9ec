"""Chooses the first centroids of k-means: by k-means++, and for many centroids among candidates that k-means|| finds."""
import math

import torch
from torch import Tensor

FLOATS = {"cpu": 2**20, "cuda": 2**26}  # in a block of distances: 4 MiB stay in a CPU's cache, 256 MiB keep a GPU busy
ROUNDS, SHARE = 5, 0.5   # k-means|| draws ROUNDS times, each time SHARE * k candidates


def rows_per_block(columns: int, block: int, device: str) -> int:
    """How many points' distances to `columns` centroids are held at a time: at most `block`, and as many as fit into FLOATS."""
    return max(1, min(block, FLOATS.get(device, 2**20) // columns))


def grid_step(largest: float, terms: int) -> float:
    """A power of two: float64 sums of up to `terms` multiples of it, each at most `largest` (0 .. 2^120), are exact.

    A sum is then a whole number of steps, at most 2^52; the spare bit covers what rounding to the grid adds to each number.
    """
    return math.ldexp(1.0, max(math.frexp(max(largest, 2.0**-60) * terms)[1] - 52, -120))


def draws_of(k: int, generator: torch.Generator, device: torch.device) -> Tensor:
    """(K, L) in [0, 1), for `plus_plus`."""
    return torch.rand(k, 2 + int(math.log(k)), generator=generator, dtype=torch.float64).to(device)


def plus_plus(sample: Tensor, draws: Tensor, weights: Tensor | None = None) -> Tensor:
    """Greedy k-means++ (Arthur & Vassilvitskii 2007): rows (K,) of sample (M, D) to start from; draws (K, L) in [0, 1).
    weights (M,): how many points each one stands for; None: one each.

    Each further centre is the best of L candidates, drawn with probability proportional to the squared distance from the nearest
    centre so far; the best leaves the smallest sum of squared distances. If every point equals a centre, draws are uniform.
    In the loop the host does not wait for the device; one pass is a product of (L, D) and (D, M).
    """
    size = len(sample)
    norms = torch.linalg.vector_norm(sample, dim=1).square()  # does not need a second (M, D) array
    step = grid_step(4 * float(norms.max()) * (1.0 if weights is None else float(weights.max())), size)

    def squared(rows: Tensor) -> Tensor:
        """Squared distances (L, M); a distance that may be mere rounding is 0, so that a chosen point is not chosen again."""
        both = norms + norms[rows, None]
        distance = torch.addmm(both, sample[rows], sample.T, alpha=-2)
        return distance.masked_fill_(distance < 2e-6 * both, 0)

    chosen = (draws[:, 0] * size).long()
    nearest = squared(chosen[:1])[0]
    for i in range(1, len(draws)):
        mass = ((nearest if weights is None else nearest * weights) / step).round_().long().cumsum(0)  # integers: the same sum in any order
        drawn = torch.searchsorted(mass, (draws[i] * mass[-1]).long(), right=True)
        drawn = torch.where(mass[-1] > 0, drawn.clamp_(max=size - 1), (draws[i] * size).long())
        trial = torch.minimum(nearest, squared(drawn))
        best = (trial if weights is None else trial * weights).sum(1, dtype=torch.float64).argmin()[None]
        chosen[i] = drawn[best]
        nearest = trial.index_select(0, best)[0]
    return chosen


def oversampled(sample: Tensor, k: int, generator: torch.Generator) -> Tensor:
    """k-means|| (Bahmani et al. 2012, algorithm 2): rows (K,) of sample (M, D) to start from.

    Each of ROUNDS rounds draws SHARE * k candidates at once, with probability proportional to the squared distance from the nearest
    candidate so far; k-means++ then chooses K of them, each weighted by the number of points nearest to it. For M = 50 K points this
    computes 2.5 distances per point and centroid instead of k-means++'s 2 + log K, in products of matrices instead of vectors.
    """
    size, device = len(sample), sample.device
    norms = torch.linalg.vector_norm(sample, dim=1).square()
    step = grid_step(4 * float(norms.max()), size)
    rows = (torch.rand(1, generator=generator, dtype=torch.float64) * size).long().to(device)
    nearest, owner = norms.new_full((size,), math.inf), rows.new_zeros(size)
    _nearer(sample, norms, rows, 0, nearest, owner)
    for _ in range(ROUNDS):
        draws = torch.rand(max(1, round(SHARE * k)), generator=generator, dtype=torch.float64).to(device)
        mass = (nearest / step).round_().long().cumsum(0)
        drawn = torch.searchsorted(mass, (draws * mass[-1]).long(), right=True).clamp_(max=size - 1).unique()
        drawn = drawn[nearest[drawn] > 0]
        _nearer(sample, norms, drawn, len(rows), nearest, owner)
        rows = torch.cat([rows, drawn])
    if len(rows) < k:   # fewer distinct points than centroids, or nearly so
        return plus_plus(sample, draws_of(k, generator, device))
    weights = torch.bincount(owner, minlength=len(rows)).to(sample.dtype)
    return rows[plus_plus(sample[rows], draws_of(k, generator, device), weights)]


def _nearer(sample: Tensor, norms: Tensor, rows: Tensor, first: int, nearest: Tensor, owner: Tensor) -> None:
    """Lower `nearest` (M,) and set `owner` (M,) where one of the candidates `rows`, numbered from `first`, is nearer than earlier ones.

    A distance that may be mere rounding is 0, as in `plus_plus`.
    """
    if not len(rows):
        return
    for part in torch.arange(len(sample), device=sample.device).split(rows_per_block(len(rows), len(sample), sample.device.type)):
        both = norms[part, None] + norms[rows]
        distance = torch.addmm(both, sample[part], sample[rows].T, alpha=-2)
        found = distance.masked_fill_(distance < 2e-6 * both, 0).min(1)
        nearer = found.values < nearest[part]
        owner[part] = torch.where(nearer, found.indices + first, owner[part])
        nearest[part] = torch.where(nearer, found.values, nearest[part])
