"""Degraded waveforms: a band of the spectrum removed, a stretch silenced, the loudest samples clipped, in this order.

What happens to a crop is drawn by the loader (counter-based, so a resume draws the same); here it is only done.
"""
import functools
from collections.abc import Callable

import numpy as np
import torch
from torch import Tensor

from sslspk.features.config_degrade import DegradeConfig

NOTHING = np.zeros(5, np.float32)


def draw(rng: np.random.Generator, config: DegradeConfig) -> np.ndarray:
    """What happens to one crop, float32 (5,), as shares: the band from and to, the stretch from and to, the samples that are clipped."""
    spans = []
    for prob, widest in ((config.band_prob, config.band_share), (config.time_prob, config.time_share)):
        width = rng.uniform(0, widest) if rng.random() < prob else 0.0
        start = rng.uniform(0, 1 - width)
        spans += [start, start + width]
    return np.array([*spans, rng.uniform(0, config.clip_share) if rng.random() < config.clip_prob else 0.0], np.float32)


def drawer(config: DegradeConfig) -> Callable[[np.random.Generator], np.ndarray]:
    """rng -> `draw` with this configuration. It can be pickled, for loaders whose workers are spawned."""
    return functools.partial(draw, config=config)


def apply(wave: Tensor, shares: Tensor) -> Tensor:
    """Waveforms (B, S) with what `draw` says of each, (B, 5): (B, S). Where the shares are empty, the samples are what they were."""
    low, high, first, last, clipped = shares.T[..., None]                              # each (B, 1)
    spectrum = torch.fft.rfft(wave)
    place = torch.arange(spectrum.shape[1], device=wave.device) / max(spectrum.shape[1] - 1, 1)
    filtered = torch.fft.irfft(spectrum.masked_fill((place >= low) & (place < high), 0), wave.shape[1])
    wave = torch.where(high > low, filtered, wave)
    place = torch.arange(wave.shape[1], device=wave.device) / wave.shape[1]
    wave = wave.masked_fill((place >= first) & (place < last), 0)
    ordered, beyond = wave.sort(1).values, (clipped / 2 * wave.shape[1]).long().clamp(max=(wave.shape[1] - 1) // 2)
    return torch.minimum(torch.maximum(wave, ordered.gather(1, beyond)), ordered.gather(1, wave.shape[1] - 1 - beyond))
