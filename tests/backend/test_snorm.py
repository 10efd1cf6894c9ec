"""Score normalisation against slow versions from the equations, and averages over groups."""
import math
import statistics as plain

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from sslspk.backend import snorm
from sslspk.backend.averages import average
from sslspk.backend.base import Backend
from sslspk.backend.cosine import Cosine
from sslspk.errors import InputError


class Planted(Backend):
    """A back-end whose scores depend on the counts of the enrolments, and not by a mere factor, which would cancel."""

    def fit(self, x, labels=None):
        return self

    def transform(self, x):
        return np.asarray(x, float)

    def score(self, enrol, test, counts=None):
        n = np.ones(len(enrol)) if counts is None else np.asarray(counts, float)
        return -np.log(((np.asarray(enrol)[:, None] - np.asarray(test)[None]) ** 2).sum(2) + 1 / n[:, None])

    def score_trials(self, enrol, test, enrol_row, test_row, counts=None):
        return self.score(enrol, test, counts)[enrol_row, test_row]

    def check(self, x, names=None):
        pass


def slow(kind, score, e, t, cohort, top_n):
    """One normalised score, by the book: `score(a, b)` is the raw score of two embeddings, e may be an average."""
    def z(side):
        found = [score(side, c) for c in cohort]
        if kind == "as":
            found = sorted(found, reverse=True)[:top_n]
        return (score(e, t) - plain.fmean(found)) / plain.pstdev(found)
    if kind == "z":
        return z(e)
    if kind == "t":
        return z(t)
    return (z(e) + z(t)) / 2


def fast(kind, backend, enrol, test, rows, cohort, top_n, counts=None, block=snorm.BLOCK):
    top_n = top_n if kind == "as" else None
    each = {"enrol": (enrol, counts), "test": (test, None)}
    found = {side: snorm.statistics(backend, each[side][0], cohort, top_n, counts=each[side][1], block=block)
             for side in snorm.SIDES[kind]}
    return snorm.normalise(backend.score_trials(enrol, test, *rows, *([] if counts is None else [counts])), *rows, **found)


def cosine(a, b):
    return math.fsum(x * y for x, y in zip(a, b, strict=True)) / math.hypot(*a) / math.hypot(*b)


@pytest.mark.parametrize("kind", snorm.SIDES)
@given(seed=st.integers(0, 2**32 - 1), size=st.integers(4, 12), top_n=st.integers(3, 14), block=st.sampled_from((1, 13, 40, 10**6)))
def test_equals_slow_version(kind, seed, size, top_n, block):
    rng = np.random.default_rng(seed)
    enrol, test, cohort = rng.normal(size=(5, 4)), rng.normal(size=(7, 4)), rng.normal(size=(size, 4))
    rows = rng.integers(5, size=9), rng.integers(7, size=9)
    got = fast(kind, Cosine(), enrol, test, rows, cohort, top_n, block=block)
    want = [slow(kind, cosine, enrol[i].tolist(), test[j].tolist(), cohort.tolist(), top_n) for i, j in zip(*rows, strict=True)]
    np.testing.assert_allclose(got, want, rtol=1e-8, atol=1e-8)


@pytest.mark.parametrize("kind", snorm.SIDES)
def test_enrolment_with_several_utterances(kind):
    """The count of a model goes with it to the cohort, in every block; the test is one utterance on its own side."""
    rng = np.random.default_rng(1)
    enrol, test, cohort, counts = rng.normal(size=(6, 3)), rng.normal(size=(5, 3)), rng.normal(size=(11, 3)), np.array([1, 2, 5, 3, 9, 2])
    models = [(*e, n) for e, n in zip(enrol.tolist(), counts.tolist(), strict=True)]

    def score(a, b):
        n = a[3] if len(a) == 4 else 1
        return -math.log(sum((x - y) ** 2 for x, y in zip(a[:3], b, strict=True)) + 1 / n)

    rows = np.arange(30) // 5, np.arange(30) % 5
    want = [slow(kind, score, models[i], test[j].tolist(), cohort.tolist(), 4) for i, j in zip(*rows, strict=True)]
    for block in (1, 22, 10**6):
        np.testing.assert_allclose(fast(kind, Planted(), enrol, test, rows, cohort, 4, counts, block), want, rtol=1e-10)
    one = fast(kind, Planted(), enrol, test, rows, cohort, 4)
    assert np.abs(one - want).max() > 0.01


