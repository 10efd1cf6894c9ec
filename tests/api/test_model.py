"""sslspk.load: what embed, frames and compare give, against the parts that they are made of."""
import json
import subprocess
import sys

import numpy as np
import pytest
import small_models
import torch
from recipe_copy import ROOT
from small_models import CALIBRATION, silence, voice, wav
from tones import tiny

import sslspk
from sslspk.api import comparison, recordings
from sslspk.api.voice import OPTIONS, Voice
from sslspk.bin import compute_vad, extract_embeddings, pack_audio
from sslspk.config import load
from sslspk.encoders import together
from sslspk.features.config import FeatureOptions, VadOptions
from sslspk.io import ark, audio, datadir, table
from sslspk.train import layers
from sslspk.train import model as models


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return tmp_path_factory.mktemp("api")


@pytest.fixture(scope="module")
def model(folder):
    return sslspk.load(small_models.write(folder))


@pytest.fixture(scope="module")
def cutting(folder):
    """A model that was trained without silence."""
    (folder / "vad").mkdir()
    return sslspk.load(small_models.write(folder / "vad", vad=True))


def by_hand(model, samples):
    with torch.no_grad():
        return model.trained.encoder(model.trained.front_end.whole(torch.from_numpy(samples)))[0].numpy()


@pytest.fixture
def run_program(monkeypatch):
    def run(program, *words):
        monkeypatch.setattr("sys.argv", [program.__name__, *map(str, words)])
        program.main()
    return run


def test_importing_takes_no_torch():
    code = "import sys, sslspk; sslspk.InputError; sys.exit(bool({'torch', 'numpy', 'pydantic'} & sys.modules.keys()))"
    assert subprocess.run([sys.executable, "-c", code], cwd=ROOT, check=False).returncode == 0


def test_the_names_of_the_package_are_there():
    assert all(getattr(sslspk, name) is not None for name in sslspk.__all__) and issubclass(sslspk.InputError, Exception)
    with pytest.raises(AttributeError, match="no attribute 'lode'"):
        _ = sslspk.lode


def test_one_recording_in_any_form(model, tmp_path):
    samples = voice(0.8)
    expected = by_hand(model, samples)
    path = wav(tmp_path / "a.wav", samples)
    forms = {"path": model.embed(path), "Path": model.embed(tmp_path / "a.wav"), "int16": model.embed(samples, 16000),
             "float32": model.embed(samples.astype(np.float32) / 32768, 16000), "float64": model.embed(samples / 32768, rate=16000.0),
             "tensor": model.embed(torch.from_numpy(samples)[None], 16000), "flac": model.embed(wav(tmp_path / "a.flac", samples)),
             "folder": sslspk.load(tmp_path.parent / model.path.rpartition("/")[0]).embed(path)}
    for name, found in forms.items():
        assert found.shape == (model.dim,) == (6,) and found.dtype == np.float32, name
        np.testing.assert_allclose(found, expected, atol=1e-6, err_msg=name)


@pytest.mark.parametrize(("channel", "expected"), [(0, 0), (1, 1), ("mix", 2), ("first", 0)])
def test_channels(model, tmp_path, channel, expected):
    both = np.stack([voice(0.7, 120), voice(0.7, 200, 1)], axis=1)
    mono = [both[:, 0], both[:, 1], np.rint(both.mean(1)).astype(np.int16)][expected]
    for found in (model.embed(wav(tmp_path / "two.wav", both), channel=channel), model.embed(both, 16000, channel=channel),
                  model.embed(both.T, 16000, channel=channel)):
        np.testing.assert_allclose(found, by_hand(model, mono), atol=1e-6)


@pytest.mark.parametrize("rate", [8000, 44100, 192000])
def test_other_rates_are_converted(model, tmp_path, rate):
    samples = voice(0.5, rate=rate)
    expected = by_hand(model, audio.resample(samples, rate, 16000))
    for found in (model.embed(samples, rate), model.embed(wav(tmp_path / "x.wav", samples, rate))):
        np.testing.assert_allclose(found, expected, atol=1e-6)


def test_a_list_gives_what_one_at_a_time_gives(model, tmp_path):
    arrays = [voice(seconds, 100 + 30 * seed, seed) for seed, seconds in enumerate([0.5, 0.7, 0.5, 0.3, 0.5])]
    mixed = [wav(tmp_path / "0.wav", arrays[0]), *arrays[1:]]
    found = model.embed(mixed, 16000)
    assert found.shape == (5, 6) and model.embed([]).shape == (0, 6)
    for row, samples in zip(found, arrays, strict=True):
        np.testing.assert_allclose(row, by_hand(model, samples), atol=1e-6)
    half = audio.resample(arrays[1], 16000, 8000)
    np.testing.assert_allclose(model.embed([arrays[0], half], [16000, 8000])[1], model.embed(half, 8000), atol=1e-6)


