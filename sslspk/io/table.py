"""Kaldi's tables: one "key value" line per entry, keys unique and sorted in C byte order.

Only space and tab separate the words of a line: a no-break space (U+00A0), U+3000 or U+2028 is part of an id. A byte order mark and
the CR of a line that ends in CRLF are removed; other control characters are refused, because tools disagree about them.
"""
import itertools
import operator
import os
import re
from collections.abc import Mapping
from typing import NamedTuple

from sslspk import errors, reading
from sslspk.errors import InputError, shown
from sslspk.io import files

BLANKS = " \t"
CONTROLS = bytes([*range(9), *range(11, 32), 127])   # all but tab and newline
LONGEST_SHOWN = 60
BLOCK = 1 << 22   # bytes processed together
FIRST_BLANK = re.compile(f"[{BLANKS}]")
NO_KEY = re.compile("[\\x00-\\x20\\x7f]")
NO_VALUE = re.compile("[\\x00-\\x08\\x0a-\\x1f\\x7f]")


class Loose(NamedTuple):
    """What could be read of a table, and what could not: reason -> the keys (or "line 7") concerned, in the file's order."""

    entries: dict[str, str]
    dropped: dict[str, list[str]]
    kept: dict[str, list[str]]


def read(path: str | os.PathLike, empty: bool = False) -> dict[str, str]:
    """Read a table such as wav.scp, utt2spk or spk2utt; a value is the rest of the line without outer blanks.

    empty: a key may have no value (an empty transcript in `text`), which is then "".
    Raises InputError naming file and line: missing or empty file, blank line, missing value, duplicate key, unsorted, a control
    character, a last line without a newline (the file was cut short, so its last value may be wrong).
    """
    path = os.fspath(path)
    keys, values = _columns(_lines(path, whole=True))
    if not all(keys) or not (empty or all(values)):
        _refuse_shape(path, keys, values)
    # UTF-8 keeps code point order, so comparing str is comparing bytes as LC_ALL=C sort does.
    if not all(map(operator.lt, keys, keys[1:])):
        _refuse_order(path, keys)
    return dict(zip(keys, values, strict=True))


def read_loose(path: str | os.PathLike, empty: bool = False) -> Loose:
    """Read what is usable in a table in any order: lines without key or value and repeated lines are left out.

    Raises InputError if a key has two different values, because neither can be trusted.
    """
    path = os.fspath(path)
    lines = _lines(path)
    entries: dict[str, str] = {}
    dropped: dict[str, list[str]] = {}
    for number, (key, value) in enumerate(zip(*_columns([line.lstrip(BLANKS) for line in lines]), strict=True), 1):
        if not key or not (value or empty):
            dropped.setdefault("no value" if key else "blank line", []).append(key or f"line {number}")
        elif entries.setdefault(key, value) != value:
            raise InputError(f"{path}:{number}: {named(key)} has two different values; remove the wrong one.")
        elif len(entries) + sum(map(len, dropped.values())) < number:
            dropped.setdefault("repeated", []).append(key)
    unended = bool(lines) and not files.read_bytes(path).endswith(b"\n")
    return Loose(entries, dropped, {"last line without an end, perhaps cut short": [f"line {len(lines)}"]} if unended else {})


def write(path: str | os.PathLike, mapping: Mapping[str, object], empty: bool = False) -> None:
    """Write a table whole or not at all, sorted in C byte order. Values are turned into text by `str`.

    A file that already has this content is left alone: steps compare its time to see whether their inputs have changed.
    Raises InputError for an empty key, a key with a blank in it, or a value that spans lines or is empty (without `empty`).
    """
    text = encode(path, mapping, empty)
    if os.path.isfile(path) and files.read_bytes(path) == text:
        return
    with files.atomic_write(path, "wb") as file:
        file.write(text)


