"""Calibration and fusion: planted log-ratios come back, the optimum is that of a separately written cost."""
import math

import numpy as np
import pytest
from scipy import optimize

from sslspk.backend import calibration
from sslspk.config import check
from sslspk.errors import InputError
from sslspk.metrics import verification

MODEL = {"systems": ["a"], "weights": [2.0], "offset": -1.0, "p_target": 0.05, "labels": "speaker", "trials": "t", "trials_md5": "0",
         "pairs_md5": "1", "targets": 1, "nontargets": 1}


def ratios(rng, targets, nontargets, sigma):
    """Gaussian log-ratios that are their own log-ratio: targets N(s^2/2, s^2), non-targets N(-s^2/2, s^2); and the labels."""
    target = np.arange(targets + nontargets) < targets
    return rng.normal(np.where(target, 0.5, -0.5) * sigma**2, sigma), target


def cost(theta, columns, target, p, ridge):
    """The cost that calibration.py states, trial by trial; theta: weights of the scaled columns, then the offset of the log-ratio."""
    total, prior = 0.5 * ridge * sum(w * w for w in theta[:-1]), math.log(p / (1 - p))
    targets = sum(target)
    for row, same in zip(columns, target, strict=True):
        ratio = sum(w * z for w, z in zip(theta[:-1], row, strict=True)) + theta[-1]
        exponent = -(ratio + prior) if same else ratio + prior
        loss = max(exponent, 0) + math.log1p(math.exp(-abs(exponent)))
        total += loss * (p / targets if same else (1 - p) / (len(target) - targets))
    return total


def min_cllr(scores, target):
    """Cllr of the best monotone map: pool adjacent violators, with the list's own prior taken off again."""
    from sklearn.isotonic import isotonic_regression
    order = np.lexsort((~target, scores))  # of equal scores the targets first: together they make one step
    posterior = isotonic_regression(target[order].astype(float))
    with np.errstate(divide="ignore"):
        ratio = np.log(posterior) - np.log1p(-posterior) - math.log(target.sum() / (~target).sum())
    labels = target[order]
    bits = np.logaddexp(0, -ratio[labels]).mean() + np.logaddexp(0, ratio[~labels]).mean()
    return bits / (2 * math.log(2))


@pytest.mark.parametrize("p_target", [0.01, 0.05, 0.5])
def test_planted_map_comes_back(p_target):
    rng = np.random.default_rng(0)
    ratio, target = ratios(rng, 60_000, 120_000, 2.5)
    weights, offset = calibration.fit((0.05 * ratio + 0.4)[:, None], target, p_target)  # ratio = 20 score - 8
    assert weights[0] == pytest.approx(20, rel=0.02) and offset == pytest.approx(-8, rel=0.02)


def test_calibrated_on_another_list():
    rng = np.random.default_rng(1)
    ratio, target = ratios(rng, 20_000, 40_000, 3.0)
    weights, offset = calibration.fit((0.05 * ratio + 0.4)[:, None], target, 0.05)
    ratio, target = ratios(rng, 30_000, 30_000, 3.0)
    scores = 0.05 * ratio + 0.4
    got = scores * weights[0] + offset
    det = verification.det_curve(got, target)
    assert verification.cllr(scores, target) > 0.85
    assert verification.cllr(got, target) == pytest.approx(min_cllr(got, target), rel=0.02)
    assert verification.cllr(got, target) == pytest.approx(verification.cllr(ratio, target), rel=0.01)
    for p_target in (0.01, 0.05):
        assert verification.act_dcf(got, target, p_target) == pytest.approx(verification.min_dcf(det, p_target), rel=0.05)
        assert verification.act_dcf(scores, target, p_target) > 0.99


def test_fusion_adds_the_ratios_of_independent_systems():
    rng = np.random.default_rng(2)
    (one, target), (two, _) = (ratios(rng, 60_000, 60_000, sigma) for sigma in (1.5, 2.0))
    weights, offset = calibration.fit(np.stack([one, two], 1), target, 0.3)
    np.testing.assert_allclose([*weights, offset], [1, 1, 0], atol=0.03)
    fused = np.stack([one, two], 1) @ weights + offset
    assert verification.cllr(fused, target) < 0.8 * min(verification.cllr(one, target), verification.cllr(two, target))


def test_a_quality_measure_moves_the_threshold():
    """Scores shifted by a measure: the fit takes it off again."""
    rng = np.random.default_rng(3)
    ratio, target = ratios(rng, 40_000, 40_000, 2.0)
    sides = calibration.two_sides(*rng.normal(1, 1, size=(2, len(ratio))))
    weights, _ = calibration.fit(np.column_stack([ratio + 3 * sides[:, 0] - 2 * sides[:, 1], sides]), target, 0.3)
    np.testing.assert_allclose(weights, [1, -3, 2], atol=0.06)


