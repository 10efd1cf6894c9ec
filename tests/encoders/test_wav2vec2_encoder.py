"""The wav2vec 2.0 encoder: sizes against torchaudio's own models, frames against FrameModel, layers by hand, layer drop."""
import itertools

import pytest
import torch
from torchaudio import models

from sslspk.config import check
from sslspk.encoders import architectures, build
from sslspk.encoders.config_waves import Wav2Vec2EncoderConfig
from sslspk.encoders.frame_model import FrameModel
from sslspk.errors import InputError

SMALL = {"channels": 20, "kernels": (10, 8, 4), "strides": (5, 8, 4), "position_kernel": 8, "position_groups": 2, "layers": 3, "dim": 12,
         "heads": 2, "ff_dim": 20}
LARGE = {"layers": 24, "dim": 1024, "heads": 16, "ff_dim": 4096}
ROBUST = {"conv_norm": "every", "conv_bias": True, "norm_first": True}


def make(**options):
    torch.manual_seed(3)
    return build(Wav2Vec2EncoderConfig(**{**SMALL, **options}), 1)


def waves(samples=4000, rows=2):
    return torch.randn(rows, samples, generator=torch.Generator().manual_seed(1))


@pytest.mark.parametrize(("options", "arch", "count"), [
    ({}, models.wav2vec2_base, 94_370_944), (LARGE, models.wav2vec2_large, 315_427_968),
    ({**LARGE, **ROBUST}, models.wav2vec2_xlsr_300m, None), ({"relative_buckets": 320}, models.wavlm_base, 94_381_168)])
def test_sizes_are_those_of_torchaudio(options, arch, count):
    with torch.device("meta"):
        own, theirs = build(Wav2Vec2EncoderConfig(**options), 1), arch()
    shapes = {key: value.shape for key, value in theirs.state_dict().items()}
    assert {key.removeprefix("model."): value.shape for key, value in own.state_dict().items()} == shapes
    assert count is None or sum(weight.numel() for weight in own.parameters()) == count


@pytest.mark.parametrize("normalise", [False, True])
@pytest.mark.parametrize("options", [{}, ROBUST, {"relative_buckets": 16, "relative_distance": 20}])
def test_layers_are_those_of_the_frame_model(options, normalise):
    encoder = make(normalise=normalise, **options).eval()
    whole = FrameModel("small", encoder.model, normalise).eval()
    samples = (3000 * waves(rows=1)[0]).to(torch.int16)
    x = samples[None].float() / 32768
    with torch.no_grad():
        outputs, last = encoder.layers(x), encoder.frames(x)
        for number, output in enumerate(outputs[1:], 1):
            expected = whole.frames(samples, str(number))[None]
            if options is ROBUST and number == 3:
                expected = encoder.model.encoder.transformer.layer_norm(expected)
            torch.testing.assert_close(output, expected, rtol=1e-5, atol=1e-5)
    assert torch.equal(last, outputs[-1]) and len(outputs) == 4


def test_steps():
    base = Wav2Vec2EncoderConfig()
    assert (base.field_samples, base.step_samples) == (400, 320)
    encoder = make()
    assert (encoder.min_frames, encoder.latent_dim, encoder.num_layers) == (165, 20, 3)
    for samples, steps in ((164, 1), (165, 1), (324, 1), (325, 2), (4000, 24)):
        assert encoder.frames(waves(samples)).shape == (2, steps, 12)


@pytest.mark.parametrize("options", [{}, ROBUST, {"relative_buckets": 16, "relative_distance": 20}])
def test_layers_above_the_one_that_is_wanted_are_not_computed(options):
    encoder, x, ran = make(**options).eval(), waves(), []
    for layer in encoder.model.encoder.transformer.layers:
        layer.register_forward_hook(lambda *_: ran.append(1))
    every = encoder.layers(x)
    for upto in range(4):
        ran.clear()
        some = encoder.layers(x, upto)
        assert len(ran) == upto and all(torch.equal(a, b) for a, b in zip(some, every[:upto + 1], strict=True))


def test_learnt_weights_over_layers():
    encoder, x = make(pooling="layers").eval(), waves()
    outputs = torch.stack(encoder.layers(x))
    torch.testing.assert_close(encoder(x), outputs.mean((0, 2)))
    with torch.no_grad():
        encoder.layer_weights.copy_(torch.tensor([0.0, 30.0, 0.0, 0.0]))
    torch.testing.assert_close(encoder(x), outputs[1].mean(1))
    torch.testing.assert_close(encoder.frames(x), outputs[1])   # frames are what is pooled
    assert "layer_weights" not in make().state_dict() and not torch.allclose(make().eval()(x), outputs[1].mean(1))


def test_a_long_recording_is_embedded_in_windows():
    encoder, x = make(window_seconds=0.1).eval(), waves(3600)
    starts = (0, 1000, 2000)
    expected = torch.stack([encoder(x[:, start:start + 1600]) for start in starts]).mean(0)
    torch.testing.assert_close(encoder(x), expected)
    no_dropout = {"input_dropout": 0, "dropout": 0, "attention_dropout": 0, "layer_drop": 0}
    torch.testing.assert_close(make(window_seconds=0.1, **no_dropout).train()(x), expected)