@pytest.mark.parametrize(("progress", "shown"), [(True, True), (None, False), (False, False)])
def test_a_bar_on_request(model, capsys, progress, shown):
    model.embed([voice(0.3)] * 21, 16000, progress=progress)
    assert ("21/21" in capsys.readouterr().err) == shown   # None: on terminals alone


def test_only_equal_lengths_are_encoded_together(monkeypatch):
    """And the order of the results is that of the inputs, however the pool is cut."""
    seen = []

    def encode(x):
        seen.append(tuple(x.shape))
        return x.sum(1)

    inputs = [torch.full((1, 3 + i % 3, 2), float(i)) for i in range(20)]
    expected = [x[0].sum(0).numpy() for x in inputs]
    for pool, batch, most in ((1 << 24, 1000, 7), (40, 1000, 2), (1 << 24, 24, 4), (1 << 24, 1, 1)):
        monkeypatch.setattr(together, "POOL", pool)
        monkeypatch.setattr(together, "CPU_BATCH", batch)
        seen.clear()
        np.testing.assert_array_equal(list(together.encoded(encode, iter(inputs))), expected)
        assert max(shape[0] for shape in seen) == most and sum(shape[0] for shape in seen) == 20
        assert all(np.prod(shape) <= batch or shape[0] == 1 for shape in seen)


def test_an_encoder_of_waveforms(tmp_path):
    config = tiny(encoder={"name": "cpc", "channels": 6, "context_dim": 5})
    torch.manual_seed(1)
    encoder = models.build_encoder(config.encoder, 1).eval()
    models.write(tmp_path / "final.pt", config, 1, {"encoder": encoder.state_dict()}, "encoder", small_models.INFO)
    model, arrays = sslspk.load(tmp_path), [voice(0.5), voice(0.4, 200, 1), voice(0.5, 250, 2)]
    with torch.no_grad():
        expected = [encoder(torch.from_numpy(samples)[None] / 32768)[0].numpy() for samples in arrays]
    np.testing.assert_allclose(model.embed(arrays, 16000), expected, atol=1e-6)
    assert model.frames(arrays[0], 16000).shape[0] == round(0.5 / model.frame_shift)


def test_the_extracting_program_gives_the_same(model, tmp_path, run_program):
    lengths = {"a": 0.5, "b": 0.6, "c": 0.5}
    files = {utt: wav(tmp_path / f"{utt}.wav", voice(seconds, seed=place)) for place, (utt, seconds) in enumerate(lengths.items())}
    datadir.write(str(tmp_path / "data"), wav=files, utt2spk=dict.fromkeys(files, "s"))
    run_program(extract_embeddings, tmp_path / "data", model.path, tmp_path / "x.ark", tmp_path / "x.scp")
    for spec, row in zip(table.read(tmp_path / "x.scp").values(), model.embed(list(files.values())), strict=True):
        np.testing.assert_allclose(ark.load(spec), row, atol=1e-6)


@pytest.mark.parametrize(("seconds", "window", "shift", "starts"), [
    (1.0, 0.5, 0.25, (0, 0.25, 0.5)), (1.1, 0.5, 0.25, (0, 0.25, 0.5, 0.6)), (1.0, 0.4, None, (0, 0.2, 0.4, 0.6)),
    (0.3, 0.5, 0.25, (0,)), (0.5, 0.5, 0.5, (0,)), (1.0, 0.3, 0.6, (0, 0.6, 0.7))])
def test_windows(model, seconds, window, shift, starts):
    samples = voice(seconds)
    found = model.embed(samples, 16000, window=window, shift=shift)
    np.testing.assert_allclose(found.times[:, 0], starts, atol=1e-9)
    np.testing.assert_allclose(found.times[:, 1] - found.times[:, 0], min(window, seconds), atol=1e-9)
    for row, (first, end) in zip(found.embeddings, np.rint(found.times * 16000).astype(int), strict=True):
        np.testing.assert_allclose(row, by_hand(model, samples[first:end]), atol=1e-6)
    alone = model.embed([samples, samples], 16000, window=window, shift=shift)
    assert len(alone) == 2 and np.array_equal(alone[1].times, found.times)


