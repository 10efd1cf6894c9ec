"""The divergence of Gaussians against numerical integration of its definition."""
import math

import numpy as np
import pytest
import torch

from sslspk.losses.gaussian_kl import gaussian_kl, standard_kl


def log_density(x, mean, log_variance):
    return -0.5 * (math.log(2 * math.pi) + log_variance + (x - mean) ** 2 / math.exp(log_variance))


def integral(mean, log_variance, prior_mean, prior_log_variance):
    """int q log(q / p) dx by the trapezoid rule, ten deviations around q."""
    width = 10 * math.exp(0.5 * log_variance)
    x = np.linspace(mean - width, mean + width, 20001)
    q, p = log_density(x, mean, log_variance), log_density(x, prior_mean, prior_log_variance)
    return float(np.trapezoid(np.exp(q) * (q - p), x))


@pytest.mark.parametrize("q_and_p", [(0.0, 0.0, 0.0, 0.0), (1.5, -1.0, -0.3, 0.7), (-2.0, 1.2, 1.0, -1.5), (0.1, -4.0, 0.0, 0.0)])
def test_one_dimension_is_the_integral(q_and_p):
    found = gaussian_kl(*(torch.tensor([value], dtype=torch.float64) for value in q_and_p))
    assert found.shape == () and found.item() == pytest.approx(integral(*q_and_p), rel=1e-9, abs=1e-12)


def test_dimensions_add_up_and_the_order_matters():
    q_and_p = torch.randn(4, 5, 3, 2, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    found = gaussian_kl(*q_and_p)
    wanted = [[sum(integral(*values) for values in q_and_p[:, i, j].T.tolist()) for j in range(3)] for i in range(5)]
    assert np.allclose(found, wanted, rtol=1e-9)
    assert not torch.allclose(found, gaussian_kl(*q_and_p[[2, 3, 0, 1]]))
    nought = torch.zeros_like(q_and_p[0])
    assert torch.equal(standard_kl(*q_and_p[:2]), gaussian_kl(*q_and_p[:2], nought, nought))


def test_it_is_float32_under_autocast():
    q_and_p = [x.bfloat16() for x in torch.randn(4, 6, 8, generator=torch.Generator().manual_seed(1))]
    with torch.autocast("cpu", torch.bfloat16):
        found = gaussian_kl(*q_and_p)
    assert found.dtype == torch.float32 and torch.allclose(found, gaussian_kl(*(x.float() for x in q_and_p)))
