"""PLDA against Kaldi's numbers, against joint Gaussians written out, and its training against its own likelihood."""
from pathlib import Path

import numpy as np
import pytest
from scipy import stats

from sslspk.backend import plda_model as pm
from sslspk.metrics import verification

GOLDEN = Path(__file__).parents[1] / "golden"
KALDI = np.load(GOLDEN / "kaldi_backend.npz")
# Kaldi's compute-eer (percent) and minDCF at 0.01 and 0.05
FIGURES = {("plda", 1): (3.333, 0.4804, 0.2735), ("plda", 3): (1.333, 0.3667, 0.1252),
           ("plda_adapt_sre16", 1): (3.333, 0.4533, 0.3279), ("plda_adapt_sre16", 3): (1.333, 0.3672, 0.1360)}


def kaldi(name):
    return pm.Plda(*(KALDI[f"{name}.{part}"] for part in ("mean", "transform", "psi")))


def train_norm():
    """Kaldi's train_norm: centred, LDA, length norm (a tenth of it is golden; the rest follows from LDA, which is)."""
    x = KALDI["train"] - KALDI["train"].mean(0, dtype=np.float64)
    x = x @ KALDI["lda"][:, :-1].T.astype(np.float64) + KALDI["lda"][:, -1]
    x *= np.sqrt(32) / np.linalg.norm(x, axis=1, keepdims=True)
    np.testing.assert_allclose(x[::10], KALDI["train_norm_10th"], atol=2e-6)
    return x


def same(found, expected, atol):
    """Equal models: rows of a transform may have the other sign."""
    sign = np.sign((found.transform * expected.transform).sum(1, keepdims=True))
    np.testing.assert_allclose(found.mean, expected.mean, atol=atol)
    np.testing.assert_allclose(found.psi, expected.psi, atol=atol * expected.psi.max())
    np.testing.assert_allclose(sign * found.transform, expected.transform, atol=atol * np.abs(expected.transform).max())


@pytest.mark.parametrize(("iterations", "name"), [(1, "plda_1iter"), (10, "plda")])
def test_training_is_kaldis(iterations, name):
    same(pm.train_two_covariance(pm.sums(train_norm(), KALDI["speaker"]), iterations), kaldi(name), 1e-5)
    # Trained on the very numbers, not on what float32 left of them, both agree to 1e-12.


def test_adaptation_is_kaldis():
    same(pm.adapt(kaldi("plda"), KALDI["adapt_norm"].astype(np.float64)), kaldi("plda_adapt_sre16"), 3e-7)


@pytest.mark.parametrize(("name", "count"), FIGURES)
def test_scores_and_figures_are_kaldis(name, count):
    trials, scores = np.load(GOLDEN / "kaldi_cosine.npz"), np.load(GOLDEN / "kaldi_scores.npz")
    model, counts = kaldi(name), np.full(30, count)
    x = trials["test"] - trials["mean"]
    x = x @ KALDI["lda"][:, :-1].T.astype(np.float64) + KALDI["lda"][:, -1]
    x *= np.sqrt(32) / np.linalg.norm(x, axis=1, keepdims=True)
    m, u = model.project(KALDI[f"enrol{count}_norm"].astype(np.float64), counts), model.project(x)
    found = pm.score_pairs(model, m, u, trials["model"], trials["utterance"], counts)
    np.testing.assert_allclose(found, scores[f"{name.replace('plda_', '')}_e{count}"], atol=1e-4)
    det = verification.det_curve(found, trials["target"])
    eer, *costs = FIGURES[name, count]
    assert 100 * verification.eer(det) == pytest.approx(eer, abs=0.67)
    assert [verification.min_dcf(det, p) for p in (0.01, 0.05)] == pytest.approx(costs, abs=1e-4)


def planted(rng, dim=3, between=None, within=None):
    a, b = rng.normal(size=(2, dim, dim))
    return rng.normal(size=dim), (b @ b.T + np.eye(dim) if within is None else within), (a @ a.T if between is None else between)


