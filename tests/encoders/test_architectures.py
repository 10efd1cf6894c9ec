"""Parameter counts against the published ones, and the shapes that the papers state."""
import subprocess
import sys

import pydantic
import pytest
import torch

from sslspk.config import Config, check
from sslspk.encoders import build
from sslspk.encoders.config import CpcEncoderConfig, EcapaConfig, EncoderConfig, LResNet34Config, ResNetSE34LConfig, TdnnConfig
from sslspk.errors import InputError


def count(config, num_features=80):
    return sum(p.numel() for p in build(config, num_features).parameters())


@pytest.mark.parametrize("config, published, exact", [
    (TdnnConfig(), 4.61e6, 4_610_524),
    (EcapaConfig(channels=512), 6.19e6, 6_190_720 - 1536),
    (EcapaConfig(channels=1024), 14.65e6, 14_657_088 - 1536),
    (ResNetSE34LConfig(), 1.4e6, 1_437_078),
], ids=["x-vector", "ecapa-512", "ecapa-1024", "resnetse34l"])
def test_published_parameter_counts(config, published, exact):
    """To the digits that were published (14.657 was cut, not rounded); exact counts are worked out in the docstrings."""
    assert count(config) == exact
    digits = 0.01e6 if published != 1.4e6 else 0.1e6
    assert abs(exact - published) < digits


def test_other_counts_of_the_docstrings():
    assert count(TdnnConfig(embed_dim=192)) == 3_424_604
    assert count(ResNetSE34LConfig(), num_features=40) == 1_437_078
    assert count(LResNet34Config()) == 1_333_040
    assert count(LResNet34Config(embedding="affine")) == 1_333_040 + 2560 * 256 + 256
    assert count(LResNet34Config(embedding="image")) == 1_333_040 + 256 * 256 + 256


@pytest.mark.parametrize("config, frames_out, channels, embed_dim", [
    (TdnnConfig(), 200 - 14, 1500, 512),
    (EcapaConfig(), 200, 1536, 192),
    (ResNetSE34LConfig(), 50, 128, 512),
    (LResNet34Config(), 25, 1280, 2560),
    (LResNet34Config(embedding="affine"), 25, 1280, 256),
    (LResNet34Config(embedding="image"), 25, 1280, 256),
])
def test_shapes_at_full_width(config, frames_out, channels, embed_dim):
    encoder = build(config, 80).eval()
    x = torch.randn(1, 200, 80)
    with torch.no_grad():
        assert encoder.frames(x).shape == (1, frames_out, channels)
        assert encoder(x).shape == (1, embed_dim) and encoder.embed_dim == embed_dim


def test_tdnn_sees_fifteen_frames():
    """Contexts +-2, +-2, +-3: an output frame depends on seven frames to each side and on no more."""
    encoder = build(TdnnConfig(channels=32, pooled_channels=32), 8).eval()
    x = torch.randn(1, 31, 8, requires_grad=True)
    encoder.frames(x)[0, 8].sum().backward()  # the ninth of 17 is centred on frame 15
    seen = x.grad[0].abs().sum(1).nonzero().flatten().tolist()
    assert seen == [15 + d for d in (-7, -6, -5, -4, -3, -2, -1, 0, 1, 2, 3, 4, 5, 6, 7)]


@pytest.mark.parametrize("config", [ResNetSE34LConfig, LResNet34Config])
@pytest.mark.parametrize("widths", [(8, 8, 12, 16), (16, 16, 32, 32)])
def test_channels_last_changes_nothing_but_the_layout(config, widths):
    x, outputs, gradients = torch.randn(4, 50, 20).double(), [], []  # in float64 rounding turns no ReLU
    for channels_last in (False, True):
        torch.manual_seed(1)
        encoder = build(config(widths=widths, channels_last=channels_last), 20).double()
        outputs.append(encoder(x))
        (outputs[-1] ** 2).sum().backward()
        gradients.append([p.grad for p in encoder.parameters()])
    torch.testing.assert_close(outputs[1], outputs[0], rtol=1e-9, atol=1e-9)
    torch.testing.assert_close(gradients[1], gradients[0], rtol=1e-6, atol=1e-9)


