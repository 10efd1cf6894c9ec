"""Filterbank and MFCC against Kaldi's numbers, against a slow version in float64, and against torchaudio."""
import math
from pathlib import Path

import numpy as np
import pytest
import soundfile
import torch
from torchaudio.compliance import kaldi

from sslspk.config import check, load
from sslspk.errors import InputError
from sslspk.features.config import FeatureOptions
from sslspk.features.fbank import Extractor

ROOT = Path(__file__).resolve().parents[2]
GOLDEN, CONF = ROOT / "tests/golden/feats", ROOT / "egs/voxceleb/conf"
KALDI = np.load(GOLDEN / "kaldi.npz")
DEVICES = ["cpu", *(["cuda"] if torch.cuda.is_available() else [])]


def read(name):
    return torch.from_numpy(soundfile.read(GOLDEN / name, dtype="int16")[0])


def options(**changes):
    return check(FeatureOptions, changes, "the test")


def extract(wave, device="cpu", **changes):
    """(T, F) of one waveform."""
    return Extractor(options(**changes)).to(device)(torch.as_tensor(wave, device=device)[None])[0].cpu().numpy()


def agree(found, expected, most=0.02):
    assert found.shape == expected.shape and found.dtype == np.float32
    difference = found.astype(np.float64) - expected
    assert np.sqrt(np.mean(difference ** 2)) < 1e-4
    assert np.abs(difference).max() < most


@pytest.mark.parametrize("device", DEVICES)
@pytest.mark.parametrize("kind, conf, changes", [
    ("fbank80", "fbank.yaml", []), ("fbank40", "fbank.yaml", ["num_mel_bins=40"]),
    ("fbank80_nosnip", "fbank.yaml", ["snip_edges=false"]), ("fbank80_nosnip", "fbank_jhu.yaml", ["high_freq=0"]),
])
def test_fbank_is_kaldis(device, kind, conf, changes):
    extractor = Extractor(load(FeatureOptions, CONF / conf, changes)).to(device)
    agree(extractor(read("spk3-u3.wav").to(device)[None])[0].cpu().numpy(), KALDI[f"{kind}/spk3-u3"])


@pytest.mark.parametrize("device", DEVICES)
def test_mfcc_is_kaldis(device):
    extractor = Extractor(load(FeatureOptions, CONF / "mfcc.yaml")).to(device)
    for name, key, columns in (("spk3-u3.wav", "mfcc30/spk3-u3", 30), ("spk2-u2.flac", "mfcc30_first6/spk2-u2", 6)):
        found = extractor(read(name).to(device)[None])[0].cpu().numpy()
        assert found.shape[1] == 30
        difference = found[:, :columns] - KALDI[key]
        assert np.abs(difference).max() < 0.02 and np.sqrt(np.mean(difference ** 2)) < 1e-3


def test_a_recording_longer_than_a_block_is_kaldis():
    agree(extract(read("spk2-u2.flac"))[::5], KALDI["fbank80_every5/spk2-u2"])


def test_the_defaults_are_those_of_the_conf_file():
    assert load(FeatureOptions, CONF / "fbank.yaml") == FeatureOptions()


@pytest.mark.parametrize("device", DEVICES)
def test_one_sample_less_than_a_frame(device):
    assert extract(read("edge-399.wav"), device).shape == (0, 80)
    assert extract(read("edge-400.wav"), device).shape == (1, 80)
    extractor = Extractor(options(feature_type="mfcc", snip_edges=False)).to(device)
    for size in (0, 1, 79):
        assert extractor(torch.zeros(3, size, device=device)).shape == (3, 0, 13)
    assert extractor(torch.zeros(3, 80, device=device)).shape == (3, 1, 13)


def to_mel(frequency):
    return 1127 * math.log(1 + frequency / 700)


def slow_window(o, n):
    once, twice = ([math.cos(k * math.pi * i / (n - 1)) for i in range(n)] for k in (2, 4))
    if o.window_type == "blackman":
        return [o.blackman_coeff - 0.5 * c + (0.5 - o.blackman_coeff) * d for c, d in zip(once, twice, strict=True)]
    return [{"hanning": (1 - c) / 2, "povey": ((1 - c) / 2) ** 0.85, "rectangular": 1.0, "hamming": 0.54 - 0.46 * c}[o.window_type]
            for c in once]


