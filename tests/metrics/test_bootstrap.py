"""The speaker bootstrap, against lists that are really resampled, trial by trial."""
import runpy
from pathlib import Path

import numpy as np
import pytest

from sslspk.metrics import bootstrap, verification

SIMULATION = runpy.run_path(str(Path(__file__).resolve().parents[2] / "tools/bench/interval_coverage.py"))


def a_list(speakers, trials, seed, distinct=2.0):
    """Scores, labels and speakers; tied scores included."""
    rng = np.random.default_rng(seed)
    enrol, test = rng.integers(speakers, size=(2, trials))
    test = np.where(rng.random(trials) < 0.3, enrol, test)
    target = enrol == test
    offset = rng.normal(size=speakers) * 0.5
    return np.round(rng.normal(size=trials) + distinct * target + offset[enrol], 1), target, enrol, test


def resampled(scores, target, enrol, test, drawn):
    """The list as it reads when every copy of a drawn speaker is a speaker of its own."""
    copies = list(drawn)
    rows = []
    for row in range(len(scores)):
        for i, first in enumerate(copies):
            for j, second in enumerate(copies):
                if first == enrol[row] and second == test[row] and (i == j if target[row] else i != j):
                    rows.append(row)
    return scores[rows], target[rows]


@pytest.mark.parametrize("seed", range(4))
def test_equals_measuring_resampled_lists(seed):
    trials = a_list(6, 120, seed)
    got = bootstrap.speaker_bootstrap(*trials, p_targets=(0.01, 0.3), replicates=8, seed=seed)
    rng = np.random.default_rng(seed)
    for r in range(8):
        while True:
            scores, target = resampled(*trials, rng.integers(6, size=6))
            if 0 < target.sum() < len(target):
                break
        det = verification.det_curve(scores, target)
        assert got.eer[r] == pytest.approx(verification.eer(det), abs=1e-12)
        assert got.min_dcf[r, 0] == pytest.approx(verification.min_dcf(det, 0.01), abs=1e-12)
        assert got.min_dcf[r, 1] == pytest.approx(verification.min_dcf(det, 0.3), abs=1e-12)


def test_seed_decides_and_order_does_not():
    scores, target, enrol, test = a_list(20, 2000, 0)
    first = bootstrap.speaker_bootstrap(scores, target, enrol, test, replicates=5, seed=1)
    mixed = np.random.default_rng(3).permutation(2000)
    again = bootstrap.speaker_bootstrap(scores[mixed], target[mixed], enrol[mixed], test[mixed], replicates=5, seed=1)
    other = bootstrap.speaker_bootstrap(scores, target, enrol, test, replicates=5, seed=2)
    np.testing.assert_allclose(first.eer, again.eer, atol=1e-12)
    assert not np.allclose(first.eer, other.eer)


def test_interval_tells_the_spread_over_speakers():
    """Over fresh lists of new speakers, some 95 % of the intervals hold the EER of a very long list."""
    scores, target, *_ = a_list(2000, 400000, 1)
    truth = verification.eer(verification.det_curve(scores, target))
    held = 0
    for seed in range(40):
        drawn = bootstrap.speaker_bootstrap(*a_list(40, 3000, 100 + seed), replicates=100, seed=seed)
        low, high = bootstrap.interval(drawn.eer)
        held += low <= truth <= high
    assert held >= 33


def test_interval_is_of_percentiles():
    assert bootstrap.interval(np.arange(101.0), 0.9) == pytest.approx((5.0, 95.0))


def test_intervals_of_short_hard_lists_hold_the_truth():
    """Those of percentiles miss the minDCF of a long list; those that are reported hold it."""
    found = SIMULATION["coverage"]("30 speakers, hard", 40, truth=(1000, 50_000, 300_000), replicates=100)
    assert found["percentiles"][1] < 0.8
    assert (found["bias-corrected"] >= 0.88).all()


def test_error_interval_by_hand():
    drawn = np.exp(np.array([-1.0, 0.0, 1.0]) + np.log(0.1))   # mean log 0.1, deviation sqrt(2 / 3)
    low, high = bootstrap.error_interval(0.12, drawn, 1_000_000)
    half = 1.959964 * (2 / 3) ** 0.5
    assert low == pytest.approx(0.144 * np.exp(-half), rel=1e-5) and high == pytest.approx(0.144 * np.exp(half), rel=1e-5)
    assert bootstrap.error_interval(0.12, drawn, 4)[1] > high and bootstrap.error_interval(0.9, drawn, 4)[1] == 1


def test_error_interval_holds_its_value_and_takes_rates_of_zero():
    assert bootstrap.error_interval(0.0, np.zeros(5), 10) == (0.0, 0.0)
    low, high = bootstrap.error_interval(0.0, np.array([0.0, 0.02, 0.0]), 10)
    assert low == 0 and 0.01 < high <= 1
    low, high = bootstrap.error_interval(0.5, np.full(5, 0.3), 10)
    assert low == 0.5 <= high


def test_two_speakers_are_drawn_until_both_are_there():
    target = np.array([True, False])
    drawn = bootstrap.speaker_bootstrap(np.array([1.0, 0.0]), target, np.array([0, 0]), np.array([0, 1]), replicates=20)
    assert (drawn.eer == 0).all()


def test_label_that_contradicts_the_speakers():
    with pytest.raises(ValueError, match="both of its sides"):
        bootstrap.speaker_bootstrap(np.arange(2.0), np.array([True, False]), np.zeros(2, int), np.zeros(2, int))
