"""Running statistics: uncorrelated dimensions of variance 1, against numpy; still in evaluation; part of the state."""
import copy

import numpy as np
import pytest
import torch

from sslspk.nn.whiten import Whiten

MIX = torch.randn(4, 4, generator=torch.Generator().manual_seed(9)) * torch.tensor([30.0, 3.0, 1.0, 0.1])


def batch(seed, count=50):
    return torch.randn(count, 4, generator=torch.Generator().manual_seed(seed)) @ MIX + torch.tensor([5.0, -3.0, 0.0, 700.0])


def test_what_comes_out_has_covariance_1():
    layer = Whiten(4, 0.0)
    for seed in range(300):
        layer(batch(seed))
    out = layer.eval()(batch(1000, 4000))
    np.testing.assert_allclose(np.cov(out.numpy().T), np.eye(4), atol=0.15)
    np.testing.assert_allclose(out.mean(0), np.zeros(4), atol=0.3)


@pytest.mark.parametrize("ridge", [1e-5, 0.5])
def test_the_first_batch_is_that_of_numpy(ridge):
    x = batch(0)
    centred = x.double().numpy() - x.double().numpy().mean(0)
    covariance = centred.T @ centred / len(x)
    factor = np.linalg.cholesky(covariance + ridge * np.trace(covariance) / 4 * np.eye(4))
    np.testing.assert_allclose(Whiten(4, ridge)(x), np.linalg.solve(factor, centred.T).T, atol=2e-3)


def test_evaluation_moves_nothing_and_needs_no_batch():
    layer = Whiten(4, 1e-5).eval()
    assert torch.equal(layer(batch(0)), batch(0)) and layer.seen == 0
    layer.train()(batch(0))
    before = copy.deepcopy(layer.state_dict())
    layer.eval()(batch(1))
    assert all(torch.equal(value, before[key]) for key, value in layer.state_dict().items())


def test_a_copy_goes_on_the_same():
    layer, other = Whiten(4, 1e-5), Whiten(4, 1e-5)
    layer(batch(0))
    other.load_state_dict(layer.state_dict())
    for seed in range(1, 4):
        assert torch.equal(layer(batch(seed)), other(batch(seed)))


def test_a_constant_dimension_stays_finite():
    x = batch(0) * torch.tensor([1.0, 0.0, 1.0, 1.0])
    assert Whiten(4, 1e-5)(x).isfinite().all() and Whiten(4, 1e-5)(torch.zeros(3, 4)).isfinite().all()
