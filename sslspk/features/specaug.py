"""SpecAugment (Park et al. 2019) without time warping: blocks of frames and of bins are masked.

Where the masks fall is drawn by the loader (counter-based, so a resume draws the same); here they are only applied.
"""
import functools
from collections.abc import Callable

import numpy as np
import torch
from torch import Tensor

from sslspk.features.config_specaug import SpecAugmentConfig

TIME, FREQUENCY = 0, 1


def draw(rng: np.random.Generator, frames: int, bins: int, config: SpecAugmentConfig) -> np.ndarray:
    """Masks for one sample of T=frames by F=bins: int32 (n, 3) with rows (axis, start, width), time masks first; width 0 masks nothing."""
    rows, nothing = [], config.prob < 1 and rng.random() >= config.prob
    for axis, count, largest, size in ((TIME, config.num_time_masks, config.max_time, frames),
                                       (FREQUENCY, config.num_freq_masks, config.max_freq, bins)):
        for _ in range(count):
            width = rng.integers(0, min(largest, size) + 1)
            rows.append((axis, rng.integers(0, size - width + 1), 0 if nothing else width))
    return np.array(rows, np.int32).reshape(-1, 3)


def drawer(config: SpecAugmentConfig, bins: int, num_frames: Callable[[int], int]) -> Callable:
    """(rng, size) -> masks int32 (n, 3). num_frames turns a crop's size into T: samples to frames, or `int` for frames.

    It can be pickled when num_frames can, for loaders whose workers are spawned.
    """
    return functools.partial(_draw_sized, config=config, bins=bins, num_frames=num_frames)


def _draw_sized(rng: np.random.Generator, size: int, *, config: SpecAugmentConfig, bins: int,
                num_frames: Callable[[int], int]) -> np.ndarray:
    return draw(rng, num_frames(size), bins, config)


def apply(x: Tensor, positions: Tensor, fill: str = "mean", shape: str = "bands") -> Tensor:
    """Mask x (N,T,F) with positions int (N, n, 3) from `draw`; what is hidden becomes the sample's own mean, or 0.

    shape: bands, or rectangle, which hides only what masks of both axes cover.
    """
    axis, start, width = positions.unsqueeze(1).unbind(-1)                   # each (N,1,n)
    masked = _covered(x.shape[1], start, width, axis == TIME).unsqueeze(2)   # (N,T,1)
    bins = _covered(x.shape[2], start, width, axis == FREQUENCY).unsqueeze(1)
    masked = masked & bins if shape == "rectangle" else masked | bins
    value = x.mean((1, 2), keepdim=True) if fill == "mean" else x.new_zeros(())
    return torch.where(masked, value, x)


def _covered(size: int, start: Tensor, width: Tensor, wanted: Tensor) -> Tensor:
    """(N,size) bool: the places along one axis that some wanted mask covers."""
    place = torch.arange(size, device=start.device).view(1, size, 1)
    return (wanted & (place >= start) & (place < start + width)).any(2)