def slow_frames(wave, o):
    """Frames of Kaldi's two ways of counting; what sticks out at an end is reflected there, again and again."""
    n, shift, size = o.window_samples, o.shift_samples, len(wave)
    if o.snip_edges:
        return [wave[start:start + n] for start in range(0, size - n + 1, shift)]
    frames = []
    for t in range((size + shift // 2) // shift):
        places = range(t * shift + shift // 2 - n // 2, t * shift + shift // 2 - n // 2 + n)
        frame = []
        for place in places:
            while not 0 <= place < size:
                place = -place - 1 if place < 0 else 2 * size - 1 - place
            frame.append(wave[place])
        frames.append(np.array(frame))
    return frames


def slow_mels(power, o, fft):
    """Triangles on the mel scale, one after the other; half the sampling rate itself belongs to none."""
    high = o.high_freq if o.high_freq > 0 else o.sample_frequency / 2 + o.high_freq
    step = (to_mel(high) - to_mel(o.low_freq)) / (o.num_mel_bins + 1)
    energies = np.zeros(o.num_mel_bins)
    for b in range(o.num_mel_bins):
        left = to_mel(o.low_freq) + b * step
        for k in range(fft // 2):
            mel = to_mel(k * o.sample_frequency / fft)
            if left < mel < left + 2 * step:
                energies[b] += power[k] * (1 - abs(mel - left - step) / step)
    return np.log(np.maximum(energies, np.finfo(np.float32).eps))


def slow(wave, o):
    """(T, F) in float64, from Kaldi's definition, frame by frame."""
    n = o.window_samples
    fft = 2 ** math.ceil(math.log2(n)) if o.round_to_power_of_two else n
    transform = np.exp(-2j * math.pi / fft * np.outer(np.arange(fft // 2), np.arange(n)))
    rows = []
    for frame in slow_frames(np.asarray(wave, np.float64), o):
        if o.remove_dc_offset:
            frame = frame - sum(frame) / n
        raw = frame
        before = np.concatenate([frame[:1], frame[:-1]])
        frame = (frame - o.preemphasis_coefficient * before) * slow_window(o, n)
        energy = math.log(max(sum((raw if o.raw_energy else frame) ** 2), np.finfo(np.float32).eps, o.energy_floor))
        row = list(slow_mels(np.abs(transform @ frame) ** 2, o, fft))
        if o.feature_type == "mfcc":
            row = slow_cepstra(row, o)
            rows.append([energy, *row[1:]] if o.use_energy else row)
        else:
            rows.append([energy, *row] if o.use_energy else row)
    return np.array(rows)


def slow_cepstra(mels, o):
    bins, q, cepstra = len(mels), o.cepstral_lifter, []
    for c in range(o.num_ceps):
        total = sum(mel * math.cos(math.pi * c * (2 * b + 1) / (2 * bins)) for b, mel in enumerate(mels))
        lifter = 1 + q / 2 * math.sin(math.pi * c / q) if q else 1
        cepstra.append(total * math.sqrt((2 if c else 1) / bins) * lifter)
    return cepstra


@pytest.mark.parametrize("changes", [
    {}, {"window_type": "hamming"}, {"window_type": "hanning"}, {"window_type": "rectangular"}, {"window_type": "blackman"},
    {"window_type": "blackman", "blackman_coeff": 0.4}, {"remove_dc_offset": False}, {"preemphasis_coefficient": 0},
    {"use_energy": True}, {"use_energy": True, "raw_energy": False}, {"use_energy": True, "remove_dc_offset": False},
    {"use_energy": True, "energy_floor": 1.4e10}, {"sample_frequency": 8000, "num_mel_bins": 40},
    {"sample_frequency": 8000, "num_mel_bins": 23, "high_freq": -200, "snip_edges": False},
    {"low_freq": 125, "high_freq": -400}, {"low_freq": 0, "high_freq": 7600, "num_mel_bins": 24},
    {"round_to_power_of_two": False, "num_mel_bins": 40}, {"frame_length": 32.1, "frame_shift": 12.5, "snip_edges": False},
    {"feature_type": "mfcc", "num_mel_bins": 23}, {"feature_type": "mfcc", "num_mel_bins": 30, "cepstral_lifter": 0},
    {"feature_type": "mfcc", "num_mel_bins": 23, "num_ceps": 23, "use_energy": True},
    {"feature_type": "mfcc", "num_mel_bins": 23, "use_energy": True, "raw_energy": False, "window_type": "hamming"},
], ids=str)
def test_every_option_against_a_slow_version(changes):
    wave = read("spk3-u3.wav")[9000:11000].numpy() + np.random.default_rng(0).integers(-30, 31, 2000) + 100
    agree(extract(wave.astype(np.int16), **changes), slow(wave, options(**changes)))


@pytest.mark.parametrize("size", [80, 200, 241, 400])
def test_recordings_shorter_than_a_frame_are_reflected_as_often_as_it_takes(size):
    wave = np.random.default_rng(size).integers(-3000, 3000, size).astype(np.int16)
    agree(extract(wave, snip_edges=False), slow(wave, options(snip_edges=False)))


@pytest.mark.parametrize("changes", [
    {}, {"num_mel_bins": 40, "snip_edges": False}, {"window_type": "hamming", "low_freq": 40, "high_freq": -400},
    {"use_energy": True, "window_type": "hanning"}, {"remove_dc_offset": False, "preemphasis_coefficient": 0.9},
], ids=str)
def test_torchaudio_agrees(changes):
    wave = read("spk2-u2.flac")[20000:60000]
    words = {"num_mel_bins": 80, "dither": 0.0, "sample_frequency": 16000.0, "energy_floor": 0.0, **changes}
    agree(extract(wave, **changes), kaldi.fbank(wave[None].float(), **words).numpy())


def test_torchaudio_agrees_on_mfcc():
    wave = read("spk2-u2.flac")[20000:60000]
    changes = {"num_mel_bins": 23, "num_ceps": 20, "use_energy": True, "snip_edges": False}
    expected = kaldi.mfcc(wave[None].float(), dither=0.0, sample_frequency=16000.0, energy_floor=0.0, **changes).numpy()
    assert np.abs(extract(wave, feature_type="mfcc", **changes) - expected).max() < 0.02


@pytest.mark.parametrize("device", DEVICES)
@pytest.mark.parametrize("changes", [{}, {"snip_edges": False}, {"feature_type": "mfcc", "use_energy": True}], ids=str)
def test_a_batch_is_its_rows(device, changes):
    """64 x 2 s in one call, as in training: every row is what it would be alone, on the CPU."""
    wave = read("spk2-u2.flac")
    crops = torch.stack([wave[1000 * i:1000 * i + 32000] for i in range(64)])
    found = Extractor(options(**changes)).to(device)(crops.to(device)).cpu().numpy()
    for i in range(0, 64, 9):
        np.testing.assert_allclose(found[i], extract(crops[i], **changes), rtol=0, atol=1e-5 if device == "cpu" else 5e-3)


def test_frames_do_not_depend_on_how_far_they_lie_from_the_start():
    wave = read("spk2-u2.flac")
    np.testing.assert_allclose(extract(wave)[505:520], extract(wave[505 * 160:520 * 160 + 240]), rtol=0, atol=1e-5)


def test_type_of_the_samples_autocast_and_gradients_do_not_matter():
    wave = read("spk3-u3.wav")
    expected = extract(wave)
    for kind in (torch.int32, torch.float32, torch.float64):
        np.testing.assert_array_equal(extract(wave.to(kind)), expected)
    extractor = Extractor(options())
    with torch.autocast("cpu", torch.bfloat16):
        found = extractor(wave.float()[None].requires_grad_())
    assert not found.requires_grad and not list(extractor.parameters()) and not extractor.state_dict()
    np.testing.assert_array_equal(found[0].numpy(), expected)


def test_silence_is_the_floor():
    np.testing.assert_allclose(extract(np.zeros(1000, np.int16), use_energy=True), math.log(np.finfo(np.float32).eps), rtol=1e-6)


@pytest.mark.parametrize("changes, message", [
    ({"num_mel_bin": 40}, "did you mean num_mel_bins"), ({"high_freq": 9000}, "20 to 9000 Hz"), ({"low_freq": 8000}, "low_freq"),
    ({"dither": 1.0}, "dither"), ({"window_type": "sine"}, "window_type"), ({"frame_length": 0.01}, "frame_length"),
    ({"feature_type": "mfcc", "num_mel_bins": 10}, "lower num_ceps"), ({"num_mel_bins": "many"}, "num_mel_bins"),
])
def test_impossible_options_are_named(changes, message):
    with pytest.raises(InputError, match=message):
        options(**changes)


def test_more_mel_bins_than_the_spectrum_has_lines():
    with pytest.raises(InputError, match=r"num_mel_bins 300: .* lower num_mel_bins"):
        Extractor(options(num_mel_bins=300))
