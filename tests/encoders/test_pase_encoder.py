"""PASE's encoder: published sizes, what a step sees, skips and context against the same by hand, bad configurations."""
import pytest
import torch
from torch import nn
from torch.nn import functional as F

from sslspk.config import check
from sslspk.encoders import build
from sslspk.encoders.config import PaseEncoderConfig
from sslspk.errors import InputError

PLUS = {"embed_dim": 256, "skips": True, "context": "qrnn"}
SMALL = {"channels": (6, 8, 10), "kernels": (21, 6, 5), "strides": (1, 5, 4), "embed_dim": 7}


def make(**options):
    torch.manual_seed(0)
    return build(PaseEncoderConfig(**options), 1)


def waves(rows, samples, seed=0):
    return torch.randn(rows, samples, generator=torch.Generator().manual_seed(seed))


@pytest.mark.parametrize(("options", "count"), [
    ({}, 5_818_020), (PLUS, 7_832_896), ({**PLUS, "context_dim": 512, "bidirectional": False}, 7_832_896)])
def test_published_numbers_of_parameters(options, count):
    """PASE+ is "7.83 M" where it is compared with others."""
    with torch.device("meta"):
        assert sum(p.numel() for p in make(**options).parameters()) == count


@pytest.mark.parametrize("options", [{}, PLUS])
def test_one_step_every_160_samples(options):
    encoder = make(**{"channels": (4,) * 8, "embed_dim": 5, **({"skips": True, "context": "qrnn", "context_dim": 3} if options else {})})
    encoder.eval()
    for steps in (3, 10, 33):
        assert encoder.frames(waves(1, 160 * steps)).shape == (1, steps, 5)
    for samples in (480, 799, 1600, 1601, 1777, 2400, 4001):
        assert encoder.frames(waves(1, samples)).shape[1] == PaseEncoderConfig().steps(samples)
    config = PaseEncoderConfig(channels=(4, 4), kernels=(20, 7), strides=(5, 4), embed_dim=3)
    for samples in range(80, 130):
        assert build(config, 1).eval().frames(waves(1, samples)).shape[1] == config.steps(samples)
    assert encoder.frames(waves(1, 1599)).shape[1] == 10 and encoder.min_frames == 471


def test_the_least_length_is_the_least_that_reflection_allows():
    encoder = make(**SMALL).eval()
    short = encoder.min_frames
    assert encoder._maps(waves(1, short)).shape[2] == 1
    with pytest.raises(RuntimeError):
        encoder._maps(waves(1, short - 1))
    assert encoder(waves(1, short - 1)).isfinite().all()


def by_hand(encoder, x):
    """Layer by layer with torch's own functions, the skips projected at their own rate and then averaged."""
    maps, skips = x[:, None], []
    for i, layer in enumerate(encoder.layers):
        kernel, stride = layer.conv.kernel_size[0], layer.conv.stride[0]
        both = kernel // 2 if stride == 1 and kernel % 2 else None
        left, right = (both, both) if both is not None else (kernel // 2 - 1, kernel // 2)
        before = [maps[..., left - n].unsqueeze(-1) for n in range(left)]
        after = [maps[..., -2 - n].unsqueeze(-1) for n in range(right)]
        maps = layer.conv(torch.cat([*before, maps, *after], 2))
        mean, var = layer.norm.running_mean[:, None], layer.norm.running_var[:, None]
        maps = (maps - mean) / torch.sqrt(var + 1e-5) * layer.norm.weight[:, None] + layer.norm.bias[:, None]
        maps = torch.where(maps > 0, maps, layer.slope.weight[:, None] * maps)
        if i < len(encoder.skips):
            skips.append(F.conv1d(maps, encoder.skips[i].weight))
    out = F.conv1d(encoder.context(maps), encoder.last.weight, encoder.last.bias)
    for skip in skips:
        factor = skip.shape[2] // out.shape[2]
        out = out + skip[:, :, :factor * out.shape[2]].unflatten(2, (-1, factor)).mean(3)
    return ((out - encoder.norm.running_mean[:, None]) / torch.sqrt(encoder.norm.running_var[:, None] + 1e-5)).transpose(1, 2)


def test_skips_and_context_add_up_as_by_hand():
    encoder = make(**SMALL, skips=True, context="qrnn", context_dim=5)
    with torch.no_grad():
        for layer in encoder.layers:
            layer.slope.weight.uniform_(0.1, 0.5)
        for seed in range(3):
            encoder(waves(6, 800, seed))
        encoder.eval()
        x = waves(2, 400, 9)
        torch.testing.assert_close(encoder.frames(x), by_hand(encoder, x), rtol=1e-4, atol=1e-5)
        torch.testing.assert_close(encoder(x), by_hand(encoder, x).mean(1), rtol=1e-4, atol=1e-5)


def test_each_part_is_only_there_where_it_is_asked_for():
    plain, plus = make(**SMALL), make(**SMALL, skips=True, context="qrnn", context_dim=5)
    assert plain.context is None and len(plain.skips) == 0 and plain.last.in_channels == 10
    assert [skip.weight.shape for skip in plus.skips] == [(7, 6, 1), (7, 8, 1)] and plus.last.in_channels == 10
    assert isinstance(plus.norm, nn.BatchNorm1d) and plus.norm.weight is None


def test_every_dimension_has_mean_0_and_variance_1_in_training():
    frames = make(**SMALL)(waves(4, 4000)), make(**SMALL).frames(waves(4, 4000))
    torch.testing.assert_close(frames[1].mean((0, 1)), torch.zeros(7), atol=1e-5, rtol=0)
    torch.testing.assert_close(frames[1].var((0, 1), unbiased=False), torch.ones(7), atol=1e-2, rtol=0)
    torch.testing.assert_close(frames[0], frames[1].mean(1), atol=1e-5, rtol=1e-4)


def test_a_long_recording_is_the_mean_over_windows():
    encoder, x = make(**SMALL, window_seconds=0.1).eval(), waves(2, 40 * 1600)
    with torch.no_grad():
        alone = [encoder(x[:, start:start + 1600]) for start in range(0, 40 * 1600, 1600)]
        torch.testing.assert_close(encoder(x), torch.stack(alone).mean(0), rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize(("options", "said"), [
    ({"strides": [1, 10]}, "8 channels, 8 kernels and 2 strides"),
    ({"kernels": [251, 5, 11, 11, 11, 11, 11, 11]}, "shorter than its stride"),
    ({"context": "gru"}, "context")])
def test_impossible_encoders_are_refused(options, said):
    with pytest.raises(InputError, match=said) as refused:
        check(PaseEncoderConfig, options, "the test")
    assert len(str(refused.value)) <= 160


@pytest.mark.parametrize(("layer", "width"), [("layers.0", 6), ("layers.2", 10), ("context", 10), ("last", 7)])
def test_every_layer_gives_maps_over_time(layer, width):
    """What --layer averages over time must have its channels first."""
    encoder, seen = make(**SMALL, skips=True, context="qrnn", context_dim=5).eval(), []
    dict(encoder.named_modules())[layer].register_forward_hook(lambda module, inputs, output: seen.append(output))
    encoder(waves(1, 800))
    assert seen[0].shape[1] == width
