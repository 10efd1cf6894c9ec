"""Poolings against loops in numpy, written from the formulas."""
import math

import numpy as np
import pytest
import torch

from sslspk.nn import pooling

B, C, T = 3, 6, 11
NAMES = ["statistics", "self_attentive", "attentive", "attentive_context"]


def maps(seed=0):
    return torch.randn(B, C, T, generator=torch.Generator().manual_seed(seed)) * 2 + 1


def numpy_of(tensor):
    return tensor.detach().double().numpy()


def softmax(e):
    return np.exp(e - e.max()) / np.exp(e - e.max()).sum()


def statistics_oracle(x):
    out = np.zeros((B, 2 * C))
    for b in range(B):
        for c in range(C):
            values = [x[b, c, t] for t in range(T)]
            mean = sum(values) / T
            out[b, c] = mean
            out[b, C + c] = math.sqrt(sum((v - mean) ** 2 for v in values) / T + pooling.EPSILON)
    return out


def self_attentive_oracle(layer, x):
    weight, bias, context = numpy_of(layer.hidden.weight)[:, :, 0], numpy_of(layer.hidden.bias), numpy_of(layer.context)[:, 0]
    out = np.zeros((B, C))
    for b in range(B):
        w = softmax(np.array([np.tanh(weight @ x[b, :, t] + bias) @ context for t in range(T)]))
        out[b] = sum(w[t] * x[b, :, t] for t in range(T))
    return out


def attentive_oracle(layer, x):
    """The attention reads [x; mean; std] through one matrix, as the paper writes it."""
    weight, bias = numpy_of(layer.hidden.weight)[:, :, 0], numpy_of(layer.hidden.bias)
    v = numpy_of(layer.scores.weight)[:, :, 0]
    if layer.context is not None:
        weight = np.concatenate([weight, numpy_of(layer.context.weight)], axis=1)
    out = np.zeros((B, 2 * C))
    for b in range(B):
        frames = [x[b, :, t] for t in range(T)]
        if layer.context is not None:
            frames = [np.concatenate([f, statistics_oracle(x)[b]]) for f in frames]
        e = np.stack([v @ np.tanh(weight @ f + bias) for f in frames], axis=1)
        for c in range(C):
            a = softmax(e[c])
            mean = (a * x[b, c]).sum()
            out[b, c], out[b, C + c] = mean, math.sqrt((a * (x[b, c] - mean) ** 2).sum() + pooling.EPSILON)
    return out


ORACLES = {"statistics": lambda layer, x: statistics_oracle(x), "self_attentive": self_attentive_oracle,
           "attentive": attentive_oracle, "attentive_context": attentive_oracle}


def build(name):
    torch.manual_seed(1)
    return pooling.build_pooling(name, C, bottleneck=4)


@pytest.mark.parametrize("name", NAMES)
def test_equals_the_slow_version(name):
    layer, x = build(name), maps()
    out = layer(x)
    assert out.shape == (B, layer.out_dim)
    np.testing.assert_allclose(numpy_of(out), ORACLES[name](layer, numpy_of(x)), rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize("name", NAMES)
def test_gradient_equals_finite_differences(name):
    layer, x = build(name), maps().requires_grad_(True)
    direction = torch.randn(B, layer.out_dim, generator=torch.Generator().manual_seed(2))
    (layer(x) * direction).sum().backward()
    step = 1e-6
    for b, c, t in [(0, 0, 0), (1, 3, 5), (2, 5, 10)]:
        high, low = numpy_of(x), numpy_of(x)
        high[b, c, t] += step
        low[b, c, t] -= step
        slope = ((ORACLES[name](layer, high) - ORACLES[name](layer, low)) * numpy_of(direction)).sum() / (2 * step)
        assert float(x.grad[b, c, t]) == pytest.approx(slope, rel=1e-3, abs=1e-5)


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("frames", [1, T])
def test_constant_input_has_a_finite_gradient(name, frames):
    x = torch.full((B, C, frames), 3.0, requires_grad=True)
    layer = build(name)
    out = layer(x)
    out.sum().backward()
    assert out.isfinite().all() and x.grad.isfinite().all() and x.grad.abs().max() < 10
    assert torch.allclose(out[:, :C], torch.full((B, C), 3.0))


@pytest.mark.parametrize("name", NAMES)
def test_sums_are_float32_under_autocast(name):
    layer, x = build(name), maps()
    with torch.autocast("cpu", torch.bfloat16):
        out = layer(x.bfloat16())
    assert out.dtype == torch.float32
    assert torch.allclose(out, layer(x), atol=0.05)


def test_a_large_offset_does_not_spoil_the_deviation():
    x = maps()
    assert torch.allclose(pooling.mean_and_std(x + 1000)[1], pooling.mean_and_std(x)[1], rtol=1e-3)


@pytest.mark.parametrize("bins", [2, 5, 10])
def test_band_means_are_adaptive_average_pooling(bins):
    x = torch.randn(B, C, bins, T)
    expected = torch.nn.functional.adaptive_avg_pool2d(x, (2, 1)).flatten(1)
    layer = pooling.BandMeans(C, bins, bands=2)
    assert torch.allclose(layer(x.flatten(1, 2)), expected, atol=1e-6)
    first = x[:, :, :math.ceil(bins / 2)].mean((2, 3))
    assert torch.allclose(layer(x.flatten(1, 2))[:, ::2], first, atol=1e-6)


def test_parameters_are_those_of_the_docstrings():
    def count(name, channels, bottleneck):
        return sum(p.numel() for p in pooling.build_pooling(name, channels, bottleneck).parameters())
    assert count("self_attentive", 128, 0) == 128 ** 2 + 2 * 128
    assert count("attentive", 1500, 128) == 1500 * 128 + 128 + 128 * 1500
    assert count("attentive_context", 1536, 128) == 3 * 1536 * 128 + 128 + 128 * 1536


def test_factorised_attention_by_loops():
    """MHFA, step by step and head by head."""
    torch.manual_seed(4)
    layers, heads, compress = 3, 2, 5
    pool = pooling.FactorisedAttention(layers, C, heads, compress, 4)
    with torch.no_grad():
        pool.key_weights.normal_()
        pool.value_weights.normal_()
    outputs = [maps(seed).transpose(1, 2) for seed in range(layers)]
    z = [numpy_of(output) for output in outputs]
    state = {key: numpy_of(value) for key, value in pool.state_dict().items()}
    expected = np.zeros((B, 4))
    for b in range(B):
        keys, values = np.zeros((T, compress)), np.zeros((T, compress))
        for t in range(T):
            key, value = np.zeros(C), np.zeros(C)
            for number in range(layers):
                key += softmax(state["key_weights"])[number] * z[number][b, t]
                value += softmax(state["value_weights"])[number] * z[number][b, t]
            keys[t] = state["keys.weight"] @ key
            values[t] = state["values.weight"] @ value + state["values.bias"]
        np.testing.assert_allclose(numpy_of(pool.frames(outputs))[b], values, rtol=1e-4, atol=1e-5)
        pooled = []
        for head in range(heads):
            weights = softmax(np.array([state["scores.weight"][head] @ keys[t] for t in range(T)]))
            pooled.append(sum(weights[t] * values[t] for t in range(T)))
        expected[b] = state["embedding.weight"] @ np.concatenate(pooled) + state["embedding.bias"]
    np.testing.assert_allclose(numpy_of(pool(outputs)), expected, rtol=1e-4, atol=1e-5)
