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
    from sklearn.metrics.cluster import contingency_matrix
    if not 0 < len(clusters) == len(labels):
        raise ValueError(f"as many labels as clusters expected, and at least one, not {len(clusters)} and {len(labels)}")
    table = contingency_matrix(_numbers(clusters), _numbers(labels), sparse=True)
    return float(table.max(axis=1).sum() / len(clusters))


def inverse_purity(clusters: Sequence[Hashable], labels: Sequence[Hashable]) -> float:
    """Share of the N items that are in the cluster which holds most of their label: how little speakers are split."""
    return purity(labels, clusters)


def nmi(clusters: Sequence[Hashable], labels: Sequence[Hashable]) -> float:
    """Normalised mutual information I(C; L) / ((H(C) + H(L)) / 2), 0 to 1; 1 where both have one class only (as scikit-learn)."""
    from sklearn.metrics import normalized_mutual_info_score
    return float(normalized_mutual_info_score(_numbers(labels), _numbers(clusters), average_method="arithmetic"))


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


def _numbers(names: Sequence[Hashable]) -> np.ndarray:
    """0, 1, ... for names (N,): what is equal has the same number."""
    known: dict[Hashable, int] = {}
    return np.array([known.setdefault(name, len(known)) for name in names], np.int64)
