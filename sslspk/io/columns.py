"""Big lists of three columns, split in bulk: trial lists and score files of VoxCeleb hold 580,000 lines."""
import os

import numpy as np

from sslspk.errors import InputError
from sslspk.io import files

NEWLINE = 10
IN_FIELD = np.ones(256, bool)
IN_FIELD[list(b" \t\n\r\v\f")] = False  # what bytes.split() splits at


def read(path: str | os.PathLike, form: str) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """The three columns as bytes arrays (N,). `form` describes a good line for the message about a bad one.

    A byte order mark, blanks at line ends, CRLF and blank lines at the end of the file are let pass.
    Raises InputError naming file and line for a line that has not exactly three fields or holds zero bytes, or an empty file.
    """
    path = os.fspath(path)
    data = files.read_bytes(path).removeprefix(b"\xef\xbb\xbf").rstrip()
    if not data:
        raise InputError(f"{path} is empty; it must hold lines of the form \"{form}\".")
    files.refuse_zero_bytes(path, data, "make the file again")
    counts = _fields_per_line(data)
    if (counts != 3).any():
        line = int(np.flatnonzero(counts != 3)[0])
        found = f"{counts[line]} fields" if counts[line] else "a blank line"
        raise InputError(f"{path}:{line + 1}: {found} where the form is \"{form}\"; correct the line.")
    fields = data.split()
    return np.array(fields[0::3]), np.array(fields[1::3]), np.array(fields[2::3])


def to_text(column: np.ndarray, path: str | os.PathLike) -> np.ndarray:
    """A bytes column (N,) as str (N,). Raises InputError naming the first line that is not UTF-8."""
    try:
        return column.astype(np.str_)
    except UnicodeDecodeError:  # numpy's fast way is for ASCII only
        pass
    texts = []
    for number, field in enumerate(column.tolist(), 1):
        try:
            texts.append(field.decode("utf-8"))
        except UnicodeDecodeError as err:
            raise InputError(f"{os.fspath(path)}:{number}: not UTF-8 text; convert the file.") from err
    return np.array(texts)


def _fields_per_line(data: bytes) -> np.ndarray:
    """Number of fields of each line (L,), counted where a field begins."""
    codes = np.frombuffer(data, np.uint8)
    inside = IN_FIELD[codes]
    begins = inside.copy()
    begins[1:] &= ~inside[:-1]
    ends = np.append(np.flatnonzero(codes == NEWLINE), len(codes))
    before = np.searchsorted(np.flatnonzero(begins), ends)
    return np.diff(before, prepend=0)
