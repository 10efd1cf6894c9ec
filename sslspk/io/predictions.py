"""Predictions of a classifier or a regression: predictions.tsv, tab-separated, with the column "utt" and one for each class.

The columns hold posteriors that sum to 1. A file whose only column is called "value" holds numbers (a regression).
"""
import math
import os
from collections import Counter
from collections.abc import Mapping, Sequence
from typing import NamedTuple

import numpy as np

from sslspk import reading
from sslspk.errors import InputError, shown
from sslspk.io import files, table

VALUE = "value"
LINE_BYTES = 4 << 20   # for an utterance and its posteriors of some 100,000 classes
TOLERANCE = 1e-3  # for the sum of posteriors, which are rounded in text


class Predictions(NamedTuple):
    """utts (N,), names of the columns (C,), values (N, C) float64."""

    utts: list[str]
    columns: list[str]
    values: np.ndarray

    @property
    def numeric(self) -> bool:
        """Whether these are the numbers of a regression, not posteriors."""
        return self.columns == [VALUE]


def write(path: str | os.PathLike, utts: Sequence[str], columns: Sequence[str], values: np.ndarray) -> None:
    """Write values (N, C) of utterances, sorted by name, whole or not at all; columns: the classes, or ["value"].

    Raises InputError for an id or a class that could not be read back, ValueError for shapes that do not match.
    """
    values = np.asarray(values, np.float64)
    if values.shape != (len(utts), len(columns)):
        raise ValueError(f"{len(utts)} utterances and {len(columns)} columns do not match values {values.shape}")
    for name in columns:
        if not name or name != name.strip() or any(mark in name for mark in "\t\n\r"):
            raise InputError(f"{os.fspath(path)}: the class {name!r} is empty, or begins or ends with a blank, or holds a tab; rename it.")
    rows = ["\t".join(("utt", *columns))]
    for i in sorted(range(len(utts)), key=utts.__getitem__):
        table.check_key(utts[i], path)
        rows.append("\t".join((utts[i], *(f"{value:.9g}" for value in values[i]))))
    with files.atomic_write(path) as file:
        file.write("\n".join(rows) + "\n")


def read(path: str | os.PathLike) -> Predictions:
    """Read and check a file. Raises InputError naming file, line and remedy."""
    path = os.fspath(path)
    header, *lines = reading.text(path, None, "make the predictions again", LINE_BYTES).split("\n")
    first, *columns = header.rstrip("\r").split("\t")
    if first != "utt" or not columns or not all(columns):
        raise InputError(f"{path}:1: the first line must be utt and the class names with tabs between them, not {shown(header, 60)}.")
    if len(set(columns)) < len(columns) or (len(columns) == 1 and columns != [VALUE]):
        raise InputError(f"{path}:1: two classes at least are needed, each once, or the one column {VALUE}; correct the first line.")
    if lines and not lines[-1]:
        lines.pop()
    if not lines:
        raise InputError(f"{path} holds no prediction; make it again.")
    utts, rows = [], []
    for number, line in enumerate(lines, 2):
        utt, *texts = line.rstrip("\r").split("\t")
        if not utt or len(texts) != len(columns):
            raise InputError(f"{path}:{number}: an utterance and {len(columns)} numbers with tabs between them are needed; make it again.")
        utts.append(utt)
        rows.append(_floats(path, number, utt, texts))
    if len(set(utts)) < len(utts):
        twice = next(utt for utt, count in Counter(utts).items() if count > 1)
        raise InputError(f"{path}: {twice} is there twice; make the predictions again.")
    found = Predictions(utts, columns, np.array(rows, np.float64))
    _check_values(path, found)
    return found


def _floats(path: str, line: int, utt: str, texts: list[str]) -> list[float]:
    try:
        return [float(text) for text in texts]
    except ValueError:
        raise InputError(f"{path}:{line}: {utt} has a value that is no number; make the predictions again.") from None


def _check_values(path: str, found: Predictions) -> None:
    values, what = found.values, "value" if found.numeric else "posterior"
    for bad, said in ((~np.isfinite(values).all(1), f"a {what} that is not finite"),
                      (np.zeros(len(values), bool) if found.numeric else
                       ((values < -TOLERANCE).any(1) | (np.abs(values.sum(1) - 1) > TOLERANCE)), "posteriors that are no shares of 1")):
        rows = np.flatnonzero(bad)
        if len(rows):
            raise InputError(f"{path}:{rows[0] + 2}: {found.utts[rows[0]]} has {said} ({len(rows)} of {len(bad)}); look at the model, and "
                             "make the predictions again.")


def numbers(labels: Mapping[str, str], source: str) -> dict[str, float]:
    """The values of a table as numbers. Raises InputError naming an entry that is no number; source: the table's name in messages."""
    out = {}
    for utt, text in labels.items():
        try:
            out[utt] = float(text)
        except ValueError:
            out[utt] = math.nan
        if not math.isfinite(out[utt]):
            raise InputError(f"{source}: the label {text} of {utt} is not a number, which a regression needs; correct the table.")
    return out
