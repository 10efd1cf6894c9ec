"""ONNX files: equal to the toolkit for every encoder, any length and batch; metadata; what is refused."""
import importlib.util
import io
import json
import sys

import numpy as np
import pytest
import torch
from small_encoders import CONFIGS, settled
from torch import nn

from sslspk.config import check
from sslspk.encoders.config import reads_waveform
from sslspk.encoders.projected import Projected
from sslspk.errors import InputError
from sslspk.export import graph
from sslspk.export.traceable import TraceableExtractor, folded
from sslspk.features.config import FeatureOptions
from sslspk.features.fbank import Extractor
from sslspk.train.config import SystemConfig
from sslspk.train.frontend import FrontEnd
from sslspk.train.model import Model

INFO = {"labels": "none", "trained_on": "corpus", "commit": "abc"}
F = 20
HAS_ONNX = all(importlib.util.find_spec(name) for name in ("onnx", "onnxruntime"))
needs_onnx = pytest.mark.skipif(not HAS_ONNX, reason="onnx and onnxruntime are not installed: pip install 'sslspk[onnx]'")


def model_of(name: str, projection: tuple[int, ...] = (), **sections) -> Model:
    """A small model with BatchNorm statistics that are not the initial ones."""
    features = {"num_mel_bins": F, **sections.pop("features", {})}
    method = "dsvae" if CONFIGS[name].name == "dsvae" else "simclr"
    tree = {"method": {"name": method}, "encoder": CONFIGS[name].model_dump(), "features": features, **sections}
    config = check(SystemConfig, tree, "test")
    encoder = settled(name)
    if projection:
        torch.manual_seed(3)
        encoder = Projected(encoder, projection, True).eval()
    return Model(config, FrontEnd(config.features, config.cmvn, waveform=config.waveform).eval(), encoder, INFO)


def waves(batch: int, samples: int) -> torch.Tensor:
    """(batch, samples) on the int16 scale: noise whose level changes, as speech's does."""
    wave = 3000 * torch.randn(batch, samples, generator=torch.Generator().manual_seed(samples))
    return (wave * (0.1 + torch.sin(torch.arange(samples) / 3000) ** 2)).round().clamp(-32768, 32767)


def compare(model: Model, run, batch: int, samples: int, reads: str = "wave") -> None:
    """The graph gives what the toolkit gives, one recording at a time."""
    wave = waves(batch, samples)
    with torch.inference_mode():
        want = torch.cat([model.encoder(model.front_end.whole(one)) for one in wave]).numpy()
        x = wave / 32768 if reads == "wave" else model.front_end.extractor(wave)
    found = run.run(None, {"x": x.numpy()})[0]
    assert found.dtype == np.float32 and found.shape == want.shape
    assert np.abs(found - want).max() <= 1e-4 * max(1, np.abs(want).max()), (batch, samples)


@needs_onnx
@pytest.mark.parametrize("name", CONFIGS)
def test_every_encoder_with_its_features_inside(name, tmp_path):
    model = model_of(name)
    assert graph.write(model, tmp_path / "x.onnx") <= 1e-4
    run = graph.session((tmp_path / "x.onnx").read_bytes())
    for batch, samples in ((1, 400), (1, 999), (1, 8000), (3, 16001), (1, 48000)):
        compare(model, run, batch, samples)


@needs_onnx
@pytest.mark.parametrize("name", [name for name in CONFIGS if not reads_waveform(CONFIGS[name])])
def test_every_encoder_from_features(name, tmp_path):
    model = model_of(name)
    assert graph.write(model, tmp_path / "x.onnx", "features") <= 1e-4
    run = graph.session((tmp_path / "x.onnx").read_bytes())
    for batch, samples in ((1, 400), (2, 8000), (1, 32000)):
        compare(model, run, batch, samples, "features")


@needs_onnx
@pytest.mark.parametrize("sections", [
    {"features": {"snip_edges": False, "high_freq": -400}},
    {"features": {"use_energy": True}, "cmvn": {"cmn": "sliding", "norm_vars": True}},
    {"features": {"feature_type": "mfcc", "num_mel_bins": 30, "num_ceps": F, "use_energy": True, "raw_energy": False},
     "cmvn": {"cmn": "none"}},
    {"features": {"sample_frequency": 8000, "round_to_power_of_two": False, "remove_dc_offset": False, "window_type": "hamming"},
     "cmvn": {"cmn": "sliding", "center": False, "cmn_window": 50, "min_cmn_window": 20}}, {"cmvn": {"norm_vars": True}},
    {"features": {"feature_type": "fbank_db", "low_freq": 0}}])
def test_any_features(sections, tmp_path):
    """Where there is energy beside the bins, they are one fewer."""
    features = dict(sections.get("features", {}))
    if features.get("use_energy") and "feature_type" not in features:
        features["num_mel_bins"] = F - 1
    model = model_of("tdnn", **{**sections, "features": features})
    assert graph.write(model, tmp_path / "x.onnx") <= 1e-4
    run = graph.session((tmp_path / "x.onnx").read_bytes())
    for samples in (400, 5000, 40001):
        compare(model, run, 1, samples)


