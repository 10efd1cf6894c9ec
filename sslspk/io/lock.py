"""Locks on folders, shared with utils/done.sh. A program that waits for a lock says who holds it."""
import contextlib
import fcntl
import glob
import os
import re
import sys
import time
from collections.abc import Iterator
from typing import IO

SHOWN = 48   # characters of a command


@contextlib.contextmanager
def alone(folder: str | os.PathLike) -> Iterator[None]:
    """Lock a folder against other programs that write to it, as done_lock of utils/done.sh does; wait for the lock."""
    os.makedirs(folder, exist_ok=True)
    path = os.path.join(folder, ".busy")
    with open(path, "a+") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            print(f"{os.fspath(folder)} is being written by {holder(path)}; waiting for its end", file=sys.stderr)
            fcntl.flock(file, fcntl.LOCK_EX)
        sign(file)
        yield


def sign(file: IO) -> None:
    """Write into a lock file (opened with a+) who holds it, for programs on other machines that find it locked."""
    file.truncate(0)
    file.write(f"process {os.getpid()} ({_command(os.getpid())}) on {os.uname().nodename} since {time.strftime('%Y-%m-%d %H:%M:%S')}\n")
    file.flush()


def holder(path: str) -> str:
    """Who holds the lock on a file: "process 12 (COMMAND) on HOST", the oldest of several that share it.

    The file's text counts only if it names another machine: here, the process that wrote it may have ended while its jobs hold the lock.
    """
    here = os.uname().nodename
    with open(path, encoding="utf-8", errors="replace") as file:
        said = re.fullmatch(r"(process \d+ .*on (\S+)) since .*", file.read().strip())
    if found := _holders(path):
        return f"process {found[0]} ({_command(found[0])}) on {here}"
    if said and said[2] != here:
        return said[1]
    return "a process that cannot be seen from here"


def _holders(path: str) -> list[int]:
    """Ids of the processes of this machine that hold a lock on a file, the oldest first."""
    wanted, found = os.stat(path), {}
    for info in glob.glob("/proc/[0-9]*/fdinfo/*"):
        pid = info.split("/")[2]
        try:
            if not os.path.samestat(os.stat(info.replace("/fdinfo/", "/fd/")), wanted):
                continue
            with open(info) as lines, open(f"/proc/{pid}/stat", errors="replace") as stat:
                if any(line.startswith("lock:") for line in lines):
                    found[int(pid)] = int(stat.read().rpartition(")")[2].split()[19])
        except OSError:
            continue   # it has just ended, or belongs to another user
    return sorted(found, key=lambda pid: (found[pid], pid))


def _command(pid: int) -> str:
    with contextlib.suppress(OSError), open(f"/proc/{pid}/cmdline", encoding="utf-8", errors="replace") as file:
        program, *words = file.read().rstrip("\0").split("\0")
        text = " ".join([os.path.basename(program), *words])
        return text if len(text) <= SHOWN else text[:SHOWN - 3] + "..."
    return "unknown"
