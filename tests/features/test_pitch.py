"""Pitch of tones, of glides, of noise and silence; the correlation against a loop; interpolation against numpy."""
import math

import numpy as np
import pytest
import torch

from sslspk.features import pitch, targets

RATE, HOP = 16000, 160


def found(wave):
    wave = torch.as_tensor(wave, dtype=torch.float32)[None]
    values, voiced = pitch.log_f0(targets.centred(wave, pitch.segment_length(RATE), HOP), RATE)
    return values[0].exp().numpy(), voiced[0].numpy()


def voice(hz, seconds=0.5, harmonics=12, amplitude=0.1):
    """A sum of harmonics that fall by 1 / k; hz a number or one for each sample."""
    phase = 2 * np.pi * np.cumsum(np.broadcast_to(hz, round(seconds * RATE)) / RATE)
    return amplitude * sum(np.sin(k * phase) / k for k in range(1, harmonics + 1))


@pytest.mark.parametrize("hz", [65, 80, 103.7, 150, 211, 300, 390])
@pytest.mark.parametrize("harmonics", [1, 12])
def test_tones(hz, harmonics):
    values, voiced = found(voice(hz, harmonics=harmonics))
    assert voiced[2:-3].all() and np.allclose(values[2:-3], hz, rtol=0.01)


@pytest.mark.parametrize("hz", [100, 220])
def test_a_voice_in_noise(hz):
    noise = np.random.default_rng(0).normal(0, 0.02, 8000)
    values, voiced = found(voice(hz) + noise)
    assert voiced[2:-3].mean() > 0.9 and np.median(np.abs(values[2:-3] / hz - 1)) < 0.01


def test_a_glide_is_followed():
    hz = np.linspace(100, 200, 16000)
    values, voiced = found(voice(hz, 1.0))
    middle = np.arange(3, 96) * HOP + HOP // 2
    assert voiced[3:96].all() and np.allclose(values[3:96], hz[middle], rtol=0.02)


@pytest.mark.parametrize("wave", [np.zeros(8000), np.random.default_rng(0).normal(0, 0.1, 8000), np.full(8000, 0.3),
                                  np.linspace(-1, 1, 8000), 3e-5 * np.sin(2 * np.pi * 150 * np.arange(8000) / RATE)])
def test_neither_silence_nor_noise_nor_drift_is_voiced(wave):
    values, voiced = found(wave)
    assert voiced.mean() <= 0.06 and np.isfinite(values).all()


def test_loudness_changes_nothing():
    quiet, loud = (found(voice(140, amplitude=amplitude)) for amplitude in (0.005, 0.3))
    assert np.allclose(quiet[0][2:-3], loud[0][2:-3], rtol=1e-3) and np.array_equal(quiet[1][2:-3], loud[1][2:-3])


def test_pauses_are_bridged_in_the_logarithm():
    wave = np.concatenate([voice(100, 0.3), np.zeros(4800), voice(200, 0.3)])
    values, voiced = found(wave)
    assert voiced[3:25].all() and not voiced[34:56].any() and voiced[64:86].all()
    between = np.log(values[34:56])
    assert (np.diff(between) > 0).all() and np.allclose(np.diff(between, 2), 0, atol=1e-4) and 100 < values[45] < 200


def test_correlations_equal_a_loop():
    frames = torch.randn(1, 2, 60, generator=torch.Generator().manual_seed(0)) + 1
    expected = torch.zeros(1, 2, 21)
    for t in range(2):
        x = (frames[0, t] - frames[0, t].mean()).tolist()
        for lag in range(21):
            top = sum(x[n] * x[n + lag] for n in range(30))
            floor = 30 * (pitch.QUIET ** 2 + pitch.SHARE * sum(value ** 2 for value in x) / 60)
            energies = [sum(x[n + k] ** 2 for n in range(30)) + floor for k in (0, lag)]
            expected[0, t, lag] = top / math.sqrt(energies[0] * energies[1])
    torch.testing.assert_close(pitch.correlations(frames, 30, 20), expected, rtol=1e-4, atol=1e-5)


def test_interpolation_equals_numpy():
    rng = np.random.default_rng(0)
    values = rng.normal(size=(30, 17)).astype(np.float32)
    known = rng.random((30, 17)) < np.linspace(0, 1, 30)[:, None]
    out = pitch.interpolated(torch.from_numpy(values), torch.from_numpy(known), -5.0).numpy()
    for row, here, line in zip(values, known, out, strict=True):
        places = np.flatnonzero(here)
        expected = np.interp(np.arange(17), places, row[places]) if len(places) else np.full(17, -5.0)
        np.testing.assert_allclose(line, expected, rtol=1e-5, atol=1e-6)