def encode(path: str | os.PathLike, mapping: Mapping[str, object], empty: bool = False) -> bytes:
    """The bytes that `write` writes; path: for messages."""
    lines = []
    for key in sorted(mapping):
        value = str(mapping[key]).strip(BLANKS)
        check_key(key, path)
        if not (value or empty) or NO_VALUE.search(value):
            raise InputError(f"{os.fspath(path)}: the value of {named(key)} is empty or spans lines; give it one line of text.")
        lines.append(f"{key} {value}\n")
    try:
        return "".join(lines).encode()
    except UnicodeEncodeError:
        bad = next(line for line in lines if any("\ud800" <= letter <= "\udfff" for letter in line))
        raise InputError(f"{os.fspath(path)}: {shown(bad)} is no UTF-8 text; rename that file or id.") from None


def check_key(key: str, path: str | os.PathLike) -> None:
    """Refuse an id that could not be read back from a table or an archive."""
    if not key or NO_KEY.search(key) or key[0] == "\ufeff":
        raise InputError(f"{os.fspath(path)}: the id {shown(key)} is empty or holds a blank or a control character; rename it.")


def named(key: str) -> str:
    """An id for a message: unchanged, unless it is long or has invisible characters."""
    return errors.named(key, LONGEST_SHOWN)


def words(text: str) -> list[str]:
    """The words of a line or of a value, separated by spaces and tabs only."""
    return [word for word in text.replace("\t", " ").split(" ") if word]


def read_lines(path: str | os.PathLike) -> list[str]:
    """The lines of a text file, without line ends. Raises InputError as `content` does, and naming the first line that is not UTF-8."""
    return _lines(os.fspath(path))


def content(path: str | os.PathLike, remedy: str = "run the stage that makes it again", longest: int | None = None) -> bytes:
    """The bytes of a table or list, without byte order mark, lines ending in LF. longest: most bytes of a line, None: any number.

    Raises InputError naming file and line: missing, empty, zero bytes, another control character, a longer line.
    """
    path = os.fspath(path)
    data = reading.text_bytes(path, None, remedy, longest)
    if not data:
        raise InputError(f"{path} is empty; {remedy}.")
    if b"\r" in data:
        data = data.replace(b"\r\n", b"\n")
    if any(len(part.translate(None, CONTROLS)) < len(part) for part in (data[i:i + BLOCK] for i in range(0, len(data), BLOCK))):
        at = re.search(b"[" + re.escape(CONTROLS) + b"]", data)
        line, found = data.count(b"\n", 0, at.start()) + 1, at[0].decode("ascii")
        raise InputError(f"{path}:{line}: a control character ({found!r}); take it out.")
    return data


def _lines(path: str, whole: bool = False) -> list[str]:
    data = content(path)
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


def _columns(lines: list[str]) -> tuple[list[str], list[str]]:
    """The first word of each line and the rest, each "" if there is none; it makes no other object per line."""
    if any("\t" in line for line in lines):
        found = map(FIRST_BLANK.search, lines)
        ends = [len(line) if match is None else match.start() for line, match in zip(lines, found, strict=True)]
    else:
        ends = [line.find(" ") for line in lines]
        if min(ends, default=0) < 0:
            ends = [len(line) if end < 0 else end for line, end in zip(lines, ends, strict=True)]
    keys = [line[:end] for line, end in zip(lines, ends, strict=True)]
    return keys, [line[end:].strip(BLANKS) for line, end in zip(lines, ends, strict=True)]


def _refuse_shape(path: str, keys: list[str], values: list[str]) -> None:
    for number, (key, value) in enumerate(zip(keys, values, strict=True), 1):
        if not key and not value:
            raise InputError(f"{path}:{number}: a blank line; remove it, or run utils/fix_data_dir.sh.")
        if not key:
            raise InputError(f"{path}:{number}: the line starts with a blank; remove the blank.")
        if not value:
            raise InputError(f"{path}:{number}: {named(key)} has no value; every line is \"key value\".")


def _refuse_order(path: str, keys: list[str]) -> None:
    seen = set()
    for number, key in enumerate(keys, 1):
        if key in seen:
            raise InputError(f"{path}:{number}: {named(key)} is there twice; remove one, or run utils/fix_data_dir.sh.")
        seen.add(key)
    for number, (before, key) in enumerate(itertools.pairwise(keys), 2):
        if key < before:
            raise InputError(f"{path}:{number}: {named(key)} comes after {named(before)}, which is not C byte order; "
                             "sort with LC_ALL=C sort, or run utils/fix_data_dir.sh.")
