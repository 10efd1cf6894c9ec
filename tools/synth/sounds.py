"""Background sounds in place of MUSAN's noise and music."""
import numpy as np
from scipy.signal import lfilter

from synth.channel import RATE, coloured

NOISES = ("fan", "hum", "rain", "clatter", "alarm", "traffic")
SCALE = (0, 2, 4, 5, 7, 9, 11)


def noise(kind: str, samples: int, rng: np.random.Generator) -> np.ndarray:
    """A noise of one of NOISES, (S,) float32 with a peak of 0.5."""
    time = np.arange(samples) / RATE
    if kind == "fan":
        wave = coloured(samples, rng.uniform(0.3, 1.2), rng)
    elif kind == "hum":
        wave = sum(np.sin(2 * np.pi * 50 * k * time + rng.uniform(0, 6)) * rng.uniform(0, 1) / k for k in range(1, 16))
        wave = wave + 0.1 * coloured(samples, 0.5, rng)
    elif kind == "rain":
        wave = np.where(rng.random(samples) < 0.004, rng.normal(0, 1, samples), 0)
        wave = lfilter([1, -0.5], [1, -1.2, 0.7], wave) + 0.02 * rng.normal(0, 1, samples)
    elif kind == "clatter":
        wave = _clatter(samples, rng)
    elif kind == "alarm":
        pitch = rng.uniform(500, 2000) * (1 + 0.3 * np.sin(2 * np.pi * rng.uniform(0.3, 3) * time))
        wave = np.sin(2 * np.pi * np.cumsum(pitch) / RATE) * (np.sin(2 * np.pi * rng.uniform(0.5, 3) * time) > -0.3)
        wave = wave + 0.05 * rng.normal(0, 1, samples)
    else:
        swell = rng.gamma(2, 0.5, int(time[-1]) + 2)
        swell = np.interp(time, np.arange(len(swell)), swell)
        wave = coloured(samples, 1.0, rng) * (0.2 + swell)
    return _level(wave)


def _clatter(samples: int, rng: np.random.Generator) -> np.ndarray:
    wave = 0.003 * rng.normal(0, 1, samples)
    for start in rng.integers(0, samples, max(1, int(3 * samples / RATE))):
        time = np.arange(min(RATE // 4, samples - start)) / RATE
        for hertz in rng.uniform(400, 6000, 4):
            tone = np.sin(2 * np.pi * hertz * time) * np.exp(-30 * time)
            wave[start : start + len(time)] += rng.uniform(0.1, 1) * tone
    return wave


def music(samples: int, rng: np.random.Generator) -> np.ndarray:
    """Chords, a melody and a beat, (S,) float32 with a peak of 0.5."""
    wave = np.zeros(samples)
    key, beat = rng.uniform(110, 220), rng.uniform(0.25, 0.6)
    starts = np.arange(0, samples, int(beat * RATE))
    for i, start in enumerate(starts):
        time = np.arange(min(int(4 * beat * RATE), samples - start)) / RATE
        steps = [SCALE[rng.integers(7)] + 12]
        if i % 4 == 0:
            root = int(rng.integers(7))
            steps += [SCALE[(root + j) % 7] + 12 * ((root + j) // 7) for j in (0, 2, 4)]
        for step in steps:
            hertz = key * 2 ** (step / 12)
            tone = sum(np.sin(2 * np.pi * k * hertz * time) / k**1.2 for k in range(1, 7))
            wave[start : start + len(time)] += tone * np.exp(-time / beat)
        drum = time[: RATE // 10]
        wave[start : start + len(drum)] += 0.5 * rng.normal(0, 1, len(drum)) * np.exp(-60 * drum)
    return _level(wave)


def _level(wave: np.ndarray) -> np.ndarray:
    return (0.5 * wave / np.abs(wave).max()).astype(np.float32)
