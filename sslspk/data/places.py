"""Where noises and rooms lie in one array of samples on the device (data.resident), for the loader's processes (torch-free).

A place is int64 (3,): first, period, shift. Its sample i is number first + (i - shift) mod period of the array, so a recording that is
shorter than the crop is played again and again.
"""
from pathlib import Path

import numpy as np

from sslspk.data.index import UtteranceIndex

BLOCK = 1024   # samples; each recording begins at a whole block
NOTHING = np.array([0, 1, 0])   # the place of silence: sample 0 is zero

Sources = dict[Path, tuple[UtteranceIndex, int | None]]   # folder -> its recordings, and to how many samples each is cut or filled


class Layout:
    """Where the recordings lie in one array of samples, and how loud each block of it is."""

    def __init__(self, sources: Sources):
        self.first, blocks = {}, 1   # the first block is silence
        for folder, (index, samples) in sources.items():
            lengths = index.length if samples is None else np.full(len(index.length), samples)
            ends = blocks + np.cumsum(-(-lengths // BLOCK))
            self.first[folder] = np.append(blocks, ends)[:-1] * BLOCK
            blocks = int(ends[-1])
        self.size = blocks * BLOCK
        self.energy = np.zeros(blocks + 1, np.int64)   # sum of the squares of all samples before each block

    def place(self, index: UtteranceIndex, which: int, start: int, period: int, shift: int = 0) -> np.ndarray:
        """The place of `period` samples of a recording from `start` on."""
        return np.array([int(self.first[index.data][which]) + start, period, shift])

    def surely_above(self, place: np.ndarray, size: int, rms: float) -> bool:
        """Whether `size` samples of a place have at least this rms, by the blocks that lie wholly in it.

        False: the samples themselves have to be looked at. The factor 2 is far above the rounding errors of noise.rms.
        """
        first, period = int(place[0]), int(place[1])
        low, high = -(-first // BLOCK), (first + period) // BLOCK
        return high > low and int(self.energy[high] - self.energy[low]) * (size // period) >= 2 * rms * rms * size
