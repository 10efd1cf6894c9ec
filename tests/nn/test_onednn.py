"""Layers that oneDNN computes: torch's numbers and gradients, and torch's own bits where they may not run."""
import copy

import pytest
import torch
from torch import nn

from sslspk.nn import onednn


@pytest.fixture
def calls(monkeypatch):
    """The dilations of the convolutions that are called, on a processor for which MKL is slow."""
    seen = []
    for name in ("conv1d", "conv2d"):
        plain = getattr(torch.nn.functional, name)

        def spy(*args, plain=plain, **more):
            seen.extend([more["dilation"]] if "dilation" in more else [])
            return plain(*args, **more)
        monkeypatch.setattr(onednn.F, name, spy)
    monkeypatch.setattr(onednn, "slow_mkl", lambda: True)
    return seen


def compared(ours, torchs, shape, dtype=torch.float32):
    """Outputs and gradients of input and weights of both layers, with the same weights."""
    ours.load_state_dict(torchs.state_dict())
    out = []
    for layer in (ours.to(dtype), torchs.to(dtype)):
        x = torch.randn(shape, generator=torch.Generator().manual_seed(1)).to(dtype).requires_grad_()
        y = layer(x)
        (y * torch.linspace(-1, 1, y.numel(), dtype=dtype).view(y.shape)).sum().backward()
        out.append([y, x.grad, *(p.grad for p in layer.parameters())])
    return zip(*out, strict=True)


@pytest.mark.parametrize("shape", [(3, 32, 50), (1, 32, 700)])
@pytest.mark.parametrize("more", [{}, {"bias": False}, {"groups": 4}])
def test_kernels_of_one_frame(calls, shape, more):
    for a, b in compared(onednn.Conv1d(32, 16, 1, **more), nn.Conv1d(32, 16, 1, **more), shape):
        torch.testing.assert_close(a, b, rtol=1e-5, atol=1e-4)
    assert calls == [2]


@pytest.mark.parametrize("more", [{"kernel_size": 3}, {"kernel_size": 1, "stride": 2}, {"kernel_size": 1, "padding": 1}])
def test_other_kernels_are_torchs(calls, more):
    for a, b in compared(onednn.Conv1d(32, 16, **more), nn.Conv1d(32, 16, **more), (3, 32, 50)):
        assert torch.equal(a, b)
    assert not calls


@pytest.mark.parametrize(("shape", "dtype"), [((1, 32, 50), torch.float32), ((3, 32, 50), torch.float64)])
def test_a_short_recording_and_double_precision_are_torchs(calls, shape, dtype):
    for a, b in compared(onednn.Conv1d(32, 16, 1), nn.Conv1d(32, 16, 1), shape, dtype):
        assert torch.equal(a, b)
    assert not calls


@pytest.mark.parametrize("bias", [True, False])
@pytest.mark.parametrize("recordings", [1, 3])
def test_linear_layers_of_sequences(calls, recordings, bias):
    for a, b in compared(onednn.Linear(128, 256, bias), nn.Linear(128, 256, bias), (recordings, 40, 128)):
        torch.testing.assert_close(a, b, rtol=1e-5, atol=1e-3)
        assert a.is_contiguous() and a.shape == b.shape
    assert calls == [2]


@pytest.mark.parametrize(("shape", "out"), [((40, 128), 256), ((3, 4, 128), 256), ((3, 40, 128), 8), ((2, 3, 40, 128), 256)])
def test_vectors_few_frames_and_small_layers_are_torchs(calls, shape, out):
    for a, b in compared(onednn.Linear(128, out), nn.Linear(128, out), shape):
        assert torch.equal(a, b)
    assert not calls


def test_where_mkl_is_fast_linear_layers_are_torchs(calls, monkeypatch):
    monkeypatch.setattr(onednn, "slow_mkl", lambda: False)
    for a, b in compared(onednn.Linear(128, 256), nn.Linear(128, 256), (3, 40, 128)):
        assert torch.equal(a, b)
    assert not calls


def test_a_graph_holds_torchs_layers(calls):
    net = nn.Sequential(onednn.Linear(128, 256), nn.Flatten(1), nn.Unflatten(1, (40, 256)), onednn.Conv1d(40, 4, 1))
    graph = str(torch.jit.trace(net, torch.randn(3, 40, 128), check_trace=False).inlined_graph)
    assert "aten::linear" in graph and "aten::conv2d" not in graph and not calls


def test_take_over_keeps_the_layers_and_their_weights(calls):
    net = nn.Sequential(nn.Linear(128, 256), nn.Sequential(nn.Linear(256, 128, bias=False)))
    before, parameters, x = copy.deepcopy(net), list(net.parameters()), torch.randn(2, 40, 128)
    assert onednn.take_over(net) is net and all(a is b for a, b in zip(parameters, net.parameters(), strict=True))
    assert list(net.state_dict()) == list(before.state_dict())
    torch.testing.assert_close(net(x), before(x), rtol=1e-5, atol=1e-4)
    assert calls == [2, 2]
