"""The processes of this machine, as /proc tells of them. Standard library only."""
import os
from collections.abc import Iterator


def running() -> Iterator[tuple[int, int, int]]:
    """(process id, parent, process group) of each. A zombie that nobody has buried yet does not count."""
    for name in filter(str.isdecimal, os.listdir("/proc")):
        try:
            with open(f"/proc/{name}/stat", errors="replace") as file:
                state, parent, group = file.read().rpartition(")")[2].split()[:3]
        except (FileNotFoundError, ProcessLookupError):
            continue  # it ended while we were looking
        if state != "Z":
            yield int(name), int(parent), int(group)
