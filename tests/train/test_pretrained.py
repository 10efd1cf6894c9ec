"""Training on from a frame-level model: a file in torchaudio's format or a model of our own; rates by layer; other poolings."""
import json

import pytest
import torch
import torchaudio
from test_loop import CPU, final_weights, same, train_here
from tones import tiny

from sslspk.api.about import about
from sslspk.encoders import architectures, build
from sslspk.encoders.config import CpcEncoderConfig, PaseEncoderConfig, TdnnConfig, VqWav2vecEncoderConfig
from sslspk.encoders.config_waves import Wav2Vec2EncoderConfig
from sslspk.errors import InputError
from sslspk.export import folder
from sslspk.methods.base import Method
from sslspk.train import checkpoint, model, pretrained
from sslspk.train.job import prepare
from sslspk.train.optim import build_optimizer

ENCODER = {"name": "wav2vec2", "channels": 20, "kernels": [10, 8, 4], "strides": [5, 8, 4], "position_kernel": 8, "position_groups": 2,
           "layers": 3, "dim": 12, "heads": 2, "ff_dim": 20, "normalise": True}
ONE = [{"count": 1, "seconds": 0.4}]
SUPERVISED = {"name": "supervised", "crops": ONE, "scale": 10.0, "margin": 0.1}
PRETEXT = {"name": "wav2vec2", "crops": ONE, "mask_span": 4, "num_negatives": 5, "codes": 8, "code_dim": 8, "out_dim": 8}


def small_arch():
    """What ENCODER is, as torchaudio makes it."""
    return torchaudio.models.wav2vec2_model(
        extractor_mode="group_norm", extractor_conv_layer_config=[(20, 10, 5), (20, 8, 8), (20, 4, 4)], extractor_conv_bias=False,
        encoder_embed_dim=12, encoder_projection_dropout=0.1, encoder_pos_conv_kernel=8, encoder_pos_conv_groups=2, encoder_num_layers=3,
        encoder_num_heads=2, encoder_attention_dropout=0.1, encoder_ff_interm_features=20, encoder_ff_interm_dropout=0.1,
        encoder_dropout=0.1, encoder_layer_norm_first=False, encoder_layer_drop=0.5, aux_num_out=None)


@pytest.fixture
def weights(tmp_path, monkeypatch):
    """A checkpoint of the architecture `small`, whose weights no seed of a training gives."""
    monkeypatch.setitem(architectures.ARCHES, "small", architectures.Arch(small_arch, True))
    torch.manual_seed(77)
    torch.save(small_arch().state_dict(), tmp_path / "small.pth")
    return tmp_path / "small.pth"


def config(encoder=None, **changes):
    return tiny(**{"encoder": {**ENCODER, **(encoder or {})}, "method": SUPERVISED, "train.steps": 3, "train.save_every": 1, **changes})


@pytest.mark.parametrize("arch", sorted(architectures.ARCHES))
def test_options_of_every_architecture_are_its_sizes(arch):
    with torch.device("meta"):
        own, theirs = build(architectures.config_of(arch), 1), architectures.ARCHES[arch].make()
    shapes = {f"model.{key}": value.shape for key, value in theirs.state_dict().items()}
    assert {key: value.shape for key, value in own.state_dict().items()} == shapes
    assert architectures.config_of(arch).normalise == architectures.ARCHES[arch].normalise
    assert dropouts(own.model) == dropouts(theirs) and own.layer_drop == theirs.encoder.transformer.layer_drop


def dropouts(net):
    """Every probability of a part of torchaudio's model by its name."""
    found = {name: part.p if isinstance(part, torch.nn.Dropout) else getattr(part, "dropout", None) for name, part in net.named_modules()}
    return {name: share for name, share in found.items() if isinstance(share, float)}


