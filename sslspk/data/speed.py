"""Speed perturbation: a recording played faster or slower, so that tempo and pitch change together.

Done by the loader's workers: each recording has its own factor, and a polyphase filter on one crop is cheaper than padding
a batch on the device to the slowest. All crops of a recording take one factor, since a changed pitch is another voice.
"""
import math
from fractions import Fraction

import numpy as np

from sslspk.io import audio


def draw(rng: np.random.Generator, factors: tuple[float, ...]) -> float:
    """One of the factors; 1.0 when there are none."""
    return float(rng.choice(factors)) if factors else 1.0


def source_length(size: int, factor: float) -> int:
    """How many samples must be read for `size` samples at this speed."""
    return math.ceil(size * _fraction(factor))


def change(samples: np.ndarray, factor: float) -> np.ndarray:
    """int16 (S,) played `factor` times as fast: int16 (ceil(S / factor),), rounded and clipped."""
    ratio = _fraction(factor)
    return audio.resample(samples, ratio.numerator, ratio.denominator)


def _fraction(factor: float) -> Fraction:
    return Fraction(factor).limit_denominator(100)