@pytest.mark.parametrize("count", [1, 2, 5])
def test_a_ratio_is_that_of_the_joint_gaussians(count):
    """All enrolment utterances and the test written as one vector: log N(same speaker) - log N(enrolment) - log N(test).

    The average is all that the ratio sees of several utterances, in the model as in the joint density.
    """
    rng = np.random.default_rng(count)
    mean, within, between = planted(rng)
    model = pm.diagonalised(mean, within, between)
    x = rng.multivariate_normal(mean, between + within, size=(4, count + 1))
    enrol = x[:, :count].mean(1)
    counts = np.full(4, count)
    got = pm.score_all(model, model.project(enrol, counts, False), model.project(x[:, count], normalise=False), counts)

    def joint(n):
        return np.kron(np.ones((n, n)), between) + np.kron(np.eye(n), within)

    for i in range(4):
        for j in range(4):
            values = np.concatenate([x[i, :count].ravel(), x[j, count]])
            each = stats.multivariate_normal.logpdf
            want = (each(values, np.tile(mean, count + 1), joint(count + 1)) - each(values[:-3], np.tile(mean, count), joint(count))
                    - each(values[-3:], mean, joint(1)))
            assert got[i, j] == pytest.approx(want, abs=1e-8)


def test_pairs_and_blocks_are_all_pairs(monkeypatch):
    rng = np.random.default_rng(0)
    model = pm.diagonalised(*planted(rng, 5))
    m, u, counts = rng.normal(size=(7, 5)), rng.normal(size=(9, 5)), np.array([1, 3, 1, 2, 3, 1, 8])
    whole = pm.score_all(model, m, u, counts)
    rows, columns = rng.integers(7, size=50), rng.integers(9, size=50)
    np.testing.assert_array_equal(pm.score_pairs(model, m, u, rows, columns, counts), whole[rows, columns])
    monkeypatch.setattr(pm, "BLOCK", 8)
    monkeypatch.setattr(pm, "DENSE", 0)
    np.testing.assert_allclose(pm.score_pairs(model, m, u, rows, columns, counts), whole[rows, columns], atol=1e-12)
    np.testing.assert_allclose(pm.score_all(model, m, u)[0], whole[0], atol=1e-12)
    np.testing.assert_allclose(pm.score_all(model, m, u), pm.score_all(model, u, m).T, atol=1e-12)


def sample(rng, mean, within, between, counts):
    speakers = rng.multivariate_normal(np.zeros(len(mean)), between, size=len(counts))
    code = np.repeat(np.arange(len(counts)), counts)
    return mean + speakers[code] + rng.multivariate_normal(np.zeros(len(mean)), within, size=len(code)), code


def log_likelihood(x, code, mean, within, between):
    """Of all data: each speaker's utterances are one Gaussian vector."""
    total = 0.0
    for c in np.unique(code):
        own = x[code == c]
        n = len(own)
        covariance = np.kron(np.ones((n, n)), between) + np.kron(np.eye(n), within)
        total += stats.multivariate_normal.logpdf(own.ravel(), np.tile(mean, n), covariance, allow_singular=True)
    return total


@pytest.mark.parametrize("train", [pm.train_two_covariance, lambda data, n: pm.train_simplified(data, n, 2)])
def test_the_likelihood_never_falls(train):
    rng = np.random.default_rng(3)
    mean, within, between = planted(rng, 4)
    x, code = sample(rng, mean, within, between, rng.integers(1, 6, size=30))
    levels = []
    for iterations in range(1, 8):
        model = train(pm.sums(x, code), iterations)
        b, w = model.covariances()
        levels.append(log_likelihood(x, code, model.mean, w, b))
    # Kaldi's mean is that of the speakers' means and stays; given it, every iteration is one of EM.
    assert (np.diff(levels) > -1e-7).all() and levels[-1] > levels[0]


