"""Degraded waveforms: bands of the spectrum removed, stretches silenced, the loudest samples clipped, in this order.

What happens to a crop is drawn by the loader (counter-based, so a resume draws the same); here it is only done.
"""
import functools
from collections.abc import Callable

import numpy as np
import torch
from torch import Tensor

from sslspk.features.config_degrade import DegradeConfig

COLUMNS = 5   # before those of the stretches


def draw(rng: np.random.Generator | None, config: DegradeConfig) -> np.ndarray:
    """What happens to one crop, float32 (5 + 2 time_count,), as shares; without a generator: nothing.

    The band from and to, the samples that are clipped, the level that is cut to (0: none), what is left of the spectrum (0: all), then the
    stretches from and to.
    """
    out = np.zeros(COLUMNS + 2 * config.time_count, np.float32)
    if rng is None:
        return out
    out[:2] = _span(rng, config.band_share if rng.random() < config.band_prob else None)
    silenced = rng.random() < config.time_prob
    for i in range(config.time_count):
        out[COLUMNS + 2 * i:][:2] = _span(rng, config.time_share if silenced else None)
    if rng.random() < config.clip_prob:
        if config.clip_peaks:
            out[3] = rng.choice(config.clip_peaks)
        else:
            out[2] = rng.uniform(0, config.clip_share)
    if config.low_pass_prob and rng.random() < config.low_pass_prob:
        out[4] = config.low_pass_share
    return out


def _span(rng: np.random.Generator, widest: float | None) -> tuple[float, float]:
    """From and to: the width uniform up to the widest (None: 0), the place wherever it fits."""
    width = 0.0 if widest is None else rng.uniform(0, widest)
    start = rng.uniform(0, 1 - width)
    return start, start + width


def drawer(config: DegradeConfig) -> Callable[[np.random.Generator | None], np.ndarray]:
    """rng -> `draw` with this configuration. It can be pickled, for loaders whose workers are spawned."""
    return functools.partial(draw, config=config)


def apply(wave: Tensor, shares: Tensor) -> Tensor:
    """Waveforms (B, S) with what `draw` says of each, (B, 5 + 2 n): (B, S). Where the shares are empty, the samples are what they were."""
    low, high, clipped, level, left = shares.T[:COLUMNS, :, None]                      # each (B, 1)
    spectrum = torch.fft.rfft(wave)
    place = torch.arange(spectrum.shape[1], device=wave.device) / max(spectrum.shape[1] - 1, 1)
    removed = ((place >= low) & (place < high)) | ((left > 0) & (place >= left))
    filtered = torch.fft.irfft(spectrum.masked_fill(removed, 0), wave.shape[1])
    wave = torch.where((high > low) | (left > 0), filtered, wave)
    place = torch.arange(wave.shape[1], device=wave.device) / wave.shape[1]
    for first, last in shares[:, COLUMNS:].unflatten(1, (-1, 2)).permute(1, 2, 0)[..., None]:
        wave = wave.masked_fill((place >= first) & (place < last), 0)
    peak = torch.where(level > 0, level, 1) * torch.linalg.vector_norm(wave, float("inf"), dim=1, keepdim=True)
    wave = torch.minimum(torch.maximum(wave, -peak), peak)
    ordered, beyond = wave.sort(1).values, (clipped / 2 * wave.shape[1]).long().clamp(max=(wave.shape[1] - 1) // 2)
    return torch.minimum(torch.maximum(wave, ordered.gather(1, beyond)), ordered.gather(1, wave.shape[1] - 1 - beyond))
