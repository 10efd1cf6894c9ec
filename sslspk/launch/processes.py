"""The processes of this machine, read from /proc. Standard library only."""
import os
from collections.abc import Iterator
from typing import NamedTuple


class Process(NamedTuple):
    """A process by its id, with those of its parent, its process group and its session."""

    pid: int
    parent: int
    group: int
    session: int


def running() -> Iterator[Process]:
    """Every process but zombies."""
    for name in filter(str.isdecimal, os.listdir("/proc")):
        try:
            with open(f"/proc/{name}/stat", errors="replace") as file:
                state, *numbers = file.read().rpartition(")")[2].split()[:4]
        except (FileNotFoundError, ProcessLookupError):
            continue  # it ended while we were looking
        if state != "Z":
            yield Process(int(name), *map(int, numbers))
