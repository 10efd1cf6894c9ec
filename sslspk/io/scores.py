"""Score files: one "enrol test score" line per trial, a higher score meaning "more likely one speaker"."""
import os
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

from sslspk.errors import InputError, shown
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
    enrol, test, text = columns.read(path, FORM, ended=True)
    try:
        score = text.astype(np.float64)
        if np.char.find(text, b"_").max() >= 0:   # Python's separator of digit groups
            raise ValueError
    except ValueError:
        score = np.array([_number(field) for field in text.tolist()])
    bad = np.flatnonzero(~np.isfinite(score))
    if len(bad):
        found = shown(text[bad[0]].decode("utf-8", "replace"))
        raise InputError(f"{os.fspath(path)}:{bad[0] + 1}: the score is {found}, not a finite number; "
                         "score this pair again.")
    return Scores(columns.to_text(enrol, path), columns.to_text(test, path), score)


def write(path: str | os.PathLike, enrol: Sequence[str], test: Sequence[str], score: Sequence[float]) -> None:
    """Write a score file, whole or not at all, in the order given. Nine digits restore a float32 exactly.

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


def align(trials: Trials, scores: Scores, path: str | os.PathLike = "scores", listed: str | os.PathLike = "the trials") -> np.ndarray:
    """Scores in the order of the trials: (N,) float64. path, listed: the files of scores and trials, for messages.

    Raises InputError naming both files and the pair: a trial without a score, a score without a trial, a pair with two scores.
    """
    same = len(trials.enrol) == len(scores.enrol)
    if same and np.array_equal(trials.enrol, scores.enrol) and np.array_equal(trials.test, scores.test):
        return scores.score
    aligned = _reordered(trials, scores, *(columns.pair_codes(pairs.enrol, pairs.test) for pairs in (trials, scores))) if same else None
    return _matched(trials, scores, os.fspath(path), os.fspath(listed)) if aligned is None else aligned


def _reordered(trials: Trials, scores: Scores, wanted: np.ndarray, given: np.ndarray) -> np.ndarray | None:
    """Scores (N,) in the order of the trials, if both hold the same pairs equally often, each pair with one score; else None.

    wanted, given: the hashes (N,) of both lists' pairs. Both are sorted by hash, and the ids are then compared, so that a
    hash collision does no harm.
    """
    to, source = np.argsort(wanted, kind="stable"), np.argsort(given, kind="stable")
    score, twice = scores.score[source], np.diff(given[source]) == 0
    if (np.array_equal(wanted[to], given[source]) and not (twice & (np.diff(score) != 0)).any()
            and np.array_equal(trials.enrol[to], scores.enrol[source]) and np.array_equal(trials.test[to], scores.test[source])):
        aligned = np.empty_like(score)
        aligned[to] = score
        return aligned
    return None


def _matched(trials: Trials, scores: Scores, path: str, listed: str) -> np.ndarray:
    """`align` for lists that differ in more than their order; slower, and names what does not match."""
    wanted, given = _pair_codes(trials, scores)
    order = np.argsort(given, kind="stable")
    given_sorted, score_sorted = given[order], scores.score[order]
    twice = np.flatnonzero((given_sorted[1:] == given_sorted[:-1]) & (score_sorted[1:] != score_sorted[:-1]))
    if len(twice):
        raise _misfit(path, scores, order[twice[0] + 1], f"of {listed} has two different scores; keep one")
    place = np.minimum(np.searchsorted(given_sorted, wanted), len(given_sorted) - 1)
    missing = np.flatnonzero(given_sorted[place] != wanted)
    if len(missing):
        row = missing[0]
        raise InputError(f"{path}: {trials.enrol[row]} {trials.test[row]}, line {row + 1} of {listed}, has no score; "
                         "score this list again, or correct it.")
    used = np.zeros(len(given_sorted), bool)
    used[place] = True
    if used.sum() < 1 + np.count_nonzero(np.diff(given_sorted)):
        unknown = np.flatnonzero(~np.isin(given, wanted))
        raise _misfit(path, scores, unknown[0], f"has a score but is not in {listed}; use the list that was scored")
    return score_sorted[place]


def _number(field: bytes) -> float:
    try:
        return float("nan" if b"_" in field else field)
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


def _misfit(path: str, scores: Scores, row: int, what: str) -> InputError:
    return InputError(f"{path}:{row + 1}: the pair {scores.enrol[row]} {scores.test[row]} {what}.")
