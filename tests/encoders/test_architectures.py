"""Parameter counts against the published ones, and the shapes that the papers state."""
import subprocess
import sys

import pydantic
import pytest
import torch

from sslspk.config import Config, check
from sslspk.encoders import build
from sslspk.encoders.config import EcapaConfig, EncoderConfig, LResNet34Config, ResNetSE34LConfig, TdnnConfig
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