def test_adaptive_with_the_whole_cohort_is_s_norm():
    rng = np.random.default_rng(2)
    x, cohort = rng.normal(size=(8, 4)), rng.normal(size=(10, 4))
    rows = np.arange(7), np.arange(1, 8)
    s = fast("s", Cosine(), x, x, rows, cohort, None)
    for top_n in (10, 11, 500):  # a cohort smaller than top_n is used whole
        np.testing.assert_array_equal(fast("as", Cosine(), x, x, rows, cohort, top_n), s)
    assert np.abs(fast("as", Cosine(), x, x, rows, cohort, 9) - s).max() > 0.01


def test_no_block_is_larger_than_asked_for():
    seen = []

    class Watched(Cosine):
        def score(self, enrol, test, counts=None):
            seen.append((len(enrol), len(test)))
            return super().score(enrol, test)

    rng = np.random.default_rng(7)
    snorm.statistics(Watched(), rng.normal(size=(23, 4)), rng.normal(size=(10, 4)), 5, block=72)
    assert seen == [(7, 10), (7, 10), (7, 10), (2, 10)]


def test_shift_and_scale_of_the_scores_do_not_matter():
    class Scaled(Cosine):
        def score(self, enrol, test, counts=None):
            return 7 * Cosine().score(enrol, test) - 3

        def score_trials(self, enrol, test, enrol_row, test_row, counts=None):
            return 7 * Cosine().score_trials(enrol, test, enrol_row, test_row) - 3

    rng = np.random.default_rng(3)
    x, cohort = rng.normal(size=(8, 4)), rng.normal(size=(30, 4))
    rows = np.arange(7), np.arange(1, 8)
    for kind in snorm.SIDES:
        np.testing.assert_allclose(fast(kind, Scaled(), x, x, rows, cohort, 10), fast(kind, Cosine(), x, x, rows, cohort, 10))


def test_a_test_utterance_in_the_cohort_is_not_left_out():
    rng = np.random.default_rng(4)
    cohort = rng.normal(size=(20, 4))
    found = snorm.statistics(Cosine(), cohort[:3], cohort, 5)
    for i in range(3):
        top = sorted((cosine(cohort[i], c) for c in cohort), reverse=True)[:5]
        assert top[0] == pytest.approx(1) and found.mean[i] == pytest.approx(plain.fmean(top))


def test_trouble_is_named():
    rng = np.random.default_rng(5)
    x = rng.normal(size=(4, 3))
    with pytest.raises(InputError, match="a cohort of 1 "):
        snorm.statistics(Cosine(), x, x[:1])
    with pytest.raises(InputError, match="--top-n 2"):
        snorm.statistics(Cosine(), x, x, 1)
    copies = np.tile(rng.normal(size=3), (50, 1)) * rng.uniform(1, 2, size=(50, 1))
    with pytest.raises(InputError, match=r"number 0 are all equal \(4 of 4"):
        snorm.statistics(Cosine(), x, copies)
    # Enough copies of one embedding among the nearest have the same effect on some rows only.
    with pytest.raises(InputError, match=r"of utt2 are all equal \(1 of 3"):
        snorm.statistics(Cosine(), np.array([[1.0, 0, 0], [0, 1.0, 0], [0, 0, 1.0]]),
                         np.array([[0, 0.1, 1.0], [0, 0.2, 2.0], [1.0, 0.5, 0.3], [0.6, 1.0, -1]]), 2, names=["utt0", "utt1", "utt2"])
    with pytest.raises(ValueError, match="one side"):
        snorm.normalise(np.zeros(1), np.zeros(1, int), np.zeros(1, int))


def test_average():
    rng = np.random.default_rng(6)
    names, x = list("abcde"), rng.normal(size=(5, 3))
    groups = {"m1": ["b"], "m0": ["e", "a", "c"]}
    got, mean, counts = average(groups, names, x)
    assert got == ["m1", "m0"] and counts.tolist() == [1, 3]
    np.testing.assert_allclose(mean, [x[1], (x[4] + x[0] + x[2]) / 3], rtol=1e-14)
    for bad, named in (({"m": ["a", "z"]}, "FILE: m names z, which is not in DIR"), ({"m": []}, "FILE: m has no utterance"),
                       ({"m": ["a", "b", "a"]}, "FILE: m names a twice")):
        with pytest.raises(InputError, match=named):
            average(bad, names, x, source="FILE", where="DIR")
