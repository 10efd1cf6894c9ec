"""K-means (Lloyd's algorithm, k-means++ start) on points that stay on their device and are divided among the ranks.

Two things make the result independent of how the points are cut into blocks and ranks, and of the order in which a GPU adds:
- Sums over points are exact. Each term is first rounded to a grid that is fine (at 10^6 points 2^-33 of the largest value), yet
  coarse enough for float64 to hold every sum without rounding. So `index_add_` does not need its slower, deterministic form.
- Random numbers come from one generator on the CPU and choose points by their number `index`, not by their position.
What remains is the float32 rounding of a distance, which matters only to points halfway between two centroids.

The formula ||z - mu||^2 = ||z||^2 - 2 z.mu + ||mu||^2 only finds the nearest centroid, after the mean of all points is subtracted
(a common offset would cost digits); the distance to that centroid is then computed from the difference z - mu.
"""
import math
from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import Literal, NamedTuple

import torch
from torch import Tensor
from torch.nn import functional as F

from sslspk.errors import InputError
from sslspk.nn import comm
from sslspk.nn.seeding import draws_of, grid_step, oversampled, plus_plus, rows_per_block

SEEDING_POINTS, SEEDING_LEAST = 50, 2**14  # k-means++ looks at this many points per centroid, and at least at this many in all
OVERSAMPLED_FROM = 1000  # from this many centroids on, k-means++ chooses among candidates that k-means|| finds
LIMIT = 2.0**50  # coordinates beyond it have squares that float32 cannot sum


class Clusters(NamedTuple):
    """K clusters of the points of all ranks; only `assignment` differs from rank to rank. A cluster may have no member."""

    centroids: Tensor  # (K, D) float32
    assignment: Tensor  # (N,) int64: the clusters of this rank's points
    distance_sum: Tensor  # (K,) float64: sum of the members' Euclidean distances || z - mu ||
    count: Tensor  # (K,) int64: members
    objective: float  # sum over all points of || z - mu ||^2
    iterations: int  # number of updates of the centroids


@torch.no_grad()
def kmeans(points: Tensor, k: int, *, index: Tensor | None = None, iterations: int = 20, restarts: int = 1,
           init: Literal["kmeans++", "random"] = "kmeans++", spherical: bool = False, seed: int = 0, block: int = 65536,
           tolerance: float = 1e-4) -> Clusters:
    """The best of `restarts` clusterings of points (N, D), which are this rank's share: N may differ between ranks and be 0.

    index (N,) int64: the points' numbers, unique over all ranks. Random draws and ties are decided by these numbers, so it does
    not matter which rank holds which point. Default: points are numbered through the ranks in order.
    spherical: only the points' directions count, and centroids are kept at length 1.
    block: the most points at a time; `rows_per_block` may give fewer. tolerance: iterations end when the objective falls by a
    smaller share than this.
    An empty cluster moves to the point farthest from its centroid, several empty clusters to as many such points. With fewer
    distinct points than clusters, some clusters stay empty (count 0) and keep their place.
    Raises InputError, on all ranks alike, for k below 1 or above the number of points and for values that are not finite.
    """
    if points.ndim != 2 or min(k, iterations, restarts, block) < 1 or init not in ("kmeans++", "random"):
        raise InputError(f"k-means takes points (N, D), init kmeans++ or random, and k, iterations, restarts and block of at least 1; not "
                         f"{tuple(points.shape)}, {init}, {k}, {iterations}, {restarts} and {block}.")
    with torch.autocast(points.device.type, enabled=False):
        shard = _Shard.of(points, index, rows_per_block(max(k, points.shape[1]), block, points.device.type), spherical)
        if k > len(shard.numbers):
            raise InputError(f"k-means: k = {k} clusters are more than there are points, {len(shard.numbers)}; lower k.")
        generator = torch.Generator().manual_seed(seed)
        runs = (_lloyd(shard, _start(shard, k, init, generator), iterations, tolerance) for _ in range(restarts))
        return min(runs, key=lambda run: run.objective)


