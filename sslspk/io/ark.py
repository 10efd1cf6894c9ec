"""Kaldi archives of matrices and vectors (ark and scp), read with one seek, written whole or not at all.

An scp entry may name a part of a matrix or vector: "x.ark:20[0:9]" means rows 0 to 9, "x.ark:20[:,0:3]" columns 0 to 3.
"""
import contextlib
import io
import os
import re
import struct
from typing import NamedTuple

import kaldiio
import numpy as np

from sslspk.errors import InputError, named
from sslspk.io import files, table

HEAD_BYTES = 32
MOST_BYTES = 1 << 30   # of one entry: nine hours of 80 features
AUTOMATIC = 1  # Kaldi's --compress=true: speech-feature format, or two bytes per value for 8 rows or fewer
ROW_SLACK = 3  # rows by which a range may exceed the matrix, as in Kaldi: times of segments are rounded
BOUNDS = re.compile("([0-9]{1,10}):([0-9]{1,10})")
TEXT_BLOCK = 1 << 20
TEXT_BYTES = 32 << 20  # of a matrix in Kaldi's text form, which nobody writes in bulk
NUMERIC = b"0123456789+-.eEinfatyINFATY \t\r\n"
DTYPES = {b"FM": "<f4", b"FV": "<f4", b"DM": "<f8", b"DV": "<f8"}


class _Head(NamedTuple):
    """The header of an entry; the numbers begin at byte `start` and take `length` bytes."""

    kind: bytes
    rows: int
    cols: int
    start: int
    length: int


class Writer:
    """Write matrices (T, F) and vectors (D,) as float32; ark and scp appear when both are whole.

    >>> with Writer("feats.1.ark", "feats.1.scp", compress=True) as ark:
    ...     ark.write("utt1", feats)

    compress: matrices in one byte per value, as Kaldi's --compress=true does; vectors and empty matrices stay as they are.
    """

    def __init__(self, ark_path: str, scp_path: str, compress: bool = False):
        self._ark_path, self._scp_path = os.fspath(ark_path), os.fspath(scp_path)
        self._compress = compress
        self._stack = contextlib.ExitStack()

    def __enter__(self) -> "Writer":
        # The stack unwinds in reverse: the scp appears after the archive that it points into.
        self._scp = self._stack.enter_context(files.atomic_write(self._scp_path))
        self._ark = self._stack.enter_context(files.atomic_write(self._ark_path, "wb"))
        return self

    def __exit__(self, *problem) -> None:
        self._stack.__exit__(*problem)

    def write(self, key: str, array: np.ndarray) -> None:
        """Append an array. Keys must come in C byte order, so that the scp is sorted.

        Raises InputError naming the key if the array holds NaN or infinity.
        """
        table.check_key(key, self._ark_path)
        array = np.ascontiguousarray(array, dtype=np.float32)
        if array.ndim not in (1, 2):
            raise ValueError(f"{key}: a matrix or a vector expected, not shape {array.shape}")
        if not np.isfinite(array).all():
            raise InputError(f"{key} has NaN or infinite values and was not written; look at its audio and options.")
        if array.ndim == 2 and not array.size:
            array = np.zeros((0, 0), np.float32)  # Kaldi's empty matrix has neither rows nor columns
        self._ark.write(key.encode() + b" ")
        self._scp.write(f"{key} {self._ark_path}:{self._ark.tell()}\n")
        packed = self._compress and array.ndim == 2 and array.size > 0
        kaldiio.matio.write_array(self._ark, array, compression_method=AUTOMATIC if packed else None)


def read_scp(path: str | os.PathLike) -> dict[str, str]:
    """key -> "file.ark:offset", checked as `table.read` does."""
    return table.read(path)


