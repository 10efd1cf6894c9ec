"""The aggregator of vq-wav2vec against one written in loops: what a step sees, the residual scale, projections, both activations."""
import math

import numpy as np
import pytest
import torch

from sslspk.config import check
from sslspk.encoders import build
from sslspk.encoders.config_vq_wav2vec import VqWav2vecEncoderConfig

ACTIVATIONS = {"gelu": lambda x: x * (1 + math.erf(x / math.sqrt(2))) / 2, "relu": lambda x: max(x, 0.0)}


def make(activation="gelu", channels=6, **aggregator):
    """An encoder whose normalisations have gains and offsets of their own."""
    tree = {"channels": channels, "kernels": [10, 8, 4], "strides": [5, 8, 4], "quantiser": None, "activation": activation,
            "aggregator": {"name": "convolutions", "dim": 6, "kernels": [2, 3, 4], **aggregator}}
    torch.manual_seed(0)
    encoder = build(check(VqWav2vecEncoderConfig, tree, "the test"), 1).double().eval()
    for module in encoder.modules():
        if isinstance(module, torch.nn.GroupNorm):
            torch.nn.init.normal_(module.weight)
            torch.nn.init.normal_(module.bias)
    return encoder


def slow_layer(x, layer, activation):
    """One causal convolution, normalised over all channels and steps, in eval mode: (T, C) -> (T, H), of numbers."""
    conv, norm = (next(m for m in layer if isinstance(m, kind)) for kind in (torch.nn.Conv1d, torch.nn.GroupNorm))
    weight, bias, width = conv.weight.detach().numpy(), conv.bias.detach().numpy(), conv.kernel_size[0]
    y = np.zeros((len(x), len(bias)))
    for t in range(len(x)):
        for back in range(width):
            y[t] += weight[:, :, width - 1 - back] @ x[max(t - back, 0)]
    y += bias
    mean, variance = y.mean(), ((y - y.mean()) ** 2).mean()
    y = norm.weight.detach().numpy() * (y - mean) / math.sqrt(variance + 1e-5) + norm.bias.detach().numpy()
    return np.vectorize(ACTIVATIONS[activation])(y)


def slow_aggregator(encoder, x, activation, skip, residual_scale):
    """(T, C) -> (T, H)."""
    aggregator = encoder.aggregator
    for layer, projection in zip(aggregator.layers, aggregator.projections, strict=True):
        out = slow_layer(x, layer, activation)
        if skip:
            past = x if isinstance(projection, torch.nn.Identity) else x @ projection.weight.detach().numpy()[:, :, 0].T
            out = (out + past) * math.sqrt(residual_scale)
        x = out
    return x


@pytest.mark.parametrize("activation", ACTIVATIONS)
@pytest.mark.parametrize(("channels", "skip", "residual_scale"), [(6, True, 0.5), (6, True, 1.0), (8, True, 0.25), (8, False, 0.5)])
def test_the_aggregator_is_one_written_in_loops(activation, channels, skip, residual_scale):
    encoder = make(activation, channels, skip=skip, residual_scale=residual_scale)
    assert isinstance(encoder.aggregator.projections[0], torch.nn.Identity) == (channels == 6 or not skip)
    x = torch.randn(2, 9, channels, dtype=torch.float64, generator=torch.Generator().manual_seed(1))
    wanted = np.stack([slow_aggregator(encoder, row, activation, skip, residual_scale) for row in x.numpy()])
    with torch.no_grad():
        np.testing.assert_allclose(encoder.context(x).numpy(), wanted, rtol=1e-9, atol=1e-9)


@pytest.mark.parametrize("activation", ACTIVATIONS)
def test_the_convolutions_are_those_written_in_loops(activation):
    """Without padding and without bias, each normalised over channels and steps; log_compression on top."""
    encoder, waves = make(activation), torch.randn(1, 900, dtype=torch.float64, generator=torch.Generator().manual_seed(2))
    x = waves[0].numpy()[:, None]
    for layer, stride in zip(encoder.layers, (5, 8, 4), strict=True):
        conv, norm, _ = layer
        weight = conv.weight.detach().numpy()
        starts = range(0, len(x) - weight.shape[2] + 1, stride)
        y = np.array([[(kernel * x[start:start + weight.shape[2]].T).sum() for kernel in weight] for start in starts])
        y = norm.weight.detach().numpy() * (y - y.mean()) / math.sqrt(y.var() + 1e-5) + norm.bias.detach().numpy()
        x = np.vectorize(ACTIVATIONS[activation])(y)
    with torch.no_grad():
        np.testing.assert_allclose(encoder.latents(waves)[0].numpy(), x, rtol=1e-9, atol=1e-9)
        encoder.log_compression = True
        np.testing.assert_allclose(encoder.latents(waves)[0].numpy(), np.log1p(np.abs(x)), rtol=1e-9, atol=1e-9)
