"""Gaussian mixtures: densities against scipy, EM steps against scikit-learn and loops, likelihood that never falls, resume, cores."""
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest
from scipy.special import logsumexp
from scipy.stats import multivariate_normal
from sklearn.mixture import GaussianMixture

from sslspk.errors import InputError
from sslspk.ivector import gmm, state, ubm
from sslspk.ivector.config import IvectorConfig
from sslspk.ivector.gmm import Gmm

CONFIG = IvectorConfig(num_gaussians=6, diagonal_iterations=4, full_iterations=3, top_gaussians=4)


def correlated(rng, dim):
    a = rng.standard_normal((dim, dim))
    return a @ a.T + 0.3 * np.eye(dim)


def mixture(seed=0, total=5, dim=3):
    rng = np.random.default_rng(seed)
    weights = rng.dirichlet(np.full(total, 5.0))
    return Gmm(weights, 2 * rng.standard_normal((total, dim)), np.stack([correlated(rng, dim) for _ in range(total)]))


def sample(model, count, seed=1):
    rng = np.random.default_rng(seed)
    which = rng.choice(len(model.weights), count, p=model.weights)
    return np.stack([rng.multivariate_normal(model.means[c], model.covariances[c]) for c in which])


def density(model, x):
    """(T, C) by scipy."""
    covariances = model.covariances if model.full else [np.diag(v) for v in model.covariances]
    return np.log(model.weights) + np.stack([multivariate_normal(m, v).logpdf(x) for m, v in zip(model.means, covariances, strict=True)], 1)


def test_densities():
    model, x = mixture(), sample(mixture(), 50)
    everything = np.tile(np.arange(5), (50, 1))
    np.testing.assert_allclose(gmm.chosen_log_likes(model, x, everything), density(model, x), atol=1e-10)
    np.testing.assert_allclose(gmm.log_likes(model.diagonal(), x), density(model.diagonal(), x), atol=1e-10)


def test_the_likeliest_gaussians_are_chosen(monkeypatch):
    monkeypatch.setattr(gmm, "BLOCK", 16)   # blocks of frames, the last one shorter
    model, x = mixture(total=9).diagonal(), sample(mixture(total=9), 50)
    chosen = gmm.choose(model, x, 3)
    np.testing.assert_array_equal(chosen, np.sort(np.argsort(-density(model, x), axis=1)[:, :3], axis=1))
    np.testing.assert_allclose(gmm.chosen_log_likes(mixture(total=9), x, chosen),
                               np.take_along_axis(density(mixture(total=9), x), chosen, 1), atol=1e-10)
    np.testing.assert_array_equal(gmm.choose(model, x, 20), np.tile(np.arange(9), (50, 1)))


def test_small_shares_go_to_the_others():
    values = np.log([[0.6, 0.38, 0.02], [0.34, 0.33, 0.33]]) + 7
    posterior, total = gmm.shares(values, 0.025)
    np.testing.assert_allclose(posterior, [[0.6 / 0.98, 0.38 / 0.98, 0], [0.34, 0.33, 0.33]])
    np.testing.assert_allclose(total, [7, 7])
    np.testing.assert_allclose(gmm.shares(np.log([[0.4, 0.3, 0.3]]), 0.45)[0], [[1, 0, 0]])   # one always stays


def test_scatter_is_a_sum_over_frames():
    rng = np.random.default_rng(3)
    x, posterior = rng.standard_normal((20, 2)), rng.random((20, 2))
    chosen = np.sort(rng.permuted(np.tile(np.arange(4), (20, 1)), axis=1)[:, :2])
    expected = np.zeros((4, 2, 2))
    for t in range(20):
        for k in range(2):
            expected[chosen[t, k]] += posterior[t, k] * np.outer(x[t], x[t])
    np.testing.assert_allclose(gmm.scatter(gmm.spread(posterior, chosen, 4), x), expected, atol=1e-12)


@pytest.mark.parametrize("kind", ["diag", "full"])
def test_a_step_is_scikit_learns(kind):
    x, start = sample(mixture(), 400), mixture(7)
    start = start.diagonal() if kind == "diag" else start
    inverse = 1 / start.covariances if kind == "diag" else np.linalg.inv(start.covariances)
    oracle = GaussianMixture(5, covariance_type=kind, max_iter=1, reg_covar=0, weights_init=start.weights, means_init=start.means,
                             precisions_init=inverse)
    with pytest.warns(match="converge"):
        oracle.fit(x)
    with ThreadPoolExecutor(2) as pool:
        if kind == "diag":
            found, level = ubm.diagonal_step(start, x, np.full(3, 1e-9), pool)
        else:
            found, level = ubm.full_step(start, x, np.tile(np.arange(5, dtype=np.int32), (400, 1)), np.full(3, 1e-9), pool)
    np.testing.assert_allclose(level, logsumexp(density(start, x), axis=1).mean())
    for name in ("weights", "means", "covariances"):
        np.testing.assert_allclose(getattr(found, name), getattr(oracle, f"{name}_"), rtol=1e-9, atol=1e-12)