def test_a_checkpoint_is_where_training_starts(data, tmp_path, weights):
    """Its weights are the first ones, final.pt needs it no more, and says where it began."""
    name = f"small {weights}"
    state = torch.load(weights)
    job = prepare(config(**{"train.init_from": name}), data, tmp_path / "first", CPU, print)
    first = {key.removeprefix("model."): value for key, value in job.method.encoder.state_dict().items()}
    assert first.keys() == state.keys() and all(torch.equal(first[key], state[key]) for key in state)
    train_here(config(**{"train.init_from": name}), data, tmp_path / "exp")
    end = final_weights(tmp_path / "exp")["encoder"]
    assert not any(torch.equal(end[f"model.{key}"], value) for key, value in state.items() if value.ndim > 1)
    info = checkpoint.load(tmp_path / "exp/final.pt")["info"]
    assert info["start"]["system"] == "small" and len(info["start"]["digest"]) == 12 and info["labels"] == "speaker"
    weights.unlink()
    loaded = model.load(tmp_path / "exp/final.pt")
    assert loaded.encoder(torch.randn(1, 8000)).shape == (1, 12) and loaded.config.encoder.normalise
    train_here(config(**{"train.init_from": str(tmp_path / "exp/final.pt")}), data, tmp_path / "onwards")
    assert checkpoint.load(tmp_path / "onwards/final.pt")["info"]["start"]["system"] == "small", "that of the first one"


def test_a_resumed_run_ends_with_the_same_bits(data, tmp_path, weights):
    started = config(**{"train.init_from": f"small {weights}", "train.layer_decay": 0.5, "train.steps": 5, "train.keep": 9})
    train_here(started, data, tmp_path / "exp")
    whole = final_weights(tmp_path / "exp")
    for path in checkpoint.checkpoints(tmp_path / "exp")[2:]:
        path.unlink()
    (tmp_path / "exp/final.pt").unlink()
    train_here(started, data, tmp_path / "exp")
    assert same(final_weights(tmp_path / "exp"), whole)


def test_other_weights_are_another_run(data, tmp_path, weights):
    started = config(**{"train.init_from": f"small {weights}"})
    train_here(started, data, tmp_path / "exp")
    torch.save(small_arch().state_dict(), weights)
    with pytest.raises(InputError, match="started from other weights of small"):
        prepare(started, data, tmp_path / "exp", CPU, print)


@pytest.mark.parametrize(("name", "said"), [
    ("small {folder}/gone.pth", r"gone\.pth.*No such file"), ("huge {folder}/small.pth", "the architecture 'huge' is unknown"),
    ("hubert_base {folder}/small.pth", "not the weights of hubert_base, as"), ("small {folder}", "is a folder"),
    ("{folder}/small.pth", "damaged|not a"), ("small random", None)])
def test_what_is_no_start_is_named(data, tmp_path, weights, name, said):
    started = config(**{"train.init_from": name.format(folder=tmp_path)})
    if said is None:
        prepare(started, data, tmp_path / "exp", CPU, print)
        return
    with pytest.raises(InputError, match=said):
        prepare(started, data, tmp_path / "exp", CPU, print)


def test_another_shape_is_named(data, tmp_path, weights):
    with pytest.raises(InputError, match="its encoder is not this one's shape"):
        prepare(config({"ff_dim": 24}, **{"train.init_from": f"small {weights}"}), data, tmp_path / "exp", CPU, print)


def test_a_file_with_a_space_in_its_name_is_a_file(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "my model.pt").touch()
    assert pretrained.pair("my model.pt") is None and pretrained.pair("our model.pt") == ("our", "model.pt")
    assert pretrained.pair("hubert_base a b.pt") == ("hubert_base", "a b.pt") and pretrained.pair("/x/final.pt") is None
    assert pretrained.there("hubert_base random") and not pretrained.there("hubert_base b.pt") and pretrained.there("my model.pt")


