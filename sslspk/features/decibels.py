"""What is speechbrain's own in its log-mel filterbank (Fbank): feature_type fbank_db.

Frames are centred on multiples of the shift, with zeros beyond the ends. They have no pre-emphasis, a periodic Hamming window, and a
spectrum of their own length. A bin is a triangle over frequency, on either side as wide as it is far from the bin below. Values are
10 log10 of power, samples counting from -1 to 1, and at most RANGE below the largest one of the recording.
"""
import math

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional as F

from sslspk.features.config import FULL_SCALE, FeatureOptions

LEAST, RANGE = 1e-10, 80.0   # power; decibels


def num_frames(samples: int, options: FeatureOptions) -> int:
    """T of S samples."""
    return 1 + samples // options.shift_samples if samples else 0


def window(options: FeatureOptions) -> np.ndarray:
    """(N,) float64, and the change from int16's scale to -1 to 1."""
    n = options.window_samples
    return (0.54 - 0.46 * np.cos(2 * math.pi / n * np.arange(n))) / FULL_SCALE


def bank(options: FeatureOptions, fft_length: int) -> np.ndarray:
    """(fft_length / 2 + 1, bins): triangles whose centres are evenly spaced on mel(f) = 2595 log10(1 + f / 700)."""
    low, high = (2595 * math.log10(1 + hz / 700) for hz in (options.low_freq, options.top_freq))
    edges = 700 * (10 ** (np.linspace(low, high, options.num_mel_bins + 2) / 2595) - 1)
    lines = np.linspace(0, options.sample_frequency // 2, fft_length // 2 + 1)[:, None]
    return np.maximum(0, 1 - np.abs(lines - edges[1:-1]) / np.diff(edges)[:-1])


def frames(wave: Tensor, first: int, last: int, options: FeatureOptions) -> Tensor:
    """Frames `first` to `last` of (B, S): (B, last - first, N) float32."""
    size, half = wave.shape[1], options.window_samples // 2
    begin, end = first * options.shift_samples - half, (last - 1) * options.shift_samples - half + options.window_samples
    inside = wave[:, max(begin, 0):end].float()
    return F.pad(inside, (max(-begin, 0), max(end - size, 0))).unfold(1, options.window_samples, options.shift_samples)


def of_power(power: Tensor) -> Tensor:
    return 10 * torch.log10(power.clamp(min=LEAST))


def floored(x: Tensor) -> Tensor:
    """(B, T, F): values too far below a recording's largest one are raised."""
    return torch.maximum(x, x.amax((1, 2), keepdim=True) - RANGE)
