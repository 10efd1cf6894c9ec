"""Means and variances over time with a gradient of their own: the numbers and gradients of the formulas, whatever the blocks."""
import pytest
import torch

from sslspk.nn import moments

SHAPE = (3, 5, 40)


def plain(x, scores=None):
    """As written in the papers, with autograd's gradient through the mean as well."""
    weights = torch.full_like(x, 1 / x.shape[-1]) if scores is None else torch.softmax(scores, -1)
    mean = (weights * x).sum(-1, keepdim=True)
    return mean.squeeze(-1), (weights * (x - mean).square()).sum(-1)


def inputs(weighted, dtype=torch.float64):
    generator = torch.Generator().manual_seed(0)
    return [torch.randn(SHAPE, generator=generator, dtype=dtype).requires_grad_() for _ in range(1 + weighted)]


@pytest.mark.parametrize("weighted", [False, True])
@pytest.mark.parametrize("block", [1, 70, 1 << 17])
def test_values_and_gradients_are_those_of_the_formulas(monkeypatch, weighted, block):
    monkeypatch.setattr(moments, "BLOCK", block)
    found, wanted = inputs(weighted), inputs(weighted)
    factors = torch.randn(2, *SHAPE[:2], generator=torch.Generator().manual_seed(1), dtype=torch.float64)
    for function, given in ((moments.moments, found), (plain, wanted)):
        sum((value * factor).sum() for value, factor in zip(function(*given), factors, strict=True)).backward()
    assert all(torch.allclose(a, b, atol=1e-12) for a, b in zip(moments.moments(*found), plain(*wanted), strict=True))
    assert all(torch.allclose(a.grad, b.grad, atol=1e-12) for a, b in zip(found, wanted, strict=True))
    assert torch.autograd.gradcheck(moments.moments, tuple(found))


@pytest.mark.parametrize("weighted", [False, True])
def test_the_cpu_and_a_traced_graph_give_the_same_bits(weighted):
    """Export and torch.compile take the formulas; training and embedding on a CPU the blocks."""
    given = inputs(weighted, torch.float32)
    traced = torch.jit.trace(moments.moments, tuple(one.detach() for one in given), check_trace=False)
    assert "_Moments" not in str(traced.graph)
    for a, b in zip(moments.moments(*given), traced(*given), strict=True):
        assert torch.equal(a, b)


def test_a_gradient_that_is_not_asked_for_is_not_kept():
    x, scores = inputs(True)
    with torch.no_grad():
        mean, _ = moments.moments(x, scores)
    assert mean.grad_fn is None
    mean, var = moments.moments(x.detach(), scores)
    (mean.sum() + var.sum()).backward()
    assert scores.grad is not None and x.grad is None