@dataclass(frozen=True)
class _Shard:
    """This rank's points (N, D), and what all ranks know of all points. `take` gives points relative to `shift`, near their mean."""

    points: Tensor
    index: Tensor  # (N,) the points' numbers
    order: Tensor  # (N,) rows in the order of their numbers
    numbers: Tensor  # of all ranks' points, ascending
    rows: int  # of a block
    spherical: bool
    shift: Tensor  # (D,) float32
    step: float  # of the grid of their sums

    @staticmethod
    def of(points: Tensor, index: Tensor | None, rows: int, spherical: bool) -> "_Shard":
        if index is None:
            before = comm.gather(torch.tensor([len(points)], device=points.device))[:comm.rank()].sum()
            index = before + torch.arange(len(points), device=points.device)
        index = index.to(points.device)
        numbers = comm.gather_rows(index).sort().values
        if len(index) != len(points) or bool((numbers[1:] == numbers[:-1]).any()):
            raise InputError("k-means: index gives no number, or the same number twice, to a point; number all ranks' points differently.")
        nowhere = torch.zeros(points.shape[1], device=points.device)
        unmoved = _Shard(points, index, index.argsort(), numbers, rows, spherical, nowhere, 1.0)
        shift, largest = _survey(unmoved)
        return replace(unmoved, shift=shift, step=grid_step(2 * largest, len(numbers)))

    def take(self, rows: Tensor | slice) -> Tensor:
        """The points of these rows, float32, relative to `shift`."""
        x = self.points[rows].float()
        return (F.normalize(x, dim=1) if self.spherical else x) - self.shift

    def blocks(self) -> Iterator[tuple[slice, Tensor]]:
        for start in range(0, len(self.points), self.rows):
            rows = slice(start, min(start + self.rows, len(self.points)))
            yield rows, self.take(rows)

    def fetch(self, numbers: Tensor) -> Tensor:
        """The points (n, D) with these numbers (n,), from whichever rank holds them, relative to `shift`."""
        found = self.shift.new_zeros(len(numbers), len(self.shift))
        if len(self.index):
            held = self.index[self.order]
            at = torch.searchsorted(held, numbers).clamp_(max=len(held) - 1)
            mine = (held[at] == numbers).nonzero()[:, 0]
            for part in mine.split(self.rows):
                found[part] = self.take(self.order[at[part]])
        return comm.sum_over_ranks(found)  # all but one rank add zeros

    def place(self, x: Tensor) -> Tensor:
        """The inverse of `take`: points with `shift` added again, float64."""
        return x.double() + self.shift.double()


def _survey(shard: _Shard) -> tuple[Tensor, float]:
    """The mean (D,) of all ranks' points, float32, and their largest coordinate. Raises InputError for points that are not usable."""
    total = shard.shift.double()
    extremes = total.new_zeros(2)  # number of unusable points, and the largest coordinate of the others
    for rows, x in shard.blocks():
        bad = ~(shard.points[rows].abs() < LIMIT).all(1)  # NaN compares false
        if shard.spherical:
            bad |= ~x.any(1)
        x = x.masked_fill(bad[:, None], 0)
        total = total + x.sum(0, dtype=torch.float64)
        extremes = torch.stack([extremes[0] + bad.sum(), torch.maximum(extremes[1], x.abs().max())])
    bad, largest = float(comm.sum_over_ranks(extremes)[0]), float(comm.max_over_ranks(extremes)[1])
    if bad:
        raise InputError(f"k-means: {bad:.0f} of {len(shard.numbers)} points are not finite, beyond 1e15"
                         f"{' or without direction (all zeros)' if shard.spherical else ''}; see where they come from.")
    return (comm.sum_over_ranks(total) / max(len(shard.numbers), 1)).float(), largest


def _start(shard: _Shard, k: int, init: str, generator: torch.Generator) -> Tensor:
    """First centroids (K, D) float64: k of the points.

    k-means++ chooses from a random sample of SEEDING_POINTS * k points (all, if there are fewer) that every rank gets: its k passes
    then cost k^2, not N k, and need no communication. From OVERSAMPLED_FROM centroids on, it chooses among a few of the sample (see
    `seeding.oversampled`). The rule is the same on every device, because the result must be.
    """
    total = len(shard.numbers)
    size = k if init == "random" else min(total, max(SEEDING_LEAST, SEEDING_POINTS * k))
    picked = torch.randperm(total, generator=generator)[:size].sort().values.to(shard.numbers.device)
    sample = shard.fetch(shard.numbers[picked])
    if init == "kmeans++":
        chosen = oversampled(sample, k, generator) if k >= OVERSAMPLED_FROM else plus_plus(sample, draws_of(k, generator, sample.device))
        sample = comm.from_first_rank(sample[chosen])
    return shard.place(sample)