def test_silence_is_cut_as_for_the_training(cutting, tmp_path, run_program):
    """What steps/compute_vad.sh and pack_audio.sh --vad true leave of a recording is what is embedded."""
    samples = np.concatenate([voice(0.6), silence(2.0), voice(0.5, 180) // 60])
    path = wav(tmp_path / "a.wav", samples)
    datadir.write(str(tmp_path / "data"), wav={"a": path}, utt2spk={"a": "s"})
    confs = ROOT / "egs/voxceleb/conf"
    run_program(compute_vad, "extract", "--conf", confs / "vad.yaml", "--feats-conf", confs / "mfcc.yaml", tmp_path / "data",
                tmp_path / "vad.ark", tmp_path / "data/vad.scp")
    run_program(pack_audio, "--vad", "true", tmp_path / "data", tmp_path / "wav.ark", tmp_path / "wav.scp")
    packed, _ = audio.read(table.read(tmp_path / "wav.scp")["a"])
    assert len(samples) - len(packed) > 8000
    np.testing.assert_array_equal(Voice(16000).cut(samples), packed)
    np.testing.assert_allclose(cutting.embed(path), by_hand(cutting, packed), atol=1e-6)
    assert len(Voice(16000).cut(packed)) < len(packed) - 4000   # once more would take the faint part, too
    np.testing.assert_allclose(cutting.embed(table.read(tmp_path / "wav.scp")["a"]), by_hand(cutting, packed), atol=1e-6)


@pytest.mark.parametrize("samples", [silence(1.0), np.concatenate([silence(1.0), voice(0.05), silence(1.0)])[:17000]])
def test_a_recording_without_voice_is_refused_where_silence_is_cut(cutting, model, tmp_path, samples):
    path, good = wav(tmp_path / "silent.wav", samples), voice(0.6)
    calls = (lambda: cutting.embed(path), lambda: cutting.embed([good, samples], 16000), lambda: cutting.compare(good, path, 16000),
             lambda: cutting.frames(path))
    for call in calls:
        with pytest.raises(sslspk.InputError, match=r"holds no speech \(0\.\d\d s are left without silence\); record it again"):
            call()
    with pytest.raises(sslspk.InputError, match=r"no window of 0\.5 s has a voice in it"):
        cutting.embed(path, window=0.5)
    told = []
    assert not list(cutting.embeddings([recordings.of(path)], refused=lambda one, err: told.append(str(one)))) and told == [path]
    assert model.embed(path).shape == (6,)


def test_the_voice_activity_is_that_of_the_recipes():
    for conf in (ROOT / "egs").glob("*/conf/vad.yaml"):
        assert load(VadOptions, conf) == OPTIONS
    energy, own = load(FeatureOptions, ROOT / "egs/voxceleb/conf/mfcc.yaml"), Voice(16000)._energy.options
    for name in ("frame_length", "frame_shift", "snip_edges", "use_energy", "raw_energy", "energy_floor", "remove_dc_offset"):
        assert getattr(energy, name) == getattr(own, name)


def test_windows_without_voice_are_left_out(cutting):
    samples = np.concatenate([voice(1.0), silence(1.5), voice(1.0, 180)])
    found = cutting.embed(samples, 16000, window=0.5, shift=0.5)
    assert {0.0, 0.5, 2.5, 3.0} <= set(found.times[:, 0]) and 1.5 not in found.times[:, 0]
    kept = Voice(16000).samples(samples)
    for row, (first, end) in zip(found.embeddings, np.rint(found.times * 16000).astype(int), strict=True):
        np.testing.assert_allclose(row, by_hand(cutting, samples[first:end][kept[first:end]]), atol=1e-6)


def test_frames(model):
    samples = voice(0.9)
    with torch.no_grad():
        expected = model.trained.encoder.frames(model.trained.front_end.whole(torch.from_numpy(samples)))[0].numpy()
    found = model.frames(samples, 16000)
    assert found.dtype == np.float32 and model.frame_shift == pytest.approx(0.01)
    np.testing.assert_allclose(found, expected, atol=1e-6)


def test_a_layer(model, folder):
    samples, inner = voice(0.5), sslspk.load(model.path, layer="layers.0")
    expected = layers.at_layer(inner.trained.encoder, "layers.0", inner.trained.front_end.whole(torch.from_numpy(samples)))[0].numpy()
    assert inner.dim == len(expected) != model.dim
    np.testing.assert_allclose(inner.embed([samples, samples], 16000)[1], expected, atol=1e-6)


def test_comparing_without_a_calibration(model):
    a, b = voice(0.6), voice(0.5, 220, 1)
    x, y = model.embed(a, 16000).astype(float), model.embed(b, 16000).astype(float)
    found = model.compare(a, b, 16000)
    assert found.cosine == pytest.approx(x @ y / np.linalg.norm(x) / np.linalg.norm(y), abs=1e-6)
    assert found[1:] == (None,) * 4
    assert model.compare(a, a, 16000).cosine == pytest.approx(1)


@pytest.mark.parametrize("place", ["info", "file"])
def test_comparing_with_a_calibration(tmp_path, place):
    """l = 8 cosine - 3; with a prior P it is one speaker from l = -logit P on."""
    path = small_models.write(tmp_path, CALIBRATION if place == "info" else None)
    if place == "file":
        (tmp_path / "calibration.json").write_text(json.dumps(CALIBRATION))
    model, (a, b) = sslspk.load(path), (voice(0.6), voice(0.5, 220, 1))
    for prior, used in ((None, 0.05), (0.3, 0.3), (0.004, 0.004)):
        found = model.compare(a, b, 16000, prior=prior)
        odds = np.exp(8 * found.cosine - 3) * used / (1 - used)
        assert found.llr == pytest.approx(8 * found.cosine - 3, abs=1e-6) and found.prior == used
        assert found.probability == pytest.approx(odds / (1 + odds), abs=1e-6) and found.same_speaker == (odds >= 1)
    assert model.compare(a, a, 16000, prior=0.05).same_speaker and not model.compare(a, a, 16000, prior=0.001).same_speaker
    for prior in (1, 0, -0.5, "x", True, float("nan"), [0.5], np.zeros(2)):
        with pytest.raises(sslspk.InputError, match=r"the prior .+ is not between 0 and 1; give the share"):
            model.compare(a, b, 16000, prior=prior)


@pytest.mark.parametrize(("calibration", "options", "said"), [
    (None, {}, "the model carries no calibration"), (CALIBRATION, {"layer": "layers.0"}, "of its default weights, not of others")])
def test_a_prior_without_a_calibration_is_refused(tmp_path, calibration, options, said):
    model = sslspk.load(small_models.write(tmp_path, calibration), **options)
    assert said in model.uncalibrated and model.compare(voice(0.5), voice(0.6), 16000).llr is None
    with pytest.raises(sslspk.InputError, match=f"a prior needs a calibration, and .*{said}"):
        model.compare(voice(0.5), voice(0.6), 16000, prior=0.5)


def test_thresholds_are_where_the_decision_turns(tmp_path):
    found = comparison.of_cosine(CALIBRATION, "x")
    assert comparison.thresholds(found).keys() == {"0.01", "0.05"}
    for prior, cosine in comparison.thresholds(found).items():
        for cos, same in ((cosine - 1e-6, False), (cosine + 1e-6, True)):
            assert comparison.judged(cos, found.apply([[cos]])[0], found, float(prior)).same_speaker is same
    quality = CALIBRATION | {"quality": ["magnitude"], "weights": [8.0, 0.5, 0.5]}
    assert comparison.thresholds(comparison.of_cosine(quality, "x")) == {}


def test_a_calibration_goes_with_one_encoder(tmp_path):
    path = small_models.write(tmp_path, CALIBRATION)
    content = models.read_content(path)
    states = {"teacher": content["encoders"]["teacher"], "student": content["encoders"]["teacher"]}
    models.write(path, tiny(), 20, states, "teacher", content["info"])
    for options, there in (({}, True), ({"weights": "teacher"}, True), ({"weights": "student"}, False), ({"layer": "layers.0"}, False)):
        assert (sslspk.load(path, **options).calibration is not None) == there, options


def test_a_calibration_that_weighs_durations_and_lengths(tmp_path):
    quality = CALIBRATION | {"quality": ["log_duration", "magnitude"], "weights": [8.0, 0.5, 0.25, 2.0, 1.0]}
    model, (a, b) = sslspk.load(small_models.write(tmp_path, quality)), (voice(0.8), voice(0.5, 220, 1))
    low, high = sorted(float(np.linalg.norm(model.embed(x, 16000))) for x in (a, b))
    for found in (model.compare(a, b, 16000), model.compare(b, a, 16000)):
        expected = 8 * found.cosine + 0.5 * np.log(0.5) + 0.25 * np.log(0.8) + 2 * low + high - 3
        assert found.llr == pytest.approx(expected, abs=1e-5)


@pytest.mark.parametrize(("changes", "said"), [
    ({"systems": ["a cosine", "b plda"], "weights": [1.0, 2.0]}, "is of a cosine, b plda, not of one system's cosine"),
    ({"systems": ["a cosine as-norm"]}, "not of one system's cosine"), ({"weights": [1.0, 2.0]}, "there are 2 weights for 1 columns"),
    ({"offset": "low"}, "offset")])
def test_a_calibration_that_is_none_of_this_model(tmp_path, changes, said):
    with pytest.raises(sslspk.InputError, match=said) as caught:
        comparison.find(tmp_path / "final.pt", {"calibration": CALIBRATION | changes})
    assert len(str(caught.value).replace(str(tmp_path), "")) <= 160


def test_a_model_of_a_run_is_named_by_its_file_or_folder(folder, model):
    assert models.provenance(folder) == models.provenance(folder / "final.pt") and models.provenance(folder)["system"] == folder.name
