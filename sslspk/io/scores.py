"""Score files: one "enrol test score" line per trial, a higher score meaning "more likely one speaker"."""
import os
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

from sslspk.errors import InputError
from sslspk.io import columns, files
from sslspk.io.trials import Trials

FORM = "enrol test score"


class Scores(NamedTuple):
    """N scored pairs: ids (N,) str and (N,) str, score (N,) float64."""

    enrol: np.ndarray
    test: np.ndarray
    score: np.ndarray


def read(path: str | os.PathLike) -> Scores:
    """Read a score file. Raises InputError naming file and line for a bad line, a NaN or an infinite score."""
    enrol, test, text = columns.read(path, FORM)
    try:
        score = text.astype(np.float64)
    except ValueError:
        score = np.array([_number(field) for field in text.tolist()])
    bad = np.flatnonzero(~np.isfinite(score))
    if len(bad):
        found = text[bad[0]].decode("utf-8", "replace")
        raise InputError(f"{os.fspath(path)}:{bad[0] + 1}: the score is {found!r}, not a finite number; "
                         "score this pair again.")
    return Scores(columns.to_text(enrol, path), columns.to_text(test, path), score)


def write(path: str | os.PathLike, enrol: Sequence[str], test: Sequence[str], score: Sequence[float]) -> None:
    """Write a score file, whole or not at all, in the order given. Nine digits bring a float32 back exactly.

    Raises InputError naming the first pair whose score is NaN or infinite; ValueError on unequal lengths.
    """
    score = np.asarray(score, np.float64)
    enrol, test = np.asarray(enrol), np.asarray(test)
    bad = np.flatnonzero(~np.isfinite(score))
    if len(bad):
        raise InputError(f"{os.fspath(path)}: the score of {enrol[bad[0]]} {test[bad[0]]} (line {bad[0] + 1}) is "
                         f"{score[bad[0]]}; look for a zero or non-finite embedding of these two.")
    lines = (f"{e} {t} {s:.9g}\n" for e, t, s in zip(enrol.tolist(), test.tolist(), score.tolist(), strict=True))
    with files.atomic_write(path) as file:
        file.writelines(lines)


def align(trials: Trials, scores: Scores) -> np.ndarray:
    """Scores in the order of the trials: (N,) float64.

    Raises InputError naming the pair: a trial without a score, a score without a trial, a pair with two scores.
    """
    same = len(trials.enrol) == len(scores.enrol)
    if same and np.array_equal(trials.enrol, scores.enrol) and np.array_equal(trials.test, scores.test):
        return scores.score
    wanted, given = _pair_codes(trials, scores)
    order = np.argsort(given, kind="stable")
    given_sorted, score_sorted = given[order], scores.score[order]
    twice = np.flatnonzero((given_sorted[1:] == given_sorted[:-1]) & (score_sorted[1:] != score_sorted[:-1]))
    if len(twice):
        _refuse(scores, order[twice[0] + 1], "has two different scores; keep one")
    place = np.minimum(np.searchsorted(given_sorted, wanted), len(given_sorted) - 1)
    missing = np.flatnonzero(given_sorted[place] != wanted)
    if len(missing):
        _refuse(trials, missing[0], "is a trial without a score; score this list again")
    used = np.zeros(len(given_sorted), bool)
    used[place] = True
    if used.sum() < 1 + np.count_nonzero(np.diff(given_sorted)):
        unknown = np.flatnonzero(~np.isin(given, wanted))
        _refuse(scores, unknown[0], "has a score but is not in the trial list; use the list that was scored")
    return score_sorted[place]


def _number(field: bytes) -> float:
    try:
        return float(field)
    except ValueError:
        return float("nan")


def _pair_codes(trials: Trials, scores: Scores) -> tuple[np.ndarray, np.ndarray]:
    """One integer for each pair of ids, the same in both lists."""
    columns_of_ids = [ids.tolist() for ids in (trials.enrol, trials.test, scores.enrol, scores.test)]
    names = set().union(*columns_of_ids)
    number = dict(zip(names, range(len(names)), strict=True))
    first, second, third, fourth = (np.fromiter(map(number.__getitem__, ids), np.int64, len(ids))
                                    for ids in columns_of_ids)
    return first * len(names) + second, third * len(names) + fourth


def _refuse(pairs: Trials | Scores, row: int, what: str) -> None:
    raise InputError(f"line {row + 1}: the pair {pairs.enrol[row]} {pairs.test[row]} {what}.")
