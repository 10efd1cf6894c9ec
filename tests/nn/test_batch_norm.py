"""BatchNorm of one rank: torch's numbers and gradients, whatever the blocks; where ours may not run, torch's own bits."""
import pytest
import torch
from torch.nn import functional as F

from sslspk.nn import batch_norm

SHAPES = [(3, 5, 17), (4, 6, 5, 4)]
EPS, MOMENTUM = 1e-5, 0.3


def torchs(x, mean, var, weight, bias, momentum, eps):
    return F.batch_norm(x, mean, var, weight, bias, True, momentum, eps)


def arguments(shape, affine=True, dtype=torch.float64):
    """Input far from zero, running statistics, weight and bias."""
    generator = torch.Generator().manual_seed(0)
    x = (torch.randn(shape, generator=generator, dtype=dtype) * 3 + 20).requires_grad_()
    statistics = [torch.rand(shape[1], generator=generator, dtype=dtype) for _ in range(2)]
    gains = [torch.randn(shape[1], generator=generator, dtype=dtype).requires_grad_() if affine else None for _ in range(2)]
    return [x, *statistics, *gains]


def run(function, given):
    y = function(*given, MOMENTUM, EPS)
    (y * torch.linspace(-1, 1, y[0].numel(), dtype=y.dtype).view(y.shape[1:])).tanh().sum().backward()
    return [y, *given[1:3], *(one.grad for one in (given[0], *given[3:]) if one is not None)]


def refuse(*_):
    raise AssertionError("torch's forward pass ran")


@pytest.fixture
def blocks_only(monkeypatch):
    monkeypatch.setattr(batch_norm.F, "batch_norm", refuse)


@pytest.mark.parametrize("affine", [True, False])
@pytest.mark.parametrize("block", [1, 120, 1 << 20])
@pytest.mark.parametrize("shape", SHAPES)
def test_values_statistics_and_gradients_are_torchs(monkeypatch, shape, block, affine):
    wanted = run(torchs, arguments(shape, affine))
    monkeypatch.setattr(batch_norm, "BLOCK", block)
    monkeypatch.setattr(batch_norm.F, "batch_norm", refuse)
    for a, b in zip(run(batch_norm.batch_norm, arguments(shape, affine)), wanted, strict=True):
        torch.testing.assert_close(a, b, rtol=1e-11, atol=1e-11)


def test_single_precision_is_as_exact_as_torchs(blocks_only):
    x = arguments((8, 4, 500))[0].detach()
    normal = (x - x.mean((0, 2), keepdim=True)) / (x.var((0, 2), unbiased=False, keepdim=True) + EPS).sqrt()
    y = batch_norm.batch_norm(x.float(), None, None, None, None, 0.0, EPS)
    assert float((y.double() - normal).abs().max()) < 3e-6


def test_gradcheck(blocks_only):
    x, _, _, weight, bias = arguments((2, 3, 16))
    assert torch.autograd.gradcheck(lambda x, weight, bias: batch_norm.batch_norm(x, None, None, weight, bias, 0.0, EPS), (x, weight, bias))


@pytest.mark.parametrize("kind", ["vectors", "few frames", "channels last", "half precision"])
def test_elsewhere_it_is_torchs_bit_for_bit(kind):
    shape = {"vectors": (7, 5), "few frames": (7, 5, 11)}.get(kind, (4, 6, 5, 4))

    def given():
        args = arguments(shape, dtype=torch.float32)
        if kind == "channels last":
            args[0] = args[0].detach().contiguous(memory_format=torch.channels_last).requires_grad_()
        if kind == "half precision":
            args[0] = args[0].detach().bfloat16().requires_grad_()
        return args
    for a, b in zip(run(batch_norm.batch_norm, given()), run(torchs, given()), strict=True):
        assert torch.equal(a, b)


def test_a_graph_holds_torchs_layer():
    x, mean, var, weight, bias = (one.detach() for one in arguments((3, 5, 17), dtype=torch.float32))
    traced = torch.jit.trace(lambda x: batch_norm.batch_norm(x, mean, var, weight, bias, MOMENTUM, EPS), x, check_trace=False)
    assert "aten::batch_norm" in str(traced.graph)