def test_ecapa_blocks_are_in_a_row_and_all_aggregated():
    encoder = build(EcapaConfig(channels=16, mfa_channels=24), 8).eval()
    x = torch.randn(2, 30, 8)
    first = encoder.first(x.transpose(1, 2))
    second = encoder.blocks[0](first)
    third = encoder.blocks[1](second)
    maps = torch.relu(encoder.aggregate(torch.cat([second, third, encoder.blocks[2](third)], dim=1)))
    torch.testing.assert_close(encoder.frames(x), maps.transpose(1, 2))


class Holder(Config):
    encoder: EncoderConfig


def test_configuration_is_chosen_by_name():
    assert isinstance(check(Holder, {"encoder": {"name": "ecapa", "channels": 64}}, "x").encoder, EcapaConfig)
    with pytest.raises(InputError, match="chanels"):
        check(Holder, {"encoder": {"name": "tdnn", "chanels": 64}}, "x")
    with pytest.raises(InputError, match="encoder"):
        check(Holder, {"encoder": {"name": "resnet"}}, "x")
    with pytest.raises(InputError, match="multiple of scale"):
        check(Holder, {"encoder": {"name": "ecapa", "channels": 60}}, "x")
    with pytest.raises(pydantic.ValidationError, match="se_reduction"):
        ResNetSE34LConfig(widths=(4, 8, 8, 8))


def test_configuration_and_registry_do_not_import_torch():
    code = "import sys, sslspk.encoders, sslspk.encoders.config, sslspk.nn.schedules; sys.exit('torch' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


def cpc(**changes):
    torch.manual_seed(0)
    return build(CpcEncoderConfig(**{"channels": 6, "context_dim": 5, **changes}), 1).eval()


def test_cpc_parameter_counts():
    """Keras counts BatchNorm's running statistics; CPC_audio: 256 channels, ChannelNorm, LSTM."""
    encoder = build(CpcEncoderConfig(), 1)
    layers, context = (sum(p.numel() for p in part.parameters()) for part in (encoder.layers, encoder.contexts))
    assert (layers, context) == (5_255_680, 591_360)
    assert sum(v.numel() for v in encoder.layers.state_dict().values() if v.is_floating_point()) == 5_260_800
    sinc = build(CpcEncoderConfig(first="sinc", norm="channel"), 1)
    assert layers - sum(p.numel() for p in sinc.layers.parameters()) == 10 * 512 + 512 - 2 * 512
    audio = build(CpcEncoderConfig(channels=256, norm="channel", context="lstm"), 1)
    assert [sum(p.numel() for p in part.parameters()) for part in (audio.layers, audio.contexts)] == [1_317_120, 526_336]
    assert count(CpcEncoderConfig(bidirectional=True), 1) == 5_255_680 + 2 * 591_360


def test_cpc_has_a_step_every_160_samples():
    encoder, x = cpc(), torch.randn(2, 20480)
    assert encoder.latents(x)[0].shape == (2, 128, 6) and encoder.frames(x).shape == (2, 128, 5) and encoder(x).shape == (2, 5)
    assert [encoder.frames(torch.randn(1, size)).shape[1] for size in (1, 160, 161, 20481)] == [1, 1, 2, 129]


def test_cpc_pads_as_tensorflow_does():
    """11 samples, kernel 4, stride 2: 6 steps over 14 samples, one zero before and two after."""
    layer = cpc(kernels=(4,), strides=(2,)).layers[0]
    x = torch.randn(1, 1, 11)
    padded = torch.cat([torch.zeros(1), x[0, 0], torch.zeros(2)])
    weight, bias = layer.conv.weight[:, 0], layer.conv.bias
    wanted = torch.stack([(weight * padded[2 * t:2 * t + 4]).sum(1) + bias for t in range(6)], 1)
    torch.testing.assert_close(layer(x)[0], torch.relu(layer.norm(wanted[None]))[0])


