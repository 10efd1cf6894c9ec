"""What every encoder promises. A new encoder is one line in CONFIGS of tests/small_encoders.py."""
import pytest
import torch
from small_encoders import CONFIGS, F, encoder_of, inputs, num_features, settled

from sslspk.encoders import build
from sslspk.encoders.config import reads_waveform
from sslspk.errors import InputError

# A bias of the keys adds the same to the scores of all of them, and the softmax takes it away again.
# LoRA's product is zero at first, and so is the gradient of the factor that is not.
WITHOUT_EFFECT = ("k_proj.bias", ".down")
OWN_LOSS = ("vq-wav2vec-kmeans", "quantiser.vars")                # code words that a loss of their own moves
CHOOSES = ("vq-wav2vec", "vq-wav2vec-kmeans", "vq-wav2vec-seed")   # one of several code words: no slope, and a gradient all the same
# What the embedding does not pass through.
LATER = dict.fromkeys(("dsvae", "dsvae-ridge"), ("content.", "decoder.", "speaker.latent.log_variance."))
every_encoder = pytest.mark.parametrize("name", CONFIGS)


@every_encoder
@pytest.mark.parametrize("batch, frames", [(2, 40), (3, 57), (5, 101)])
def test_shapes(name, batch, frames):
    encoder = encoder_of(name)
    assert encoder.num_features == num_features(name) and encoder.input == ("wave" if reads_waveform(CONFIGS[name]) else "feats")
    x = inputs(name, batch, frames)
    maps, embedding = encoder.frames(x), encoder(x)
    assert embedding.shape == (batch, encoder.embed_dim) and embedding.dtype == torch.float32
    assert maps.ndim == 3 and maps.shape[0] == batch and 1 <= maps.shape[1] <= frames
    assert embedding.isfinite().all() and maps.isfinite().all()


@every_encoder
def test_eval_is_deterministic_and_leaves_no_trace(name):
    encoder, x = settled(name), inputs(name, 3, 50)
    before = {key: value.clone() for key, value in encoder.state_dict().items()}
    kept = x.clone()
    assert torch.equal(encoder(x), encoder(x))
    assert torch.equal(x, kept), "the input was written to"
    assert all(torch.equal(before[key], value) for key, value in encoder.state_dict().items())


@every_encoder
def test_eval_does_not_depend_on_batch_mates(name):
    encoder, x = settled(name), inputs(name, 6, 50)
    x[1:] *= 30
    with torch.no_grad():
        alone, together = encoder(x[:1]), encoder(x)[:1]
    torch.testing.assert_close(alone, together, rtol=1e-5, atol=1e-5)


@every_encoder
def test_gradient_reaches_every_parameter(name):
    encoder = encoder_of(name)
    embedding = encoder(inputs(name, 12, 60))
    (embedding * torch.randn_like(embedding)).sum().backward()
    for key, parameter in encoder.named_parameters():
        if not parameter.requires_grad:   # LoRA's frozen model
            assert CONFIGS[name].lora and key.startswith("model.") and parameter.grad is None
            continue
        if key.startswith(LATER.get(name, ())):
            assert parameter.grad is None, key
            continue
        assert parameter.grad is not None and parameter.grad.isfinite().all(), key
        if (name, key) == OWN_LOSS:
            continue
        assert parameter.grad.abs().max() > 1e-7 or key.endswith(WITHOUT_EFFECT), key


@pytest.mark.parametrize("name", [name for name in CONFIGS if name not in CHOOSES])
def test_gradient_of_the_input_equals_a_finite_difference(name):
    encoder = settled(name).double()
    for parameter in encoder.parameters():
        parameter.requires_grad_(False)
    x = inputs(name, 2, 30).double().requires_grad_(True)
    direction = torch.randn(2, encoder.embed_dim, generator=torch.Generator().manual_seed(7)).double()
    (encoder(x) * direction).sum().backward()
    along = torch.randn(x.shape, generator=torch.Generator().manual_seed(8)).double()
    with torch.no_grad():
        slope = ((encoder(x + 1e-7 * along) - encoder(x - 1e-7 * along)) * direction).sum() / 2e-7
    assert float((x.grad * along).sum()) == pytest.approx(float(slope), rel=1e-4)


@every_encoder
def test_state_dict_round_trip(name, tmp_path):
    encoder, x = settled(name), inputs(name, 2, 50)
    torch.save(encoder.state_dict(), tmp_path / "state.pt")
    torch.manual_seed(99)
    other = build(CONFIGS[name], num_features(name)).eval()
    assert not torch.equal(other(x), encoder(x))
    other.load_state_dict(torch.load(tmp_path / "state.pt", weights_only=True))
    assert torch.equal(other(x), encoder(x))


@every_encoder
def test_bf16_autocast_trains(name):
    encoder, x = encoder_of(name), inputs(name, 8, 60)
    exact = encoder(x).detach()
    with torch.autocast("cpu", torch.bfloat16):
        embedding = encoder(x)
    embedding.float().square().sum().backward()
    assert all(p.grad is not None and p.grad.isfinite().all() for key, p in encoder.named_parameters()
               if p.requires_grad and not key.startswith(LATER.get(name, ())))
    assert torch.nn.functional.cosine_similarity(embedding.detach().float(), exact).min() > 0.97


@every_encoder
def test_same_seed_same_weights(name):
    first, second = encoder_of(name).state_dict(), encoder_of(name).state_dict()
    assert all(torch.equal(first[key], second[key]) for key in first)


@every_encoder
@pytest.mark.parametrize("frames", [1, 2, 9])
def test_a_very_short_utterance_has_an_embedding(name, frames):
    encoder = settled(name)
    x = inputs(name, 2, frames)
    embedding = encoder(x)
    assert embedding.shape == (2, encoder.embed_dim) and embedding.isfinite().all()
    assert encoder.frames(x).shape[1] >= 1
    if x.shape[1] < encoder.min_frames:
        missing = encoder.min_frames - x.shape[1]
        padded = torch.cat([x[:, :1]] * (missing // 2) + [x] + [x[:, -1:]] * (missing - missing // 2), dim=1)
        assert torch.equal(embedding, encoder(padded))


@every_encoder
def test_a_short_batch_trains(name):
    encoder = encoder_of(name)
    encoder(inputs(name, 4, 16)).sum().backward()
    assert all(p.grad is None or p.grad.isfinite().all() for p in encoder.parameters())


@every_encoder
def test_a_wrong_shape_is_named(name):
    wave = reads_waveform(CONFIGS[name])
    said = "reads waveforms" if wave else f"frames of {F} features"
    for shape in ((2, 3000, 1), (3000,)) if wave else ((2, 30, F + 1), (30, F), (2, F, 30)):
        for call in (encoder_of(name), encoder_of(name).frames):
            with pytest.raises(InputError, match=said):
                call(torch.zeros(shape))


@every_encoder
def test_no_frame_at_all_is_refused(name):
    with pytest.raises(InputError, match="without any frame or sample"):
        encoder_of(name)(torch.zeros((2, 0) if reads_waveform(CONFIGS[name]) else (2, 0, F)))
