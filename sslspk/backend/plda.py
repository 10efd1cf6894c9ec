"""PLDA scores: natural-log likelihood ratios of "one speaker" against "two"."""
import os
from collections.abc import Sequence

import numpy as np

from sslspk.backend import front, plda_model
from sslspk.backend.base import Backend
from sslspk.backend.config import BackendConfig
from sslspk.errors import InputError
from sslspk.io import kaldi_model


class Plda(Backend):
    """Kaldi's PLDA behind mean, LDA and length normalisation. front_: front.Front, model_: plda_model.Plda, what `fit` learnt.

    Where the configuration normalises lengths, that is done within PLDA's own space as well (ivector-plda-scoring --normalize-length).
    """

    def __init__(self, config: BackendConfig | None = None):
        self.config, self.front_, self.model_ = config or BackendConfig(), None, None

    def fit(self, x: np.ndarray, labels: Sequence[str] | None = None) -> "Plda":
        """Learn from embeddings (N, D) and labels (N,). Raises InputError as front.codes and front.fit do, and for plda: none."""
        config = self.config
        if config.plda == "none":
            raise InputError("plda is none in the configuration of the back-end; choose two_covariance or simplified.")
        code = front.codes(labels, len(x))
        self.front_ = front.fit(x, code, config)
        data = plda_model.sums(self.front_.apply(x), code)
        if config.plda == "simplified":
            dim = min(config.plda_dim, data.means.shape[1], len(data.counts) - 1)
            self.model_ = plda_model.train_simplified(data, config.plda_iterations, dim)
        else:
            self.model_ = plda_model.train_two_covariance(data, config.plda_iterations)
        return self

    def adapt(self, x: np.ndarray, within_scale: float = 0.75, between_scale: float = 0.25) -> "Plda":
        """A back-end adapted to embeddings (N, D) of another domain, without labels: Kaldi's ivector-adapt-plda."""
        self.check(x)
        adapted = Plda(self.config)
        adapted.front_ = self.front_
        adapted.model_ = plda_model.adapt(self.model_, self.front_.apply(x), within_scale, between_scale)
        return adapted

    def transform(self, x: np.ndarray) -> np.ndarray:
        """(N, D) -> (N, D'): in the space where the within-class covariance is the identity."""
        return self._project(x)

    def score(self, enrol: np.ndarray, test: np.ndarray, counts: np.ndarray | None = None) -> np.ndarray:
        """All pairs of enrolments (N, D), averages of counts (N,) utterances, and tests (M, D): (N, M)."""
        return plda_model.score_all(self._scoring, self._project(enrol, counts), self._project(test), counts)

    def score_trials(self, enrol: np.ndarray, test: np.ndarray, enrol_row: np.ndarray, test_row: np.ndarray,
                     counts: np.ndarray | None = None) -> np.ndarray:
        """Chosen pairs (T,)."""
        return plda_model.score_pairs(self._scoring, self._project(enrol, counts), self._project(test), enrol_row, test_row, counts)

    def products(self, x: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Two vectors (N, D'), (N, D') for each embedding (N, D), whose products are the scores of all pairs."""
        return plda_model.products(self._scoring, self._project(x))

    def check(self, x: np.ndarray, names: Sequence[str] | None = None) -> None:
        self.front_.check(x, names)

    @property
    def _scoring(self) -> plda_model.Plda:
        return self.model_.smoothed(self.config.plda_smoothing)

    def _project(self, x: np.ndarray, counts: np.ndarray | None = None) -> np.ndarray:
        self.check(x)
        return self._scoring.project(self.front_.apply(x), counts, normalise=self.config.length_norm != "none")

    def save(self, folder: str | os.PathLike) -> None:
        """Write the folder that `load` reads."""
        front.save(folder, self.front_, self.config)
        kaldi_model.write_plda(os.path.join(folder, front.PLDA), self.model_)

    @classmethod
    def load(cls, folder: str | os.PathLike) -> "Plda":
        """From a folder of ours or with Kaldi's files. Raises InputError naming a file that is missing or does not fit the others."""
        loaded, config = front.load(folder)
        backend = cls(config)
        path = os.path.join(folder, front.PLDA)
        backend.front_, backend.model_ = loaded, plda_model.Plda(*kaldi_model.read_plda(path))
        if len(loaded.affine) != len(backend.model_.mean):
            raise InputError(f"{path} has {len(backend.model_.mean)} dimensions and {folder}/{front.TRANSFORM} gives {len(loaded.affine)}; "
                             "train the back-end again.")
        return backend
