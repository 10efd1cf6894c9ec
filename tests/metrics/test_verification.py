"""One DET curve, against golden figures, hand-worked lists, and a slow version in fractions."""
import itertools
import math
from fractions import Fraction
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from sslspk.errors import InputError
from sslspk.metrics import verification as v

GOLDEN = Path(__file__).parents[1] / "golden"
# Kaldi's compute-eer (percent) and minDCF at 0.01 and 0.05 on kaldi_scores.npz.
KALDI = {
    "adapt_sre16_e1": (3.333, 0.4533, 0.3279), "adapt_sre16_e3": (1.333, 0.3672, 0.1360),
    "cosine_e1": (12.0, 0.8867, 0.6668), "cosine_e3": (5.333, 0.5533, 0.4105),
    "plda_e1": (3.333, 0.4804, 0.2735), "plda_e3": (1.333, 0.3667, 0.1252),
}


@st.composite
def trial_lists(draw):
    """Scores and labels with many ties, both classes present."""
    values = st.lists(st.integers(-6, 6), min_size=1, max_size=30)
    targets, nontargets = draw(values), draw(values)
    labelled = [(x, True) for x in targets] + [(x, False) for x in nontargets]
    labelled = draw(st.permutations(labelled))
    return np.array([x for x, _ in labelled], float), np.array([y for _, y in labelled])


def slow_points(scores, target):
    """(p_miss, p_fa) as fractions at every threshold that tells two lists apart, accept-all first."""
    tar = [x for x, y in zip(scores.tolist(), target.tolist(), strict=True) if y]
    non = [x for x, y in zip(scores.tolist(), target.tolist(), strict=True) if not y]
    return [(Fraction(sum(x < t for x in tar), len(tar)), Fraction(sum(x >= t for x in non), len(non)))
            for t in [*sorted({*tar, *non}), math.inf]]


def slow_eer(points):
    """Walk along the ROC, and solve for the diagonal on the piece that meets it."""
    for (m0, f0), (m1, f1) in itertools.pairwise(points):
        if m0 <= f0 and m1 >= f1:
            share = (f0 - m0) / ((f0 - m0) + (m1 - f1))
            return m0 + share * (m1 - m0)
    raise AssertionError("the ROC does not meet the diagonal")


def test_voxsrc21_golden():
    golden = np.load(GOLDEN / "voxsrc21_scores.npz")
    scores = golden["thousandths"] / 1000
    target = np.unpackbits(golden["target"])[:len(scores)].astype(bool)
    det = v.det_curve(scores, target)
    assert (len(scores), target.sum()) == (60000, 29969)
    assert round(100 * v.eer(det), 4) == 5.1765
    assert round(v.min_dcf(det, 0.05), 4) == 0.2928
    assert round(v.min_dcf(det, 0.01), 4) == 0.4261


@pytest.mark.parametrize("system", KALDI)
def test_kaldi_golden(system):
    golden = np.load(GOLDEN / "kaldi_scores.npz")
    det = v.det_curve(golden[system], golden["target"])
    eer, dcf01, dcf05 = KALDI[system]
    # Kaldi stops at a whole target, of which there are 150.
    assert 100 * v.eer(det) == pytest.approx(eer, abs=100 / 150 + 1e-3)
    assert v.min_dcf(det, 0.01) == pytest.approx(dcf01, abs=1e-4)
    assert v.min_dcf(det, 0.05) == pytest.approx(dcf05, abs=1e-4)


def test_hand_worked():
    scores = np.array([4.0, 3.0, 1.0, 2.0, 0.0, -1.0])
    target = np.array([True, True, True, False, False, False])
    det = v.det_curve(scores, target)
    # Rejecting from below: two non-targets, a target, a non-target, two targets.
    np.testing.assert_array_equal(det.threshold, [-1, 1, 2, 3, np.inf])
    np.testing.assert_allclose(det.p_miss, [0, 0, 1 / 3, 1 / 3, 1])
    np.testing.assert_allclose(det.p_fa, [1, 1 / 3, 1 / 3, 0, 0], atol=1e-15)
    assert v.eer(det) == pytest.approx(1 / 3)
    assert v.min_dcf(det, 0.5) == pytest.approx(1 / 3)
    assert v.min_dcf(det, 0.01) == pytest.approx(1 / 3)
    assert v.min_dcf(det, 0.9, c_miss=1, c_fa=1) == pytest.approx(1 / 3)


def test_one_score_for_all_is_chance():
    det = v.det_curve(np.zeros(7), np.arange(7) < 3)
    np.testing.assert_array_equal(det.p_miss, [0, 1])
    np.testing.assert_array_equal(det.p_fa, [1, 0])
    assert v.eer(det) == 0.5
    assert v.min_dcf(det, 0.05) == 1.0


def test_accepting_everything_is_a_threshold():
    """The scores are upside down, so that at a high prior nothing beats accepting all."""
    det = v.det_curve(np.array([0.0, 1.0]), np.array([True, False]))
    assert v.min_dcf(det, 0.9) == pytest.approx(1.0)
    assert v.eer(det) == 1.0