@pytest.mark.parametrize("relative", [0, 16])
def test_a_layer_that_is_left_out_has_a_gradient_of_zero(relative):
    """Every rank then has a gradient of each parameter. WavLM's first layer stays: it makes the positions of the others."""
    encoder = make(layer_drop=0.999999, dropout=0, relative_buckets=relative, relative_distance=20)
    outputs = encoder.layers(waves())
    first = 1 if relative else 0
    assert all(torch.equal(output, outputs[first]) for output in outputs[first + 1:]) and not (relative and torch.equal(*outputs[:2]))
    outputs[-1].sin().sum().backward()
    for i, layer in enumerate(encoder.model.encoder.transformer.layers):
        for key, weight in layer.named_parameters():
            assert weight.grad is not None and (weight.grad.eq(0).all() or i < first), key
    torch.manual_seed(5)
    half, drawn = make(layer_drop=0.5, dropout=0, input_dropout=0, attention_dropout=0), set()
    for _ in range(40):
        outputs = half.layers(waves())
        drawn.add(tuple(torch.equal(a, b) for a, b in itertools.pairwise(outputs)))
    assert len(drawn) == 8 and len({output.sum().item() for output in half.eval().layers(waves())}) == 4


def test_initial_weights():
    torch.manual_seed(0)
    model = architectures.make(Wav2Vec2EncoderConfig(layers=1, channels=128))
    layer, conv = model.encoder.transformer.layers[0], model.encoder.transformer.pos_conv_embed.conv
    assert layer.feed_forward.output_dense.weight.std().item() == pytest.approx(0.02, rel=0.02)
    assert not layer.attention.q_proj.bias.any() and not conv.bias.any()
    assert conv.weight.std().item() == pytest.approx((4 / (128 * 768)) ** 0.5, rel=0.02)
    assert model.feature_extractor.conv_layers[1].conv.weight.std().item() == pytest.approx((2 / (3 * 128)) ** 0.5, rel=0.02)


@pytest.mark.parametrize(("options", "said"), [
    ({"heads": 5}, r"dim \(768\) must be a multiple of heads \(5\); change either"),
    ({"position_groups": 7}, r"dim \(768\) must be a multiple of position_groups \(7\)"),
    ({"kernels": [10, 3]}, "there are 2 kernels and 7 strides"),
    ({"kernels": [4], "strides": [5]}, "a kernel is shorter than its stride"),
    ({"relative_buckets": 30}, "relative_buckets must be a multiple of 4"),
    ({"relative_buckets": 400, "relative_distance": 100}, "relative_distance more than a quarter of it")])
def test_impossible_sizes_are_refused(options, said):
    with pytest.raises(InputError, match=said):
        check(Wav2Vec2EncoderConfig, {"name": "wav2vec2", **options}, "the test")


MHFA = {"pooling": "mhfa", "pooling_heads": 3, "pooling_compress": 4, "embed_dim": 6}
WAVLM = {"relative_buckets": 16, "relative_distance": 20}
LORA = {"rank": 2, "alpha": 6.0}


def test_mhfa_reads_all_layers_and_their_input():
    encoder, x = make(**MHFA).eval(), waves()
    torch.testing.assert_close(encoder(x), encoder.mhfa(encoder.layers(x)))
    assert encoder(x).shape == (2, 6) and encoder.frames(x).shape == (2, 24, 4)
    assert encoder.last_layers == [encoder.mhfa] and len(encoder.mhfa.key_weights) == 4
    held = {id(weight) for part in encoder.depths for module in part for weight in module.parameters()}
    assert held == {id(weight) for weight in encoder.model.parameters()}   # learning rates by layer leave the pooling alone


@pytest.mark.parametrize("options", [{}, WAVLM])
def test_lora_is_the_base_at_first_and_learns_alone(options):
    base, x = make(dropout=0, input_dropout=0, attention_dropout=0, layer_drop=0, **MHFA, **options), waves()
    with_it = make(dropout=0, input_dropout=0, attention_dropout=0, layer_drop=0, lora=LORA, **MHFA, **options)
    with_it.load_state_dict(with_it.adopted(base.state_dict()))
    with torch.no_grad():   # what has a gradient goes through other kernels
        assert torch.equal(with_it(x), base(x))
    optimizer = torch.optim.SGD([weight for weight in with_it.parameters() if weight.requires_grad], lr=1.0)
    before = {key: value.clone() for key, value in with_it.state_dict().items()}
    for _ in range(2):   # in the first step the product is zero, so that one factor has no gradient
        optimizer.zero_grad()
        with_it(x).sin().sum().backward()
        optimizer.step()
    moved = {key for key, value in with_it.state_dict().items() if not torch.equal(value, before[key])}
    assert moved == {key for key in before if key.startswith("mhfa.") or key.endswith((".up", ".down"))}
    merged = base.adopted(with_it.state_dict())
    base.load_state_dict(merged)
    with torch.no_grad():
        assert torch.equal(base(x), with_it(x)) and not torch.allclose(make(**MHFA, **options).eval()(x), base(x))


def test_lora_of_the_papers_sizes():
    """Rank 64 on queries and values of 12 layers of 768: 2 * 64 * 2 * 768 a layer."""
    with torch.device("meta"):
        for options in ({}, {"relative_buckets": 320}):
            encoder = build(Wav2Vec2EncoderConfig(lora={}, pooling="mhfa", **options), 1)
            learnt = {key: weight.numel() for key, weight in encoder.named_parameters() if weight.requires_grad}
            assert sum(count for key, count in learnt.items() if not key.startswith("mhfa.")) == 12 * 4 * 64 * 768
            # keys and values 768 x 128, scores 128 x 64, one layer of 64 * 128 x 256, two weights for each of 13 layers
            assert sum(count for key, count in learnt.items() if key.startswith("mhfa.")) == (
                2 * 768 * 128 + 128 + 128 * 64 + 64 * 128 * 256 + 256 + 26)
