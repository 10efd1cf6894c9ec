"""The losses of positive pairs against loops in Python floats."""
import math

import numpy as np
import pytest
import torch

from sslspk.losses.siamese import negative_cosine, positive_similarity


def slow_mean_cosine(a, b):
    def dot(x, y):
        return sum(p * q for p, q in zip(x, y, strict=True))

    pairs = list(zip(a, b, strict=True))
    return sum(dot(x, y) / math.sqrt(dot(x, x) * dot(y, y)) for x, y in pairs) / len(pairs)


def test_equal_the_slow_version():
    rng = np.random.default_rng(0)
    a, b = rng.normal(size=(2, 7, 5)) * 3
    x, y = torch.tensor(a), torch.tensor(b)
    assert negative_cosine(x, y).item() == pytest.approx(-slow_mean_cosine(a, b))
    assert positive_similarity(x, y).item() == pytest.approx(1 - slow_mean_cosine(a, b))
    assert negative_cosine(x.float(), y.float()).item() == pytest.approx(-slow_mean_cosine(a, b), rel=1e-5)


def test_hand_worked():
    """A right angle, the same direction, the opposite one, 60 degrees: cosines 0, 1, -1, 0.5."""
    a = torch.tensor([[1.0, 0.0], [2.0, 0.0], [1.0, 0.0], [1.0, 0.0]])
    b = torch.tensor([[0.0, 3.0], [5.0, 0.0], [-1.0, 0.0], [1.0, math.sqrt(3)]])
    assert negative_cosine(a, b).item() == pytest.approx(-0.125)
    assert positive_similarity(a, b).item() == pytest.approx(0.875)


def test_the_target_gets_no_gradient_and_a_positive_pair_does():
    rng = np.random.default_rng(0)
    a, b = (torch.tensor(rng.normal(size=(3, 4))).requires_grad_() for _ in range(2))
    negative_cosine(a, b).backward()
    assert b.grad is None
    assert a.grad.abs().sum() > 0
    assert torch.autograd.gradcheck(lambda x: negative_cosine(x, b), (a,))
    assert torch.autograd.gradcheck(positive_similarity, (a, b))


@pytest.mark.parametrize(("given_type", "type_inside"), [(torch.bfloat16, torch.float32), (torch.float64, torch.float64)])
def test_computed_in_float32_at_least(given_type, type_inside):
    x = torch.randn(4, 6, generator=torch.Generator().manual_seed(0)).to(given_type)
    plain = negative_cosine(x, x.flip(0)), positive_similarity(x, x.flip(0))
    with torch.autocast("cpu", dtype=torch.bfloat16):
        autocast = negative_cosine(x, x.flip(0)), positive_similarity(x, x.flip(0))
    assert [y.dtype for y in plain] == [type_inside] * 2
    assert all(torch.equal(a, b) for a, b in zip(plain, autocast, strict=True))