def _lloyd(shard: _Shard, centroids: Tensor, iterations: int, tolerance: float) -> Clusters:
    """Iterate from these centroids (K, D) float64 until the objective settles, `iterations` times at most; assignments fit the result."""
    objective, comparable = math.inf, False
    for done in range(iterations + 1):
        assignment, squared, sums = _assign(shard, centroids)
        count = comm.sum_over_ranks(torch.bincount(assignment, minlength=len(centroids)))
        now = float(_sum_of(shard, squared, torch.zeros_like(assignment), 1))
        if done == iterations or (comparable and objective - now <= tolerance * objective):
            break
        centroids, filled = _update(shard, centroids, sums, count, squared)
        objective, comparable = now, not filled  # a cluster that was moved to a far point must settle first
    distance_sum = _sum_of(shard, squared.sqrt(), assignment, len(centroids))
    return Clusters(centroids.float(), assignment, distance_sum, count, now, done)


def _assign(shard: _Shard, centroids: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """Nearest centroids (N,), squared distances to them (N,) float32, and all ranks' sums of members less `shift` (K, D) float64."""
    seen = (centroids - shard.shift).float()
    bias = -0.5 * seen.square().sum(1)
    scores = seen.new_empty(min(shard.rows, len(shard.points)), len(seen))
    assignment = torch.empty(len(shard.points), dtype=torch.int64, device=seen.device)
    squared = seen.new_empty(len(shard.points))
    sums = torch.zeros_like(centroids)
    for rows, x in shard.blocks():
        own = torch.addmm(bias, x, seen.T, out=scores[:len(x)]).argmax(1)  # z.mu - ||mu||^2 / 2: largest where mu is nearest
        assignment[rows] = own
        squared[rows] = (x - seen[own]).square_().sum(1)
        sums.index_add_(0, own, (x / shard.step).round_().double())
    return assignment, squared, comm.sum_over_ranks(sums) * shard.step


def _sum_of(shard: _Shard, values: Tensor, groups: Tensor, k: int) -> Tensor:
    """Sums (k,) float64 of all ranks' values (N,) >= 0 per group (N,): exact apart from rounding the values to the grid."""
    largest = float(comm.max_over_ranks(values.max() if len(values) else values.new_zeros(())))
    step = grid_step(largest, len(shard.numbers))
    sums = values.new_zeros(k, dtype=torch.float64).index_add_(0, groups, (values / step).round_().double())
    return comm.sum_over_ranks(sums) * step


def _update(shard: _Shard, centroids: Tensor, sums: Tensor, count: Tensor, squared: Tensor) -> tuple[Tensor, bool]:
    """Centroids moved to their members' means, empty ones to the farthest points; and whether any empty one moved."""
    means = shard.place(sums / count.clamp(min=1)[:, None])
    has_mean = count > 0
    if shard.spherical:
        length = means.norm(dim=1)
        has_mean &= length > 1e-6  # members that cancel out have no mean direction: the centroid stays
        means = means / length.clamp(min=1e-6)[:, None]
    centroids = torch.where(has_mean[:, None], means, centroids)
    empty = (count == 0).nonzero()[:, 0]
    if not len(empty):
        return centroids, False
    far = _farthest(shard, squared, len(empty))
    centroids[empty[:len(far)]] = far
    return centroids, len(far) > 0


def _farthest(shard: _Shard, squared: Tensor, n: int) -> Tensor:
    """The n points (n, D) float64 of all ranks that are farthest from their centroids, the farthest first. Points that equal their
    centroid up to rounding are left out; otherwise copies of one point would wander between clusters."""
    rows = shard.order[squared[shard.order].sort(descending=True, stable=True).indices[:n]]
    numbers, values = comm.gather_rows(shard.index[rows]), comm.gather_rows(squared[rows])
    order = numbers.argsort()
    order = order[values[order].sort(descending=True, stable=True).indices[:n]]
    seen = shard.fetch(numbers[order])
    far = shard.place(seen)
    rounding = 1e-12 * (far.square().sum(1) + seen.double().square().sum(1))
    return far[values[order] > rounding]
