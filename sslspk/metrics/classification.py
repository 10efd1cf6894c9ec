"""Measures of a classification: accuracy, recall, F1, their spread over speakers, and the pooling of segments.

truth, predicted: (N,) class numbers 0 .. C-1. What is undefined (the precision of a class that is never predicted) is 0, as
scikit-learn with zero_division=0.
"""
from typing import NamedTuple

import numpy as np

POOLS = ("mean", "vote")


class PerClass(NamedTuple):
    """Precision, recall and F1 (C,) as shares, and how many items are of each class (C,)."""

    precision: np.ndarray
    recall: np.ndarray
    f1: np.ndarray
    count: np.ndarray


class Resampled(NamedTuple):
    """Measures (shares) of R resampled lists, (R,) each."""

    wa: np.ndarray
    ua: np.ndarray


def confusion(truth: np.ndarray, predicted: np.ndarray, classes: int) -> np.ndarray:
    """(C, C) int64: row = true class, column = predicted class.

    Raises ValueError for lengths that differ, no item, or a class number that is not one.

    >>> confusion([0, 0, 1], [0, 1, 1], 2).tolist()
    [[1, 1], [0, 1]]
    """
    truth, predicted = np.asarray(truth), np.asarray(predicted)
    if truth.shape != predicted.shape or truth.ndim != 1 or not len(truth):
        raise ValueError(f"as many predictions as labels expected, and at least one, not {truth.shape} and {predicted.shape}")
    if min(truth.min(), predicted.min()) < 0 or max(truth.max(), predicted.max()) >= classes:
        raise ValueError(f"class numbers from 0 to {classes - 1} expected")
    return np.bincount(truth * classes + predicted, minlength=classes * classes).reshape(classes, classes)


def weighted_accuracy(table: np.ndarray) -> np.ndarray:
    """WA, the share of items that are right; confusion (..., C, C) -> (...,)."""
    return _share(np.trace(table, axis1=-2, axis2=-1), table.sum((-2, -1)))


def unweighted_accuracy(table: np.ndarray) -> np.ndarray:
    """UA, the mean recall over the classes that occur; confusion (..., C, C) -> (...,)."""
    count = table.sum(-1)
    recall = _share(np.diagonal(table, axis1=-2, axis2=-1), count)
    return _share(recall.sum(-1), (count > 0).sum(-1))


def per_class(table: np.ndarray) -> PerClass:
    """Precision, recall and F1 of each class, from a confusion (..., C, C)."""
    right, count, said = np.diagonal(table, axis1=-2, axis2=-1), table.sum(-1), table.sum(-2)
    return PerClass(_share(right, said), _share(right, count), _share(2 * right, count + said), count)


def macro_f1(table: np.ndarray) -> np.ndarray:
    """The mean F1 of the classes that occur or are predicted (scikit-learn's default labels); (..., C, C) -> (...,)."""
    there = (table.sum(-1) + table.sum(-2)) > 0
    return _share(per_class(table).f1.sum(-1), there.sum(-1))   # the F1 of the others is 0


def micro_f1(table: np.ndarray) -> np.ndarray:
    """F1 over all decisions pooled: 2 TP / (2 TP + FP + FN). With one label to an item it is WA; (..., C, C) -> (...,)."""
    right, total = np.trace(table, axis1=-2, axis2=-1), table.sum((-2, -1))
    return _share(2 * right, 2 * right + 2 * (total - right))


def rmse(truth: np.ndarray, predicted: np.ndarray) -> float:
    """Root mean square error of numbers (N,). Raises ValueError for lengths that differ or no item."""
    truth, predicted = np.asarray(truth, np.float64), np.asarray(predicted, np.float64)
    if truth.shape != predicted.shape or not truth.size:
        raise ValueError(f"as many predictions as values expected, and at least one, not {truth.shape} and {predicted.shape}")
    return float(np.sqrt(np.mean((truth - predicted) ** 2)))


def pool(posteriors: np.ndarray, group: np.ndarray, how: str) -> np.ndarray:
    """Posteriors (N, C) of segments -> (G, C) of their groups; group (N,): 0 .. G-1, each with a segment; how: "mean" or "vote".

    mean: the average. vote: the share of the segments that decide for the class; where classes tie, `decide` takes the one with the
    highest average. Of tied posteriors within a segment the first class has the vote.
    """
    posteriors, group = np.asarray(posteriors, np.float64), np.asarray(group)
    counts = np.bincount(group)
    if how == "vote":
        posteriors = np.eye(posteriors.shape[1])[posteriors.argmax(1)]
    elif how != "mean":
        raise ValueError(f"there is no pooling {how}; choose one of {', '.join(POOLS)}")
    total = np.zeros((len(counts), posteriors.shape[1]))
    np.add.at(total, group, posteriors)
    return total / counts[:, None]


def decide(posteriors: np.ndarray, group: np.ndarray, how: str) -> np.ndarray:
    """Classes (G,) of groups of segments with posteriors (N, C), by `pool`: the highest; ties of votes go to the highest mean posterior."""
    share = pool(posteriors, group, how)
    if how == "vote":
        best = np.isclose(share, share.max(1, keepdims=True), rtol=0, atol=1e-9)
        share = np.where(best, pool(posteriors, group, "mean"), -1.0)
    return share.argmax(1)


def speaker_bootstrap(truth: np.ndarray, predicted: np.ndarray, speaker: np.ndarray, classes: int, *,
                      replicates: int = 1000, seed: int = 0) -> Resampled:
    """WA and UA of resampled lists: as many speakers as there are are drawn with replacement, with all that they said.

    speaker: (N,) integers 0 .. S-1. UA of a replicate is over the classes that occur in it. The same seed gives the same figures.
    Memory goes with (S + R) C, not with C squared: thousands of speakers may be the classes.
    """
    truth, speaker = np.asarray(truth), np.asarray(speaker)
    speakers = int(speaker.max()) + 1
    cell, right = speaker * classes + truth, np.asarray(predicted) == truth
    drawn = draws(speakers, replicates, seed).astype(np.float64)   # counts far below 2^53: exact, and quick
    said, all_right = (drawn @ np.bincount(cell, weight, speakers * classes).reshape(speakers, classes) for weight in (None, right))
    return Resampled(_share(all_right.sum(1), said.sum(1)), _share(_share(all_right, said).sum(1), (said > 0).sum(1)))


def draws(speakers: int, replicates: int, seed: int) -> np.ndarray:
    """(R, S) int64: how often each speaker is drawn in each replicate."""
    rng = np.random.default_rng(seed)
    out = np.empty((replicates, speakers), np.int64)
    for row in out:
        row[:] = np.bincount(rng.integers(speakers, size=speakers), minlength=speakers)
    return out


def rmse_bootstrap(truth: np.ndarray, predicted: np.ndarray, speaker: np.ndarray, *, replicates: int = 1000, seed: int = 0) -> np.ndarray:
    """RMSE (R,) of lists with resampled speakers, drawn as `speaker_bootstrap` draws them."""
    error = (np.asarray(truth, np.float64) - np.asarray(predicted, np.float64)) ** 2
    drawn = draws(int(np.max(speaker)) + 1, replicates, seed)
    return np.sqrt(drawn @ np.bincount(speaker, error) / (drawn @ np.bincount(speaker)))


def _share(part: np.ndarray, whole: np.ndarray) -> np.ndarray:
    """part / whole, 0 where there is nothing of the whole."""
    part, whole = np.asarray(part, np.float64), np.asarray(whole, np.float64)
    return np.divide(part, whole, out=np.zeros(np.broadcast_shapes(part.shape, whole.shape)), where=whole > 0)
