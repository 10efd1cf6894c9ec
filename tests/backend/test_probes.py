"""Probes on embeddings: what each classifier learns, how C is chosen, and what is refused."""
import numpy as np
import pytest
from scipy import stats

from sslspk.backend import plda_model, probes
from sslspk.backend.config_probe import ProbeConfig
from sslspk.backend.probes import Probe
from sslspk.config import check
from sslspk.errors import InputError

pytestmark = pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning")   # of few passes
KINDS = ("logistic", "linear_svm", "rbf_svm", "mlp", "knn", "plda")
QUICK = {"mlp": {"iterations": 300}, "logistic": {"grid": (0.01, 1.0)}, "linear_svm": {"grid": (0.01,)}, "rbf_svm": {"grid": (1.0,)}}


def config(kind, **more):
    return check(ProbeConfig, {"classifier": kind, **QUICK.get(kind, {}), **more}, "the test")


def data(seed=0, speakers=10, classes=3, utts=4, dim=6, apart=2.0):
    """Every speaker says `utts` of each class; speakers differ too. Embeddings (N, D), labels, speakers."""
    centre = apart * np.random.default_rng(99).normal(size=(classes, dim))
    rng = np.random.default_rng(seed)
    own = rng.normal(size=(speakers, dim))
    spk, label = (a.ravel() for a in np.meshgrid(np.arange(speakers), np.repeat(np.arange(classes), utts), indexing="ij"))
    x = 3 + centre[label] + own[spk] + rng.normal(size=(len(spk), dim))
    return x, [f"class{c}" for c in label], [f"s{s}" for s in spk]


@pytest.mark.parametrize("classes", [2, 3])
@pytest.mark.parametrize("kind", KINDS)
def test_every_classifier_tells_classes_of_new_speakers(kind, classes):
    new, labels, _ = data(1, classes=classes)
    found = Probe(config(kind)).fit(*data(classes=classes))
    posteriors = found.predict(new)
    assert found.classes_ == [f"class{c}" for c in range(classes)] and posteriors.shape == (len(new), classes)
    np.testing.assert_allclose(posteriors.sum(1), 1, atol=1e-9)
    assert np.mean(np.array(found.classes_)[posteriors.argmax(1)] == labels) > 0.8
    assert (found.C_ is None) == (kind in ("mlp", "knn", "plda"))
    np.testing.assert_array_equal(Probe(config(kind)).fit(*data(classes=classes)).predict(new), posteriors)


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("front", [{"length_norm": True}, {"pca": 2}, {"pca": 1.0, "standardise": False}])
def test_what_stands_before(kind, front):
    new, labels, _ = data(1)
    found = Probe(config(kind, **front)).fit(*data())
    assert np.mean(np.array(found.classes_)[found.predict(new).argmax(1)] == labels) > 0.6


def test_front_by_hand():
    x = np.array([[3.0, 4.0, 5.0], [0.0, 2.0, 5.0], [1.0, 0.0, 5.0], [2.0, 2.0, 5.0]])
    front = probes.Front.fit(x, config("logistic"))
    np.testing.assert_allclose(front.apply(x), np.c_[stats.zscore(x[:, :2]), np.zeros(4)])
    front = probes.Front.fit(x, config("logistic", length_norm=True, standardise=False, pca=2))
    unit = x / np.linalg.norm(x, axis=1, keepdims=True)
    assert front.apply(x).shape == (4, 2)
    centred = unit - unit.mean(0)
    np.testing.assert_allclose(np.sort(np.var(front.apply(x), axis=0)), np.linalg.eigvalsh(centred.T @ centred / 4)[1:], atol=1e-12)
    assert probes.Front.fit(x, config("logistic", pca=1.0)).matrix.shape[0] == 3
    few = probes.Front.fit(np.random.default_rng(0).normal(size=(45, 6)), config("plda"))
    assert few.matrix.shape == (6, 4), "ten embeddings for each dimension"


def test_knn_equals_counting():
    """Shares of the five nearest by cosine, in the standardised space, over what each class has in training."""
    x, labels, speakers = data()
    x, labels, speakers = x[:-3], labels[:-3], speakers[:-3]
    new = data(2)[0][:9]
    front = probes.Front.fit(x, config("knn"))
    a, b = front.apply(new), front.apply(x)
    cosine = (a @ b.T) / np.linalg.norm(a, axis=1)[:, None] / np.linalg.norm(b, axis=1)
    nearest = np.array(labels)[np.argsort(-cosine, axis=1)[:, :5]]
    names = sorted(set(labels))
    plain = np.array([[(row == name).mean() for name in names] for row in nearest])
    weighed = plain / [labels.count(name) for name in names]
    for balanced, expected in ((False, plain), (True, weighed / weighed.sum(1, keepdims=True))):
        got = Probe(config("knn", neighbours=5, balanced=balanced)).fit(x, labels, speakers).predict(new)
        np.testing.assert_allclose(got, expected, atol=1e-12)


