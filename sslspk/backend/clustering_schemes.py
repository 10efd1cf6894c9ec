"""From embeddings to pseudo-speakers. No labels are read.

kmeans       k-means alone, to as many clusters as asked for or, where centroids end up empty, to fewer: loss-gated learning (Tao et al.
             2022) has 6,000 for VoxCeleb2.
kmeans_ahc   k-means to very many centroids, then Ward's method on the centroids: 50,000 and 7,500 for VoxCeleb2 in IDLab's VoxSRC-20
             system (Thienpondt et al. 2020) and what followed it.
cosine_ahc   average linkage of cosine similarities, of the utterances or of the centroids of a k-means that goes first.
plda_ahc     cosine_ahc, then a simplified PLDA on clusters of at least 8 utterances (of at most 50, drawn), then average linkage of
             its log-likelihood ratios; after the second-generation recipe of hyperion (egs/voxceleb/ssl.v1). Unlike there, the
             second tree starts from the same points as the first one, not from a second k-means in the space of the PLDA; and no
             utterance is left out for a posterior below 0.9 in a diagonal GMM of the clusters, which their recipe filters by.
All work on directions, that is on embeddings of length 1, after PCA where pca_share asks for it; PLDA on the embeddings themselves
(for a centroid, the mean of its utterances' embeddings, taken as that of one utterance).
"""
from collections.abc import Callable, Sequence
from typing import NamedTuple

import numpy as np

from sslspk.backend import clustering
from sslspk.backend.base import Backend, as_matrix
from sslspk.backend.config import BackendConfig
from sslspk.backend.config_cluster import ClusterConfig
from sslspk.errors import InputError

KMeans = Callable[[np.ndarray, int], np.ndarray]  # rows (N, D), k -> their clusters (N,), some of the k numbers may be missing


class Found(NamedTuple):
    """Clusters of N utterances. Numbers go from 0 on in the order of the utterances that stay."""

    group: np.ndarray  # (N,) int64, -1: left out
    small: int  # utterances left out because their clusters are too small
    capped: int  # utterances left out of clusters that are too large
    notes: tuple[str, ...]  # notes for the user


def cluster(x: np.ndarray, names: Sequence[str], config: ClusterConfig, kmeans: KMeans, *, plda: Backend | None = None,
            max_gb: float | None = None) -> Found:
    """Clusters of embeddings x (N, D), whose ids are names (N,); the order of the utterances does not matter.

    kmeans: what does k-means, where the configuration asks for it. plda: a fitted back-end that plda_ahc takes instead of
    training one. Raises InputError: embeddings without direction, more clusters than utterances, too little memory, one cluster
    only or nothing but single utterances, nothing left by the filters.
    """
    order = np.argsort(np.asarray(names))
    x, names = as_matrix(x)[order], [names[row] for row in order]
    points = check(config, len(x), max_gb)
    if plda is not None:
        plda.check(x, names)
    units = clustering.directions(x, names, config.pca_share)
    if config.method == "kmeans":
        group, notes = _kmeans_alone(units, config.clusters, kmeans)
    else:
        point = clustering.numbered(np.asarray(kmeans(units, points))) if config.kmeans else np.arange(len(x))
        group, notes = _first(units, point, config, max_gb)
    if config.method == "plda_ahc":
        plda = plda or train_plda(x, group, config)
        group, more = _second(x, point, plda, config, max_gb)
        notes += more
    small, capped = clustering.sized(units, group, config.min_size, config.max_size)
    left = ~(small | capped)
    if len(np.unique(group[left])) < 2:
        raise InputError(f"fewer than two clusters have min_size {config.min_size} utterances, the largest of {group.max() + 1} has "
                         f"{np.bincount(group).max()}; lower min_size, or ask for fewer clusters.")
    found = np.full(len(x), -1)
    found[left] = clustering.numbered(group[left])
    back = np.empty(len(x), np.int64)
    back[order] = found
    return Found(back, int(small.sum()), int(capped.sum()), notes)


def check(config: ClusterConfig, utterances: int, max_gb: float | None = None) -> int:
    """The number of points that clusters are made of. Raises InputError when there are fewer utterances than it takes, or too little
    memory for a tree of them."""
    points = config.points(utterances)
    for key, there in (("kmeans_clusters", utterances), ("clusters", points), ("plda_clusters", points)):
        wanted = getattr(config, key) or 0
        if wanted > there:
            what = "utterances" if there == utterances else "centroids"
            raise InputError(f"{key} is {wanted:,}, but there are only {there:,} {what}; lower it (--set {key}=...).")
    if config.method != "kmeans" and not clustering.nearest_of(points, config.neighbours):
        clustering.check_memory(points, max_gb)
    return points


