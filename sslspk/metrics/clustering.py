"""How well clusters agree with true labels, and how large they are.

Clusters and labels are sequences of N names or numbers, item by item of the same utterances.
"""
from collections.abc import Hashable, Sequence

import numpy as np

QUANTILES = {"min": 0.0, "q10": 0.1, "q25": 0.25, "median": 0.5, "q75": 0.75, "q90": 0.9, "max": 1.0}


def purity(clusters: Sequence[Hashable], labels: Sequence[Hashable]) -> float:
    """Share of the N items whose label is the most frequent one of their cluster: 1 / N (nearly) to 1.

    Raises ValueError for no items or lengths that differ.

    >>> purity("aaab", "xxyy")  # of a two, of b one
    0.75
    """
    if not 0 < len(clusters) == len(labels):
        raise ValueError(f"as many labels as clusters expected, and at least one, not {len(clusters)} and {len(labels)}")
    cluster, _, shared = _overlaps(_numbers(clusters), _numbers(labels))
    most = np.zeros(cluster.max() + 1, np.int64)
    np.maximum.at(most, cluster, shared)
    return float(most.sum() / len(clusters))


def inverse_purity(clusters: Sequence[Hashable], labels: Sequence[Hashable]) -> float:
    """Share of the N items that are in the cluster which holds most of their label: how little speakers are split."""
    return purity(labels, clusters)


def nmi(clusters: Sequence[Hashable], labels: Sequence[Hashable]) -> float:
    """Normalised mutual information I(C; L) / ((H(C) + H(L)) / 2), 0 to 1; 1 where both have one class only (as scikit-learn)."""
    c, s = _numbers(clusters), _numbers(labels)
    of_cluster, of_label = np.bincount(c), np.bincount(s)
    entropies = _entropy(of_cluster) + _entropy(of_label)
    if entropies == 0:
        return 1.0
    cluster, label, shared = _overlaps(c, s)
    information = (shared / len(c) * np.log(len(c) * shared / (of_cluster[cluster] * of_label[label]))).sum()
    return float(np.clip(2 * information / entropies, 0, 1))   # rounding may be beyond either end


def sizes(clusters: Sequence[Hashable]) -> dict[str, float]:
    """Quantiles and mean of the number of items in a cluster, and how many have just one item ("single")."""
    count = np.bincount(_numbers(clusters))
    found = {name: float(np.quantile(count, q)) for name, q in QUANTILES.items()}
    return {**found, "mean": float(count.mean()), "single": int((count == 1).sum())}


def report(clusters: Sequence[Hashable], labels: Sequence[Hashable]) -> dict:
    """All of the above, with the numbers of items, clusters and labels, as a dictionary for JSON."""
    return {"utterances": len(clusters), "clusters": len(set(clusters)), "speakers": len(set(labels)),
            "purity": purity(clusters, labels), "inverse_purity": inverse_purity(clusters, labels), "nmi": nmi(clusters, labels),
            "sizes": sizes(clusters)}


def _overlaps(clusters: np.ndarray, labels: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Each pair of a cluster and a label that share items, and how many: three arrays (P,) of N numbers from 0 on each."""
    width = labels.max() + 1
    pairs, shared = np.unique(clusters * width + labels, return_counts=True)
    return pairs // width, pairs % width, shared


def _entropy(counts: np.ndarray) -> float:
    """In nats, of how N items are divided; none of the counts is 0."""
    share = counts / counts.sum()
    return float(-(share * np.log(share)).sum())


def _numbers(names: Sequence[Hashable]) -> np.ndarray:
    """0, 1, ... for names (N,): what is equal has the same number."""
    known: dict[Hashable, int] = {}
    return np.array([known.setdefault(name, len(known)) for name in names], np.int64)
