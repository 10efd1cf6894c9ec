"""Large lists of a few columns, split in bulk: trial lists and score files of VoxCeleb have 580,000 lines."""
import os

import numpy as np

from sslspk.errors import InputError, shown
from sslspk.io import table

NEWLINE = 10
LINE_BYTES = 64 << 10   # far more than two ids and a number need
COLUMN_BYTES = 128 << 20   # four times as much when it is text
IN_FIELD = np.ones(256, bool)
IN_FIELD[list(b" \t\n")] = False


def read(path: str | os.PathLike, form: str, widths: tuple[int, ...] = (3,), ended: bool = False) -> tuple[np.ndarray, ...]:
    """The columns as bytes arrays (N,). `form` describes a good line, for the message about a bad one.

    widths: allowed numbers of columns; the first line decides which one holds for the file.
    ended: the last line must end with a newline, because a number that was cut short is still a number.
    A byte order mark, blanks at line ends, CRLF and blank lines at the end of the file are accepted.
    Raises InputError naming file and line: another number of fields, a control character, an empty file.
    """
    path = os.fspath(path)
    given = table.content(path, "make the file again", LINE_BYTES)
    data = given.rstrip()
    if not data:
        raise InputError(f"{path} is empty; it must hold lines of the form \"{form}\".")
    if ended and not given.endswith(b"\n"):
        raise InputError(f"{path}: the last line does not end, so the file may have been cut short; make it again, or end that line.")
    counts = _fields_per_line(data)
    width = int(counts[0]) if counts[0] in widths else widths[0]
    if (counts != width).any():
        line = int(np.flatnonzero(counts != width)[0])
        found = f"{counts[line]} field{'s' if counts[line] > 1 else ''}" if counts[line] else "a blank line"
        raise InputError(f"{path}:{line + 1}: {found} where the form is \"{form}\"; correct the line.")
    fields = data.split()
    _bounded(path, fields, width)
    return tuple(np.array(fields[i::width]) for i in range(width))


def _bounded(path: str, fields: list[bytes], width: int) -> None:
    """Raises InputError naming the longest field if a column of that width would not fit into memory."""
    longest = max(fields, key=len)
    if len(longest) > 256 and len(longest) * len(fields) // width > COLUMN_BYTES:
        line = fields.index(longest) // width + 1
        raise InputError(f"{path}:{line}: {shown(longest.decode('utf-8', 'replace'), 30)} has {len(longest)} letters, too many for one of "
                         f"{len(fields) // width} lines; shorten it.")


def to_text(column: np.ndarray, path: str | os.PathLike) -> np.ndarray:
    """A bytes column (N,) as str (N,). Raises InputError naming the first line that is not UTF-8."""
    try:
        return column.astype(np.str_)
    except UnicodeDecodeError:  # numpy's fast path is for ASCII only
        pass
    texts = []
    for number, field in enumerate(column.tolist(), 1):
        try:
            texts.append(field.decode("utf-8"))
        except UnicodeDecodeError as err:
            raise InputError(f"{os.fspath(path)}:{number}: not UTF-8 text; convert the file.") from err
    return np.array(texts)


def pair_codes(first: np.ndarray, second: np.ndarray, ordered: bool = True) -> np.ndarray:
    """Hashes (N,) uint64 of pairs of ids; with `ordered` false, a pair and its reverse have the same hash. Collisions are very rare.

    The bytes of an id are the digits of a number in an odd base, modulo 2^64.
    """
    one, other = _codes(first, 0x9E3779B97F4A7C15), _codes(second, 0xC2B2AE3D27D4EB4F if ordered else 0x9E3779B97F4A7C15)
    if ordered:
        return one + other
    return np.minimum(one, other) * np.uint64(0xC2B2AE3D27D4EB4F) + np.maximum(one, other)


def _codes(ids: np.ndarray, base: int) -> np.ndarray:
    letters = np.ascontiguousarray(ids).view(np.uint32).reshape(len(ids), -1)
    # Ids are padded with zeros, which add nothing, so the width of the array does not matter.
    total, weights = np.zeros(len(ids), np.uint64), np.cumprod(np.full(letters.shape[1], base, np.uint64))
    for column, weight in zip(letters.T, weights, strict=True):
        total += column * weight
    return total


def _fields_per_line(data: bytes) -> np.ndarray:
    """Number of fields of each line (L,), counted where a field begins."""
    codes = np.frombuffer(data, np.uint8)
    inside = IN_FIELD[codes]
    begins = inside.copy()
    begins[1:] &= ~inside[:-1]
    ends = np.append(np.flatnonzero(codes == NEWLINE), len(codes))
    before = np.searchsorted(np.flatnonzero(begins), ends)
    return np.diff(before, prepend=0)