def test_the_backward_branch_hears_the_waveform_backwards():
    """Its half of the embedding is the second context's last state on the steps of the reversed waveform, not on reversed steps."""
    encoder, x = cpc(bidirectional=True), torch.randn(2, 4000)
    one = cpc()
    one.layers.load_state_dict(encoder.layers.state_dict())
    forwards, backwards = one.latents(x)[0], one.latents(x.flip(1))[0]
    wanted = torch.cat([encoder.contexts[0](forwards)[0][:, -1], encoder.contexts[1](backwards)[0][:, -1]], 1)
    torch.testing.assert_close(encoder(x), wanted)
    assert not torch.allclose(encoder(x)[:, 5:], encoder.contexts[1](forwards.flip(1))[0][:, -1], atol=1e-3)
    frames = encoder.frames(x)
    torch.testing.assert_close(frames[:, :, 5:], encoder.contexts[1](backwards)[0].flip(1))
    assert torch.allclose(frames[:, 0, 5:], wanted[:, 5:]), "the frame at the start has heard all of it, from the end on"


def test_cpc_embeds_a_long_recording_window_by_window():
    """2.5 windows are three, evenly spread, each divided by its own peak; forty take several blocks."""
    encoder, x = cpc(window_seconds=0.1), torch.randn(2, 4000)
    parts = [encoder(x[:, start:start + 1600]) for start in (0, 1200, 2400)]
    torch.testing.assert_close(encoder(x), torch.stack(parts).mean(0))
    assert torch.allclose(encoder(torch.cat([x[:, :1600], 5 * x[:, :1600]], 1)), encoder(x[:, :1600]), atol=1e-5)
    long = torch.randn(1, 40 * 1600)
    torch.testing.assert_close(encoder(long)[0], encoder(long.view(40, 1600)).mean(0))


def test_peak_normalisation_is_a_choice():
    x = torch.randn(2, 2000)
    assert torch.allclose(cpc()(x), cpc()(0.01 * x), atol=1e-5)
    assert not torch.allclose(cpc(peak=False)(x), cpc(peak=False)(0.01 * x), atol=1e-3)
    assert cpc()(torch.zeros(1, 2000)).isfinite().all(), "silence has no peak"


def test_channel_norm_looks_at_one_step_at_a_time():
    encoder, x = cpc(norm="channel", peak=False).train(), torch.randn(2, 3200)
    later = x.clone()
    later[:, 2400:] += 1
    assert torch.equal(encoder.latents(x)[0][:, :10], encoder.latents(later)[0][:, :10])


def test_compiling_reaches_what_the_methods_use():
    encoder, plain, x = cpc(bidirectional=True), cpc(bidirectional=True), torch.randn(2, 2000)
    encoder.compile(backend="eager")
    assert encoder.layers._compiled_call_impl is not None and encoder.state_dict().keys() == plain.state_dict().keys()
    torch.testing.assert_close(encoder.frames(x), plain.frames(x))


@pytest.mark.parametrize(("tree", "said"), [
    ({"kernels": [10, 8]}, "2 kernels and 5 strides"), ({"kernels": [4, 8, 4, 4, 4]}, "shorter than its stride"),
    ({"context": "none"}, "pooling: mean"), ({"context": "none", "pooling": "mean", "bidirectional": True}, "bidirectional: false"),
    ({"first": "sink"}, "'conv' or 'sinc'")])
def test_impossible_cpc_encoders_are_refused(tree, said):
    with pytest.raises(InputError, match=said) as refused:
        check(Holder, {"encoder": {"name": "cpc", **tree}}, "x")
    assert len(str(refused.value)) <= 160
