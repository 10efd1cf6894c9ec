"""The average detection cost of closed-set language recognition (NIST LRE 2007 to 2022): Cavg.

Every language that occurs is a target in turn. With n of them, P_miss(t) the share of language t that is not accepted as t, and
P_fa(t, m) the share of language m that is,

    Cavg = 1/n sum_t [ C_miss p P_miss(t) + C_fa (1 - p) / (n - 1) sum_{m != t} P_fa(t, m) ]

A segment is accepted as t when its log-likelihood ratio reaches log(C_fa (1 - p) / (C_miss p)). Accepting nothing costs C_miss p.
"""
import numpy as np

from sslspk.metrics.classification import draws

P_TARGET = 0.5


def likelihood_ratios(posteriors: np.ndarray) -> np.ndarray:
    """Posteriors (N, C) under equal priors -> (N, C) natural-log ratios of each class against the average of all others.

    A posterior of 1 or 0 gives what the smallest float64 gives, so that all ratios are finite.
    """
    posteriors = np.asarray(posteriors, np.float64)
    tiny = np.finfo(np.float64).tiny
    others = (posteriors.sum(1, keepdims=True) - posteriors) / (posteriors.shape[1] - 1)
    return np.log(np.maximum(posteriors, tiny)) - np.log(np.maximum(others, tiny))


def cavg(ratios: np.ndarray, truth: np.ndarray, p_target: float = P_TARGET, c_miss: float = 1.0, c_fa: float = 1.0) -> float:
    """Cavg of log-likelihood ratios (N, C) of segments of the classes truth (N,). Raises ValueError for fewer than two classes in truth."""
    costs = _Costs(ratios, truth, np.arange(len(truth)), p_target, c_miss, c_fa)
    return float(costs(np.ones((1, len(truth))))[0])


def cavg_bootstrap(ratios: np.ndarray, truth: np.ndarray, speaker: np.ndarray, p_target: float = P_TARGET, *, c_miss: float = 1.0,
                   c_fa: float = 1.0, replicates: int = 1000, seed: int = 0) -> np.ndarray:
    """Cavg (R,) of lists with resampled speakers (or recordings), drawn with all that is of them; speaker (N,): 0 .. S-1.

    The average is over the languages that occur in a replicate; one with a single language has no cost and counts as NaN.
    """
    costs = _Costs(ratios, truth, np.asarray(speaker), p_target, c_miss, c_fa)
    return costs(draws(int(np.max(speaker)) + 1, replicates, seed).astype(np.float64))


class _Costs:
    """Accepted segments counted by speaker once, so that any weights of the speakers give a cost."""

    def __init__(self, ratios: np.ndarray, truth: np.ndarray, speaker: np.ndarray, p_target: float, c_miss: float, c_fa: float):
        truth = np.asarray(truth)
        self.classes = np.unique(truth)
        if len(self.classes) < 2:
            raise ValueError("a detection cost needs segments of two languages at least")
        accepted = np.asarray(ratios)[:, self.classes] >= np.log(c_fa * (1 - p_target) / (c_miss * p_target))
        self.groups = []   # of each language: its speakers, how many segments each has, and as which languages these are accepted
        for one in self.classes:
            who, place = np.unique(speaker[truth == one], return_inverse=True)
            counts = np.zeros((len(who), len(self.classes)))
            np.add.at(counts, place, accepted[truth == one])
            self.groups.append((who, np.bincount(place).astype(np.float64), counts))
        self.miss, self.alarm = c_miss * p_target, c_fa * (1 - p_target)

    def __call__(self, weights: np.ndarray) -> np.ndarray:
        """Weights (R, S) of the speakers -> costs (R,)."""
        total = np.stack([weights[:, who] @ sizes for who, sizes, _ in self.groups], 1)             # (R, n): of language m
        accepted = np.stack([weights[:, who] @ counts for who, _, counts in self.groups], 1)        # (R, n, n): of m, as t
        there = total > 0
        share = accepted / np.where(there, total, 1)[:, :, None]
        itself = np.diagonal(share, axis1=1, axis2=2)
        alarms = (share * there[:, :, None]).sum(1) - itself * there
        count = there.sum(1)
        cost = self.miss * (1 - itself) + self.alarm * alarms / np.maximum(count - 1, 1)[:, None]
        return np.where(count > 1, (cost * there).sum(1) / np.maximum(count, 1), np.nan)
