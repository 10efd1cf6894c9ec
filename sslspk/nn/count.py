"""Estimates the number of speakers among embeddings: the number of clusters whose silhouette exceeds that of random points most."""
import math
from typing import NamedTuple

import torch
from torch import Tensor
from torch.nn import functional as F

from sslspk.errors import InputError
from sslspk.nn import comm
from sslspk.nn.kmeans import kmeans
from sslspk.nn.seeding import rows_per_block

RATIO = 2 ** 0.5  # between one number of clusters that is tried and the next
LARGEST_SHARE = 2 / 3  # of the points; with more clusters, hardly any point shares its cluster
SHRINKAGE = 1.0  # times the largest variance, added to each variance before whitening: axes of little variance are not blown up
CREDIBLE, FEW = 0.02, 60  # a credible silhouette stands out by 0.02 (1 + 60 / N): structureless points do not (tests/nn/test_count.py)


class Count(NamedTuple):
    """clusters: the number that stands out most. gain: by how much mean silhouette (at most 2). credible: whether by more than chance."""

    clusters: int
    gain: float
    credible: bool


@torch.no_grad()
def count_clusters(points: Tensor, index: Tensor, *, minimum: int = 2, maximum: int | None = None, iterations: int = 10,
                   references: int = 2, seed: int = 0) -> Count:
    """Count the clusters among all ranks' points; `points` (n, D) are this rank's, numbered by index (n,) from 0 to N - 1.

    Only the points' directions count. They are clustered into `minimum` to `maximum` clusters (at most two thirds of N), in steps of a
    factor of 1.4. The mean silhouette of each clustering (Rousseeuw 1987, by cosine distance) is compared with that of `references` sets
    of Gaussian points with the same mean and covariance, clustered in the same way (Tibshirani et al. 2001 do so with the dispersion).
    The count is where the difference, smoothed over neighbouring numbers, is largest. With many speakers, silhouettes alone favour two
    clusters, and an eigenvalue gap one. It costs no more than k-means, so it counts a whole queue: a sample has few keys per speaker.
    The host waits for the device. Raises InputError for bounds that exclude each other, and as k-means does.
    """
    total = int(comm.sum_over_ranks(torch.tensor(len(points), device=points.device)))
    highest = min(total if maximum is None else maximum, int(total * LARGEST_SHARE))
    if points.ndim != 2 or minimum < 2 or references < 1 or (maximum is not None and maximum < minimum):
        raise InputError(f"Clusters are counted among points (N, D), with 2 <= minimum <= maximum and a reference; not "
                         f"{tuple(points.shape)}, {minimum}, {maximum} and {references}.")
    if highest < minimum:
        return Count(minimum, 0.0, False)
    with torch.autocast(points.device.type, enabled=False):
        x, deviation = _whitened(points, total)
        tried = candidates(minimum, highest)
        gains = torch.tensor(_silhouettes(x, index, tried, iterations, seed))
        draw = torch.Generator().manual_seed(seed)
        for _ in range(references):
            normal = torch.randn(total, x.shape[1], generator=draw).to(x.device)[index] * deviation
            gains -= torch.tensor(_silhouettes(F.normalize(normal, dim=1), index, tried, iterations, seed)) / references
    smooth = F.conv1d(F.pad(gains[None, None], (1, 1), mode="replicate"), gains.new_tensor([[[0.25, 0.5, 0.25]]]))[0, 0]
    best = int(smooth.argmax())
    gain = float(smooth[best])
    return Count(tried[best], gain, gain >= CREDIBLE * (1 + FEW / total))


def candidates(minimum: int, highest: int) -> list[int]:
    """Numbers of clusters from minimum to highest, both included, spaced by equal ratios."""
    steps = max(1, round(math.log(highest / minimum) / math.log(RATIO)))
    return sorted({round(minimum * (highest / minimum) ** (i / steps)) for i in range(steps + 1)})


def _silhouettes(x: Tensor, index: Tensor, tried: list[int], iterations: int, seed: int) -> list[float]:
    return [silhouette(x, kmeans(x, k, index=index, iterations=iterations, spherical=True, seed=seed).assignment, k) for k in tried]


def silhouette(x: Tensor, assignment: Tensor, k: int) -> float:
    """Mean silhouette, by cosine distance, of all ranks' unit vectors; x (n, D) are this rank's, with clusters (n,) in 0 .. k - 1.

    A point's silhouette is (b - a) / max(a, b): a is its mean distance to the others of its cluster, b the smallest mean distance to
    another cluster. It is 0 for a point alone in its cluster.
    """
    count = comm.sum_over_ranks(torch.bincount(assignment, minlength=k))
    sums = comm.sum_over_ranks(x.new_zeros(k, x.shape[1], dtype=torch.float64).index_add_(0, assignment, x.double())).to(x.dtype)
    total = x.new_zeros((), dtype=torch.float64)
    for rows in torch.arange(len(x), device=x.device).split(rows_per_block(k, len(x) + 1, x.device.type)):
        own, near = assignment[rows, None], x[rows] @ sums.T
        others = (count[own] - 1)[:, 0]
        a = 1 - (near.gather(1, own)[:, 0] - x[rows].square().sum(1)) / others.clamp(min=1)
        b = (1 - near / count.clamp(min=1)).masked_fill(count == 0, torch.inf).scatter(1, own, torch.inf).amin(1)
        value = (b - a) / torch.maximum(a, b).clamp(min=1e-6)  # for copies of one point a and b are rounding errors
        total += value.where((others > 0) & b.isfinite(), 0).sum(dtype=torch.float64)
    return float(comm.sum_over_ranks(total) / count.sum())


def _whitened(points: Tensor, total: int) -> tuple[Tensor, Tensor]:
    """This rank's points (n, D), whitened and of length 1, and the deviations (D,) before the last scaling to length 1.

    They lie along the principal axes of all ranks' points, scaled towards equal variance: a few axes of large variance, such as the
    channel's, would hide those on which speakers differ."""
    x = F.normalize(points.double(), dim=1)
    x = x - comm.sum_over_ranks(x.sum(0)) / total
    variance, axes = torch.linalg.eigh(comm.sum_over_ranks(x.T @ x) / total)
    variance = variance.clamp(min=0)
    scale = (variance + SHRINKAGE * variance.max()).rsqrt()
    return F.normalize(x @ axes * scale, dim=1).to(points.dtype), (variance.sqrt() * scale).to(points.dtype)
