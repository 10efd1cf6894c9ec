"""Speaker verification measures, all read off one DET curve that costs one sort.

A trial is accepted when its score reaches the threshold, so trials with one score share one threshold. "Accept everything"
and "reject everything" are thresholds too.
"""
from typing import NamedTuple

import numpy as np

from sslspk.errors import InputError

TARGET_ONLY, NONTARGET_ONLY, BOTH = 1, 2, 3


class Det(NamedTuple):
    """The corners of a DET curve, from "accept everything" to "reject everything".

    threshold: (M,) ascending, the last one infinite; p_miss, p_fa: (M,) rates from 0 to 1. Points inside a straight
    horizontal or vertical run are left out: the line through the rest is the same.
    """

    threshold: np.ndarray
    p_miss: np.ndarray
    p_fa: np.ndarray


def checked(scores: np.ndarray, target: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Scores (N,) as float64 and labels (N,) as bool.

    Raises InputError for a score that is NaN or infinite and for trials of one class only, ValueError for other shapes.
    """
    scores, target = np.asarray(scores, np.float64), np.asarray(target, bool)
    if scores.ndim != 1 or scores.shape != target.shape:
        raise ValueError(f"scores (N,) and labels (N,) expected, not {scores.shape} and {target.shape}")
    if not np.isfinite(scores).all():
        bad = int(np.flatnonzero(~np.isfinite(scores))[0])
        raise InputError(f"the score of trial {bad + 1} is {scores[bad]}, not a finite number; score this trial again.")
    targets = int(np.count_nonzero(target))
    if targets in (0, len(target)):
        missing = "non-target" if targets else "target"
        raise InputError(f"there is no {missing} trial among {len(target)}; error rates need both kinds, "
                         "so check the trial list.")
    return scores, target


def corners(ordered: np.ndarray, target: np.ndarray) -> np.ndarray:
    """Thresholds at which the DET curve turns, as counts of rejected trials (M,), from 0 to N.

    ordered: scores (N,) ascending; target: their labels (N,). Whatever non-negative weight the trials carry, the curve is
    the line through these points: it can turn only between two distinct scores, and only where the kind of trial changes.
    """
    first = np.flatnonzero(np.append(True, ordered[1:] != ordered[:-1]))
    hits = np.add.reduceat(target, first, dtype=np.int32)
    kind = np.full(len(first), BOTH, np.int8)
    kind[hits == np.diff(first, append=len(ordered))] = TARGET_ONLY
    kind[hits == 0] = NONTARGET_ONLY
    turns = (kind[1:] != kind[:-1]) | (kind[1:] == BOTH)
    return np.concatenate(([0], first[1:][turns], [len(ordered)]))


def det_curve(scores: np.ndarray, target: np.ndarray) -> Det:
    """DET curve of scores (N,) with labels (N,). Raises InputError as `checked` does."""
    scores, target = checked(scores, target)
    order = np.argsort(scores)
    ordered, target = scores[order], target[order]
    del order
    rejected = corners(ordered, target)
    missed = np.add.reduceat(np.append(target, False), rejected, dtype=np.int64)
    missed = np.append(0, np.cumsum(missed[:-1]))
    targets = missed[-1]
    p_fa = 1.0 - (rejected - missed) / (len(target) - targets)
    threshold = np.append(ordered[rejected[:-1]], np.inf)
    return Det(threshold, missed / targets, p_fa)


def eer(det: Det) -> float:
    """Equal error rate from 0 to 1: where the line through the ROC's points meets p_miss = p_fa."""
    return crossing(det.p_miss, det.p_fa)


def eer_threshold(det: Det) -> float:
    """The score from which on to accept, so that both error rates are nearest to equal."""
    return float(det.threshold[int(np.argmin(np.abs(det.p_miss - det.p_fa)[:-1]))])


def crossing(p_miss: np.ndarray, p_fa: np.ndarray) -> float:
    """The common value of two rates (M,), one rising from 0 and one falling to 0, between the points by a straight line."""
    gap = p_miss - p_fa
    right = int(np.argmax(gap >= 0))
    left = right - 1
    share = -gap[left] / (gap[right] - gap[left])
    return float(p_miss[left] + share * (p_miss[right] - p_miss[left]))


def dcf(p_miss: np.ndarray, p_fa: np.ndarray, p_target: float, c_miss: float = 1.0, c_fa: float = 1.0) -> np.ndarray:
    """Normalised detection cost, of the shape of the rates (NIST SRE 2018 evaluation plan).

    c_miss p_miss p_target + c_fa p_fa (1 - p_target), divided by the cost of the better of accepting and rejecting everything.
    Raises InputError unless 0 < p_target < 1 and both costs are positive.
    """
    if not (0 < p_target < 1 and c_miss > 0 and c_fa > 0):
        raise InputError(f"p_target {p_target}, c_miss {c_miss} and c_fa {c_fa} give no detection cost; "
                         "choose a prior between 0 and 1 and costs above 0.")
    miss, alarm = c_miss * p_target, c_fa * (1 - p_target)
    return (miss * p_miss + alarm * p_fa) / min(miss, alarm)


def min_dcf(det: Det, p_target: float, c_miss: float = 1.0, c_fa: float = 1.0) -> float:
    """Smallest normalised detection cost over all thresholds: at most 1."""
    return float(dcf(det.p_miss, det.p_fa, p_target, c_miss, c_fa).min())


def min_dcf_threshold(det: Det, p_target: float, c_miss: float = 1.0, c_fa: float = 1.0) -> float:
    """The score from which on to accept for the smallest detection cost; infinite where rejecting everything costs least."""
    return float(det.threshold[int(np.argmin(dcf(det.p_miss, det.p_fa, p_target, c_miss, c_fa)))])


def act_dcf(scores: np.ndarray, target: np.ndarray, p_target: float, c_miss: float = 1.0, c_fa: float = 1.0) -> float:
    """Normalised detection cost at the Bayes threshold log(c_fa (1 - p_target) / (c_miss p_target)).

    scores: natural-log likelihood ratios (N,). Scores of another kind, such as cosines, give a cost that says nothing.
    """
    scores, target = checked(scores, target)
    dcf(np.zeros(1), np.zeros(1), p_target, c_miss, c_fa)
    accepted = scores >= np.log(c_fa * (1 - p_target) / (c_miss * p_target))
    targets = np.count_nonzero(target)
    hits = np.count_nonzero(accepted & target)
    p_fa = (np.count_nonzero(accepted) - hits) / (len(target) - targets)
    return float(dcf(np.float64(1 - hits / targets), np.float64(p_fa), p_target, c_miss, c_fa))


def cllr(scores: np.ndarray, target: np.ndarray) -> float:
    """Cost of natural-log likelihood ratios (N,), in bits (Bruemmer and du Preez 2006): 1 says nothing, 0 is perfect."""
    scores, target = checked(scores, target)
    bits = np.where(target, -scores, scores)
    np.logaddexp(0.0, bits, out=bits)
    total, of_targets = bits.sum(), bits.sum(where=target)
    targets = np.count_nonzero(target)
    return float((of_targets / targets + (total - of_targets) / (len(target) - targets)) / (2 * np.log(2)))
