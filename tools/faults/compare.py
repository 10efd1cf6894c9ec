"""Digests of a recipe's files, to compare two runs: every file, including hidden ones, and every value in checkpoints.

Only times, process ids and durations are left out: log/ and tensorboard/ entirely; splitN/, the data of single jobs; the figures of speed
in progress.jsonl; the content of .done, .busy and .lock (times of files, and who held a lock), but not their existence.
"""
import hashlib
import json
import re
import zipfile
from collections.abc import Iterator
from pathlib import Path

from faults.stages import MADE
from sslspk.io.results import SPEED

LEFT_OUT = re.compile(r"log|tensorboard|split\d+")
PRESENT = {".done", ".busy", ".lock"}


def files(recipe: Path) -> Iterator[tuple[str, Path]]:
    """(path below the recipe, path) of every file that counts."""
    for made in MADE:
        for path in sorted((recipe / made).rglob("*")):
            parts = path.relative_to(recipe).parts
            if path.is_file() and not any(LEFT_OUT.fullmatch(part) for part in parts[1:]):
                yield "/".join(parts), path


def digests(recipe: Path) -> dict[str, str]:
    """md5 of the content of each file, by path."""
    return {name: content(path) for name, path in files(recipe)}


def versions(recipe: Path) -> dict[str, list[int]]:
    """By path, numbers that change when a file is written again; locks are left out."""
    found = {name: path.stat() for name, path in files(recipe) if path.name not in (".busy", ".lock")}
    return {name: [stat.st_ino, stat.st_mtime_ns, stat.st_size] for name, stat in found.items()}


def unlike(wanted: dict[str, str], found: dict[str, str]) -> list[str]:
    """The paths that are in only one of them, or differ."""
    return sorted(path for path in wanted.keys() | found.keys() if wanted.get(path) != found.get(path))


def content(path: Path) -> str:
    """md5 of a file's content; for checkpoints and final.pt, of every tensor and every other value."""
    if path.name in PRESENT:
        return "present"
    try:
        if path.suffix == ".pt":
            return _md5(*_pieces(_load(path)))
        if path.suffix == ".npz":
            with zipfile.ZipFile(path) as archive:
                return _md5(*(piece for name in sorted(archive.namelist()) for piece in (name.encode(), archive.read(name))))
        if path.name == "progress.jsonl":
            lines = [json.loads(line) for line in path.read_text().splitlines()]
            return _md5(*(repr(sorted((key, value) for key, value in line.items() if key not in SPEED)).encode() for line in lines))
    except (ValueError, RuntimeError, OSError, EOFError, KeyError, zipfile.BadZipFile) as err:
        return f"unreadable: {str(err)[:80]}"
    return _md5(path.read_bytes())


def _load(path: Path) -> object:
    import pickle

    import torch
    try:
        with zipfile.ZipFile(path) as archive:
            if archive.testzip():
                raise ValueError("a checksum")
        return torch.load(path, map_location="cpu", weights_only=True)
    except pickle.UnpicklingError as err:
        raise ValueError(str(err)) from err


def _pieces(value: object, at: str = "") -> Iterator[bytes]:
    """Every leaf of a checkpoint with its path: tensors as type, shape and bytes, other values as text."""
    if isinstance(value, dict):
        yield f"{at} {len(value)} keys {list(value)}".encode()
        for key, item in value.items():
            yield from _pieces(item, f"{at}/{key}")
    elif isinstance(value, list | tuple):
        yield f"{at} {len(value)} items".encode()
        for place, item in enumerate(value):
            yield from _pieces(item, f"{at}/{place}")
    elif hasattr(value, "untyped_storage"):
        yield f"{at} {value.dtype} {tuple(value.shape)}".encode() + value.detach().contiguous().numpy().tobytes()
    else:
        yield f"{at} {value!r}".encode()


def _md5(*pieces: bytes) -> str:
    digest = hashlib.md5()
    for piece in pieces:
        digest.update(len(piece).to_bytes(8, "little") + piece)
    return digest.hexdigest()
