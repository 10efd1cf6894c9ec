"""Cosine scoring, with the mean of some unlabelled embeddings subtracted first where one is fitted."""
from collections.abc import Sequence

import numpy as np

from sslspk.backend.base import Backend, as_matrix, refuse_row

BLOCK = 4096  # trials gathered at once: two blocks of 512-dimensional embeddings are 32 MB


class Cosine(Backend):
    """Cosine of the angle between two embeddings, from -1 to 1.

    >>> Cosine().score([[3.0, 4.0]], [[6.0, 8.0], [-4.0, 3.0]]).tolist()
    [[1.0, 0.0]]

    mean_: (D,) what `fit` learnt and `transform` subtracts; None before, and then nothing is subtracted.
    """

    def __init__(self):
        self.mean_: np.ndarray | None = None

    def fit(self, x: np.ndarray, labels: Sequence[str] | None = None) -> "Cosine":
        """Learn the mean of embeddings (N, D); labels are not looked at. Raises InputError for NaN or infinite values."""
        x = as_matrix(x)
        refuse_row(~np.isfinite(x).all(1), None, "holds NaN or infinity")
        self.mean_ = x.mean(0)
        return self

    def transform(self, x: np.ndarray) -> np.ndarray:
        """(N, D) -> (N, D): centred when fitted, then of length 1."""
        self.check(x)
        x = self._centre(x)
        return x / np.linalg.norm(x, axis=1, keepdims=True)

    def score(self, enrol: np.ndarray, test: np.ndarray, counts: np.ndarray | None = None) -> np.ndarray:
        """All pairs of (N, D) and (M, D): (N, M), whatever the counts. A product of two matrices, so feed many tests in pieces."""
        return self.transform(enrol) @ self.transform(test).T

    def score_trials(self, enrol: np.ndarray, test: np.ndarray, enrol_row: np.ndarray, test_row: np.ndarray,
                     counts: np.ndarray | None = None) -> np.ndarray:
        """Chosen pairs (T,), gathered in blocks: memory goes with N + M, not with T or N x M."""
        enrol, test = self.transform(enrol), self.transform(test)
        scores = np.empty(len(enrol_row))
        for start in range(0, len(scores), BLOCK):
            part = slice(start, start + BLOCK)
            np.einsum("td,td->t", enrol[enrol_row[part]], test[test_row[part]], out=scores[part])
        return scores

    def check(self, x: np.ndarray, names: Sequence[str] | None = None) -> None:
        """Refuse rows with NaN or infinity, and rows without a direction."""
        x = as_matrix(x)
        refuse_row(~np.isfinite(x).all(1), names, "holds NaN or infinity")
        after = "" if self.mean_ is None else " after the mean was subtracted"
        refuse_row(~self._centre(x).any(1), names, f"has length zero{after}")

    def _centre(self, x: np.ndarray) -> np.ndarray:
        x = as_matrix(x)
        return x if self.mean_ is None else x - self.mean_