@pytest.mark.parametrize("options", [{}, {"snip_edges": False, "num_mel_bins": 40}, {"feature_type": "mfcc", "num_mel_bins": 30},
                                     {"feature_type": "fbank_db", "num_mel_bins": 40}])
def test_features_are_those_of_the_toolkit(options):
    """Without onnx: the module that is traced, and one frame's mirrored edges."""
    options, wave = FeatureOptions(**options), waves(2, 3000)
    wave[:, 1000:1800] = 0   # digital silence
    for samples in (400 if options.snip_edges else 150, 3000):
        found, want = TraceableExtractor(options)(wave[:, :samples]), Extractor(options)(wave[:, :samples])
        torch.testing.assert_close(found, want, rtol=0, atol=2e-3)


@needs_onnx
@pytest.mark.filterwarnings("ignore::DeprecationWarning")
@pytest.mark.parametrize("groups", [1, 2])
def test_a_norm_over_millions_of_values_is_exact(groups):
    """onnxruntime's own, of a quarter of a minute, is wrong by 0.006 to 0.02, and other code words are chosen."""
    torch.manual_seed(4)
    norm, wave = nn.GroupNorm(groups, 256), waves(1, 240000)[:, None] / 32768
    nn.init.normal_(norm.weight)
    layers = nn.Sequential(nn.Conv1d(1, 256, 10, 5, bias=False), norm)
    file = io.BytesIO()
    torch.onnx.export(folded(layers), (wave[:, :, :8000],), file, input_names=["x"], dynamic_axes={"x": {2: "S"}}, dynamo=False)
    run = graph.session(file.getvalue())
    with torch.no_grad():
        want = layers.double()(wave.double()).numpy()
    assert np.abs(run.run(None, {"x": wave.numpy()})[0] - want).max() < 2e-5


@needs_onnx
def test_with_a_projection(tmp_path):
    model = model_of("tdnn", (16, 7))
    graph.write(model, tmp_path / "x.onnx")
    run = graph.session((tmp_path / "x.onnx").read_bytes())
    compare(model, run, 2, 9000)
    said = run.get_modelmeta().custom_metadata_map
    assert said["output_dim"] == "7" and said["framework"] == "sslspk", "sherpa-onnx would feed features to it"


@needs_onnx
def test_metadata_are_those_that_sherpa_onnx_reads(tmp_path):
    model = model_of("tdnn", vad=True)
    graph.write(model, tmp_path / "x.onnx", "features", language="English", url="https://example.org")
    run = graph.session((tmp_path / "x.onnx").read_bytes())
    said = run.get_modelmeta().custom_metadata_map
    assert said.items() >= {
        "framework": "wespeaker", "language": "English", "url": "https://example.org", "sample_rate": "16000", "output_dim": "12",
        "normalize_samples": "0", "labels": "none", "trained_on": "corpus", "input": "features"}.items()
    assert said["silence"].startswith("cut before") and said["feature_normalize_type"] == ""
    assert json.loads(said["features"])["num_mel_bins"] == F and "num_mel_bins, high_freq, snip_edges" in said["comment"]
    assert [(x.name, x.shape) for x in run.get_inputs()] == [("x", ["B", "T", F])]
    assert [(x.name, x.shape) for x in run.get_outputs()] == [("embedding", ["B", 12])]


def test_features_as_sherpa_onnx_computes_them_are_known():
    model = model_of("tdnn", features={"num_mel_bins": 80, "snip_edges": False, "high_freq": -400})
    assert graph.comment(model, "features") == "features as sherpa-onnx computes them"


@needs_onnx
def test_a_graph_that_differs_is_not_written(tmp_path, monkeypatch):
    """The comparison sees other weights, and a difference leaves no file."""
    model, other = model_of("tdnn"), model_of("tdnn")
    nn.init.normal_(other.encoder.segment[0].weight)
    graph.write(other, tmp_path / "other.onnx")
    assert graph.difference(None, model, (tmp_path / "other.onnx").read_bytes(), "wave") > 1e-3
    monkeypatch.setattr(graph, "LIKE", -1.0)
    with pytest.raises(InputError, match="not written, as the graph differs"):
        graph.write(model, tmp_path / "x.onnx")
    assert not (tmp_path / "x.onnx").exists()


@needs_onnx
def test_features_of_a_model_of_waveforms_are_refused(tmp_path):
    with pytest.raises(InputError, match="encoder cpc reads waveforms; export it with --onnx-input wave"):
        graph.write(model_of("cpc"), tmp_path / "x.onnx", "features")


def test_a_missing_package_is_named(tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "onnx", None)
    with pytest.raises(InputError, match=r"need the package onnx, which is not installed; pip install 'sslspk\[onnx\]'"):
        graph.write(model_of("tdnn"), tmp_path / "x.onnx")
    assert not (tmp_path / "x.onnx").exists()
