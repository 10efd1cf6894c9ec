"""Curricula (Heo et al. 2022, arXiv 2203.14525): shares that rise with the epochs, and the part of the training set that is used."""
import numpy as np

from sslspk.data.config import GrowConfig
from sslspk.data.config_augment import GrowShare

GROWTH_STREAM = 2  # last word of the random counter: no other use of the seed shares it


def share(config: GrowConfig | GrowShare, epochs: float) -> float:
    """The share after this many epochs: linear from start_share to 1."""
    return min(1.0, config.start_share + (1 - config.start_share) * epochs / config.epochs)


class Growth:
    """The recordings that may be drawn in each epoch: the first ones of an order that depends on the seed alone."""

    def __init__(self, units: np.ndarray, speakers: np.ndarray, config: GrowConfig, seed: int):
        """units (N,): the recordings; speakers (N,): whose they are, -1 where that is not known (by: recording)."""
        if config.by == "speaker" and (speakers < 0).any():
            raise ValueError("growing by speaker needs an index with labels")
        self.config = config
        rng = np.random.Generator(np.random.Philox(key=seed, counter=[0, 0, 0, GROWTH_STREAM]))
        groups = np.unique(speakers, return_inverse=True)[1] if config.by == "speaker" else np.arange(len(units))
        place = rng.permutation(int(groups.max(initial=-1)) + 1)[groups]
        self._order = units[np.argsort(place, kind="stable")]
        self._ends = np.cumsum(np.bincount(place))

    def units(self, epoch: int) -> np.ndarray:
        """The recordings of this epoch: the share of all speakers or recordings at its start, rounded up."""
        groups = int(np.ceil(share(self.config, epoch) * len(self._ends) - 1e-6))
        return self._order[:self._ends[groups - 1]]