def load(spec: str) -> np.ndarray:
    """The matrix (T, F) or vector (D,) at "file.ark:offset", or the range of it in brackets; float32, or float64 if stored so.

    Raises InputError naming the entry: missing file, not a matrix, truncated archive, a range outside it.
    """
    entry, span = files.split_range(spec)
    path, offset = _place(entry)
    archive = files.shared(path)
    if archive.pread(2, offset) != b"\0B":
        whole = _load_text(archive, offset, entry)
        return whole[_slices(span, whole.shape, spec)].copy() if span else whole
    head = _head(archive, offset, entry)
    if span and head.kind in (b"FM", b"DM"):
        return load_rows(spec, 0, shape(spec)[0])
    if head.kind not in DTYPES:
        data = archive.pread(head.start - offset + head.length, offset)
        whole = np.array(kaldiio.matio.read_kaldi(io.BytesIO(data)), dtype=np.float32)
    else:
        whole = _numbers(archive, head, 0, head.length, entry)
        whole = whole if head.kind.endswith(b"V") else whole.reshape(head.rows, head.cols)
    return whole[_slices(span, whole.shape, spec)].copy() if span else whole


def load_rows(spec: str, start: int, count: int) -> np.ndarray:
    """Rows `start` to `start + count` of a matrix, or of the range of it in brackets: (count, F).

    Of an uncompressed matrix only these rows are read. Raises InputError as `load` does, and if there are too few rows.
    """
    entry, span = files.split_range(spec)
    path, offset = _place(entry)
    archive = files.shared(path)
    head = _head(archive, offset, entry)
    rows, *columns = _slices(span, (head.rows, head.cols), spec)
    if start < 0 or start + count > rows.stop - rows.start:
        raise InputError(f"{named(spec, 70)} has {rows.stop - rows.start} rows, but {start} to {start + count} were asked for; "
                         "make utt2num_frames again.")
    if head.kind not in (b"FM", b"DM"):
        return load(spec)[start:start + count]
    width = head.cols * np.dtype(DTYPES[head.kind]).itemsize
    found = _numbers(archive, head, (rows.start + start) * width, count * width, entry).reshape(count, head.cols)
    return np.ascontiguousarray(found[:, columns[0]])


def shape(spec: str) -> tuple[int, ...]:
    """(T, F) of a matrix or (D,) of a vector, from its header, or of the range of it in brackets."""
    entry, span = files.split_range(spec)
    path, offset = _place(entry)
    head = _head(files.shared(path), offset, entry)
    whole = (head.rows,) if head.kind.endswith(b"V") else (head.rows, head.cols)
    return tuple(part.stop - part.start for part in _slices(span, whole, spec))


def _slices(span: str, whole: tuple[int, ...], spec: str) -> tuple[slice, ...]:
    """A slice for each axis of a matrix or vector of shape `whole`. span: per axis "first:last", both included, or ":", with a comma."""
    if not span:
        return tuple(slice(0, size) for size in whole)
    found, parts = [], span.split(",")
    for part, size, slack in zip([*parts, ":"][:len(whole)], whole, (ROW_SLACK, 0), strict=False):
        bounds = BOUNDS.fullmatch(part)
        first, last = (int(bounds[1]), int(bounds[2])) if bounds else (0, size - 1)
        if (bounds is None and part != ":") or (bounds and first > min(last, size - 1)) or last >= size + slack:
            raise InputError(f"{named(spec[:-len(span) - 2], 70)}[{span[:30]}] is no range of {' x '.join(map(str, whole))} numbers; write "
                             "[first:last], counted from 0.")
        found.append(slice(first, min(last + 1, size)))
    if len(parts) > len(whole):
        raise InputError(f"{named(spec, 90)} names columns of a vector; write [first:last].")
    return tuple(found)


def end(spec: str) -> int:
    """The byte of the archive at which a whole matrix or vector ends, as its header says; a range in brackets does not matter."""
    entry, _ = files.split_range(spec)
    path, offset = _place(entry)
    head = _head(files.shared(path), offset, entry)
    return head.start + head.length