def _kmeans_alone(units: np.ndarray, clusters: int, kmeans: KMeans) -> tuple[np.ndarray, tuple[str, ...]]:
    """Clusters (N,) that k-means finds among units (N, D), and a note where some of its centroids have no utterance."""
    group = clustering.numbered(np.asarray(kmeans(units, clusters)))
    left = group.max() + 1
    return group, () if left == clusters else (f"{left:,} of {clusters:,} clusters are left; k-means gave the others no utterance",)


def _first(units: np.ndarray, point: np.ndarray, config: ClusterConfig, max_gb: float | None) -> tuple[np.ndarray, tuple[str, ...]]:
    """Clusters (N,) by Ward's method or by cosines, and notes. units: (N, D) of length 1; point (N,): the centroid of each."""
    centroids = clustering.means(units, point)
    if len(centroids) < 2:
        raise InputError(f"all of {len(units)} utterances have one direction; give embeddings that differ.")
    ward = config.method == "kmeans_ahc"
    tree = (clustering.ward if ward else clustering.cosine)(centroids, max_gb, config.neighbours)
    return _cut(tree, point, "clusters", config.clusters, "threshold", config.threshold, not ward)


def _second(x: np.ndarray, point: np.ndarray, plda: Backend, config: ClusterConfig,
            max_gb: float | None) -> tuple[np.ndarray, tuple[str, ...]]:
    """Clusters (N,) by log-likelihood ratios of embeddings x (N, D), and notes; point (N,): the centroid of each."""
    centroids = clustering.means(x, point)
    if nearest := clustering.nearest_of(len(centroids), config.neighbours):
        tree = clustering.of_products(*plda.products(centroids), nearest)
    else:
        tree = clustering.average_linkage(
            len(centroids), lambda start, stop: plda.score(centroids[start:stop], centroids[start:]), max_gb)
    return _cut(tree, point, "plda_clusters", config.plda_clusters, "plda_threshold", config.plda_threshold, True)


def _cut(tree: np.ndarray, point: np.ndarray, number: str, clusters: int | None, key: str, threshold: float | None,
         similarity: bool) -> tuple[np.ndarray, tuple[str, ...]]:
    """Clusters (N,) of utterances whose points in the tree are point (N,), as many as asked for or by the threshold, and notes.

    number, key: what these two are called. similarity: column 2 of the tree falls, and a higher threshold merges less.
    Raises InputError for more clusters than points, and for a threshold that makes one cluster of all or merges nothing.
    """
    points = len(tree) + 1
    if clusters is not None:
        if clusters > points:
            raise InputError(f"k-means left {points:,} centroids that differ, and {number} is {clusters:,}; lower {number}.")
        return clustering.cut(tree, points - clusters)[point], ()
    merges = np.count_nonzero(tree[:, 2] >= threshold if similarity else tree[:, 2] <= threshold)
    fewer, more = ("raise", "lower") if similarity else ("lower", "raise")
    if merges == points - 1:
        raise InputError(f"{key} {threshold} puts all {len(point)} utterances into one cluster, which is no use as labels; {fewer} {key}.")
    if merges == 0 and points == len(point):
        raise InputError(f"{key} {threshold} leaves each of {points} utterances alone, which is no use as labels; {more} {key}.")
    notes = () if merges else (f"{key} {threshold} merges none of the {points} centroids of k-means; {more} {key}",)
    return clustering.cut(tree, merges)[point], notes


def train_plda(x: np.ndarray, group: np.ndarray, config: ClusterConfig) -> Backend:
    """Simplified PLDA behind mean subtraction, PCA (pca_share) and length normalisation, trained on clusters group (N,) of x (N, D).

    Clusters with fewer than plda_min_size utterances are left out, plda_max_size of larger ones are drawn by the seed.
    Raises InputError when fewer than two clusters are large enough.
    """
    from sslspk.backend import build, front
    settings = BackendConfig(pca=config.pca_share, lda="none", plda="simplified", seed=config.seed,
                             min_utterances=config.plda_min_size, max_utterances=config.plda_max_size)
    use = front.chosen(group, settings)
    if len(np.unique(group[use])) < 2:
        count = np.bincount(group)
        raise InputError(f"fewer than two of {len(count)} clusters have plda_min_size {config.plda_min_size} utterances (the largest has "
                         f"{count.max()}), too few for PLDA; lower plda_min_size, or ask for fewer clusters.")
    return build("plda", settings).fit(x[use], group[use].astype(str).tolist())
