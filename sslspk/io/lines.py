"""Tables as arrays: a million lines without a Python object for each.

`read` accepts only regular tables, as our steps write them: UTF-8, sorted, one blank between key and value, no blanks at the ends. For
other tables it returns None; the caller then uses `table`, which reads them or raises an error.
"""
import os
from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from sslspk.errors import InputError
from sslspk.io import files, table

BLOCK = 1 << 22            # bytes, or cells of a matrix, processed together
BLOCK_LINES = 1 << 16      # copied from the disk together
LONGEST = 512              # bytes of a key
PAD = 4096                 # zeros after the bytes of a table
DIGITS = 15                # of a number
ZERO, NINE = ord("0"), ord("9")


@dataclass(frozen=True)
class Lines:
    """N lines of a table as bytes: data (S + PAD,) uint8; begin, blank, end (N,) int64, the offsets of each line's start, first blank and
    LF; key (N,) fixed-width bytes. version: of the file at `path`."""

    data: np.ndarray
    begin: np.ndarray
    blank: np.ndarray
    end: np.ndarray
    key: np.ndarray
    path: str
    version: str
    raw: bool   # whether these are the bytes of the file itself

    def __len__(self) -> int:
        return len(self.begin)

    def blocks(self, width: int) -> Iterator[slice]:
        """Slices of lines, such that a matrix of this width has at most BLOCK cells."""
        step = max(1, BLOCK // max(width, 1))
        for start in range(0, len(self), step):
            yield slice(start, min(start + step, len(self)))

    def key_bytes(self) -> tuple[np.ndarray, np.ndarray]:
        """All keys one after the other (uint8), and the end of each (N,) int64."""
        return joined(self.data, self.begin, self.blank), np.cumsum(self.blank - self.begin)

    def numbers(self) -> np.ndarray | None:
        """The values as int64 (N,) if all are whole numbers of up to 15 digits; None if one is not."""
        if (self.end - self.blank - 1).max() > DIGITS:
            return None
        parts = [whole(self.data, self.blank[rows] + 1, self.end[rows]) for rows in self.blocks(DIGITS)]
        found = np.concatenate(parts)
        return None if (found < 0).any() else found

    def runs(self, stop: np.ndarray | None = None) -> tuple[list[str], np.ndarray]:
        """The values (up to `stop` (N,)), consecutive equal ones only once, and the line (R,) at which each begins."""
        start, stop = self.blank + 1, self.end if stop is None else stop
        width, new = int((stop - start).max()), np.ones(len(self), bool)
        for rows in self.blocks(width) if width <= PAD else ():
            first = max(rows.start - 1, 0)
            cells = matrix(self.data, start[first:rows.stop], stop[first:rows.stop], width)
            new[first + 1:rows.stop] = (cells[1:] != cells[:-1]).any(1)
        at = np.flatnonzero(new)
        return [self.data[a:b].tobytes().decode() for a, b in zip(start[at].tolist(), stop[at].tolist(), strict=True)], at

    def stored(self) -> "Stored":
        """The same lines, left on the disk."""
        return Stored(self.path, self.version, self.end.astype(np.int64 if len(self.data) >> 32 else np.uint32))


@dataclass(frozen=True)
class Stored:
    """N lines of a table on the disk, by the offset of each LF, end (N,)."""

    path: str
    version: str
    end: np.ndarray

    def take(self, rows: np.ndarray) -> bytes:
        """The lines with these numbers (n,), ascending, as bytes of a table. Raises InputError if the file has changed."""
        begin, stop, parts = self._begin(rows), self.end[rows].astype(np.int64) + 1, []
        with open(self.path, "rb") as file:
            if files.version(self.path) != self.version:
                raise InputError(f"{self.path} has changed while it was read; run the same command again.")
            for i in range(0, len(rows), BLOCK_LINES):
                start, size = begin[i], stop[i:i + BLOCK_LINES][-1] - begin[i]
                file.seek(start)
                data = np.frombuffer(file.read(size) + bytes(PAD), np.uint8)
                parts.append(joined(data, begin[i:i + BLOCK_LINES] - start, stop[i:i + BLOCK_LINES] - start).tobytes())
        return b"".join(parts)

    def _begin(self, rows: np.ndarray) -> np.ndarray:
        return np.where(rows > 0, self.end[np.maximum(rows, 1) - 1].astype(np.int64) + 1, 0)


def read(path: str | os.PathLike) -> Lines | None:
    """The lines of a regular table; None for other tables. Raises InputError as `table.content` does."""
    version = files.version(path)
    content = table.content(path)
    if not content.endswith(b"\n") or b"\t" in content or not content.isascii():
        return None   # `table` checks order and characters of other text
    size = len(content)
    data = np.zeros(size + PAD, np.uint8)
    data[:size] = np.frombuffer(content, np.uint8)
    del content
    end, blanks = places(data, ord("\n")), places(data, ord(" "))
    begin = np.append(0, end[:-1] + 1)
    at = np.searchsorted(blanks, begin)
    if at[-1] >= len(blanks) or (blanks[1:] - blanks[:-1] == 1).any():
        return None
    blank = blanks[at]
    longest = int((blank - begin).max())
    if (blank == begin).any() or (blank >= end - 1).any() or (data[end - 1] == ord(" ")).any() or longest > LONGEST:
        return None
    rows = range(0, len(begin), BLOCK // LONGEST)
    key = np.concatenate([fixed(data, begin[i:i + rows.step], blank[i:i + rows.step], longest) for i in rows])
    raw = version.split()[0] == str(size)
    return Lines(data, begin, blank, end, key, os.fspath(path), version, raw) if (key[:-1] < key[1:]).all() else None


def places(data: np.ndarray, byte: int) -> np.ndarray:
    """The offsets of a byte value, int64."""
    return np.concatenate([np.flatnonzero(data[i:i + BLOCK] == byte) + i for i in range(0, len(data), BLOCK)])


def matrix(data: np.ndarray, start: np.ndarray, stop: np.ndarray, width: int) -> np.ndarray:
    """The bytes from start to stop (n,), at most `width` of them (and PAD), as rows (n, width) padded with zeros."""
    cells = np.lib.stride_tricks.sliding_window_view(data, width)[start]
    cells *= np.arange(width) < (stop - start)[:, None]
    return cells


def fixed(data: np.ndarray, start: np.ndarray, stop: np.ndarray, width: int) -> np.ndarray:
    """The rows of `matrix` as byte strings (n,)."""
    return matrix(data, start, stop, width).view(f"S{width}")[:, 0]


def joined(data: np.ndarray, start: np.ndarray, stop: np.ndarray) -> np.ndarray:
    """The bytes from start to stop (n,), concatenated, uint8."""
    parts, width = [np.zeros(0, np.uint8)], int((stop - start).max(initial=1))
    if width > PAD:
        return np.concatenate([parts[0], *(data[a:b] for a, b in zip(start.tolist(), stop.tolist(), strict=True))])
    step = max(1, BLOCK // width)
    for i in range(0, len(start), step):
        first, size = start[i:i + step], (stop - start)[i:i + step]
        cells = np.lib.stride_tricks.sliding_window_view(data, width)[first]
        parts.append(cells[np.arange(width) < size[:, None]])
    return np.concatenate(parts)


def whole(data: np.ndarray, start: np.ndarray, stop: np.ndarray) -> np.ndarray:
    """The numbers (n,) int64 written from start to stop, at most DIGITS digits; -1 if a number is empty, or has other characters."""
    size = stop - start
    cells = matrix(data, start, np.minimum(stop, start + DIGITS), DIGITS)
    inside = np.arange(DIGITS) < size[:, None]
    good = (((cells >= ZERO) & (cells <= NINE)) | ~inside).all(1) & (size > 0) & (size <= DIGITS)
    value = np.zeros(len(cells), np.int64)
    for column, there in zip(cells.T, inside.T, strict=True):
        value = np.where(there, value * 10 + column - ZERO, value)
    return np.where(good, value, -1)