def test_planted_covariances_are_found():
    rng = np.random.default_rng(5)
    mean, within, between = planted(rng, 3)
    x, code = sample(rng, mean, within, between, rng.integers(2, 9, size=6000))
    b, w = pm.train_two_covariance(pm.sums(x, code), 40).covariances()
    np.testing.assert_allclose(w, within, atol=0.05 * np.abs(within).max())
    np.testing.assert_allclose(b, between, atol=0.06 * np.abs(between).max())


def test_a_planted_subspace_is_found():
    rng = np.random.default_rng(6)
    v = rng.normal(size=(5, 2))
    mean, within, _ = planted(rng, 5)
    x, code = sample(rng, mean, within, v @ v.T, rng.integers(2, 9, size=4000))
    model = pm.train_simplified(pm.sums(x, code), 40, 2)
    b, w = model.covariances()
    assert (model.psi > 1e-6).sum() == 2 and np.allclose(model.psi[2:], 0, atol=1e-9)
    np.testing.assert_allclose(b, v @ v.T, atol=0.08 * np.abs(v @ v.T).max())
    np.testing.assert_allclose(w, within, atol=0.05 * np.abs(within).max())
    np.testing.assert_allclose(model.mean, mean, atol=0.2)


def test_smoothing_adds_the_between_class_covariance():
    model = pm.diagonalised(*planted(np.random.default_rng(7), 4))
    (b, w), (b2, w2) = model.covariances(), model.smoothed(0.3).covariances()
    np.testing.assert_allclose(b2, b, atol=1e-10)
    np.testing.assert_allclose(w2, w + 0.3 * b, atol=1e-10)


def test_normalised_lengths_are_what_is_expected():
    model = pm.diagonalised(*planted(np.random.default_rng(8), 4))
    u = model.project(np.random.default_rng(9).normal(size=(6, 4)), np.arange(1, 7))
    np.testing.assert_allclose((u ** 2 / (model.psi + 1 / np.arange(1, 7)[:, None])).sum(1), 4)


def test_singular_within_class_covariance_is_floored():
    """Fewer degrees of freedom than dimensions, and repeated embeddings: finite scores, targets above non-targets."""
    rng = np.random.default_rng(10)
    x = np.repeat(rng.normal(size=(4, 10)), 2, axis=0)
    x[::2] += 0.1 * rng.normal(size=(4, 10))
    x[:2] = x[0]
    for train in (pm.train_two_covariance, lambda data, n: pm.train_simplified(data, n, 2)):
        model = train(pm.sums(x, np.repeat(np.arange(4), 2)), 10)
        u = model.project(x)
        scores = pm.score_all(model, u[::2], u[1::2])
        assert np.isfinite(scores).all() and np.diag(scores).min() > scores[~np.eye(4, dtype=bool)].max()


@pytest.mark.parametrize("kind", ["two_covariance", "simplified"])
def test_speakers_whose_embeddings_are_copies(kind):
    """The within-class covariance is nothing but rounding there; what it is raised to is a share of the total one."""
    rng = np.random.default_rng(0)
    x = np.repeat(rng.normal(size=(20, 8)), 4, 0)
    data = pm.sums(x, np.repeat(np.arange(20), 4))
    model = pm.train_two_covariance(data, 10) if kind == "two_covariance" else pm.train_simplified(data, 10, 4)
    _, within = model.covariances()
    total = np.linalg.eigvalsh(np.cov(x.T, bias=True))[-1]
    assert np.linalg.eigvalsh(within)[0] > 0.9 * pm.FLOOR * total
    m = model.project(x[::4])
    scores = pm.score_all(model, m, m)
    assert np.abs(scores).max() < 8 * 8 / pm.FLOOR    # u' W^-1 u of unit variance at the floor, dimension by dimension
    assert np.diag(scores).min() > (scores - 1e9 * np.eye(20)).max()
