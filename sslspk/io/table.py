"""Kaldi's tables: one "key value" line per entry, keys unique and sorted in C byte order."""
import itertools
import operator
import os
from collections.abc import Mapping

from sslspk.errors import InputError
from sslspk.io import files


def read(path: str | os.PathLike) -> dict[str, str]:
    """Read a table such as wav.scp, utt2spk or spk2utt; a value is the rest of the line without outer blanks.

    Raises InputError naming file and line: missing or empty file, blank line, missing value, duplicate key, unsorted, a last
    line without an end (a file that was cut short, whose last value is not to be trusted).
    """
    path = os.fspath(path)
    lines = _lines(path, whole=True)
    pairs = [line.split(None, 1) for line in lines]
    if not all(len(pair) == 2 for pair in pairs) or any(line[0].isspace() for line in lines):
        _refuse_shape(path, lines)
    keys = [pair[0] for pair in pairs]
    # UTF-8 keeps code point order, so comparing str is comparing bytes as LC_ALL=C sort does.
    if not all(map(operator.lt, keys, keys[1:])):
        _refuse_order(path, keys)
    return {key: value.rstrip() for key, value in pairs}


def read_loose(path: str | os.PathLike) -> dict[str, str]:
    """Read what can be saved of a table in any order: blank lines and keys without value are left out.

    Raises InputError when a key has two different values, since neither can be trusted.
    """
    path = os.fspath(path)
    pairs = [(number, line.split(None, 1)) for number, line in enumerate(_lines(path), 1)]
    found: dict[str, str] = {}
    for number, pair in pairs:
        if len(pair) != 2:
            continue
        key, value = pair[0], pair[1].rstrip()
        if found.setdefault(key, value) != value:
            raise InputError(f"{path}:{number}: {key} has two different values; remove the wrong one.")
    return found


def write(path: str | os.PathLike, mapping: Mapping[str, object]) -> None:
    """Write a table whole or not at all, sorted in C byte order. Values are turned into text by `str`.

    A file that holds just that already is left alone: by its time steps see whether their inputs have changed.
    Raises InputError for a key with a blank in it, an empty key, or a value that is empty or spans lines.
    """
    lines = []
    for key in sorted(mapping):
        value = str(mapping[key]).strip()
        check_key(key, path)
        if not value or "\n" in value or "\r" in value:
            raise InputError(f"{os.fspath(path)}: the value of {key} is empty or spans lines; "
                             "give it one line of text.")
        lines.append(f"{key} {value}\n")
    text = "".join(lines)
    if os.path.isfile(path) and files.read_bytes(path) == text.encode():
        return
    with files.atomic_write(path) as file:
        file.write(text)


def check_key(key: str, path: str | os.PathLike) -> None:
    """Refuse an id that could not be read back from a table or an archive."""
    if key.split() != [key]:
        raise InputError(f"{os.fspath(path)}: the id {key!r} is empty or holds a blank; rename it.")


def _lines(path: str, whole: bool = False) -> list[str]:
    data = files.read_bytes(path)
    if not data:
        raise InputError(f"{path} is empty; run the stage that makes it again.")
    files.refuse_zero_bytes(path, data, "run the stage that makes it again")
    try:
        text = data.decode("utf-8")
    except UnicodeDecodeError as err:
        line = data.count(b"\n", 0, err.start) + 1
        raise InputError(f"{path}:{line}: not UTF-8 text; convert or rename this entry.") from err
    lines = text.split("\n")
    if whole and lines[-1]:
        raise InputError(f"{path}:{len(lines)}: the last line does not end, so the file may have been cut short; run the stage that makes "
                         "it again, or end that line if it is whole.")
    if lines[-1] == "":
        lines.pop()
    return lines


def _refuse_shape(path: str, lines: list[str]) -> None:
    for number, line in enumerate(lines, 1):
        if not line.strip():
            raise InputError(f"{path}:{number}: a blank line; remove it, or run utils/fix_data_dir.sh.")
        if line[0].isspace():
            raise InputError(f"{path}:{number}: the line starts with a blank; remove the blank.")
        if len(line.split(None, 1)) == 1:
            raise InputError(f"{path}:{number}: {line.strip()} has no value; every line is \"key value\".")


def _refuse_order(path: str, keys: list[str]) -> None:
    seen = set()
    for number, key in enumerate(keys, 1):
        if key in seen:
            raise InputError(f"{path}:{number}: {key} is there twice; remove one, or run utils/fix_data_dir.sh.")
        seen.add(key)
    for number, (before, key) in enumerate(itertools.pairwise(keys), 2):
        if key < before:
            raise InputError(f"{path}:{number}: {key} comes after {before}, which is not C byte order; "
                             f"sort with LC_ALL=C sort, or run utils/fix_data_dir.sh.")
