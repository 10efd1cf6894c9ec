"""Where and how a session was recorded: equaliser, band limit, room, background noise, level."""
from dataclasses import dataclass

import numpy as np
from scipy.fft import irfft, next_fast_len, rfft
from scipy.signal import fftconvolve

RATE = 16000
POINTS = np.log(np.geomspace(60, 8000, 7))  # control points of the equaliser, log Hz
FLOOR_DB = 50.0  # the recorder's own noise is this much below the sound


@dataclass(frozen=True)
class Channel:
    """The recording conditions of one session."""

    gains_db: np.ndarray  # (7,) at POINTS
    low: float  # Hz, band limits
    high: float
    room: np.ndarray | None  # impulse response (L,)
    snr_db: float
    tilt: float  # power of the noise falls by 6 * tilt dB per octave
    level: float  # peak, of full scale


def draw(rng: np.random.Generator) -> Channel:
    """Draw new recording conditions."""
    room = rir(rng.uniform(0.15, 0.5), rng.uniform(1.0, 4.0), 0.25, rng) if rng.random() < 0.3 else None
    return Channel(
        gains_db=rng.normal(0, 5.0, len(POINTS)),
        low=float(rng.uniform(50, 200)),
        high=float(rng.uniform(4500, 7800)),
        room=room,
        snr_db=float(rng.uniform(11, 33)),
        tilt=float(rng.uniform(-0.2, 1.4)),
        level=float(np.exp(rng.uniform(np.log(0.1), np.log(0.8)))),
    )


def record(voice: np.ndarray, channel: Channel, rng: np.random.Generator) -> np.ndarray:
    """Speech (S,) recorded through `channel`: (S,) float32 in -1 .. 1.

    Background noise passes the equaliser too; it is new each time, but has the session's colour.
    """
    snr_db = channel.snr_db + rng.normal(0, 2.0)
    if channel.room is not None:
        voice = fftconvolve(voice, channel.room)[: len(voice)]
    ambient = coloured(len(voice), channel.tilt, rng) * _swell(len(voice), rng)
    wave = voice + ambient * (voice.std() / ambient.std() * 10 ** (-snr_db / 20))
    size = next_fast_len(len(wave) + RATE // 8, real=True)
    hertz = np.maximum(np.fft.rfftfreq(size, 1 / RATE), 1.0)
    gain = 10 ** (np.interp(np.log(hertz), POINTS, channel.gains_db) / 20)
    gain /= (1 + (channel.low / hertz) ** 4) * (1 + (hertz / channel.high) ** 12)
    wave = irfft(rfft(wave, size) * gain.astype(np.float32), size)[: len(voice)]
    wave += rng.standard_normal(len(voice), dtype=np.float32) * (wave.std() * 10 ** (-FLOOR_DB / 20))
    return wave * (channel.level * rng.uniform(0.7, 1.0) / np.abs(wave).max())


def _swell(samples: int, rng: np.random.Generator) -> np.ndarray:
    """The gain of background noise over time: (S,) float32, a new level every half second, 4 dB around 1."""
    levels = rng.normal(0, 4.0, samples // (RATE // 2) + 2)
    decibel = np.interp(np.arange(samples) / (RATE // 2), np.arange(len(levels)), levels)
    return (10 ** (decibel / 20)).astype(np.float32)


def coloured(samples: int, tilt: float, rng: np.random.Generator) -> np.ndarray:
    """Stationary noise (S,) float32 with an amplitude proportional to frequency to the power of -tilt."""
    size = next_fast_len(samples, real=True)
    hertz = np.maximum(np.fft.rfftfreq(size, 1 / RATE), 60.0)
    shape = (hertz ** -tilt).astype(np.float32)
    return irfft(rfft(rng.standard_normal(size, dtype=np.float32)) * shape, size)[:samples]


def rir(rt60: float, distance: float, absorption: float, rng: np.random.Generator) -> np.ndarray:
    """A made-up room impulse response (L,) float32; L is rt60 seconds, at most one.

    The direct sound comes after distance / 340 m/s; a dozen early reflections follow, then noise that decays by 60 dB
    in `rt60` seconds, faster at high frequencies. The more distant the source, the stronger the reflections.
    """
    length = int(min(rt60, 1.0) * RATE)
    direct = int(distance / 340 * RATE)
    time = np.arange(length) / RATE
    bright, dull = rng.normal(0, 1, (2, length))
    dull = np.convolve(dull, np.hanning(9) / 2, mode="same")
    tail = bright * 10 ** (-3 * time / (0.6 * rt60)) + dull * 10 ** (-3 * time / rt60)
    onset = direct + 48
    wave = np.where(np.arange(length) > onset, tail, 0.0) * (0.035 * distance * (1 - absorption))
    early = direct + 1 + rng.integers(15, int(0.05 * RATE), 12)
    early = early[early < length]
    wave[early] += rng.choice([-1, 1], len(early)) * (1 - absorption) * direct / early * 0.6
    wave[direct] = 1.0
    return wave.astype(np.float32)