def test_our_own_pre_training_goes_on_with_weights_over_layers_and_back(data, tmp_path):
    """The pooling is the new system's own: weights over layers start at 0, and are left out where they are not used."""
    train_here(config(**{"method": PRETEXT}), data, tmp_path / "pretext")
    pretext = final_weights(tmp_path / "pretext")["encoder"]
    layered = config({"pooling": "layers"}, **{"train.init_from": str(tmp_path / "pretext/final.pt")})
    first = prepare(layered, data, tmp_path / "one", CPU, print).method.encoder.state_dict()
    assert not first.pop("layer_weights").any() and same({"encoder": first}, {"encoder": pretext})
    train_here(layered, data, tmp_path / "layered")
    end = final_weights(tmp_path / "layered")["encoder"]
    assert end["layer_weights"].any()   # they were trained
    back = prepare(config(**{"train.init_from": str(tmp_path / "layered/final.pt")}), data, tmp_path / "two", CPU, print)
    assert end.pop("layer_weights") is not None and same({"encoder": back.method.encoder.state_dict()}, {"encoder": end})


def test_weights_over_frozen_layers_are_learnt(data, tmp_path, weights):
    """As SUPERB probes: of the encoder they alone move."""
    frozen = config({"pooling": "layers"}, **{"train.init_from": f"small {weights}", "train.trainable": "head"})
    start = prepare(frozen, data, tmp_path / "first", CPU, print).method.encoder.state_dict()
    train_here(frozen, data, tmp_path / "exp")
    end = final_weights(tmp_path / "exp")["encoder"]
    assert {key for key in end if not torch.equal(end[key], start[key])} == {"layer_weights"}


class Bare(Method):
    """An encoder and a head."""

    def __init__(self, encoder_config, num_features):
        super().__init__()
        self.encoder, self.head = build(encoder_config, num_features), torch.nn.Linear(3, 3)

    def encoders(self):
        return {"encoder": self.encoder}

    def forward(self, batch, progress):
        return {}


def scales(method, **train):
    """Name of each parameter -> factor on its rate."""
    optimizer = build_optimizer(method, tiny(**{f"train.{key}": value for key, value in train.items()}))
    names = {weight: name for name, weight in method.named_parameters()}
    return {names[weight]: group["scale"] for group in optimizer.param_groups for weight in group["params"]}


@pytest.mark.parametrize("norm_first", [False, True])
def test_rates_by_layer(norm_first):
    """decay^(L - l): the last of three layers has the whole rate, as have the head and the weights over layers; what lies below decay^3."""
    method = Bare(Wav2Vec2EncoderConfig(**{**ENCODER, "norm_first": norm_first, "pooling": "layers"}), 1)
    found = scales(method, layer_decay=0.5)
    assert len(found) == len(list(method.parameters()))
    transformer = "encoder.model.encoder.transformer"
    for name, factor in found.items():
        layer = int(name.split(".")[5]) if name.startswith(f"{transformer}.layers.") else None
        if layer is not None:
            assert factor == 0.5 ** (2 - layer), name
        elif name.startswith(f"{transformer}.layer_norm."):
            assert factor == (1.0 if norm_first else 0.125), name
        else:
            assert factor == (0.125 if name.startswith("encoder.model.") else 1.0), name
    both = scales(method, layer_decay=0.5, encoder_lr=0.1)
    assert all(both[name] == pytest.approx(factor * (0.1 if name.startswith("encoder.") else 1)) for name, factor in found.items())
    assert set(scales(method).values()) == {1.0}


def test_rates_by_layer_of_cpc():
    found = scales(Bare(CpcEncoderConfig(channels=8, context_dim=4), 1), layer_decay=0.5)
    assert {name: factor for name, factor in found.items() if name.endswith("conv.weight")} == {
        f"encoder.layers.{i}.conv.weight": 0.5 ** (5 - i) for i in range(5)}
    assert found["encoder.contexts.0.weight_hh_l0"] == found["head.weight"] == 1


