"""Frames of whole recordings: spacing, windows against the whole, layers, and steps/extract_frames.sh as a user runs it."""
import json

import numpy as np
import pytest
import recipe_copy
import torch
from recipe_copy import run, sh, snapshot
from torch import nn

from sslspk.config import check
from sslspk.encoders import build
from sslspk.encoders.projected import Projected
from sslspk.errors import InputError
from sslspk.io import ark, audio, datadir, table
from sslspk.train import frames, layers
from sslspk.train import model as models
from sslspk.train.config import SystemConfig

CPC = {"name": "cpc", "channels": 6, "context_dim": 5}
ENCODERS = {
    "cpc": (CPC, 160),
    "tdnn": ({"name": "tdnn", "channels": 8, "pooled_channels": 12, "embed_dim": 6}, 1),
    "resnetse34l": ({"name": "resnetse34l", "widths": [4, 4, 8, 8], "se_reduction": 2, "embed_dim": 6}, 4),
}


def system(encoder):
    return check(SystemConfig, {"encoder": encoder, "method": {"name": "dino"}, "features": {"num_mel_bins": 40, "snip_edges": False},
                                "cmvn": {"cmn": "utterance"}}, "x.yaml")


def made(encoder):
    torch.manual_seed(0)
    config = system(encoder)
    return config, build(config.encoder, config.num_features).eval()


@pytest.mark.parametrize("name", ENCODERS)
def test_the_spacing_of_frames_is_measured(name):
    encoder, expected = ENCODERS[name]
    config, network = made(encoder)
    assert frames.stride(network, None, config) == frames.stride(Projected(network, (4,), False), None, config) == expected


@pytest.mark.parametrize("length", [300, 301, 317, 400, 401, 449, 450, 777, 1000])
@pytest.mark.parametrize(("window", "margin"), [(300, 40), (120, 24), (100, 40)])
def test_windows_give_the_frames_of_the_whole(length, window, margin):
    """Two convolutions without padding, of stride 4 together: a frame sees 26 inputs from its place on."""
    torch.manual_seed(1)
    network = nn.Sequential(nn.Conv1d(3, 4, 6, 2), nn.ReLU(), nn.Conv1d(4, 5, 11, 2)).double()
    seen = []

    def encode(x):
        seen.append(x.shape[1])
        return network(x.transpose(1, 2)).transpose(1, 2)

    x = torch.randn(1, length, 3, dtype=torch.float64)
    whole = encode(x)
    seen.clear()
    found = frames.in_windows(encode, x, 4, window, margin)
    assert found.shape == whole.shape and (len(seen) == 1) == (length <= window) and max(seen) <= window
    torch.testing.assert_close(found, whole, rtol=1e-12, atol=1e-14)   # float64: some processors sum a shorter input in another order


@pytest.mark.parametrize("name", ["tdnn", "cpc"])
def test_windows_of_an_encoder_with_little_context(name):
    encoder = {**ENCODERS[name][0], **({"context": "none", "pooling": "mean", "peak": False} if name == "cpc" else {})}
    config, network = made(encoder)
    step = ENCODERS[name][1]
    x = torch.randn(1, 160 * 97) if config.waveform else torch.randn(1, 97, 40)
    with torch.no_grad():
        found = frames.in_windows(network.frames, x, step, 40 * step, 15 * step)
        torch.testing.assert_close(found, network.frames(x), rtol=1e-4, atol=1e-5)


def test_a_window_needs_room():
    with pytest.raises(InputError, match="no room for two margins of 52"):
        frames.in_windows(lambda x: x, torch.zeros(1, 1000, 1), 4, 100, 50)


def test_layers_have_frames():
    _, network = made(ENCODERS["tdnn"][0])
    x, name = torch.randn(2, 60, 40), layers.layer_names(network)[0]
    maps = dict(network.named_modules())
    seen = []
    maps["layers.0"].register_forward_hook(lambda module, inputs, output: seen.append(output))
    found = layers.frames_at(network, "layers.0", x)
    torch.testing.assert_close(found, seen[0].transpose(1, 2))
    torch.testing.assert_close(layers.at_layer(network, "layers.0", x), found.mean(1))
    torch.testing.assert_close(layers.frames_at(network, None, x), network.frames(x))
    for wrong, words in (("nowhere", "no such layer"), ("segment", "one map")):
        with pytest.raises(InputError, match=words):
            layers.frames_at(network, wrong, x)
    assert name in maps


def test_layers_of_a_transformer_have_numbers():
    config, network = made({"name": "wav2vec2", "channels": 20, "kernels": [10, 8, 4], "strides": [5, 8, 4], "position_kernel": 8,
                            "position_groups": 2, "layers": 2, "dim": 12, "heads": 2, "ff_dim": 20})
    assert frames.stride(network, "1", config) == 160
    x = torch.randn(1, 800)
    with torch.no_grad():
        outputs = network.layers(x)
    for number, output in enumerate(outputs):
        torch.testing.assert_close(layers.frames_at(network, str(number), x), output)
        torch.testing.assert_close(layers.at_layer(network, str(number), x), output.mean(1))
    torch.testing.assert_close(layers.frames_at(network, str(network.num_layers), x), network.frames(x))
    with pytest.raises(InputError, match=f"layers 0 .* to {network.num_layers}"):
        layers.frames_at(network, str(network.num_layers + 1), x)


