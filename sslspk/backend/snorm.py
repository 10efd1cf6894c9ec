"""Score normalisation against a cohort: z, t, s and adaptive s-norm, with the statistics computed once per utterance.

With the mean mu and the standard deviation sd of the scores of one side against the cohort, a score s of enrolment e and test t is

    z    (s - mu_e) / sd_e                                       Reynolds 1997; Auckenthaler et al. 2000 (t)
    t    (s - mu_t) / sd_t
    s    ((s - mu_e) / sd_e + (s - mu_t) / sd_t) / 2             Kenny 2010, whole cohort on both sides
    as   as s, each side with its own top_n highest scores       AS-norm1 of Matejka et al. 2017, "Analysis of Score Normalization
                                                                 in Multilingual Speaker Recognition", equation 5

The standard deviation is that of the scores themselves (divided by their number). A cohort entry is one utterance, or the mean of
a cluster, which counts as one typical utterance. All back-ends score two single utterances alike whichever of them is the enrolment,
so the cohort always stands on the test side. The cohort is taken as it is: an utterance that is also in the trials adds its own
score with itself to its own statistics, among the top_n, so the cohort should be other recordings than the trials.
"""
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

from sslspk.backend.base import Backend
from sslspk.errors import InputError

SIDES = {"z": ("enrol",), "t": ("test",), "s": ("enrol", "test"), "as": ("enrol", "test")}
BLOCK = 2**23  # cohort scores held at once: 64 MiB, the back-end's own arrays of that size come on top
FLAT = 1e-9  # scores are cosines or log-ratios: a spread below this times their size is rounding


class Statistics(NamedTuple):
    """Mean (N,) and standard deviation (N,) of the cohort scores of N utterances or models, float64."""

    mean: np.ndarray
    std: np.ndarray


def statistics(backend: Backend, x: np.ndarray, cohort: np.ndarray, top_n: int | None = None, *,
               counts: np.ndarray | None = None, names: Sequence[str] | None = None, block: int = BLOCK) -> Statistics:
    """Statistics of embeddings (N, D), or of averages of `counts` (N,) embeddings, against a cohort (C, D).

    top_n: of the highest scores of each row only (all of them where the cohort is no larger); None: of all.
    block: scores held at once; memory goes with it and with N + C, not with N x C.
    Raises InputError for a cohort or a top_n below 2, and naming (by `names`, else by number) a row whose cohort scores are all equal.
    """
    size = len(cohort)
    if size < 2:
        raise InputError(f"a cohort of {size} has no spread to normalise with; give a cohort of hundreds of utterances.")
    if top_n is not None and top_n < 2:
        raise InputError(f"the {top_n} highest scores have no spread to normalise with; give --top-n 2 or more (300 is usual).")
    out = Statistics(np.empty(len(x)), np.empty(len(x)))
    rows = max(1, block // size)
    for start in range(0, len(x), rows):
        part = slice(start, start + rows)
        scores = backend.score(x[part], cohort, None if counts is None else counts[part])
        if top_n is not None and top_n < size:
            scores.partition(size - top_n, axis=1)
            scores = scores[:, size - top_n:]
        out.mean[part], out.std[part] = scores.mean(1), scores.std(1)
    flat = np.flatnonzero(out.std <= FLAT * (1 + np.abs(out.mean)))
    if len(flat):
        name = f"number {flat[0]}" if names is None else names[flat[0]]
        raise InputError(f"the cohort scores of {name} are all equal ({len(flat)} of {len(x)} such), no spread to normalise "
                         "with; give a cohort of different utterances, or a larger --top-n.")
    return out


def normalise(scores: np.ndarray, enrol_row: np.ndarray, test_row: np.ndarray, *,
              enrol: Statistics | None = None, test: Statistics | None = None) -> np.ndarray:
    """Normalised scores (T,) of trials that compare enrolment enrol_row[t] with test test_row[t].

    With the statistics of one side z- or t-norm, with both the mean of the two. Raises ValueError without any.
    """
    sides = [(scores - side.mean[row]) / side.std[row] for side, row in ((enrol, enrol_row), (test, test_row)) if side is not None]
    if not sides:
        raise ValueError("statistics of one side at least are needed")
    return sum(sides) / len(sides)