def test_rates_by_layer_of_pase():
    small = dict(channels=[8] * 8, embed_dim=6, context_dim=4)
    plus = scales(Bare(PaseEncoderConfig(**small, context="qrnn", skips=True), 1), layer_decay=0.5)
    assert [plus[f"encoder.layers.{i}.norm.weight"] for i in range(8)] == [0.5 ** (9 - i) for i in range(8)]
    assert {factor for name, factor in plus.items() if name.startswith("encoder.context.")} == {0.5}
    assert {factor for name, factor in plus.items() if name.startswith(("encoder.last.", "encoder.skips.", "head."))} == {1.0}
    alone = scales(Bare(PaseEncoderConfig(**small, context="none", skips=False), 1), layer_decay=0.5)
    assert [alone[f"encoder.layers.{i}.norm.weight"] for i in (0, 7)] == [0.5 ** 8, 0.5]


def test_rates_by_layer_of_vq_wav2vec():
    small = dict(channels=8, quantiser={"name": "gumbel", "codes": 4, "groups": 2, "dim": 8, "depth": 1},
                 aggregator={"name": "convolutions", "dim": 8, "kernels": [2, 3]})
    found = scales(Bare(VqWav2vecEncoderConfig(**small), 1), layer_decay=0.5)
    top = max(int(name.split(".")[2]) for name in found if name.startswith("encoder.layers."))
    for name, factor in found.items():
        words = name.split(".")
        above = {"encoder.layers": lambda words: top - int(words[2]) + 3, "encoder.quantiser": lambda words: 2,
                 "encoder.aggregator": lambda words: 1 - int(words[3])}.get(".".join(words[:2]), lambda words: 0)(words)
        assert factor == 0.5 ** above, name


def test_layers_without_an_order_are_refused():
    with pytest.raises(InputError, match=r"train.layer_decay: only encoders of waveforms have layers in an order"):
        scales(Bare(TdnnConfig(channels=8, pooled_channels=12, embed_dim=6), 20), layer_decay=0.9)


def test_a_small_rate_moves_the_lower_layers_less(data, tmp_path, weights):
    moved = {}
    for decay in (1.0, 0.1):
        train_here(config(**{"train.init_from": f"small {weights}", "train.layer_decay": decay, "train.optimizer": "adam"}), data,
                   tmp_path / str(decay))
        end, start = final_weights(tmp_path / str(decay))["encoder"], torch.load(weights)
        moved[decay] = [float((end[f"model.{key}"] - start[key]).norm()) for key in (
            "feature_extractor.conv_layers.0.conv.weight", "encoder.transformer.layers.2.feed_forward.output_dense.weight")]
    assert moved[0.1][0] < 0.01 * moved[1.0][0] and moved[0.1][1] > 0.3 * moved[1.0][1]


def test_the_encoder_of_a_checkpoint_takes_the_place_of_the_conf_s(tmp_path, weights, capsys, monkeypatch):
    from sslspk.bin import show_config
    conf = tmp_path / "conf.yaml"
    conf.write_text(json.dumps({"features": {"num_mel_bins": 40}, "encoder": {"name": "tdnn"}, "method": SUPERVISED}))
    words = ["show_config", "--conf", str(conf), "--encoder-of", f"small {weights}", "--set", "encoder.pooling=layers", "encoder"]
    monkeypatch.setattr("sys.argv", words)
    show_config.main()
    shown = capsys.readouterr().out
    assert "name: wav2vec2\n" in shown and "dim: 12\n" in shown and "pooling: layers\n" in shown and "normalise: true\n" in shown


def test_it_is_no_embedding_model(weights, tmp_path):
    """What wants one says so."""
    for take in (model.load, about, lambda path: folder.write(path, tmp_path / "out")):
        with pytest.raises(InputError, match=r"a frame-level model, with no embedding of its own; start a training from it"):
            take(f"small {weights}")
    assert not (tmp_path / "out").exists()
