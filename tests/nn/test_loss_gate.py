"""The gate on losses: where two Gaussians cross, and what is remembered."""
import math

import numpy as np
import pytest
import torch

from sslspk.nn.loss_gate import LossGate, crossing


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
    assert crossing(np.zeros(50)) == math.inf  # all alike
    wide = np.concatenate([np.random.default_rng(0).normal(0, 0.01, 20), np.random.default_rng(1).normal(0.001, 1.0, 2000)])
    assert crossing(wide) == math.inf or abs(crossing(wide)) < 0.1


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
