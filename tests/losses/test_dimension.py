"""Losses of dimensions against loops in Python floats, and the losses made of them."""
import math

import numpy as np
import pytest
import torch

from sslspk.losses.dimension import correlation, covariance, frobenius, off_diagonal, variance_hinge

X, Y = np.random.default_rng(0).normal(size=(2, 7, 4)) * [1.0, 0.3, 2.0, 0.5]


def slow_covariance(x):
    n, d = x.shape
    mean = [sum(x[i][j] for i in range(n)) / n for j in range(d)]
    return np.array([[sum((x[i][j] - mean[j]) * (x[i][k] - mean[k]) for i in range(n)) / (n - 1) for k in range(d)] for j in range(d)])


def test_covariance_and_correlation_equal_the_slow_versions():
    assert covariance(torch.tensor(X)).numpy() == pytest.approx(slow_covariance(X))
    whole = slow_covariance(np.concatenate([X, Y], 1)) * 6 / 7
    deviation = np.sqrt(np.diag(whole) + 1e-5)
    wanted = (whole / deviation[:, None] / deviation)[:4, 4:]
    assert correlation(torch.tensor(X), torch.tensor(Y)).numpy() == pytest.approx(wanted)
    assert wanted == pytest.approx(np.corrcoef(X.T, Y.T)[:4, 4:], abs=1e-3)


def test_forms_equal_the_slow_versions():
    c = slow_covariance(X)
    assert off_diagonal(torch.tensor(c)).item() == pytest.approx(sum(c[i][j] ** 2 for i in range(4) for j in range(4) if i != j) / 4)
    assert frobenius(torch.tensor(c)).item() == pytest.approx(sum((c[i][j] - (i == j)) ** 2 for i in range(4) for j in range(4)))
    hinge = [max(0.0, 1 - math.sqrt(c[j][j] + 1e-4)) for j in range(4)]
    assert 0 in hinge and sum(hinge) > 0
    assert variance_hinge(torch.tensor(X)).item() == pytest.approx(sum(hinge) / 4)


def test_dimensions_that_are_apart_cost_nothing():
    x = torch.tensor([[1.0, 1], [1, -1], [-1, 1], [-1, -1]]) * math.sqrt(3 / 4)
    assert frobenius(covariance(x)).item() == pytest.approx(0, abs=1e-6)
    assert off_diagonal(correlation(x, x)).item() == pytest.approx(0, abs=1e-6)


@pytest.mark.parametrize("loss", [lambda x: frobenius(covariance(x)), lambda x: off_diagonal(correlation(x, x)), variance_hinge])
def test_a_collapsed_batch_has_a_finite_slope_and_a_spread_one_the_right_one(loss):
    x = torch.ones(5, 3, requires_grad=True)
    loss(x).backward()
    assert x.grad.isfinite().all()
    assert torch.autograd.gradcheck(loss, (torch.tensor(X, requires_grad=True),))


@pytest.mark.parametrize("loss", [covariance, lambda x: correlation(x, x), variance_hinge])
def test_computed_in_float32(loss):
    x = torch.randn(4, 6, generator=torch.Generator().manual_seed(0)).bfloat16()
    with torch.autocast("cpu", dtype=torch.bfloat16):
        assert loss(x).dtype == torch.float32
