"""The losses of LIM and GIM and their gradients against loops in Python floats."""
import math

import numpy as np
import pytest
import torch

from sslspk.losses import mutual_information


def slow_bce(positive, negative):
    share = [1 / (1 + math.exp(-x)) for x in positive], [1 / (1 + math.exp(-x)) for x in negative]
    loss = -sum(math.log(s) for s in share[0]) / len(positive) - sum(math.log(1 - s) for s in share[1]) / len(negative)
    return loss, [(s - 1) / len(positive) for s in share[0]], [s / len(negative) for s in share[1]]


def slow_mine(positive, negative):
    total = sum(math.exp(x) for x in negative)
    loss = -(sum(positive) / len(positive) - math.log(total / len(negative)))
    return loss, [-1 / len(positive)] * len(positive), [math.exp(x) / total for x in negative]


def slow_nce(positive, negative):
    total, n = sum(math.exp(x) for x in negative), len(positive)
    loss = -sum(x - math.log(math.exp(x) + total) for x in positive) / n
    to_negative = [sum(math.exp(y) / (math.exp(x) + total) for x in positive) / n for y in negative]
    return loss, [(math.exp(x) / (math.exp(x) + total) - 1) / n for x in positive], to_negative


@pytest.mark.parametrize(("fast", "slow"), [(mutual_information.bce, slow_bce), (mutual_information.mine, slow_mine),
                                            (mutual_information.nce, slow_nce)])
def test_loss_and_gradient_equal_the_slow_version(fast, slow):
    rng = np.random.default_rng(0)
    positive, negative = (torch.tensor(rng.normal(size=size), requires_grad=True) for size in (6, 9))
    loss = fast(positive, negative)
    loss.backward()
    wanted, to_positive, to_negative = slow(positive.tolist(), negative.tolist())
    assert loss.item() == pytest.approx(wanted, rel=1e-12)
    np.testing.assert_allclose(positive.grad, to_positive, atol=1e-12)
    np.testing.assert_allclose(negative.grad, to_negative, atol=1e-12)


def test_who_knows_nothing():
    """A discriminator that says the same of all pairs: 2 ln 2, a bound of 0, and a blind guess among N + 1."""
    positive, negative = torch.full((4,), 0.0), torch.full((4,), 0.0)
    assert mutual_information.bce(positive, negative).item() == pytest.approx(2 * math.log(2))
    assert mutual_information.mine(positive + 3, negative + 3).item() == pytest.approx(0, abs=1e-6)
    assert mutual_information.nce(positive + 3, negative + 3).item() == pytest.approx(math.log(5))


def test_large_scores_stay_finite():
    positive, negative = torch.tensor([200.0, -200.0]), torch.tensor([-200.0, 200.0])
    for loss in (mutual_information.bce, mutual_information.mine, mutual_information.nce):
        assert loss(positive, negative).isfinite()