@pytest.fixture(scope="module")
def recipe(tmp_path_factory):
    """Four recordings of 0.3 to 1.2 s, and untrained models exp/cpc and exp/tdnn."""
    folder = recipe_copy.make(tmp_path_factory.mktemp("frames"))
    rng, wav = np.random.default_rng(0), {}
    (folder / "wav").mkdir()
    with audio.PackWriter(folder / "wav/wav.ark", folder / "wav/pack.scp") as pack:
        for i, length in enumerate((4800, 9600, 9601, 19200)):
            pack.write(f"s{i // 2}-u{i}", rng.normal(0, 900, length).astype(np.int16), 16000)
    wav = table.read(folder / "wav/pack.scp")
    datadir.write(str(folder / "data"), wav=wav, utt2spk={utt: utt[:2] for utt in wav})
    for name in ("cpc", "tdnn"):
        config, network = made(ENCODERS[name][0])
        info = {"data": "x", "trained_on": "x", "labels": "none", "commit": "x", "step": 1, "start": None}
        (folder / "exp" / name).mkdir(parents=True)
        models.write(folder / "exp" / name / "final.pt", config, config.num_features, {"encoder": network.state_dict()}, "encoder", info)
    return folder


def read(folder):
    return {utt: ark.load(spec) for utt, spec in table.read(folder / "feats.scp").items()}


@pytest.mark.parametrize(("name", "shift", "jobs"), [("cpc", "0.01", 2), ("tdnn", "0.01", 1)])
def test_the_step_writes_what_the_encoder_gives(recipe, monkeypatch, name, shift, jobs):
    monkeypatch.chdir(recipe)
    words = ("steps/extract_frames.sh", "--nj", jobs, "data", f"exp/{name}", f"exp/{name}/frames")
    run(recipe, *words)
    out, model = recipe / f"exp/{name}/frames", models.load(recipe / f"exp/{name}/final.pt")
    found = read(out)
    assert (out / "frame_shift").read_text() == f"{shift}\n" and len(found) == 4
    assert table.read(out / "utt2num_frames") == {utt: str(len(x)) for utt, x in found.items()}
    said = json.loads((out / "provenance.json").read_text())
    assert (said["system"], said["model_digest"]) == (name, models.start(recipe / f"exp/{name}/final.pt")["digest"])
    for utt, x in found.items():
        samples = torch.from_numpy(audio.read(table.read(recipe / "data/wav.scp")[utt])[0])
        with torch.no_grad():
            np.testing.assert_allclose(x, model.encoder.frames(model.front_end.whole(samples))[0], rtol=1e-4, atol=1e-5)
    before = snapshot(recipe)
    assert "up to date, skipped" in run(recipe, *words) and snapshot(recipe) == before
    (out / "utt2num_frames").unlink()
    run(recipe, *words)
    assert snapshot(recipe) == before


def test_windows_layers_and_compression_are_options(recipe, monkeypatch):
    monkeypatch.chdir(recipe)
    run(recipe, "steps/extract_frames.sh", "--nj", "1", "data", "exp/tdnn", "whole")
    cutting = ("--window", "0.5", "--margin", "0.15", "--compress", "true")
    run(recipe, "steps/extract_frames.sh", "--nj", "1", *cutting, "data", "exp/tdnn", "cut")
    whole, cut = read(recipe / "whole"), read(recipe / "cut")
    for utt, x in whole.items():
        assert cut[utt].shape == x.shape
        np.testing.assert_allclose(cut[utt], x, atol=0.02 * np.ptp(x))
    run(recipe, "steps/extract_frames.sh", "--nj", "1", "--layer", "layers.0", "data", "exp/tdnn", "first")
    assert read(recipe / "first")["s0-u0"].shape[1] == 8
    assert json.loads((recipe / "first/provenance.json").read_text())["weights"] == "encoder (layers.0)"


@pytest.mark.parametrize(("words", "named"), [
    (("data", "exp/none", "out"), "there is no exp/none/final.pt"),
    (("--layer", "nowhere", "data", "exp/tdnn", "out"), "no such layer"),
    (("--window", "1", "--margin", "0.5", "data", "exp/tdnn", "out"), "needs room for its two margins"),
])
def test_extraction_of_frames_refuses(recipe, words, named):
    done = sh(recipe, "steps/extract_frames.sh", "--nj", "1", *words)
    assert done.returncode == 1 and named in done.stderr and "Traceback" not in done.stderr
    assert not (recipe / "out/feats.scp").exists()
