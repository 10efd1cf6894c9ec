"""Recordings that are too short for a training's crops: which can be drawn from, and what a user is told of the others."""
import numpy as np

from sslspk.data.config import DataConfig
from sslspk.data.index import UtteranceIndex
from sslspk.errors import left_out


def usable(index: UtteranceIndex, config: DataConfig, sizes: list[int], rate: float) -> np.ndarray:
    """The recordings (N,) int64 that crops of these sizes can be drawn from."""
    shortest = max(sizes) if config.short == "drop" else 1
    return np.flatnonzero(index.unit_length() >= max(shortest, config.min_seconds * rate)).astype(np.int64)


def least(config: DataConfig, sizes: list[int], rate: float) -> tuple[float, str]:
    """How many seconds a recording needs for that, and what makes it fewer."""
    if config.short == "drop" and max(sizes) >= config.min_seconds * rate:
        return max(sizes) / rate, "shorten method.crops or set data.short=repeat"
    return config.min_seconds, "lower data.min_seconds"


def note(index: UtteranceIndex, config: DataConfig, sizes: list[int], rate: float) -> str:
    """The line about the recordings that are left out; nothing if there are none."""
    there = np.zeros(index.num_units, bool)
    there[usable(index, config, sizes, rate)] = True
    if there.all():
        return ""
    copies = index.unit(int(there.argmin()))
    first = index.keys[int(copies[index.length[copies].argmin()])]
    return left_out(int((~there).sum()), len(there), first, index.data, *least(config, sizes, rate))
