"""Agglomerative clustering in which only neighbours merge: memory grows with the number of points, not with that of their pairs.

A round finds for each cluster the k others to which its linkage is least, over all pairs in blocks, and merges along these edges, the
least first, until half of the clusters are left; then the next round begins. An edge to a cluster is one to what that cluster has become.
The linkage of two clusters is exact, since it depends on their means alone: Ward's distance, or the mean product of their points, which
for vectors of length 1 is the mean cosine and for PLDA the mean log-likelihood ratio. What the tree misses are merges of clusters that
are not among each other's k nearest. The search takes O(n^2) time, 4/3 of that of its first round.
"""
import heapq

import numpy as np

SMALL = 1000   # clusters from which on all pairs are neighbours, so that the rest of the tree is exact
BLOCK_NUMBERS = 2**22   # linkages that are computed at a time
WIDTH = 64     # of the runs of columns whose least values are compared first


class Clusters:
    """Means of n points and of what they become. size (n,): points in each; root (n,): itself for a cluster, else the one it went into."""

    def __init__(self, left: np.ndarray, right: np.ndarray | None = None):
        """left (n, D): Ward's distance between the means; with right (n, D): minus the product of the means, which merges the largest."""
        self.ward, self.left = right is None, np.array(left, np.float64)
        self.right = self.left if right is None or right is left else np.array(right, np.float64)
        self.size, self.root = np.ones(len(left)), np.arange(len(left))
        self.squares = np.einsum("nd,nd->n", self.left, self.left)

    def linkage(self, one: np.ndarray, other: np.ndarray, kind: type = np.float64) -> np.ndarray:
        """(len(one), len(other)) of clusters by number; the pair of the least one merges first."""
        found = self.left[one].astype(kind, copy=False) @ self.right[other].astype(kind, copy=False).T
        if not self.ward:
            return np.negative(found, out=found)
        found *= -2
        found += self.squares[one, None].astype(kind)
        found += self.squares[other].astype(kind)
        size = self.size[other].astype(kind)
        found *= 2 * size / (1 + size / self.size[one, None].astype(kind))
        return np.sqrt(np.maximum(found, 0, out=found), out=found)

    def merge(self, one: int, other: int) -> int:
        """The number that two clusters have from now on: that of the larger one."""
        if self.size[one] < self.size[other]:
            one, other = other, one
        share = self.size[other] / (self.size[one] + self.size[other])
        for means in (self.left,) if self.right is self.left else (self.left, self.right):
            means[one] += share * (means[other] - means[one])
        self.squares[one] = self.left[one] @ self.left[one]
        self.size[one] += self.size[other]
        self.root[other] = one
        return one

    def found(self, numbers: np.ndarray) -> np.ndarray:
        """What clusters have become, each once."""
        while True:
            after = self.root[numbers]
            if np.array_equal(after, numbers):
                return np.unique(numbers)
            numbers = after


def tree(clusters: Clusters, neighbours: int) -> np.ndarray:
    """(n - 1, 4) as scipy.cluster.hierarchy.linkage gives it. Column 2 is the linkage, or the highest one before where it was higher."""
    n = len(clusters.root)
    out, number, made = np.zeros((n - 1, 4)), np.arange(n), 0
    while made < n - 1:
        alive = np.flatnonzero(clusters.root == np.arange(n))
        edges = nearest(clusters, alive, len(alive) - 1 if len(alive) <= SMALL else neighbours)
        heap = [entry for one in alive.tolist() if (entry := _closest(clusters, edges, one))]
        heapq.heapify(heap)
        target = n - 1 if len(alive) <= SMALL else made + len(alive) // 2
        while heap and made < target:
            cost, one, size, other, other_size = heapq.heappop(heap)
            if clusters.root[one] != one or clusters.size[one] != size:
                continue   # it has merged, and has an entry of its own since
            if clusters.root[other] == other and clusters.size[other] == other_size:
                out[made] = min(number[one], number[other]), max(number[one], number[other]), cost, size + other_size
                gone = one + other
                one = clusters.merge(one, other)
                edges[one] = np.concatenate([edges.pop(one), edges.pop(gone - one)])
                number[one], made = n + made, made + 1
            if entry := _closest(clusters, edges, one):
                heapq.heappush(heap, entry)
    out[:, 2] = np.maximum.accumulate(out[:, 2])
    return out


def _closest(clusters: Clusters, edges: dict[int, np.ndarray], one: int) -> tuple | None:
    """(linkage, cluster, its size, neighbour, its size) of the neighbour that is closest to a cluster; None where it has none left."""
    found = clusters.found(edges[one])
    edges[one] = found = found[found != one]
    if not len(found):
        return None
    costs = clusters.linkage(np.array([one]), found)[0]
    best = int(costs.argmin())
    return float(costs[best]), one, clusters.size[one], int(found[best]), clusters.size[found[best]]


def nearest(clusters: Clusters, alive: np.ndarray, k: int) -> dict[int, np.ndarray]:
    """For each cluster of alive (R,): the clusters that are among its k nearest, or that have it among theirs."""
    count, rows = len(alive), max(1, BLOCK_NUMBERS // len(alive))
    k, found = min(k, count - 1), np.empty((count, min(k, count - 1)), np.int32)
    for start in range(0, count, rows):
        costs = clusters.linkage(alive[start:start + rows], alive, np.float32)
        costs[np.arange(len(costs)), start + np.arange(len(costs))] = np.inf
        found[start:start + rows] = least(costs, k)
    ends = np.repeat(np.arange(count), k), found.ravel()
    one, other = np.concatenate(ends), np.concatenate(ends[::-1])
    order = np.argsort(one, kind="stable")
    parts = np.split(alive[other[order]], np.cumsum(np.bincount(one, minlength=count))[:-1])
    return dict(zip(alive.tolist(), parts, strict=True))


def least(values: np.ndarray, k: int) -> np.ndarray:
    """(N, k): where the k least values of each row of (N, M) stand, in no order: in the k runs of columns with the least minima."""
    rows, columns = values.shape
    runs = columns // WIDTH
    if runs <= 2 * k:
        return np.argpartition(values, k - 1, axis=1)[:, :k]
    minima = values[:, :runs * WIDTH].reshape(rows, runs, WIDTH).min(2)
    best = np.argpartition(minima, k - 1, axis=1)[:, :k]
    places = (best[:, :, None] * WIDTH + np.arange(WIDTH)).reshape(rows, -1)
    places = np.concatenate([places, np.broadcast_to(np.arange(runs * WIDTH, columns), (rows, columns - runs * WIDTH))], 1)
    chosen = np.argpartition(np.take_along_axis(values, places, 1), k - 1, axis=1)[:, :k]
    return np.take_along_axis(places, chosen, 1)
