"""How much the figures would change with other speakers: a bootstrap over speakers, on scores that are sorted only once.

A replicate draws as many speakers as there are, with replacement, and takes every drawn copy for a speaker of its own. Let m_s
be how often speaker s was drawn. A target trial of speaker s then counts m_s times, once within each copy; a non-target
trial of speakers s and t counts m_s m_t times, once for each pair of copies. Trials between two copies of one speaker
are neither and do not count. One draw serves both sides of a trial, since the same people stand on both; where they do not
(users and items), Owen 2007, "The pigeonhole bootstrap", Ann. Appl. Stat. 1(2), draws the two sides apart.
"""
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

from sslspk.metrics.verification import checked, corners, crossing, dcf


class Replicates(NamedTuple):
    """Measures of R resampled lists: eer (R,), min_dcf (R, P) at the P priors asked for."""

    eer: np.ndarray
    min_dcf: np.ndarray


def speaker_bootstrap(scores: np.ndarray, target: np.ndarray, enrol_speaker: np.ndarray, test_speaker: np.ndarray, *,
                      p_targets: Sequence[float] = (0.01, 0.05), replicates: int = 200, seed: int = 0) -> Replicates:
    """EER and minDCF of `replicates` lists with resampled speakers.

    scores, target: (N,); enrol_speaker, test_speaker: (N,) integers from 0 on. Time goes with N times replicates (580,000
    trials: some 4 ms each), memory with N. The same seed gives the same figures.
    Raises InputError as `checked` does, ValueError when a label contradicts the speakers.
    """
    scores, target = checked(scores, target)
    if not np.array_equal(enrol_speaker == test_speaker, target):
        raise ValueError("a trial is a target exactly when both of its sides are one speaker")
    order = np.argsort(scores)
    target = target[order]
    rejected = corners(scores[order], target)
    enrol, test = enrol_speaker[order], test_speaker[order]
    of_targets = np.append(0, np.cumsum(target))[rejected]
    owner = enrol[target]
    pair = enrol[~target], test[~target]
    speakers = int(max(enrol.max(), test.max())) + 1
    del scores, order, enrol, test
    miss, alarm = _Counter((owner,), of_targets), _Counter(pair, rejected - of_targets)
    rng = np.random.default_rng(seed)
    out = Replicates(np.empty(replicates), np.empty((replicates, len(p_targets))))
    for r in range(replicates):
        p_miss, rejected_nontargets = _draw(rng, speakers, miss, alarm)
        p_fa = 1.0 - rejected_nontargets
        out.eer[r] = crossing(p_miss, p_fa)
        for column, p_target in enumerate(p_targets):
            out.min_dcf[r, column] = dcf(p_miss, p_fa, p_target).min()
    return out


def interval(values: np.ndarray, confidence: float = 0.95) -> tuple[float, float]:
    """Percentile interval of the replicates' values (R,): its lower and upper end."""
    tail = (1 - confidence) / 2
    low, high = np.quantile(values, [tail, 1 - tail])
    return float(low), float(high)


def error_interval(value: float, replicates: np.ndarray, speakers: int, confidence: float = 0.95) -> tuple[float, float]:
    """Interval of an error rate or normalised cost, 0 to 1, from its replicates (R,) over so many speakers: its lower and upper end.

    A minDCF is the smallest of many costs, so that few errors decide it, and lists with copies of speakers give smaller ones than the
    list gives, as the list does next to a long one. So the bias of the replicates is taken off, on a logarithmic scale, and the width is
    Student's t of speakers - 1 degrees of freedom times their deviation. On short hard lists such intervals hold the minDCF of a very long
    list in 93 to 100 % of the cases, percentiles in 62 to 93 (tools/bench/interval_coverage.py measures it).
    """
    from scipy.special import stdtrit  # imported here, so that --help does not wait for it

    positive = np.append(replicates[replicates > 0], value if value > 0 else [])
    if not len(positive):
        return 0.0, 0.0
    floor = positive.min() / 2   # of what has no logarithm
    centre, drawn = np.log(max(value, floor)), np.log(np.maximum(replicates, floor))
    middle = 2 * centre - drawn.mean()
    half = stdtrit(max(speakers - 1, 1), (1 + confidence) / 2) * drawn.std()
    low, high = np.exp(middle - half), np.exp(middle + half)
    return float(min(low, value)), float(min(max(high, value), 1.0))


class _Counter:
    """The share of the resampled trials of one kind below each threshold, in buffers that are made once."""

    def __init__(self, speakers: tuple[np.ndarray, ...], below: np.ndarray):
        """speakers: one or two codes (N,) of trials in the order of their scores; below: (M,) how many are rejected."""
        self.speakers, self.below = speakers, below
        self.total = np.zeros(len(speakers[0]) + 1)
        self.factor = np.empty(len(speakers[0])) if len(speakers) == 2 else None

    def shares(self, drawn: np.ndarray) -> np.ndarray | None:
        """(M,) from 0 to 1 for speakers drawn (S,) times; None when none of the trials was drawn."""
        weight = self.total[1:]
        np.take(drawn, self.speakers[0], out=weight, mode="clip")
        if self.factor is not None:
            np.take(drawn, self.speakers[1], out=self.factor, mode="clip")
            weight *= self.factor
        np.cumsum(weight, out=weight)
        return self.total[self.below] / weight[-1] if weight[-1] > 0 else None


def _draw(rng: np.random.Generator, speakers: int, miss: _Counter, alarm: _Counter) -> tuple[np.ndarray, np.ndarray]:
    """Draw speakers until both kinds of trial are there: one of each has three speakers at most, so it is soon."""
    while True:
        drawn = np.bincount(rng.integers(speakers, size=speakers), minlength=speakers).astype(np.float64)
        p_miss, rejected_nontargets = miss.shares(drawn), alarm.shares(drawn)
        if p_miss is not None and rejected_nontargets is not None:
            return p_miss, rejected_nontargets
