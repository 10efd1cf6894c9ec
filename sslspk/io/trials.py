"""Trial lists: which enrolment is compared with which test utterance, and whether the two are one speaker."""
import os
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

from sslspk.errors import InputError
from sslspk.io import columns, files

FORM = "enrol test target|nontarget"
VOXCELEB_FORM = "1|0 enrol test"


class Trials(NamedTuple):
    """N trials: ids of enrolment and test (N,) str, and target (N,) bool."""

    enrol: np.ndarray
    test: np.ndarray
    target: np.ndarray


def read(path: str | os.PathLike) -> Trials:
    """Read a list in Kaldi's form ("enrol test target|nontarget") or VoxCeleb's ("1 enrol test").

    The first line decides the form of the whole list. Raises InputError naming file and line of the first bad line.
    """
    first, second, third = columns.read(path, f"{FORM}\" or \"{VOXCELEB_FORM}")
    if third[0] in (b"target", b"nontarget"):
        enrol, test, label, form, yes, no = first, second, third, FORM, b"target", b"nontarget"
    else:
        enrol, test, label, form, yes, no = second, third, first, VOXCELEB_FORM, b"1", b"0"
    target = label == yes
    bad = np.flatnonzero(~target & (label != no))
    if len(bad):
        found = label[bad[0]].decode("utf-8", "replace")
        raise InputError(f"{os.fspath(path)}:{bad[0] + 1}: the label is {found!r} where the form is \"{form}\"; "
                         "correct the line.")
    return Trials(columns.to_text(enrol, path), columns.to_text(test, path), target)


def write(path: str | os.PathLike, enrol: Sequence[str], test: Sequence[str], target: Sequence[bool]) -> None:
    """Write a list in Kaldi's form, whole or not at all, in the order given. Raises ValueError on unequal lengths."""
    lines = (f"{e} {t} {'target' if same else 'nontarget'}\n"
             for e, t, same in zip(_plain(enrol), _plain(test), _plain(target), strict=True))
    with files.atomic_write(path) as file:
        file.writelines(lines)


def lookup(names: np.ndarray, keys: Sequence[str], where: str) -> np.ndarray:
    """Row of each name (N,) in the list of unique `keys`, as int64 (N,).

    where: what the keys are (a file or directory), for the message.
    Raises InputError naming the first name that is not among the keys.
    """
    row = dict(zip(keys, range(len(keys)), strict=True))
    rows = np.fromiter((row.get(name, -1) for name in names.tolist()), np.int64, len(names))
    missing = np.flatnonzero(rows < 0)
    if len(missing):
        raise InputError(f"the trials name {names[missing[0]]}, which is not in {where} ({len(missing)} of "
                         f"{len(names)} trials); "
                         "use the list that belongs to this data, or extract the missing utterances.")
    return rows


def _plain(values: Sequence) -> Sequence:
    """numpy's own scalars format ten times slower than Python's."""
    return values.tolist() if isinstance(values, np.ndarray) else values
