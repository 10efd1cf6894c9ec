"""Linear discriminant analysis, then cosine; with lda: none also PCA or whitening alone, which need no labels."""
import os
from collections.abc import Sequence

import numpy as np

from sslspk.backend import front
from sslspk.backend.base import Backend
from sslspk.backend.config import BackendConfig
from sslspk.backend.cosine import Cosine


class Lda(Backend):
    """Cosine of transformed embeddings. front_: front.Front, what `fit` learnt."""

    def __init__(self, config: BackendConfig | None = None):
        self.config, self.front_ = config or BackendConfig(), None

    def fit(self, x: np.ndarray, labels: Sequence[str] | None = None) -> "Lda":
        """Learn from embeddings (N, D) and, for LDA, labels (N,). Raises InputError as front.codes and front.fit do."""
        self.front_ = front.fit(x, front.codes(labels, len(x)) if self.config.lda != "none" else None, self.config)
        return self

    def transform(self, x: np.ndarray) -> np.ndarray:
        """(N, D) -> (N, D'), of length 1."""
        self.check(x)
        return Cosine().transform(self.front_.linear(x))

    def score(self, enrol: np.ndarray, test: np.ndarray, counts: np.ndarray | None = None) -> np.ndarray:
        """All pairs of (N, D) and (M, D): (N, M), whatever the counts."""
        return self.transform(enrol) @ self.transform(test).T

    def score_trials(self, enrol: np.ndarray, test: np.ndarray, enrol_row: np.ndarray, test_row: np.ndarray,
                     counts: np.ndarray | None = None) -> np.ndarray:
        """Chosen pairs (T,)."""
        self.check(enrol)
        self.check(test)
        return Cosine().score_trials(self.front_.linear(enrol), self.front_.linear(test), enrol_row, test_row)

    def check(self, x: np.ndarray, names: Sequence[str] | None = None) -> None:
        self.front_.check(x, names)

    def save(self, folder: str | os.PathLike) -> None:
        """Write the folder that `load` reads."""
        front.save(folder, self.front_, self.config)

    @classmethod
    def load(cls, folder: str | os.PathLike) -> "Lda":
        """From a folder of ours or with Kaldi's files. Raises InputError as front.load does."""
        loaded, config = front.load(folder)
        backend = cls(config)
        backend.front_ = loaded
        return backend
