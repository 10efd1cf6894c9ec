"""Stores the arrays of an index beside the data directory, in one file that all ranks and workers map into memory.

FILE: a line of JSON (the stamp, and of each array name, type, length), then the arrays, each from a multiple of 64 bytes on. The stamp has
the sizes and times of the tables, and the options of the index. A damaged file, or one with another stamp, is ignored and written again.
"""
import contextlib
import json
import os
import zlib
from pathlib import Path

import numpy as np

from sslspk.errors import InputError
from sslspk.io import files

NAME = ".index.{}"
LEAST = 100_000   # with fewer utterances the tables are read fast enough
ALIGN, VERSION, BLOCK = 64, 1, 1 << 24


def stamp(data: Path, tables: list[str], asked: dict) -> dict:
    """What an index of these tables depends on."""
    return {"version": VERSION, **asked, "tables": {name: files.version(data / name) for name in tables if (data / name).exists()}}


def load(path: Path, wanted: dict) -> dict[str, np.ndarray] | None:
    """The arrays by name, mapped; None where there is no sound file of this stamp."""
    try:
        with open(path, "rb") as file:
            head = file.readline(1 << 20)
        about = json.loads(head)
        if about["stamp"] != wanted or os.path.getsize(path) != about["size"]:
            return None
        mapped = np.memmap(path, np.uint8, "r")
        if _sum(mapped, about["begin"]) != about["sum"]:
            return None
        return {name: mapped[at:at + count * np.dtype(kind).itemsize].view(kind) for name, kind, count, at in about["arrays"]}
    except (OSError, ValueError, KeyError, TypeError, InputError):
        return None


def save(path: Path, wanted: dict, arrays: dict[str, np.ndarray]) -> None:
    """Keep the arrays, each (n,); where the folder cannot be written, or the disk is full, nothing is kept."""
    begin = 1 << 16   # behind the longest head
    listed, at, total = [], begin, 0
    for name, values in arrays.items():
        listed.append((name, values.dtype.str, len(values), at))
        at += -(-values.nbytes // ALIGN) * ALIGN
    body = [np.ascontiguousarray(values).view(np.uint8) for values in arrays.values()]
    pads = [bytes(-len(part) % ALIGN) for part in body]
    for part, pad in zip(body, pads, strict=True):
        total = zlib.crc32(pad, zlib.crc32(part, total))
    head = json.dumps({"stamp": wanted, "arrays": listed, "begin": begin, "size": at, "sum": total}).encode()
    if len(head) >= begin:
        return
    with contextlib.suppress(OSError), files.atomic_write(path, "wb") as file:
        file.write(head.ljust(begin - 1) + b"\n")
        for part, pad in zip(body, pads, strict=True):
            file.write(part)
            file.write(pad)


def _sum(mapped: np.ndarray, begin: int) -> int:
    total = 0
    for i in range(begin, len(mapped), BLOCK):
        total = zlib.crc32(mapped[i:i + BLOCK], total)
    return total
