"""How many speakers are among these embeddings: what the spectrum of their affinity tells (Peng et al. 2022)."""
import torch
from torch import Tensor
from torch.nn import functional as F

from sslspk.errors import InputError

NOTHING = 1e-6  # a cosine below it joins nothing, and a difference below it is rounding


@torch.no_grad()
def count_clusters(points: Tensor, *, neighbours: int = 10, maximum: int | None = None, minimum: int = 1) -> int:
    """The number of clusters among points (N, D), which are compared by their cosine; from `minimum` to `maximum` (N), at most N.

    The affinity of two points is their cosine where it is positive and one is among the `neighbours` nearest of the other. Its
    normalised Laplacian has as many eigenvalues near 0 as there are groups that hardly touch; the count stands before the largest
    gap between neighbouring eigenvalues. Behind the last one stands their mean, 1: points that have nothing in common are N
    clusters. A cluster needs about as many members as `neighbours` to show. Affinity, pruning and gap are our choice (the
    paper's are not known); memory is that of some (N, N) float64.
    Raises InputError for no points, values that are not finite and bounds that exclude each other.
    """
    size = len(points)
    maximum = size if maximum is None else maximum
    if points.ndim != 2 or not size or neighbours < 1 or not 1 <= minimum <= maximum:
        raise InputError(f"Clusters are counted among points (N, D), N >= 1, with neighbours >= 1 and 1 <= minimum <= maximum; not "
                         f"{tuple(points.shape)}, {neighbours}, {minimum} and {maximum}.")
    if not bool(points.isfinite().all()):
        raise InputError("Clusters are counted: some of the points are not finite; see where they come from.")
    with torch.autocast(points.device.type, enabled=False):
        values = torch.linalg.eigvalsh(laplacian(affinity(points, neighbours)))
    gaps = torch.cat([values, values.new_ones(1)]).diff()  # entry k - 1 lies behind the k smallest
    first = min(minimum, size)
    return first + int(gaps[first - 1:min(maximum, size)].argmax())


def affinity(points: Tensor, neighbours: int) -> Tensor:
    """Cosines (N, N) float64 >= 0 of each of points (N, D) with its nearest others, (A + A^T) / 2, zeros on the diagonal.

    Of points that are equally near as the last neighbour all count, so that the order of the points does not matter.
    """
    x = F.normalize(points.double(), dim=1)
    cosine = (x @ x.T).fill_diagonal_(-1)
    last = cosine.topk(min(neighbours, len(x)), 1).values[:, -1:]
    kept = cosine.masked_fill((cosine < last - NOTHING) | (cosine < NOTHING), 0)
    return (kept + kept.T) / 2


def laplacian(weights: Tensor) -> Tensor:
    """I - D^-1/2 A D^-1/2 (N, N) of affinities A (N, N) with row sums D; a point without neighbours has a row of zeros."""
    degree = weights.sum(1)
    scale = torch.where(degree > 0, degree.rsqrt(), 0)
    return torch.diag((degree > 0).to(weights.dtype)) - scale[:, None] * weights * scale
