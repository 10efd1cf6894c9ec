"""Compares two systems on one list: both are measured on the same resampled speakers, and their decisions are compared trial by trial."""
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

from sslspk.metrics import bootstrap, verification
from sslspk.metrics.report import P_TARGETS
from sslspk.metrics.speakers import TrialSpeakers


class Measured(NamedTuple):
    """Figures of one system on a list: EER in percent, minDCF at P_TARGETS (P,), and the same of lists with resampled speakers."""

    eer: float
    min_dcf: list[float]
    drawn: bootstrap.Replicates


def measure(scores: np.ndarray, target: np.ndarray, speakers: TrialSpeakers, replicates: int = 1000, seed: int = 0) -> Measured:
    """One side of a comparison, of scores (N,). Systems that are compared take the same seed: each replicate then draws the same speakers
    for all of them, so the effect of a difficult speaker cancels. Raises InputError as `verification.checked` does."""
    drawn = bootstrap.speaker_bootstrap(scores, target, speakers.enrol, speakers.test, p_targets=P_TARGETS, replicates=replicates,
                                        seed=seed)
    curve = verification.det_curve(scores, target)
    return Measured(100 * verification.eer(curve), [verification.min_dcf(curve, p) for p in P_TARGETS], drawn)


def difference(a: Measured, b: Measured) -> dict:
    """{measure: (of a, of b, a - b, lower and upper end of its 95 % interval)} of two systems on the same trials.

    EER in percent, minDCF at P_TARGETS. Intervals are percentiles.
    """
    out = {"eer_percent": (a.eer, b.eer, a.eer - b.eer, *bootstrap.interval(100 * (a.drawn.eer - b.drawn.eer)))}
    for i, p in enumerate(P_TARGETS):
        ends = bootstrap.interval(a.drawn.min_dcf[:, i] - b.drawn.min_dcf[:, i])
        out[f"min_dcf_{p:g}"] = (a.min_dcf[i], b.min_dcf[i], a.min_dcf[i] - b.min_dcf[i], *ends)
    return out


def compare(a: np.ndarray, b: np.ndarray, target: np.ndarray, speakers: TrialSpeakers, replicates: int = 1000, seed: int = 0) -> dict:
    """The `difference` of scores a and b (N,) of the same trials. Raises InputError as `measure` does."""
    return difference(*(measure(scores, target, speakers, replicates, seed) for scores in (a, b)))


def margins(scores: np.ndarray, target: np.ndarray) -> np.ndarray:
    """How far each trial is on the right side of the threshold of the EER, in standard deviations of the scores: (N,), negative: wrong."""
    curve = verification.det_curve(scores, target)
    threshold = curve.threshold[int(np.argmax(curve.p_miss >= curve.p_fa)) - 1]
    return (np.asarray(scores, np.float64) - threshold) * np.where(target, 1, -1) / max(np.std(scores), 1e-12)


def disagreements(a: np.ndarray, b: np.ndarray, most: int) -> tuple[Sequence[int], dict[str, int]]:
    """Trials that one system decides rightly and the other one wrongly, by their `margins` a and b (N,): the rows of the `most` on which
    they are furthest apart, and how many are right in which."""
    right_a, right_b = a >= 0, b >= 0
    differ = np.flatnonzero(right_a != right_b)
    order = differ[np.argsort(-np.abs(a - b)[differ], kind="stable")]
    counts = {"both_right": int((right_a & right_b).sum()), "only_a_right": int((right_a & ~right_b).sum()),
              "only_b_right": int((~right_a & right_b).sum()), "both_wrong": int((~right_a & ~right_b).sum())}
    return order[:most].tolist(), counts
