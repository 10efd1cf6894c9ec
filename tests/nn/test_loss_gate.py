"""The gate on losses: where two Gaussians cross, and what is remembered."""
import math

import numpy as np
import pytest
import torch

from sslspk.nn.loss_gate import LossGate, LossWeights, crossing


def test_crossing_of_two_planted_gaussians():
    """Equal spreads: log v - (x-m)^2/2s^2 = log w - (x-n)^2/2s^2 gives x = (m+n)/2 + s^2 log(v/w) / (n-m)."""
    rng = np.random.default_rng(0)
    x = np.concatenate([rng.normal(-2, 0.5, 60000), rng.normal(1, 0.5, 20000)])
    assert crossing(x) == pytest.approx(-0.5 + 0.25 * math.log(3) / 3, abs=0.03)


def test_crossing_lies_where_the_weighted_densities_are_equal():
    from sklearn.mixture import GaussianMixture
    rng = np.random.default_rng(1)
    x = np.concatenate([rng.normal(0, 0.3, 3000), rng.normal(2, 1.0, 3000)])
    at, fitted = crossing(x), GaussianMixture(2, means_init=np.quantile(x, [[0.1], [0.9]]), max_iter=200, random_state=0).fit(x[:, None])
    density = [w * math.exp(-(at - m) ** 2 / (2 * v)) / math.sqrt(v)
               for w, m, v in zip(fitted.weights_, fitted.means_[:, 0], fitted.covariances_[:, 0, 0], strict=True)]
    assert fitted.means_.min() < at < fitted.means_.max() and density[0] == pytest.approx(density[1], rel=1e-3)


def test_no_crossing_lets_all_pass():
    """Of few wide values around nearly the same mean as many narrow ones, the narrow ones are denser at both means."""
    assert crossing(np.zeros(50)) == math.inf  # all alike
    rng = np.random.default_rng(0)
    x = np.concatenate([rng.normal(-0.3, 2.0, 500), rng.normal(0, 0.3, 9500)])
    for values in (x, -x):
        mixture = fitted(values)
        order = np.argsort(mixture.means_[:, 0])
        inside = np.linspace(*mixture.means_[order, 0], 1000)
        low, high = (weighted_density(mixture, component, inside) for component in order)
        assert abs(mixture.means_).max() < 0.6 and ((low < high).all() or (low > high).all()), "so the case is what it is said to be"
        assert crossing(values) == math.inf


@pytest.mark.parametrize("seed", range(20))
def test_at_the_gate_the_component_of_low_losses_gives_way(seed):
    rng = np.random.default_rng(seed)
    spreads, sizes, gap = rng.uniform(0.2, 2, 2), rng.integers(300, 3000, 2), rng.uniform(0.5, 5)
    x = np.concatenate([rng.normal(0, spreads[0], sizes[0]), rng.normal(gap, spreads[1], sizes[1])])
    at, mixture = crossing(x), fitted(x)
    order = np.argsort(mixture.means_[:, 0])
    inside = np.linspace(*mixture.means_[order, 0], 10_001)
    low, high = (weighted_density(mixture, component, inside) for component in order)
    changes = np.flatnonzero((low > high)[:-1] & (low <= high)[1:])
    assert np.count_nonzero(np.diff(low > high)) == len(changes) <= 1, "the lower component never takes over again"
    if len(changes):
        assert inside[changes[0]] <= at <= inside[changes[0] + 1]
    else:
        assert at == math.inf


def fitted(x):
    from sklearn.mixture import GaussianMixture
    return GaussianMixture(2, means_init=np.quantile(x, [[0.1], [0.9]]), max_iter=200, random_state=0).fit(x[:, None])


def weighted_density(mixture, component, x):
    w, m, v = mixture.weights_[component], mixture.means_[component, 0], mixture.covariances_[component, 0, 0]
    return w * np.exp(-(x - m) ** 2 / (2 * v)) / np.sqrt(v)


def test_what_is_remembered_and_fitted():
    gate = LossGate(2000)
    assert gate.threshold == math.inf
    gate.fit()
    assert gate.threshold == math.inf  # nothing seen yet
    rng = np.random.default_rng(2)
    good, bad = np.exp(rng.normal(-2, 0.4, 900)), np.exp(rng.normal(2, 0.4, 900))
    gate.record(torch.tensor(good), torch.arange(900))
    gate.record(torch.tensor(bad), torch.arange(900, 1800))
    gate.fit()
    assert -1 < math.log(gate.threshold) < 1
    assert gate.losses[1800:].isnan().all() and gate.losses[5] == pytest.approx(good[5], rel=1e-6)
    other = LossGate(2000)
    other.load_state_dict(gate.state_dict())
    assert other.threshold == gate.threshold
    gate.fix(0.5)
    assert gate.threshold == 0.5


def test_a_share_passes_whatever_the_gate():
    gate = LossGate(12)
    gate.believe(0.5)
    assert gate.threshold == math.inf   # nothing seen yet
    losses = torch.tensor([5.0, 1, 4, 2, 3, 9, 8, 7, 6, 10])
    gate.record(losses, torch.arange(10))
    for threshold, share, passed in ((0.5, 0.5, 5), (0.5, 0.0, 0), (8.5, 0.5, 8), (0.5, 1.0, 9), (math.inf, 0.5, 10)):
        gate.fix(threshold)
        gate.believe(share)
        assert int((losses < gate.threshold).sum()) == passed, (threshold, share)


@pytest.mark.parametrize("seed", range(3))
def test_weights_are_the_chance_of_the_lower_gaussian(seed):
    """Against the mixture's own posterior; below the lower mean the weight is what it is there."""
    rng = np.random.default_rng(seed)
    x = np.concatenate([rng.normal(-1, 0.5, 600), rng.normal(1.5, 1.0, 400)])
    weights = LossWeights(1200)
    assert (weights.weight == 1).all()
    weights.fit()
    assert (weights.weight == 1).all()   # nothing seen yet
    weights.record(torch.tensor(np.exp(x)), torch.arange(1000))
    weights.fit()
    mixture = fitted(np.log(weights.losses[:1000].double().numpy()))
    lower = int(mixture.means_[:, 0].argmin())
    wanted = mixture.predict_proba(np.maximum(x, mixture.means_.min())[:, None])[:, lower]
    np.testing.assert_allclose(weights.weight[:1000], wanted, atol=1e-4)
    assert (weights.weight[1000:] == 1).all() and weights.weight[:600].mean() > 0.85 > 0.3 > weights.weight[600:1000].mean()
    other = LossWeights(1200)
    other.load_state_dict(weights.state_dict())
    assert torch.equal(other.weight, weights.weight)
    weights.record(torch.ones(1000), torch.arange(1000))
    weights.fit()
    assert (weights.weight == 1).all(), "losses all alike say nothing"