@given(trial_lists(), st.sampled_from([0.01, 0.05, 0.5, 0.9]))
def test_equals_slow_version(trials, prior):
    scores, target = trials
    points = slow_points(scores, target)
    det = v.det_curve(scores, target)
    assert v.eer(det) == pytest.approx(float(slow_eer(points)), abs=1e-12)
    slow = min(prior * m + (1 - prior) * f for m, f in points) / min(prior, 1 - prior)
    assert v.min_dcf(det, prior) == pytest.approx(float(slow), abs=1e-12)
    corners = set(zip(det.p_miss.round(9).tolist(), det.p_fa.round(9).tolist(), strict=True))
    assert corners <= {(round(float(m), 9), round(float(f), 9)) for m, f in points}


@given(trial_lists())
def test_only_order_matters(trials):
    scores, target = trials
    det = v.det_curve(scores, target)
    for change in (lambda x: 3 * x - 7, np.exp, lambda x: x ** 3):
        other = v.det_curve(change(scores), target)
        np.testing.assert_array_equal(det.p_miss, other.p_miss)
        np.testing.assert_array_equal(det.p_fa, other.p_fa)


@given(trial_lists())
def test_negated_scores_and_swapped_labels_mirror_the_curve(trials):
    scores, target = trials
    det, mirrored = v.det_curve(scores, target), v.det_curve(-scores, ~target)
    np.testing.assert_allclose(det.p_miss, mirrored.p_fa[::-1], atol=1e-12)
    assert v.eer(det) == pytest.approx(v.eer(mirrored), abs=1e-12)


@given(trial_lists(), st.integers(2, 4))
def test_repeating_all_trials_changes_nothing(trials, times):
    scores, target = trials
    det = v.det_curve(scores, target)
    again = v.det_curve(np.tile(scores, times), np.tile(target, times))
    assert v.eer(det) == pytest.approx(v.eer(again), abs=1e-12)
    assert v.min_dcf(det, 0.05) == pytest.approx(v.min_dcf(again, 0.05), abs=1e-12)


@given(trial_lists(), st.sampled_from([0.01, 0.05, 0.5]), st.sampled_from([1.0, 10.0]))
def test_act_dcf_is_a_cost_of_the_curve(trials, prior, c_miss):
    scores, target = trials
    threshold = math.log((1 - prior) / (c_miss * prior))
    miss = np.mean(scores[target] < threshold)
    alarm = np.mean(scores[~target] >= threshold)
    expected = (c_miss * prior * miss + (1 - prior) * alarm) / min(c_miss * prior, 1 - prior)
    assert v.act_dcf(scores, target, prior, c_miss) == pytest.approx(expected)
    assert v.min_dcf(v.det_curve(scores, target), prior, c_miss) <= expected + 1e-12


@given(trial_lists())
def test_cllr_equals_its_definition(trials):
    scores, target = trials
    of_targets = [math.log2(1 + math.exp(-x)) for x in scores[target]]
    of_others = [math.log2(1 + math.exp(x)) for x in scores[~target]]
    expected = 0.5 * (sum(of_targets) / len(of_targets) + sum(of_others) / len(of_others))
    assert v.cllr(scores, target) == pytest.approx(expected)


def test_cllr_of_scores_that_say_nothing_is_one_bit():
    assert v.cllr(np.zeros(5), np.arange(5) < 2) == pytest.approx(1.0)
    assert v.cllr(np.array([900.0, -900.0]), np.array([True, False])) == 0.0
    assert v.cllr(np.array([-900.0, 900.0]), np.array([True, False])) == pytest.approx(900 / math.log(2))


def test_calibrated_scores_have_small_act_dcf():
    rng = np.random.default_rng(0)
    target = np.arange(40000) < 20000
    scores = rng.normal(size=40000) * 3 + np.where(target, 4.5, -4.5)  # d' = 3: the score is its own log ratio
    det = v.det_curve(scores, target)
    for prior in (0.01, 0.05):
        assert v.act_dcf(scores, target, prior) == pytest.approx(v.min_dcf(det, prior), rel=0.15)
    assert v.eer(det) == pytest.approx(0.0668, abs=0.003)  # Phi(-1.5)


@pytest.mark.parametrize("bad", [np.nan, np.inf, -np.inf])
def test_score_that_is_no_number_is_named(bad):
    with pytest.raises(InputError, match="trial 3"):
        v.det_curve(np.array([0.0, 1.0, bad]), np.array([True, False, True]))


@pytest.mark.parametrize(("label", "missing"), [(True, "non-target"), (False, "target")])
def test_one_class_only(label, missing):
    for measure in (v.det_curve, v.cllr, lambda s, t: v.act_dcf(s, t, 0.01)):
        with pytest.raises(InputError, match=f"no {missing} trial"):
            measure(np.zeros(3), np.full(3, label))


def test_impossible_prior_and_shapes():
    det = v.det_curve(np.array([0.0, 1.0]), np.array([False, True]))
    for prior in (0.0, 1.0, 2.0, math.nan):
        with pytest.raises(InputError, match="prior"):
            v.min_dcf(det, prior)
    with pytest.raises(ValueError, match="expected"):
        v.det_curve(np.zeros((2, 2)), np.zeros((2, 2)))
