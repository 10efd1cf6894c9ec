"""Calibration and fusion: scores of one or several systems, and quality measures, to natural-log likelihood ratios.

Prior-weighted linear logistic regression (Bruemmer and du Preez 2006; FoCal and BOSARIS; Bruemmer and Doddington 2013, "Likelihood-ratio
calibration using prior-weighted proper scoring rules"). With the target prior P and the log-ratio l = w . z + b of a trial's
numbers z, the cost to be minimised is

    P mean_targets log(1 + exp(-l - logit P)) + (1 - P) mean_nontargets log(1 + exp(l + logit P)) + ridge / 2 |w'|^2

where w' are the weights of columns scaled to a standard deviation of 1. The cost weighs the trials as if a share P of them were targets, so
the list's own share does not matter. P is the prior of the application; the fit is best near its threshold -logit P. The ridge changes a
weight by some 1e-4. It keeps the weights finite if targets and non-targets are perfectly separable. A column that is constant over all
trials gets the weight 0.
"""
from collections.abc import Mapping, Sequence
from typing import Literal

import numpy as np
from pydantic import model_validator

from sslspk.backend.base import refuse_row
from sslspk.config import Config
from sslspk.errors import InputError

RIDGE = 1e-6
Quality = Literal["log_duration", "magnitude"]


class Calibration(Config):
    """A trained calibration or fusion, as its JSON file holds it."""

    systems: tuple[str, ...]  # names of the S systems, in the order of their scores
    quality: tuple[Quality, ...] = ()  # measures beside the scores, each with a column for the lower and one for the higher side
    weights: tuple[float, ...]  # of the S scores, then of the columns of the measures
    offset: float
    p_target: float  # prior that it was trained for
    labels: Literal["pseudo", "speaker"]  # what the labels of its list are
    trials: str  # the list that it was trained on
    made_on: str = ""  # a description of that list
    trials_md5: str  # of the file
    pairs_md5: str  # sslspk.io.trials.digest of `unordered` trials: independent of the order and form of the list
    targets: int
    nontargets: int

    @model_validator(mode="after")
    def _one_weight_for_each_column(self) -> "Calibration":
        wanted = len(self.systems) + 2 * len(self.quality)
        if len(self.weights) != wanted or not self.systems:
            raise ValueError(f"there are {len(self.weights)} weights for {wanted} columns; train the calibration again")
        return self

    def apply(self, columns: np.ndarray) -> np.ndarray:
        """Natural-log likelihood ratios (N,) of trials with the numbers (N, S + 2 Q), in the order of `weights`."""
        return np.asarray(columns, np.float64) @ np.array(self.weights) + self.offset


def fit(columns: np.ndarray, target: np.ndarray, p_target: float, ridge: float = RIDGE) -> tuple[np.ndarray, float]:
    """Weights (K,) and offset for trials with the numbers (N, K) and the labels (N,).

    Raises InputError for trials of one kind only, numbers that are not finite, or a prior that is not between 0 and 1.
    """
    from sklearn.linear_model import LogisticRegression
    columns, target = np.asarray(columns, np.float64), np.asarray(target, bool)
    if not 0 < p_target < 1:
        raise InputError(f"--p-target {p_target:g} is no prior; choose one between 0 and 1, such as 0.05.")
    targets = int(np.count_nonzero(target))
    if targets in (0, len(target)):
        raise InputError(f"there is no {'non-target' if targets else 'target'} trial among {len(target)}; calibration needs both kinds, "
                         "so check the trial list.")
    bad = np.flatnonzero(~np.isfinite(columns).all(1))
    if len(bad):
        raise InputError(f"a number of trial {bad[0] + 1} is NaN or infinite; score this trial again.")
    mean, std = columns.mean(0), columns.std(0)
    std[std <= 1e-12 * np.abs(mean)] = np.inf  # the same in all trials
    share = np.where(target, p_target / targets, (1 - p_target) / (len(target) - targets))
    model = LogisticRegression(C=1 / ridge, solver="newton-cholesky", tol=1e-9, max_iter=200)
    model.fit((columns - mean) / std, target, sample_weight=share)
    weights = model.coef_[0] / std
    return weights, float(model.intercept_[0] - weights @ mean - np.log(p_target / (1 - p_target)))


def two_sides(enrol: np.ndarray, test: np.ndarray) -> np.ndarray:
    """A measure of both sides of N trials, (N,) and (N,), as the columns lower and higher (N, 2), so that swapping the sides changes
    nothing."""
    return np.sort(np.stack([enrol, test], axis=1), axis=1)


def log_durations(utt2dur: Mapping[str, str], source: str = "utt2dur") -> dict[str, float]:
    """Natural logarithm of the seconds of each utterance. Raises InputError naming one whose duration is no positive number."""
    out = {}
    for utt, text in utt2dur.items():
        try:
            seconds = float(text)
        except ValueError:
            seconds = 0.0
        if not 0 < seconds < np.inf:
            raise InputError(f"{source}: the duration of {utt} is {text!r}, not a positive number of seconds; make utt2dur again.")
        out[utt] = float(np.log(seconds))
    return out


def magnitudes(x: np.ndarray, names: Sequence[str] | None = None) -> np.ndarray:
    """Length of each raw embedding of (N, D): (N,). Encoders give longer vectors to clearer speech.

    Thienpondt et al. 2021, "The IDLab VoxSRC-20 submission", use it for this. Raises InputError naming a row with NaN or infinity.
    """
    refuse_row(~np.isfinite(x).all(1), names, "holds NaN or infinity")
    return np.linalg.norm(x, axis=1)
