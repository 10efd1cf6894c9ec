"""Training data larger than the page cache: an epoch takes a few archives at a time, and mixes what is in them.

Each archive is read from its beginning to its end, in the background and ahead of its turn, so that the crops are then found in memory.
What is drawn does not depend on that reading.
"""
import contextlib
import threading

import numpy as np
import torch

from sslspk.data.config import DataConfig
from sslspk.data.index import UtteranceIndex
from sslspk.errors import InputError, named
from sslspk.io import files

BLOCK = 1 << 23   # bytes that are read at once


class Archives:
    """data.archives_at_once of them are mixed, then the next ones. of (units,) int32: the archive of each recording's first utterance."""

    def __init__(self, index: UtteranceIndex, units: np.ndarray, config: DataConfig):
        """units (N,): the recordings of the training set. Raises InputError where mixing so few archives is no use."""
        self.index, self.at_once = index, config.archives_at_once
        self.of = index.of_units(index.path_of)
        if (index.offset < 0).any():
            raise InputError(f"{named(index.data, 60)} has recordings in files of their own; pack them (steps/pack_audio.sh --nj 100), or "
                             "leave data.archives_at_once out.")
        self.mean = len(units) / len(np.unique(self.of[units]))
        if self.at_once * self.mean < config.batch_size:
            raise InputError(f"{named(index.data, 60)}: {self.at_once} archives hold {self.at_once * self.mean:.0f} utterances, fewer than "
                             "a batch; raise data.archives_at_once.")
        self._near: set[int] = set()

    def order(self, rng: np.random.Generator, units: np.ndarray) -> np.ndarray:
        """Positions (N,) of `units` (N,), those of the first at_once archives of a random order mixed, then those of the next ones."""
        found, code = np.unique(self.of[units], return_inverse=True)
        group = rng.permutation(len(found))[code] // self.at_once
        return np.lexsort((rng.permutation(len(units)), group))

    def read_ahead(self, order: np.ndarray, start: int) -> threading.Thread | None:
        """Start to read what comes into sight at place `start` of an epoch's order: about at_once archives ahead of their turn. Every
        worker reads its share of them."""
        near = set(np.unique(self.of[order[start:start + round(self.at_once * self.mean)]]).tolist())
        worker = torch.utils.data.get_worker_info()
        own, workers = (worker.id, worker.num_workers) if worker else (0, 1)
        fresh, self._near = sorted(one for one in near - self._near if one % workers == own), near
        if not fresh:
            return None
        thread = threading.Thread(target=_read_all, args=([self.index.paths[one] for one in fresh],), daemon=True)
        thread.start()
        return thread


def _read_all(paths: list[str]) -> None:
    """Read files into the page cache; what is wrong with one is said when its recordings are read."""
    for path in paths:
        with contextlib.suppress(InputError, OSError):
            file, place = files.SharedFile(path), 0
            while count := len(file.pread(BLOCK, place)):
                place += count