@pytest.mark.parametrize(("p_target", "ridge"), [(0.05, calibration.RIDGE), (0.5, calibration.RIDGE), (0.2, 0.1)])
def test_optimum_of_the_stated_cost(p_target, ridge):
    rng = np.random.default_rng(4)
    ratio, target = ratios(rng, 40, 90, 1.5)
    columns = np.column_stack([0.3 * ratio + 0.1, rng.normal(5, 2, size=130)])
    weights, offset = calibration.fit(columns, target, p_target, ridge)
    scale = columns.std(0)
    theta = np.append(weights * scale, offset + weights @ columns.mean(0))
    arguments = ((columns - columns.mean(0)) / scale).tolist(), target.tolist(), p_target, ridge
    best = optimize.minimize(cost, np.zeros(3), arguments, method="BFGS", options={"gtol": 1e-8})
    np.testing.assert_allclose(theta, best.x, atol=2e-5)
    assert cost(theta, *arguments) <= best.fun + 1e-12


def test_units_of_the_columns_do_not_matter():
    rng = np.random.default_rng(5)
    ratio, target = ratios(rng, 50, 200, 2.0)
    columns = np.column_stack([ratio, rng.normal(size=250)])
    weights, offset = calibration.fit(columns, target, 0.05)
    other, shifted = calibration.fit(columns * [1e-4, 1e5] + [3, -1e5], target, 0.05)
    np.testing.assert_allclose((columns * [1e-4, 1e5] + [3, -1e5]) @ other + shifted, columns @ weights + offset, atol=1e-5)


def test_kinds_that_a_threshold_tells_apart_give_finite_weights():
    columns, target = np.array([[-3.0], [-1.0], [1.0], [2.0]]), np.array([False, False, True, True])
    weights, offset = calibration.fit(columns, target, 0.05)
    ratio = columns[:, 0] * weights[0] + offset
    assert np.isfinite([*weights, offset]).all() and 1 < weights[0] < 1000
    assert (ratio[:2] < -5).all() and (ratio[2:] > 5).all() and verification.cllr(ratio, target) < 0.01


def test_a_column_without_information():
    rng = np.random.default_rng(6)
    ratio, target = ratios(rng, 500, 500, 2.0)
    alone, offset = calibration.fit(ratio[:, None], target, 0.05)
    weights, same = calibration.fit(np.column_stack([ratio, np.full(1000, 0.1)]), target, 0.05)
    assert weights[1] == 0
    np.testing.assert_allclose([weights[0], same], [alone[0], offset], atol=1e-6)
    twice, _ = calibration.fit(np.column_stack([ratio, ratio]), target, 0.05)
    np.testing.assert_allclose(twice, alone[0] / 2, atol=1e-3)


def test_trouble_is_named():
    columns, target = np.array([[1.0], [2.0]]), np.array([True, False])
    for bad, named in (((columns, [True, True], 0.05), "no non-target trial among 2"), ((columns, [False, False], 0.05), "no target trial"),
                       ((columns, target, 0.0), "--p-target 0 "), ((columns, target, 1.0), "--p-target 1 "),
                       ((np.array([[1.0], [math.nan]]), target, 0.05), "trial 2 is NaN")):
        with pytest.raises(InputError, match=named):
            calibration.fit(*bad)


def test_measures():
    assert calibration.two_sides(np.array([1.0, 5.0]), np.array([2.0, 4.0])).tolist() == [[1, 2], [4, 5]]
    assert calibration.log_durations({"a": "1.0", "b": "2.5"}) == {"a": 0.0, "b": pytest.approx(math.log(2.5))}
    for bad in ("0", "-1", "nan", "inf", "long"):
        with pytest.raises(InputError, match=f"FILE: the duration of b is '{bad}'"):
            calibration.log_durations({"a": "1.0", "b": bad}, "FILE")
    assert calibration.magnitudes(np.array([[3.0, 4.0], [0.0, 0.0]])).tolist() == [5, 0]
    with pytest.raises(InputError, match="of utt1 holds NaN"):
        calibration.magnitudes(np.array([[3.0, 4.0], [0.0, math.inf]]), ["utt0", "utt1"])


def test_model_file():
    model = check(calibration.Calibration, MODEL | {"quality": ["magnitude"], "weights": [2.0, 1.0, 3.0]}, "m.json")
    assert model.apply(np.array([[1.0, 0.5, 0.25]])).tolist() == [2.25]
    for change, named in (({"weights": [1.0, 2.0]}, "2 weights for 1 columns"), ({"quality": ["loudness"]}, "quality"),
                          ({"offset": math.nan}, "offset"), ({"colour": 1}, "unknown key colour")):
        with pytest.raises(InputError, match=rf"m\.json: .*{named}"):
            check(calibration.Calibration, MODEL | change, "m.json")
