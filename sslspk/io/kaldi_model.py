"""Kaldi's model files: one matrix, one vector, or a <Plda>, binary or text, so that back-ends travel between Kaldi and here."""
import io
import os
import struct
from typing import NamedTuple

import numpy as np

from sslspk.errors import InputError
from sslspk.io import ark, files


class PldaFile(NamedTuple):
    """What a <Plda> holds: mean (D,), transform (D, D) to where the within-class covariance is 1, psi (D,) the between-class variances."""

    mean: np.ndarray
    transform: np.ndarray
    psi: np.ndarray


def read(path: str | os.PathLike) -> np.ndarray:
    """The matrix (R, C) or vector (N,) that a file holds, float64. Raises InputError when it is missing or not whole."""
    files.read_bytes(path)
    return np.asarray(ark.load(f"{os.fspath(path)}:0"), np.float64)


def write(path: str | os.PathLike, x: np.ndarray, binary: bool = True) -> None:
    """Write a matrix (R, C) or vector (N,) in double precision, whole or not at all."""
    with files.atomic_write(path, "wb") as file:
        if binary:
            file.write(b"\0B")
        _put(file, np.asarray(x, np.float64), binary)


def read_plda(path: str | os.PathLike) -> PldaFile:
    """A <Plda>, float64. Raises InputError when the file is missing, cut short, or another kind of file."""
    data = files.read_bytes(path)
    reader = _Binary(data, path) if data[:2] == b"\0B" else _Text(data, path)
    reader.token("<Plda>")
    found = PldaFile(reader.array(1), reader.array(2), reader.array(1))
    reader.token("</Plda>")
    dim = len(found.mean)
    if found.transform.shape != (dim, dim) or found.psi.shape != (dim,):
        raise InputError(f"{os.fspath(path)}: a mean of {dim} dimensions does not go with a transform {found.transform.shape} and psi of "
                         f"{len(found.psi)}; train the back-end again.")
    return found


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
    """Takes tokens and arrays off the front of a file."""

    def __init__(self, data: bytes, path: str | os.PathLike):
        self.data, self.path = data, os.fspath(path)

    def fail(self) -> InputError:
        return InputError(f"{self.path} is not a whole <Plda> of Kaldi's (cut short, or another kind of file); "
                          "run the step that wrote it again.")


class _Binary(_Reader):
    def __init__(self, data: bytes, path: str | os.PathLike):
        super().__init__(data, path)
        self.at = 2

    def take(self, count: int) -> bytes:
        part = self.data[self.at:self.at + count]
        if len(part) < count:
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
        return np.frombuffer(self.take(int(np.prod(shape)) * dtype.itemsize), dtype).astype(np.float64).reshape(shape)


class _Text(_Reader):
    def __init__(self, data: bytes, path: str | os.PathLike):
        super().__init__(data, path)
        self.text = data.decode("utf-8", "replace")

    def token(self, name: str) -> None:
        if not self.text.lstrip().startswith(name):
            raise self.fail()
        self.text = self.text.lstrip().removeprefix(name)

    def array(self, ndim: int) -> np.ndarray:
        inside, closed, rest = self.text.lstrip().removeprefix("[").partition("]")
        if not closed or not self.text.lstrip().startswith("["):
            raise self.fail()
        self.text = rest
        rows = [line.split() for line in (inside.split("\n") if ndim == 2 else [inside]) if line.strip()]
        try:
            x = np.array(rows, np.float64)
        except ValueError:
            raise self.fail() from None
        return x if ndim == 2 else x.reshape(-1)
