"""The interface of back-ends: as in scikit-learn, with float64 inside."""
import abc
from collections.abc import Sequence

import numpy as np

from sslspk.errors import InputError


class Backend(abc.ABC):
    """Turns embeddings into scores, a higher score meaning "more likely one speaker".

    Attributes that end in "_" hold the result of `fit`. `transform` and both score methods take embeddings as the
    encoder gave them.
    """

    @abc.abstractmethod
    def fit(self, x: np.ndarray, labels: Sequence[str] | None = None) -> "Backend":
        """Learn from embeddings (N, D), and from speaker labels (N,) where the back-end needs them; returns itself."""

    @abc.abstractmethod
    def transform(self, x: np.ndarray) -> np.ndarray:
        """(N, D) -> (N, D'), float64: what is compared. Raises InputError as `check` does."""

    @abc.abstractmethod
    def score(self, enrol: np.ndarray, test: np.ndarray, counts: np.ndarray | None = None) -> np.ndarray:
        """All pairs of enrolments (N, D) and tests (M, D): (N, M) float64.

        An enrolment with several utterances is the average of their embeddings, and counts (N,) says of how many (None: one each).
        Without counts score(x, y) is score(y, x) transposed.
        """

    @abc.abstractmethod
    def score_trials(self, enrol: np.ndarray, test: np.ndarray, enrol_row: np.ndarray, test_row: np.ndarray,
                     counts: np.ndarray | None = None) -> np.ndarray:
        """Chosen pairs, (T,) float64: trial t compares row enrol_row[t] of (N, D) with row test_row[t] of (M, D)."""

    @abc.abstractmethod
    def check(self, x: np.ndarray, names: Sequence[str] | None = None) -> None:
        """Raises InputError naming the first row (by `names`, else by number) of (N, D) that cannot be scored."""


def as_matrix(x: np.ndarray) -> np.ndarray:
    """Embeddings as float64 (N, D). Raises ValueError for another number of dimensions."""
    x = np.asarray(x, np.float64)
    if x.ndim != 2:
        raise ValueError(f"embeddings (N, D) expected, not {x.shape}")
    return x


def refuse_row(bad: np.ndarray, names: Sequence[str] | None, what: str) -> None:
    """Raise InputError for the first of the rows where bad (N,) holds, if there is one."""
    rows = np.flatnonzero(bad)
    if len(rows):
        name = names[rows[0]] if names is not None else f"number {rows[0]}"
        raise InputError(f"the embedding of {name} {what} ({len(rows)} of {len(bad)}); extract it again and look at its audio.")