def test_floors_and_gaussians_with_few_frames():
    model = mixture(total=2, dim=2)
    counts, first = np.array([50.0, 1.5]), np.array([[50.0, 0], [9, 9]])
    second = np.stack([50 * np.array([[1 + 1e-6, 0], [0, 4.0]]), np.eye(2)])
    found = gmm.update(model, counts, first, second, np.array([0.01, 0.01]))
    np.testing.assert_allclose(found.means, [[1, 0], model.means[1]])
    np.testing.assert_allclose(found.covariances, [[[0.01, 0], [0, 4]], model.covariances[1]], atol=1e-12)
    np.testing.assert_allclose(found.weights, counts / 51.5)
    rows = gmm.update(model.diagonal(), counts, first, np.einsum("cdd->cd", second), np.array([0.01, 0.01]))
    np.testing.assert_allclose(rows.covariances, [[0.01, 4], model.diagonal().covariances[1]], atol=1e-12)
    assert (gmm.update(model, np.array([50.0, 0]), first, second, np.ones(2)).weights > 0).all()


def test_an_eigenvalue_below_the_floor_is_raised_and_the_others_stay():
    turn = np.array([[0.6, -0.8], [0.8, 0.6]])
    low = turn @ np.diag([5.0, 0.001]) @ turn.T
    np.testing.assert_allclose(gmm.floored(np.stack([low, np.eye(2)]), np.full(2, 0.1)),
                               [turn @ np.diag([5.0, 0.1]) @ turn.T, np.eye(2)], atol=1e-12)


def test_training_finds_the_planted_mixture_and_the_likelihood_never_falls(tmp_path):
    planted = Gmm(np.array([0.5, 0.3, 0.2]), np.array([[0.0, 0], [8, 0], [0, 8]]),
                  np.array([[[1, 0.8], [0.8, 1]], [[1, -0.5], [-0.5, 1]], [[2, 0], [0, 0.5]]]))
    x = sample(planted, 6000).astype(np.float32)
    config = IvectorConfig(num_gaussians=3, top_gaussians=3, diagonal_iterations=5, full_iterations=5)
    levels = [level for _, level in ubm.train(tmp_path, x, config, "k", 2)]
    assert len(levels) == 10 and (np.diff(levels) > -1e-9).all()
    found, kept = ubm.load(tmp_path)
    assert kept == config
    order = np.argsort(-found.weights)
    for name, tolerance in (("weights", 0.03), ("means", 0.15), ("covariances", 0.15)):
        np.testing.assert_allclose(getattr(found, name)[order], getattr(planted, name), atol=tolerance)
    assert levels[-1] <= logsumexp(density(found, x), axis=1).mean() + 1e-9
    assert sorted(path.name for path in tmp_path.iterdir()) == ["final.npz"]


FRAMES = sample(mixture(total=6), 900).astype(np.float32)


def test_likelihood_never_falls_with_a_choice_of_gaussians_and_floors(tmp_path):
    config = IvectorConfig(num_gaussians=40, diagonal_iterations=6, full_iterations=6, top_gaussians=5, variance_floor=0.05)
    labels, levels = zip(*ubm.train(tmp_path, FRAMES, config, "k", 1), strict=True)
    assert labels[0] == "diagonal 1/6" and labels[-1] == "full 6/6"
    assert (np.diff(levels[:6]) > -1e-9).all() and (np.diff(levels[6:]) > -1e-9).all()


def test_the_number_of_cores_changes_nothing(tmp_path):
    for nj in (1, 3):
        list(ubm.train(tmp_path / str(nj), FRAMES, CONFIG, "k", nj))
    one, three = (state.load(tmp_path / nj / "final.npz") for nj in ("1", "3"))
    assert all(np.array_equal(one[name], three[name]) for name in ("weights", "means", "covariances"))


@pytest.mark.parametrize("done", range(7))
def test_a_killed_training_goes_on_from_its_last_iteration(tmp_path, done):
    whole = list(ubm.train(tmp_path / "whole", FRAMES, CONFIG, "k", 1))
    killed = ubm.train(tmp_path / "killed", FRAMES, CONFIG, "k", 1)
    begun = [next(killed) for _ in range(done)]
    killed.close()
    assert not (tmp_path / "killed/final.npz").exists()
    assert begun + list(ubm.train(tmp_path / "killed", FRAMES, CONFIG, "k", 1)) == whole
    one, other = (state.load(tmp_path / name / "final.npz") for name in ("whole", "killed"))
    assert all(np.array_equal(one[name], other[name]) for name in one)


def test_another_training_is_not_gone_on_with(tmp_path):
    next(ubm.train(tmp_path, FRAMES, CONFIG, "k", 1))
    with pytest.raises(InputError, match=r"state.npz is of a training with other options or on other data; remove it"):
        next(ubm.train(tmp_path, FRAMES, CONFIG, "other", 1))
    (tmp_path / "state.npz").write_bytes((tmp_path / "state.npz").read_bytes()[:200])
    with pytest.raises(InputError, match=r"state.npz is no whole model"):
        next(ubm.train(tmp_path, FRAMES, CONFIG, "k", 1))
    with pytest.raises(InputError, match=r"final.npz cannot be read"):
        ubm.load(tmp_path)


def test_a_constant_dimension_is_refused(tmp_path):
    x = FRAMES.copy()
    x[:, 1] = 4
    with pytest.raises(InputError, match="dimension 1 of the frames is the same everywhere"):
        next(ubm.train(tmp_path, x, CONFIG, "k", 1))
