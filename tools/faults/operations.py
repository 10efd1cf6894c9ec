"""Faults at one file operation: the n-th time that a chosen program opens, renames, removes, locks or syncs a file of the recipe.

An undisturbed run records every such operation (probe/sitecustomize.py in Python, probe/shim.sh for mv, rm, cp, touch and flock); a
fault is one line of this record. Files that bash itself or libraries outside Python open are not seen.
"""
import errno
import os
import random
import re
import shutil
import sys
from pathlib import Path

PROBE = Path(__file__).resolve().parent / "probe"
OPERATIONS = ("open", "rename", "remove", "lock", "sync")
SHIMS = ("mv", "rm", "cp", "touch", "flock")
ERRORS = (errno.EIO, errno.ENOSPC, errno.EACCES, errno.EMFILE)


def watched(out: Path, folder: Path, settings: dict[str, str], counters: Path) -> dict[str, str]:
    """The environment that counts a command's operations on files below `folder`, from 0 on."""
    shims = out / "shims"
    shims.mkdir(exist_ok=True)
    for name in SHIMS:
        if not (shims / name).exists():
            passing = shims / f".{name}.{os.getpid()}"
            passing.symlink_to(PROBE / "shim.sh")
            passing.replace(shims / name)
    shutil.rmtree(counters, ignore_errors=True)
    counters.mkdir(parents=True)
    found = {"BELOW": str(folder), "COUNT": str(counters / "count"), "FIRED": str(counters / "fired"), **settings}
    first = f"{shims}:{Path(sys.executable).parent}:{os.environ['PATH']}"
    return {"PYTHONPATH": str(PROBE), "PATH": first, **{f"SSLSPK_FAULT_{key}": value for key, value in found.items()}}


def read(trace: Path) -> list[list[str]]:
    """[operation, its number in the program, program, path] of an undisturbed run; numbers in paths become N, to group them."""
    if not trace.exists():
        return []
    lines = [line.split("\t") for line in trace.read_text(errors="replace").splitlines()]
    return [[*line[:3], re.sub(r"[0-9a-f]{12}|\d+", "N", line[3])] for line in lines if len(line) == 4]


def choose(found: list[list[str]], operation: str, rng: random.Random) -> str:
    """One of these operations, as the variable AT; each kind of program and file is equally likely."""
    kinds: dict[tuple[str, str], list[str]] = {}
    for name, number, program, path in found:
        if name == operation:
            kinds.setdefault((program.split(" /")[0][:60], path), []).append(f"{name}\t{number}\t{program}")
    return rng.choice(kinds[rng.choice(sorted(kinds))])
