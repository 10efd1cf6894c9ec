"""Speech from a speaker and a phone sequence: a glottal wave and noise through an all-pole vocal tract.

The source-filter model of Fant (1960) in the cascade form of Klatt (1980). The filter of each 16 ms frame is applied in the
frequency domain, so numpy processes a whole utterance at once.
"""
import numpy as np
from scipy.fft import irfft, rfft
from scipy.ndimage import gaussian_filter1d

from synth.phones import FRAME, IS_VOWEL, NONE, PHONES, Language, sequence
from synth.speaker import TABLE, Speaker, glottal_cycle

RATE = 16000
HOP = round(FRAME * RATE)
WINDOW, NFFT = 2 * HOP, 4 * HOP
HANN = np.hanning(WINDOW + 1)[:-1].astype(np.float32)  # neighbours add up to one
VOICE, BREATH, FRICTION, OCTAVES = (
    np.array([getattr(p, name) for p in PHONES]) for name in ("voice", "breath", "friction", "octaves")
)


def utterance(speaker: Speaker, seconds: float, rng: np.random.Generator, language: Language = NONE) -> np.ndarray:
    """A new utterance of `speaker` in a language: (S,) float32 at an arbitrary level, S = seconds * 16000."""
    phones, lengths = plan(speaker, seconds, rng, language)
    track = np.repeat(phones, lengths)
    samples = round(seconds * RATE)
    padded = (len(track) + 1) * HOP
    effort = rng.normal(0, 0.15)
    loud = np.repeat(rng.normal(0, 0.2, len(phones)), lengths) + rng.normal(0, 0.3) * np.linspace(-1, 1, len(track))
    loud = np.exp(gaussian_filter1d(loud, 2.0))
    voiced = _glottal(speaker, _pitch(speaker, phones, lengths, rng), effort, padded, rng)
    noise = rng.standard_normal(padded, dtype=np.float32)
    voiced, noise = _spectra(voiced), _spectra(noise)
    voice = gaussian_filter1d(VOICE[track], 0.8) * loud
    breath = gaussian_filter1d(BREATH[track], 0.6) * 0.3 * loud + voice * speaker.breath
    tract = _tract(speaker, track)
    out = (voiced * _column(voice) + noise * _column(breath)) * tract + noise * _friction(speaker, track, loud)
    return _overlap_add(irfft(out, NFFT))[HOP : HOP + samples]


def plan(speaker: Speaker, seconds: float, rng: np.random.Generator, language: Language = NONE) -> tuple[np.ndarray, np.ndarray]:
    """The phone numbers (N,) of `utterance`, and their lengths (N,) in frames of FRAME seconds, from `sequence`."""
    return sequence(seconds, speaker.rate * np.exp(rng.normal(0, 0.04)), rng, language)


def _column(track: np.ndarray) -> np.ndarray:
    return track.astype(np.float32)[:, None]


def _pitch(speaker: Speaker, phones: np.ndarray, lengths: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """Pitch of every frame, (T,) Hz: a register, declining phrases, accents on vowels and a slow drift."""
    total = lengths.sum()
    start = np.concatenate([[0], np.cumsum(lengths)[:-1]])
    semitones = np.full(total, rng.normal(0, 0.4))
    pauses = start[phones == len(PHONES) - 1]
    since = np.arange(total) - pauses[np.searchsorted(pauses, np.arange(total), side="right") - 1]
    semitones += 1.0 - speaker.declination * since * FRAME
    accents = np.zeros(total)
    stressed = IS_VOWEL[phones] & (rng.random(len(phones)) < 0.45)
    accents[start[stressed]] = rng.gamma(4, 0.25, stressed.sum()) * speaker.pitch_range
    semitones += gaussian_filter1d(accents, 8.0) * 8.0 * np.sqrt(2 * np.pi)
    semitones += gaussian_filter1d(rng.normal(0, 1.5, total), 4.0)
    return speaker.pitch * 2 ** (semitones / 12)


def _glottal(
    speaker: Speaker, pitch: np.ndarray, effort: float, samples: int, rng: np.random.Generator
) -> np.ndarray:
    """The glottal wave, (samples,) float32: one cycle read at the phase of `pitch` (T,), with jitter and shimmer."""
    hertz = np.interp(np.arange(samples) / HOP, np.arange(len(pitch)), pitch)
    phase = np.cumsum(hertz) / RATE
    cycles = np.arange(int(phase[-1]) + 2)
    shimmer = 1 + speaker.shimmer * rng.standard_normal(len(cycles)).astype(np.float32)
    phase += np.interp(phase, cycles, speaker.jitter * rng.standard_normal(len(cycles)))
    whole = np.floor(phase)
    place = ((phase - whole) * TABLE).astype(np.int32)
    cycle = whole.astype(np.int32).clip(0, len(cycles) - 1)
    return glottal_cycle(speaker, float(pitch.mean()), effort)[place] * shimmer[cycle]


def _spectra(wave: np.ndarray) -> np.ndarray:
    """Wave ((T+1)*HOP,) -> spectra of its frames (T, NFFT/2+1) complex64."""
    return rfft(np.lib.stride_tricks.sliding_window_view(wave, WINDOW)[::HOP] * HANN, NFFT)


def _overlap_add(frames: np.ndarray) -> np.ndarray:
    """Frames (T, NFFT) -> wave ((T+3)*HOP,)."""
    out = np.zeros((len(frames) + 3, HOP), np.float32)
    for k in range(NFFT // HOP):
        out[k : k + len(frames)] += frames[:, k * HOP : (k + 1) * HOP]
    return out.reshape(-1)


def _tract(speaker: Speaker, track: np.ndarray) -> np.ndarray:
    """The vocal tract of every frame as a cascade of resonators with unit gain at 0 Hz, (T, NFFT/2+1) complex64."""
    hertz = np.exp(gaussian_filter1d(speaker.formants[track], speaker.glide, axis=0))
    radius = np.exp(-np.pi * speaker.bandwidths / RATE)
    first = -2 * radius * np.cos(2 * np.pi * np.minimum(hertz, 7700) / RATE)
    second = radius**2
    poly = np.zeros((len(track), 2 * hertz.shape[1] + 1))
    poly[:, 0] = 1
    gain = np.ones(len(track))
    for k in range(hertz.shape[1]):
        poly[:, 2:] += first[:, k, None] * poly[:, 1:-1] + second[k] * poly[:, :-2]
        poly[:, 1] += first[:, k]
        gain *= 1 + first[:, k] + second[k]
    return _column(gain) / rfft(poly.astype(np.float32), NFFT)


def _friction(speaker: Speaker, track: np.ndarray, loud: np.ndarray) -> np.ndarray:
    """Magnitude of the friction noise of every frame, (T, NFFT/2+1) float32."""
    hertz = np.arange(1, NFFT // 2 + 2) * RATE / NFFT
    band = np.exp(-0.5 * (np.log2(hertz / speaker.centres[:, None]) / OCTAVES[:, None]) ** 2)
    band *= (FRICTION / np.sqrt((band**2).mean(1)))[:, None]
    level = band.astype(np.float32)[track] * _column(loud)
    level[1:-1] = 0.25 * level[:-2] + 0.5 * level[1:-1] + 0.25 * level[2:]
    return level