def test_plda_equals_the_posterior_of_gaussians():
    """With many embeddings a class mean is known: log-likelihood ratios by scipy's densities, with the model's own covariances."""
    x, labels, speakers = data(utts=30)
    new = data(3)[0][:5]
    front = probes.Front.fit(x, config("plda"))
    code = np.unique(labels, return_inverse=True)[1]
    model = plda_model.train_two_covariance(plda_model.sums(front.apply(x), code), 10)
    between, within = model.covariances()
    counts = np.bincount(code)
    logs = []
    for c in range(3):
        mean = front.apply(x)[code == c].mean(0) - model.mean
        gain = between @ np.linalg.inv(between + within / counts[c])   # of a Gaussian mean, given the average of n
        centre, spread = model.mean + gain @ mean, between - gain @ between + within
        logs.append(stats.multivariate_normal(centre, spread).logpdf(front.apply(new)))
    expected = np.exp(logs - np.max(logs, axis=0)).T
    got = Probe(config("plda")).fit(x, labels, speakers).predict(new)
    np.testing.assert_allclose(got, expected / expected.sum(1, keepdims=True), atol=1e-6)


def test_ridge_equals_its_equation():
    x, _, speakers = data()
    y = x @ [1, -2, 0, 0, 3, 0] + np.random.default_rng(0).normal(size=len(x))
    new = data(1)[0]
    found = Probe(config("ridge", C=0.1)).fit(x, y, speakers)
    z, w = (probes.Front.fit(x, config("ridge")).apply(part) for part in (x, new))
    weights = np.linalg.solve(z.T @ z + 10 * np.eye(6), z.T @ (y - y.mean()))
    np.testing.assert_allclose(found.predict(new)[:, 0], w @ weights + y.mean())
    assert found.classes_ is None and found.C_ == 0.1


def test_c_is_chosen_on_speakers_that_were_not_trained_on():
    """RMSE over held-out speakers, computed again by hand for each C; of equals the smallest C is taken."""
    from sklearn.model_selection import GroupKFold
    x, _, speakers = data(speakers=6)
    y = x @ [1, -2, 0, 0, 3, 0] + 4 * np.random.default_rng(0).normal(size=len(x))
    found = Probe(config("ridge", folds=3, grid=(10.0, 1e-3, 1e-1))).fit(x, y, speakers)
    errors = {}
    for c in (1e-3, 1e-1, 10.0):
        said = np.empty(len(x))
        for train, held in GroupKFold(3).split(x, y, speakers):
            assert not {speakers[i] for i in train} & {speakers[i] for i in held}
            said[held] = Probe(config("ridge", C=c)).fit(x[train], y[train], [speakers[i] for i in train]).predict(x[held])[:, 0]
        errors[c] = np.sqrt(np.mean((said - y) ** 2))
    assert found.chosen_ == pytest.approx(errors) and min(errors, key=errors.get) == found.C_
    easy = Probe(config("logistic", grid=(1.0, 0.1))).fit(*data(apart=60.0))
    assert easy.chosen_ == {0.1: 1.0, 1.0: 1.0} and easy.C_ == 0.1


def test_speakers_cannot_help_in_the_choice():
    """Labels that belong to speakers alone, in dimensions that tell who speaks: by speakers held out they are worth nothing."""
    rng = np.random.default_rng(0)
    speaker = np.repeat(np.arange(20), 10)
    label = rng.permutation(np.arange(20) % 2)[speaker]
    x = 9 * rng.normal(size=(20, 30))[speaker] + rng.normal(size=(200, 30))
    chosen = Probe(config("logistic", grid=(1.0,))).fit(x, [f"c{i}" for i in label], [f"s{i}" for i in speaker]).chosen_
    assert chosen[1.0] < 0.75, "held-out utterances of the same speakers would give 1"


def test_rare_classes_count_alike():
    x, labels, speakers = data(apart=0.6)
    keep = [i for i, label in enumerate(labels) if label != "class0" or i % 4 == 0]
    x, labels, speakers = x[keep], [labels[i] for i in keep], [speakers[i] for i in keep]
    new, true, _ = data(5, apart=0.6, utts=20)
    for kind in KINDS:
        share = [np.mean(Probe(config(kind, balanced=balanced)).fit(x, labels, speakers).predict(new)[:, 0]) for balanced in (False, True)]
        assert share[0] < share[1], kind
    assert true.count("class0") == 200