def _place(spec: str) -> tuple[str, int]:
    if files.is_pipe(spec):
        raise InputError(f"{spec} is a shell command, which a data directory may not run; write an archive first.")
    path, offset = files.split_spec(spec)
    return path, offset or 0


def _head(archive: files.SharedFile, offset: int, spec: str) -> _Head:
    """The header at an offset. Raises InputError if it is no header, or promises more than the archive holds."""
    data = archive.pread(HEAD_BYTES, offset)
    kind = data[2:].split(b" ", 1)[0]
    start = 3 + len(kind)
    if data[:2] == b"\0B" and kind in DTYPES and len(data) >= start + 10 - 5 * kind.endswith(b"V"):
        (rows, cols), used = ((_whole(data, start), 1), 5) if kind.endswith(b"V") else ((_whole(data, start), _whole(data, start + 5)), 10)
        length = rows * cols * np.dtype(DTYPES[kind]).itemsize
    elif data[:2] == b"\0B" and kind in (b"CM", b"CM2", b"CM3") and len(data) >= start + 16:
        (rows, cols), used = struct.unpack_from("<ii", data, start + 8), 16
        length = {b"CM": rows * cols + 8 * cols, b"CM2": 2 * rows * cols, b"CM3": rows * cols}[kind]
    else:
        raise _no_matrix(spec)
    if rows < 0 or cols < 0 or (rows and not cols):
        raise _no_matrix(spec)
    if length > MOST_BYTES:
        raise InputError(f"{spec} says it holds {length / 1e9:.3g} GB, more than any utterance; run the step that wrote it again.")
    held = archive.size() - offset - start - used
    if held < length:
        raise InputError(f"{spec} is truncated ({max(held, 0)} of {length} bytes); run the step that wrote it again.")
    return _Head(kind, rows, cols, offset + start + used, length)


def _whole(data: bytes, at: int) -> int:
    """The number of rows or columns after a byte that gives its length; -1 if this byte is not 4."""
    return struct.unpack_from("<i", data, at + 1)[0] if data[at] == 4 else -1


def _no_matrix(spec: str) -> InputError:
    return InputError(f"{named(spec)} is not a whole matrix or vector of Kaldi's (file cut short, or a wrong offset); "
                      "run the step that wrote it again.")


def _numbers(archive: files.SharedFile, head: _Head, start: int, length: int, spec: str) -> np.ndarray:
    data = archive.pread(length, head.start + start)
    if len(data) < length:   # it was cut after its header was read
        raise _no_matrix(spec)
    return np.frombuffer(data, DTYPES[head.kind]).copy()  # torch needs memory that it may write


def _load_text(archive: files.SharedFile, offset: int, spec: str) -> np.ndarray:
    """Kaldi's text form. Reading stops after the first block that holds anything but numbers, blanks and brackets."""
    blocks, closed = [], b""
    while not closed and len(blocks) * TEXT_BLOCK < TEXT_BYTES:
        inside, closed, _ = archive.pread(TEXT_BLOCK, offset + len(blocks) * TEXT_BLOCK).partition(b"]")
        if not (inside + closed) or inside.translate(None, b"[" + NUMERIC):
            raise _no_matrix(spec)
        blocks.append(inside + closed)
    return parse_text(b"".join(blocks), _no_matrix(spec))[0].astype(np.float32)


def parse_text(data: bytes, fault: InputError) -> tuple[np.ndarray, bytes]:
    """The array in brackets at the start of `data`, float64, and the bytes after it: a vector (N,) on one line, else a matrix (R, C).

    Raises `fault` if there is none.
    """
    inside, closed, rest = data.lstrip().removeprefix(b"[").partition(b"]")
    if not closed or not data.lstrip().startswith(b"[") or len(inside) > TEXT_BYTES \
            or inside.translate(None, NUMERIC):
        raise fault
    rows = [line.split() for line in inside.split(b"\n") if line.strip()]
    try:
        x = np.array(rows, np.float64)
    except ValueError:
        raise fault from None
    return x if b"\n" in inside else x.reshape(-1), rest
