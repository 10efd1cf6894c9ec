"""Finds samples that cannot be speech: only one value, floats on a wrong scale, everything clipped.

A recording without audible speech is broken: preparation leaves it out, and a step on a data directory stops. A recording of bad quality is
kept, counted and named.
"""
import numpy as np

FULL_SCALE = 32767
FLAT = 2                # 16-bit steps between the lowest and the highest sample: the range of dither, 84 dB below full scale
WRONG_SCALE = 16.0      # times full scale, 24 dB: more than any mixing desk leaves in floats; the scale of 16 bits is 32768
CLIPPED = 0.05          # share of samples at the two extremes: below 0.0001 in good speech; above 0.01 it is audible
SQUARE = 0.5            # from this share on, the wave is a square
LOUD = 8192             # a quiet recording often reaches its few extreme values without being clipped


def broken(samples: np.ndarray, peak: float, channels: int = 1) -> str:
    """Why int16 samples (S,) cannot be speech, "" if they may be.

    peak: largest absolute value before clipping; full scale is 1. channels: of the recording; another one may be good.
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
    """What is wrong with samples that may still be speech, "" if nothing is."""
    share = _at_extremes(samples, int(samples.min()), int(samples.max()))
    return f"{share:.1%} of its samples are clipped" if share > CLIPPED else ""


def _at_extremes(samples: np.ndarray, low: int, high: int) -> float:
    """The share of samples at the lowest and the highest value, whatever the level of clipping; 0 for a quiet recording."""
    return sum(np.count_nonzero(samples == value) for value in {low, high} if abs(value) >= LOUD) / len(samples)