@pytest.mark.parametrize(("kind", "change", "said"), [
    ("logistic", {"labels": ["a"] * 120}, "class a"), ("plda", {"labels": ["a"] * 120}, "two classes"),
    ("logistic", {"speakers": ["s"] * 120}, "of 1 speaker, fewer than the 5 folds"),
    ("ridge", {"labels": [1.0] * 120, "speakers": ["s", "t", "u", "v"] * 30}, "--set folds=2 to 4, or --set C=1"),
    ("linear_svm", {"speakers": ["s", "t"] * 60, "C": 1.0}, "the SVM's posteriors"),
    ("rbf_svm", {"labels": ["a"] * 118 + ["b"] * 2, "C": 1.0}, "class b has 2 training utterances, fewer than the 5 folds"),
    ("logistic", {"labels": ["a"] * 108 + ["b"] * 12}, "class b stays in all training parts"),
    ("knn", {"neighbours": 121}, "too few for knn"),
    ("mlp", {"nan": True}, "holds NaN"), ("logistic", {"zero": True}, "is zero"), ("plda", {"same": True}, "are the same"),
])
def test_what_teaches_nothing(kind, change, said):
    x, labels, speakers = data()
    if "nan" in change:
        x[3, 1] = np.inf
    if "zero" in change:
        x[4] = 0
    if "same" in change:
        x[:] = 1
    options = {key: value for key, value in change.items() if key in ("C", "neighbours")}
    with pytest.raises(InputError, match=said):
        Probe(config(kind, **options)).fit(x, change.get("labels", labels), change.get("speakers", speakers))


def test_a_bad_test_row_is_named_and_a_choice_is_not_needed():
    x, labels, _ = data()
    found = Probe(config("logistic", C=1.0)).fit(x, labels, ["one"] * len(x))
    assert found.C_ == 1.0 and found.chosen_ == {}
    x[7, 2] = np.nan
    with pytest.raises(InputError, match="u7 holds NaN"):
        found.predict(x, [f"u{i}" for i in range(len(x))])
    with pytest.raises(InputError, match=r"pca 2\.5"):
        config("logistic", pca=2.5)


def by_passes(**more):
    """An mlp as steps/probe.sh trains one with --valid."""
    return config("mlp", **{"hidden": (8,), "balanced": False, "standardise": False, "centre": False, "mlp_l2": 0.0, "batch_size": 16,
                            "iterations": 40, "patience": 5, **more})


def test_an_mlp_takes_the_pass_with_the_lowest_validation_loss():
    """The weights are those of an equal training that ends there; without patience it makes all its passes."""
    x, labels, speakers = data()
    held = data(5)[:2]
    one = Probe(by_passes(lr=0.05)).fit(x, labels, speakers, held)
    assert 0 < one.passes_ < 40
    again = Probe(by_passes(lr=0.05, iterations=one.passes_, patience=None)).fit(x, labels, speakers, held)
    new = data(7)[0]
    np.testing.assert_array_equal(one.predict(new), again.predict(new))

    def loss(count):
        told = Probe(by_passes(lr=0.05, iterations=count, patience=None)).fit(x, labels, speakers, held)
        assert told.passes_ <= count
        share = told.predict(held[0])
        return -np.log(share[np.arange(len(share)), [told.classes_.index(name) for name in held[1]]]).mean()
    assert loss(one.passes_) == loss(one.passes_ + 4) < loss(one.passes_ - 1)   # the passes after the best one leave no trace


@pytest.mark.parametrize(("activation", "xor"), [("relu", True), ("none", False)])
def test_layers_without_an_activation_stay_linear(activation, xor):
    """The product of two signs cannot be told by any linear map."""
    rng = np.random.default_rng(0)
    x = rng.normal(size=(400, 2))
    labels = ["same" if a * b > 0 else "other" for a, b in x]
    probe = Probe(by_passes(activation=activation, hidden=(16, 16), lr=0.01, iterations=60, patience=None))
    probe.fit(x[:300], labels[:300], ["s"] * 300, (x[300:], labels[300:]))
    right = np.mean([probe.classes_[row.argmax()] == name for row, name in zip(probe.predict(x[300:]), labels[300:], strict=True)])
    assert (right > 0.9) == xor


@pytest.mark.filterwarnings("ignore::RuntimeWarning")   # of weights that grow beyond bounds
def test_validation_needs_an_mlp_of_plain_classes():
    x, labels, speakers = data()
    for wrong in (config("logistic"), by_passes(balanced=True)):
        with pytest.raises(InputError, match="set classifier=mlp and balanced=false"):
            Probe(wrong).fit(x, labels, speakers, data(5)[:2])
    with pytest.raises(InputError, match="not finite after 0 passes; give a smaller lr"):
        Probe(by_passes()).fit(1e37 * x, labels, speakers, (1e37 * x[::2], labels[::2]))
    with pytest.raises(InputError, match="set centre: true"):
        config("mlp", centre=False)
