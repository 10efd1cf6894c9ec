"""Agglomerative clustering of embeddings, with its helpers: directions, means, cuts and filters.

The tree is scipy's (nearest-neighbour chain, O(n^2) time). It needs the n (n - 1) / 2 distances of all pairs in float64, and scipy makes a
copy: 16 bytes for each pair (`tree_bytes`). `check_memory` compares that with the free memory before the work begins. 20,000 points take
3.2 GB, 50,000 take 20 GB. With more points, or if `neighbours` is given, only points that are among each other's nearest merge (see
`neighbour_tree`); the memory then grows with n.
"""
import bisect
import math
import os
from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np

from sslspk.backend import neighbour_tree
from sslspk.backend.cosine import Cosine
from sslspk.errors import InputError

ALL_PAIRS = 50_000  # points up to which all pairs are compared
NEIGHBOURS = 30     # of a point, where there are more
BLOCK_NUMBERS = 2**22  # distances that are computed at a time: 32 MB
SPARE = 2**28  # bytes left to everything else


def directions(x: np.ndarray, names: Sequence[str] | None = None, pca_share: float | None = None) -> np.ndarray:
    """Embeddings (N, D) as vectors of length 1 (N, D') float64.

    pca_share: then centre, project on the fewest principal directions that hold this share of the variance, and bring to length 1
    again (None: no PCA).
    Raises InputError naming the first embedding (by `names`, else by number) that is not finite or has no direction.
    """
    backend = Cosine()
    backend.check(x, names)
    x = backend.transform(x)
    if pca_share is None:
        return x
    from sslspk.backend import transforms
    x -= x.mean(0)
    if np.abs(x).max() < 1e-10:
        raise InputError(f"all {len(x)} embeddings have one direction; look at the model that made them.")
    x = x @ transforms.pca(x, pca_share).T
    backend.check(x, names)
    return backend.transform(x)


def means(x: np.ndarray, groups: np.ndarray) -> np.ndarray:
    """Mean (G, D) of the rows of x (N, D) in each of the groups 0 ... G - 1 of groups (N,), none of which is empty."""
    from sslspk.backend.transforms import class_sums
    return class_sums(x, groups) / np.bincount(groups)[:, None]


def tree_bytes(points: int) -> int:
    """Bytes that a tree of so many points needs: a float64 for each pair, twice (scipy works on a copy), and two blocks."""
    return points * (points - 1) // 2 * 8 * 2 + min(points**2, max(BLOCK_NUMBERS, points)) * 8 * 2


def free_bytes() -> int:
    """Free memory in bytes: what Linux calls available (elsewhere all memory), but no more than the limits of control groups allow."""
    try:
        with open("/proc/meminfo", encoding="ascii") as file:
            found = {line.split(":")[0]: int(line.split()[1]) * 1024 for line in file}["MemAvailable"]
    except FileNotFoundError:
        found = os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")
    return min(found, control_group_bytes())


def control_group_bytes(own: str = "/proc/self/cgroup", root: str = "/sys/fs/cgroup") -> float:
    """Bytes that the limits of this process's control group and of its parents leave; infinite if none has a limit.

    own: the file that names the group, root: where the groups lie. What a group holds of files can be given back, as MemAvailable has it.
    """
    room = math.inf
    for line in Path(own).read_text(encoding="utf-8").splitlines() if os.path.exists(own) else ():
        number, controllers, name = line.split(":", 2)
        if number == "0":   # version 2
            top, limit, usage, cached = Path(root), "memory.max", "memory.current", ("inactive_file", "active_file")
        elif "memory" in controllers.split(","):
            top, limit, usage = Path(root, "memory"), "memory.limit_in_bytes", "memory.usage_in_bytes"
            cached = ("total_inactive_file", "total_active_file")
        else:
            continue
        folder = top / name.lstrip("/")   # in a container it may be the host's, which is not there: then only the top counts
        for group in (folder, *folder.parents):
            most = (group / limit).read_text().strip() if group.is_relative_to(top) and (group / limit).exists() else "max"
            if most.isdigit():
                stat = dict(line.split() for line in (group / "memory.stat").read_text().splitlines())
                room = min(room, int(most) - int((group / usage).read_text()) + sum(int(stat[key]) for key in cached))
    return room


def nearest_of(points: int, neighbours: int | None) -> int | None:
    """With how many neighbours a point may merge; None: with any. neighbours: what was asked for."""
    return neighbours or (NEIGHBOURS if points > ALL_PAIRS else None)


def check_memory(points: int, max_gb: float | None = None) -> int:
    """Bytes that a tree of all pairs of so many points needs. max_gb: 10^9 bytes that it may take (None: what is free).

    Raises InputError that states both and says how many points would fit, when it is more than there is.
    """
    needed = tree_bytes(points)
    room = free_bytes() - SPARE if max_gb is None else int(max_gb * 1e9)
    if needed > room:
        fits = bisect.bisect_right(range(points), room, key=tree_bytes) - 1
        raise InputError(f"agglomerative clustering of {points:,} points needs {needed:,} bytes ({needed / 1e9:.1f} GB), and "
                         f"{room / 1e9:.1f} GB are {'free' if max_gb is None else 'allowed by --max-gb'}; run k-means first, "
                         f"or set neighbours; kmeans_clusters may be up to {fits:,}.")
    return needed


