"""Compares two systems on one list: both are measured on the same resampled speakers, and their decisions are compared trial by trial."""
from collections.abc import Sequence

import numpy as np

from sslspk.metrics import bootstrap, verification
from sslspk.metrics.report import P_TARGETS
from sslspk.metrics.speakers import TrialSpeakers


def compare(a: np.ndarray, b: np.ndarray, target: np.ndarray, speakers: TrialSpeakers, replicates: int = 1000, seed: int = 0) -> dict:
    """{measure: (of a, of b, a - b, lower and upper end of its 95 % interval)} of scores a and b (N,) of the same trials.

    EER in percent, minDCF at P_TARGETS. Each replicate draws the same speakers for both systems, so the effect of a difficult speaker on
    both cancels. Intervals are percentiles. Raises InputError as `verification.checked` does.
    """
    drawn = [bootstrap.speaker_bootstrap(scores, target, speakers.enrol, speakers.test, p_targets=P_TARGETS, replicates=replicates,
                                         seed=seed) for scores in (a, b)]   # one seed: the same speakers
    curves = [verification.det_curve(scores, target) for scores in (a, b)]
    eers = [100 * verification.eer(curve) for curve in curves]
    out = {"eer_percent": (*eers, eers[0] - eers[1], *bootstrap.interval(100 * (drawn[0].eer - drawn[1].eer)))}
    for i, p in enumerate(P_TARGETS):
        costs = [verification.min_dcf(curve, p) for curve in curves]
        ends = bootstrap.interval(drawn[0].min_dcf[:, i] - drawn[1].min_dcf[:, i])
        out[f"min_dcf_{p:g}"] = (*costs, costs[0] - costs[1], *ends)
    return out


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
