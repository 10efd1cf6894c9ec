"""Cavg against loops over languages and segments, cases by hand, and lists that are really resampled."""
import math

import numpy as np
import pytest

from sslspk.metrics import class_report
from sslspk.metrics import languages as ours


def slow_cavg(ratios, truth, p, c_miss=1.0, c_fa=1.0):
    """The definition, segment by segment."""
    threshold = math.log(c_fa * (1 - p) / (c_miss * p))
    languages, total = sorted(set(truth)), 0.0
    for target in languages:
        own = [row[target] for row, one in zip(ratios, truth, strict=True) if one == target]
        cost = c_miss * p * sum(value < threshold for value in own) / len(own)
        for other in languages:
            if other != target:
                values = [row[target] for row, one in zip(ratios, truth, strict=True) if one == other]
                cost += c_fa * (1 - p) / (len(languages) - 1) * sum(value >= threshold for value in values) / len(values)
        total += cost
    return total / len(languages)


def a_list(seed, n=80, classes=5, missing=()):
    rng = np.random.default_rng(seed)
    truth = rng.choice([c for c in range(classes) if c not in missing], size=n)
    scores = rng.normal(0, 1, (n, classes)) + 2 * np.eye(classes)[truth]
    return np.exp(scores) / np.exp(scores).sum(1, keepdims=True), truth


@pytest.mark.parametrize("p", [0.5, 0.1])
@pytest.mark.parametrize(("seed", "missing"), [(0, ()), (1, ()), (2, (0, 3))])
def test_cavg_equals_the_definition(seed, missing, p):
    posteriors, truth = a_list(seed, missing=missing)
    ratios = ours.likelihood_ratios(posteriors)
    for row, ratio in zip(posteriors, ratios, strict=True):
        for c in range(5):
            others = [row[k] for k in range(5) if k != c]
            assert ratio[c] == pytest.approx(math.log(row[c] / (sum(others) / 4)))
    costs = {"c_miss": 2.0, "c_fa": 0.5}
    assert ours.cavg(ratios, truth, p) == pytest.approx(slow_cavg(ratios.tolist(), truth.tolist(), p))
    assert ours.cavg(ratios, truth, p, **costs) == pytest.approx(slow_cavg(ratios.tolist(), truth.tolist(), p, **costs))


def test_cavg_by_hand():
    """All right: 0. Nothing accepted: p. Of two of language 0 one is taken for 1 (of 3 languages): (.5 * .5 + .25 * .5) / 3."""
    sure = np.log(np.array([[.98, .01, .01], [.98, .01, .01], [.01, .98, .01], [.01, .01, .98]]) * 2)
    truth = np.array([0, 0, 1, 2])
    assert ours.cavg(sure, truth) == 0
    assert ours.cavg(np.full((4, 3), -1.0), truth) == 0.5
    assert ours.cavg(sure[[0, 2, 2, 3]], truth) == pytest.approx((0.25 + 0.25 * 0.5) / 3)
    certain = ours.likelihood_ratios(np.eye(3))
    assert np.isfinite(certain).all() and ours.cavg(certain, np.arange(3)) == 0
    with pytest.raises(ValueError, match="two languages"):
        ours.cavg(sure[:2], truth[:2])


def test_intervals_are_those_of_resampled_lists():
    """A replicate counts a speaker as often as it is drawn; a language that is not drawn is no target."""
    from sslspk.metrics.classification import draws
    posteriors, truth = a_list(3, n=40, classes=3)
    ratios, speaker = ours.likelihood_ratios(posteriors), np.random.default_rng(0).integers(6, size=40)
    speaker[truth == 2] = 5
    got = ours.cavg_bootstrap(ratios, truth, speaker, replicates=30, seed=4)
    for value, drawn in zip(got, draws(6, 30, 4), strict=True):
        rows = [i for who, times in enumerate(drawn) for i in np.flatnonzero(speaker == who) for _ in range(times)]
        assert value == pytest.approx(slow_cavg(ratios[rows].tolist(), truth[rows].tolist(), 0.5))
    assert len({round(value, 6) for value in got}) > 10


def test_the_report_has_the_cost_where_posteriors_are_given():
    posteriors, truth = a_list(5)
    speaker = np.arange(len(truth)) // 4
    said = class_report.classes([class_report.Fold(truth[part], posteriors[part].argmax(1), speaker[part], posteriors[part])
                                 for part in (slice(0, 40), slice(40, 80))], list("abcde"), replicates=50)
    ratios = ours.likelihood_ratios(posteriors)
    assert said["cavg_percent"] == pytest.approx(100 * slow_cavg(ratios.tolist(), truth.tolist(), 0.5))
    assert said["cavg_percent_low"] < said["cavg_percent"] < said["cavg_percent_high"]
    assert any(line.startswith("Cavg") for line in class_report.lines(said))
    plain = class_report.classes([class_report.Fold(truth, posteriors.argmax(1), speaker)], list("abcde"), replicates=5)
    assert "cavg_percent" not in plain
