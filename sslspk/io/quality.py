"""Samples that cannot be speech, whatever the file: nothing but one value, floats on another scale, everything clipped.

A recording without audible speech is broken: preparation leaves it out, and a step on a data directory stops. A recording of bad quality is
kept, counted and named.
"""
import numpy as np

FULL_SCALE = 32767
FLAT = 2                # steps of 16 bits between the lowest and the highest sample: no more than dither has, 84 dB below full scale
WRONG_SCALE = 16.0      # times full scale, 24 dB: no mixing desk leaves so much in floats, and the scale of 16 bits is 32768
CLIPPED = 0.05          # share of samples at the two extremes: it is under 0.0001 in sound speech, and above 0.01 one hears it
SQUARE = 0.5            # from here on the wave is a square
LOUD = 8192             # a quiet recording visits its few extreme values often without being clipped


def broken(samples: np.ndarray, peak: float, channels: int = 1) -> str:
    """Why int16 samples (S,) cannot be speech, "" when they may be.

    peak: largest absolute value before clipping, full scale being 1. channels: how many the recording has, of which another may be sound.
    """
    reason = _broken(samples, peak)
    return f"{reason}; of its {channels} channels --channel chooses another" if reason and channels > 1 else reason


def _broken(samples: np.ndarray, peak: float) -> str:
    if not len(samples):
        return "no samples"
    low, high = int(samples.min()), int(samples.max())
    if low == high:
        return "nothing but zeros" if not low else f"nothing but the value {low}"
    if high - low <= FLAT:
        return f"no signal: its samples lie between {low} and {high}"
    if peak > WRONG_SCALE:
        return f"float samples on another scale (up to {peak:.4g}, full scale is 1); divide them by it"
    share = _at_extremes(samples, low, high)
    return f"{share:.1%} of its samples are clipped" if share > SQUARE else ""


def suspect(samples: np.ndarray) -> str:
    """What is wrong with samples that may still be speech, "" when nothing is."""
    share = _at_extremes(samples, int(samples.min()), int(samples.max()))
    return f"{share:.1%} of its samples are clipped" if share > CLIPPED else ""


def _at_extremes(samples: np.ndarray, low: int, high: int) -> float:
    """The share of samples at the lowest and the highest value, wherever a loud recording was clipped; 0 for a quiet one."""
    return sum(np.count_nonzero(samples == value) for value in {low, high} if abs(value) >= LOUD) / len(samples)
