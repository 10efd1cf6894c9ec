"""A speaker: the properties shared by all utterances of a person, drawn once from a seed."""
from dataclasses import dataclass

import numpy as np

from synth.phones import PHONES, VOWELS

FORMANTS = 7  # below 8 kHz
UPPER = (3500, 4500, 5500, 6500)  # Hz, of an adult male; the phones do not change these
BANDWIDTHS = np.array([70.0, 90.0, 130.0, 200.0, 260.0, 350.0, 450.0])
TABLE = 4096


@dataclass(frozen=True)
class Speaker:
    """One voice. Logarithms are natural; P phones of synth.phones, 7 formants."""

    gender: str
    pitch: float  # Hz, of an average utterance
    pitch_range: float  # semitones, height of an accent
    declination: float  # semitones per second, downwards
    formants: np.ndarray  # (P, 7) log Hz
    bandwidths: np.ndarray  # (7,) Hz
    centres: np.ndarray  # (P,) Hz, friction
    open_quotient: float
    corner: float  # Hz; above it the glottal source falls by 12 dB more per octave
    breath: float  # aspiration under voicing, relative to it
    jitter: float  # of a period
    shimmer: float  # of an amplitude
    rate: float  # 1 = the inventory's lengths
    glide: float  # frames, how slowly the formants follow


def draw(gender: str, rng: np.random.Generator) -> Speaker:
    """A new speaker, gender "m" or "f"."""
    female = gender == "f"
    pitch = rng.normal(np.log(195 if female else 122), 0.19)
    tract = (0.13 if female else 0.0) + rng.normal(0, 0.07)  # a shorter vocal tract raises all formants
    return Speaker(
        gender=gender,
        pitch=float(np.exp(pitch)),
        pitch_range=float(rng.uniform(1.5, 6.0)),
        declination=float(rng.uniform(0.3, 2.0)),
        formants=_formants(tract, rng),
        bandwidths=BANDWIDTHS * np.exp(rng.normal(0, 0.3) + rng.normal(0, 0.2, FORMANTS)),
        centres=np.array([p.centre for p in PHONES]) * np.exp(0.5 * tract + rng.normal(0, 0.08, len(PHONES))),
        open_quotient=float(rng.uniform(0.45, 0.8)),
        corner=float(np.exp(rng.uniform(np.log(900), np.log(3500)))),
        breath=float(np.exp(rng.uniform(np.log(0.015), np.log(0.25)))),
        jitter=float(np.exp(rng.uniform(np.log(0.003), np.log(0.02)))),
        shimmer=float(np.exp(rng.uniform(np.log(0.02), np.log(0.12)))),
        rate=float(np.exp(rng.normal(0, 0.12))),
        glide=float(rng.uniform(1.3, 3.2)),
    )


def _formants(tract: float, rng: np.random.Generator) -> np.ndarray:
    """(P, 7) log Hz: the inventory, stretched around the centre of its vowels and scaled by the tract, plus the speaker's habits."""
    target = np.log([[*p.formants, *UPPER] for p in PHONES])
    centre = target[: len(VOWELS)].mean(0)
    stretch = np.exp(rng.normal(0, 0.15, FORMANTS))
    habit = np.zeros_like(target)
    habit[:, :3] = rng.normal(0, 0.06, (len(PHONES), 3))
    return centre + (target - centre) * stretch + habit + tract + rng.normal(0, 0.05, FORMANTS)


def glottal_cycle(speaker: Speaker, pitch: float, effort: float) -> np.ndarray:
    """One period of the derivative of the glottal flow (Rosenberg 1971, pulse B), of rms 1: (TABLE,) float32.

    It is band-limited for `pitch` Hz; `effort` is the shift of the spectral tilt's corner in octaves.
    """
    phase = np.arange(TABLE) / TABLE
    rise, fall = 0.66 * speaker.open_quotient, 0.34 * speaker.open_quotient
    up, down = phase / rise, (phase - rise) / fall
    flow = np.where(phase < rise, 3 * up**2 - 2 * up**3, np.where(down < 1, 1 - down**2, 0))
    spectrum = np.fft.rfft(np.diff(flow, append=flow[0]))
    hertz = np.arange(len(spectrum)) * pitch
    spectrum *= (hertz < 7800) / (1 + (hertz / (speaker.corner * 2**effort)) ** 2)
    cycle = np.fft.irfft(spectrum)
    return (cycle / cycle.std()).astype(np.float32)
