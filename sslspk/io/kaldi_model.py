"""Reads and writes Kaldi's model files (a matrix, a vector, or a <Plda>; binary or text), to exchange back-ends with Kaldi."""
import io
import math
import os
import struct
from typing import NamedTuple

import numpy as np

from sslspk import reading
from sslspk.errors import InputError, named
from sslspk.io import ark, files

MOST = 1 << 30       # bytes of a <Plda>: 11,000 dimensions
TOKEN_BYTES = 1024   # a token lies within these


class PldaFile(NamedTuple):
    """A <Plda>: mean (D,), transform (D, D) that makes the within-class covariance I, psi (D,) the between-class variances after it."""

    mean: np.ndarray
    transform: np.ndarray
    psi: np.ndarray


def read(path: str | os.PathLike) -> np.ndarray:
    """The matrix (R, C) or vector (N,) in a file, float64. Raises InputError if it is missing, not whole, or not finite."""
    files.version(path)   # its error for a missing file names the remedy for a model
    return _finite(path, np.asarray(ark.load(f"{os.fspath(path)}:0"), np.float64))


def write(path: str | os.PathLike, x: np.ndarray, binary: bool = True) -> None:
    """Write a matrix (R, C) or vector (N,) in double precision, whole or not at all."""
    with files.atomic_write(path, "wb") as file:
        if binary:
            file.write(b"\0B")
        _put(file, np.asarray(x, np.float64), binary)


def read_plda(path: str | os.PathLike) -> PldaFile:
    """A <Plda>, float64. Raises InputError if the file is missing, cut short, of another kind, or not finite."""
    data = reading.read(path, MOST)
    reader = _Binary(data, path) if data[:2] == b"\0B" else _Text(data, path)
    reader.token("<Plda>")
    found = PldaFile(*(_finite(path, reader.array(ndim)) for ndim in (1, 2, 1)))
    reader.token("</Plda>")
    dim = len(found.mean)
    if found.transform.shape != (dim, dim) or found.psi.shape != (dim,):
        raise InputError(f"{os.fspath(path)}: a mean of {dim} dimensions does not match a transform {found.transform.shape} and psi of "
                         f"{len(found.psi)}; train the back-end again.")
    if (found.psi < 0).any():
        raise InputError(f"{named(path)}: a variance between classes (psi) is below 0; train the back-end again.")
    return found


def _finite(path: str | os.PathLike, x: np.ndarray) -> np.ndarray:
    if not np.isfinite(x).all():
        raise InputError(f"{named(path)} holds NaN or infinite values; train the back-end again.")
    return x


def write_plda(path: str | os.PathLike, plda: PldaFile, binary: bool = True) -> None:
    """Write a <Plda> as Kaldi's Plda::Write does, whole or not at all."""
    with files.atomic_write(path, "wb") as file:
        file.write(b"\0B<Plda> " if binary else b"<Plda> ")
        for part in plda:
            _put(file, np.asarray(part, np.float64), binary)
        file.write(b"</Plda> ")


def _put(file: io.BufferedIOBase, x: np.ndarray, binary: bool) -> None:
    if binary:
        file.write((b"DV " if x.ndim == 1 else b"DM ") + b"".join(b"\4" + struct.pack("<i", size) for size in x.shape))
        file.write(x.astype("<f8").tobytes())
    elif x.ndim == 1:
        file.write((" [ " + "".join(f"{value!r} " for value in x.tolist()) + "]\n").encode())
    else:
        rows = "".join("\n  " + "".join(f"{value!r} " for value in row) for row in x.tolist())
        file.write((f" [{rows}]\n").encode())


class _Reader:
    """Reads tokens and arrays from a file, one after the other."""

    def __init__(self, data: bytes, path: str | os.PathLike):
        self.data, self.path = data, os.fspath(path)

    def fail(self) -> InputError:
        return InputError(f"{named(self.path)} is not a whole <Plda> of Kaldi's (cut short, or another kind of file); "
                          "run the step that wrote it again.")


class _Binary(_Reader):
    def __init__(self, data: bytes, path: str | os.PathLike):
        super().__init__(data, path)
        self.at = 2

    def take(self, count: int) -> bytes:
        part = self.data[self.at:self.at + max(count, 0)]
        if len(part) != count:
            raise self.fail()
        self.at += count
        return part

    def token(self, name: str) -> None:
        if self.take(len(name) + 1) != name.encode() + b" ":
            raise self.fail()

    def array(self, ndim: int) -> np.ndarray:
        kind = self.take(3)
        if kind not in ((b"FV ", b"DV ") if ndim == 1 else (b"FM ", b"DM ")):
            raise self.fail()
        shape = [struct.unpack("<i", self.take(5)[1:])[0] for _ in range(ndim)]
        dtype = np.dtype("<f4" if kind.startswith(b"F") else "<f8")
        if min(shape) < 0:
            raise self.fail()
        return np.frombuffer(self.take(math.prod(shape) * dtype.itemsize), dtype).astype(np.float64).reshape(shape)


class _Text(_Reader):
    def token(self, name: str) -> None:
        if not self.data[:TOKEN_BYTES].lstrip().startswith(name.encode()):
            raise self.fail()
        self.data = self.data.lstrip().removeprefix(name.encode())

    def array(self, ndim: int) -> np.ndarray:
        x, self.data = ark.parse_text(self.data, self.fail())
        if x.ndim != ndim:
            raise self.fail()
        return x