def ward(x: np.ndarray, max_gb: float | None = None, neighbours: int | None = None) -> np.ndarray:
    """Tree (n - 1, 4) of Ward's method on points (n, D), as scipy.cluster.hierarchy.linkage gives it. neighbours: see `nearest_of`.

    Column 2 is the distance at which two clusters a and b become one, ascending: sqrt(2 |a| |b| / (|a| + |b|)) ||mean_a - mean_b||.
    Raises InputError as `check_memory` does.
    """
    nearest = nearest_of(len(x), neighbours)
    if nearest:
        return neighbour_tree.tree(neighbour_tree.Clusters(x), nearest)
    check_memory(len(x), max_gb)
    squares = np.einsum("nd,nd->n", x, x)

    def distances(start: int, stop: int) -> np.ndarray:
        squared = squares[start:stop, None] + squares[start:] - 2 * (x[start:stop] @ x[start:].T)
        return np.sqrt(np.maximum(squared, 0, out=squared), out=squared)

    return _linkage(_pairs(len(x), distances), "ward")


def average_linkage(n: int, similarity: Callable[[int, int], np.ndarray], max_gb: float | None = None) -> np.ndarray:
    """Tree (n - 1, 4) in which those two of n points or clusters become one whose members are most similar on average.

    similarity(start, stop): what rows start to stop have with rows start to n, (stop - start, n - start); it may be negative.
    Column 2 is the mean similarity at which two clusters become one, descending; the rest is as scipy gives it.
    Raises InputError as `check_memory` does.
    """
    check_memory(n, max_gb)
    pairs = _pairs(n, similarity)
    highest = pairs.max()  # a mean of distances highest - s is highest - the mean of s
    tree = _linkage(np.subtract(highest, pairs, out=pairs), "average")
    tree[:, 2] = highest - tree[:, 2]
    return tree


def of_products(left: np.ndarray, right: np.ndarray, neighbours: int) -> np.ndarray:
    """`average_linkage` of the products of left (n, D) and right (n, D), among so many nearest neighbours."""
    tree = neighbour_tree.tree(neighbour_tree.Clusters(left, right), neighbours)
    tree[:, 2] *= -1
    return tree


def cosine(x: np.ndarray, max_gb: float | None = None, neighbours: int | None = None) -> np.ndarray:
    """`average_linkage` of the cosines between vectors (n, D) of any length but zero. neighbours: see `nearest_of`."""
    unit = Cosine().transform(x)
    if nearest := nearest_of(len(unit), neighbours):
        return of_products(unit, unit, nearest)
    return average_linkage(len(unit), lambda start, stop: unit[start:stop] @ unit[start:].T, max_gb)


def _pairs(n: int, block: Callable[[int, int], np.ndarray]) -> np.ndarray:
    """scipy's condensed form (n (n - 1) / 2,) of what block(start, stop) says of rows start to stop and start to n."""
    out = np.empty(n * (n - 1) // 2)
    place, rows = 0, max(1, BLOCK_NUMBERS // n)
    for start in range(0, n, rows):
        stop = min(start + rows, n)
        values = block(start, stop)
        for row in range(stop - start):
            count = n - start - row - 1
            out[place:place + count] = values[row, row + 1:]
            place += count
    return out


def _linkage(pairs: np.ndarray, method: str) -> np.ndarray:
    from scipy.cluster import hierarchy
    return hierarchy.linkage(pairs, method)


def cut(tree: np.ndarray, merges: int) -> np.ndarray:
    """Clusters (n,) int64, 0 ... n - merges - 1 in the order of their first points, after so many merges of a tree (n - 1, 4)."""
    from scipy import sparse
    n = len(tree) + 1
    children, parents = tree[:merges, :2].astype(np.int64).ravel(), n + np.repeat(np.arange(merges), 2)
    graph = sparse.coo_matrix((np.ones(2 * merges), (parents, children)), shape=(n + merges, n + merges))
    return numbered(sparse.csgraph.connected_components(graph, directed=False)[1][:n])


def numbered(groups: np.ndarray) -> np.ndarray:
    """The same groups (N,) as 0, 1, ... in the order in which they first appear."""
    _, first, group = np.unique(groups, return_index=True, return_inverse=True)
    return first.argsort().argsort()[group]


def sized(x: np.ndarray, groups: np.ndarray, min_size: int | None = None, max_size: int | None = None) -> tuple[np.ndarray, np.ndarray]:
    """Which rows of x (N, D), vectors of length 1, have to go: (N,) bool for those in small groups, and for those above the cap.

    A group of fewer than min_size goes. Of one with more than max_size those stay that are nearest in angle to its mean, the
    first of two that are equally near.
    """
    count = np.bincount(groups)
    small = count[groups] < (min_size or 1)
    if max_size is None:
        return small, np.zeros(len(x), bool)
    near = np.einsum("nd,nd->n", x, means(x, groups)[groups])
    order = np.lexsort((-near, groups))  # stable
    place = np.empty(len(x), np.int64)
    place[order] = np.arange(len(x)) - np.repeat(np.cumsum(count) - count, count)
    return small, (place >= max_size) & ~small
