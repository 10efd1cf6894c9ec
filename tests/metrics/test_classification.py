"""Measures of classes, against scikit-learn, hand-worked cases and lists that are really resampled."""
import numpy as np
import pytest
from sklearn import metrics as oracle

from sslspk.metrics import class_report
from sslspk.metrics import classification as ours


def a_list(seed, n=60, classes=4, missing=()):
    rng = np.random.default_rng(seed)
    truth = rng.choice([c for c in range(classes) if c not in missing], size=n)
    predicted = np.where(rng.random(n) < 0.6, truth, rng.integers(classes, size=n))
    return truth, predicted


@pytest.mark.parametrize("missing", [(), (1,), (0, 3)])
@pytest.mark.parametrize("seed", range(3))
def test_equals_scikit_learn(seed, missing):
    truth, predicted = a_list(seed, missing=missing)
    table = ours.confusion(truth, predicted, 4)
    np.testing.assert_array_equal(table, oracle.confusion_matrix(truth, predicted, labels=range(4)))
    assert ours.weighted_accuracy(table) == pytest.approx(oracle.accuracy_score(truth, predicted))
    assert ours.unweighted_accuracy(table) == pytest.approx(oracle.recall_score(truth, predicted, labels=np.unique(truth), average="macro"))
    for mine, average in ((ours.macro_f1, "macro"), (ours.micro_f1, "micro")):
        assert mine(table) == pytest.approx(oracle.f1_score(truth, predicted, average=average, zero_division=0))
    expected = oracle.precision_recall_fscore_support(truth, predicted, labels=range(4), zero_division=0)
    for got, known in zip(ours.per_class(table), expected, strict=True):
        np.testing.assert_allclose(got, known, atol=1e-15)
    values = truth + 0.25, predicted - 0.5
    assert ours.rmse(*values) == pytest.approx(oracle.root_mean_squared_error(*values))


def test_by_hand():
    """Of 3 a two are right, of 1 b none, c never occurs and is said once: recalls 2/3 and 0."""
    table = ours.confusion([0, 0, 0, 1], [0, 0, 2, 0], 3)
    assert table.tolist() == [[2, 0, 1], [1, 0, 0], [0, 0, 0]]
    assert (ours.weighted_accuracy(table), ours.unweighted_accuracy(table)) == (0.5, pytest.approx(1 / 3))
    assert ours.macro_f1(table) == pytest.approx(2 / 9) and ours.micro_f1(table) == 0.5
    assert ours.rmse([1, 2], [2, 4]) == pytest.approx(2.5 ** 0.5)


def test_what_cannot_be_measured():
    for truth, predicted in (([], []), ([0, 1], [0]), ([0, 3], [0, 1]), ([0, 1], [-1, 1])):
        with pytest.raises(ValueError):
            ours.confusion(np.array(truth, int), np.array(predicted, int), 3)
    with pytest.raises(ValueError):
        ours.rmse([], [])
    with pytest.raises(ValueError, match="mean, vote"):
        ours.pool(np.eye(2), np.array([0, 0]), "median")


def test_pooling_by_hand():
    """Group 0: the mean says class 1, two of three votes class 0. Group 1: one vote each, tied, and the mean says class 2."""
    posteriors = np.array([[.5, .4, .1], [.5, .4, .1], [0, 1, 0], [.6, 0, .4], [.1, 0, .9]])
    group = np.array([0, 0, 0, 1, 1])
    np.testing.assert_allclose(ours.pool(posteriors, group, "mean"), [[1 / 3, .6, .2 / 3], [.35, 0, .65]])
    np.testing.assert_allclose(ours.pool(posteriors, group, "vote"), [[2 / 3, 1 / 3, 0], [.5, 0, .5]])
    assert ours.decide(posteriors, group, "mean").tolist() == [1, 2]
    assert ours.decide(posteriors, group, "vote").tolist() == [0, 2]
    order = np.array([4, 0, 3, 2, 1])
    assert ours.decide(posteriors[order], group[order], "vote").tolist() == [0, 2]
    alone = np.arange(5)
    assert ours.decide(posteriors, alone, "mean").tolist() == ours.decide(posteriors, alone, "vote").tolist() == [0, 0, 1, 0, 2]


@pytest.mark.parametrize("seed", range(3))
def test_bootstrap_equals_resampled_lists(seed):
    truth, predicted = a_list(seed)
    speaker = np.random.default_rng(seed + 9).integers(7, size=60)
    speaker[:7] = range(7)
    drawn = ours.speaker_bootstrap(truth, predicted, speaker, 4, replicates=5, seed=seed)
    errors = ours.rmse_bootstrap(truth, predicted, speaker, replicates=5, seed=seed)
    rng = np.random.default_rng(seed)
    for wa, ua, error in zip(*drawn, errors, strict=True):
        rows = np.concatenate([np.flatnonzero(speaker == spk) for spk in rng.integers(7, size=7)])
        assert wa == pytest.approx(oracle.accuracy_score(truth[rows], predicted[rows]))
        assert ua == pytest.approx(oracle.balanced_accuracy_score(truth[rows], predicted[rows]))
        assert error == pytest.approx(oracle.root_mean_squared_error(truth[rows], predicted[rows]))


def test_thousands_of_speakers_may_be_the_classes():
    """The memory of a table of classes by classes for each speaker would be 100 GB."""
    truth = np.arange(2400)
    drawn = ours.speaker_bootstrap(truth, np.where(truth % 2, truth, 0), truth, 2400, replicates=20)
    assert drawn.wa.shape == (20,) and np.allclose(drawn.wa.mean(), 0.5, atol=0.02) and np.all(np.abs(drawn.ua - 0.5) < 0.1)


def test_report_over_folds():
    """Fold 1: 2 of 2 right, fold 2: 1 of 4; in one pot 3 of 6."""
    folds = [class_report.Fold(np.array([0, 1]), np.array([0, 1]), np.array(["a", "b"])),
             class_report.Fold(np.array([0, 0, 1, 1]), np.array([0, 1, 0, 0]), np.array(["c", "c", "d", "a"]))]
    out = class_report.classes(folds, ["x", "y"], replicates=20)
    assert [fold["wa_percent"] for fold in out["folds"]] == [100, 25] and out["wa_percent"] == 50 and out["items"] == 6
    assert out["mean"]["wa_percent"] == 62.5 and out["std"]["wa_percent"] == pytest.approx(np.std([100, 25], ddof=1))
    assert out["speakers"] == 4 and out["wa_percent_low"] <= 50 <= out["wa_percent_high"] and out["confusion"] == [[2, 1], [2, 1]]
    assert out["per_class"]["y"] == {"precision_percent": 50, "recall_percent": pytest.approx(100 / 3), "f1_percent": pytest.approx(40),
                                     "count": 3}
    text = "\n".join(class_report.lines(out))
    assert "fold 2          4     25.00     25.00" in text and "deviation" in text and "20 replicates over 4 speakers" in text
    alone = class_report.classes([folds[1]._replace(speaker=None)], ["x", "y"])
    assert alone["std"]["ua_percent"] is None and "wa_percent_low" not in alone and "deviation" not in "\n".join(class_report.lines(alone))
    figures = class_report.numbers([folds[0], folds[1]], replicates=0)
    assert figures["rmse"] == pytest.approx(0.5 ** 0.5) and "rmse_low" not in figures and "RMSE" in class_report.lines(figures)[0]
