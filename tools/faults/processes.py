"""The processes of a command, wherever they have gone: each carries a mark in its environment."""
import os
import signal
import subprocess
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from faults.bench import Bench, environment

MARK = "FAULT_MARK"


@dataclass(frozen=True)
class Process:
    pid: int
    parent: int
    words: tuple[str, ...]
    rank: bool   # one of several ranks


@dataclass
class Command:
    """A running command; what it says goes to `log`."""

    mark: str
    popen: subprocess.Popen
    log: Path


def start(bench: Bench, words: tuple[str, ...], mark: str, limit: Callable[[], None] = lambda: None) -> Command:
    """Run it as from a terminal: Ctrl-C and a hang-up are heard even where the campaign itself runs in the background."""
    def listen() -> None:
        limit()
        for number in (signal.SIGINT, signal.SIGHUP):
            signal.signal(number, signal.SIG_DFL)

    log = bench.out / "said" / f"{mark}.txt"
    log.parent.mkdir(exist_ok=True)
    with log.open("w") as file:
        popen = subprocess.Popen(words, cwd=bench.recipe, env={**environment(), MARK: mark}, stdin=subprocess.DEVNULL, stdout=file,
                                 stderr=subprocess.STDOUT, start_new_session=True, preexec_fn=listen)
    return Command(mark, popen, log)


def family(mark: str) -> list[Process]:
    """The living processes that carry the mark."""
    found = []
    for folder in Path("/proc").iterdir():
        if not folder.name.isdecimal():
            continue
        try:
            state, parent = (folder / "stat").read_text().rpartition(")")[2].split()[:2]
            variables = (folder / "environ").read_bytes().split(b"\0")
            words = tuple((folder / "cmdline").read_bytes().decode(errors="replace").rstrip("\0").split("\0"))
        except (FileNotFoundError, ProcessLookupError, PermissionError):
            continue   # it ended while we were looking, or is another user's
        if state != "Z" and f"{MARK}={mark}".encode() in variables:
            found.append(Process(int(folder.name), int(parent), words, any(v.startswith(b"LOCAL_RANK=") for v in variables)))
    return found


def of_role(role: str, mark: str) -> list[Process]:
    """Those of the marked processes that are the step's shell, run.pl, its jobs, ranks or data workers."""
    alive = family(mark)
    words = {one.pid: one.words for one in alive}

    def is_one(one: Process) -> bool:
        child = words.get(one.parent) == one.words   # forked
        runner = any(word.endswith("utils/run.pl") for word in one.words)
        python = any(word.startswith("sslspk.bin.") for word in one.words) and not runner
        return {"step": len(one.words) > 1 and one.words[1].startswith("steps/") and not child,
                "run.pl": runner and not child,
                "job": python and not child and not one.rank,
                "rank": python and one.rank and not child,
                "worker": python and child}[role]

    return [one for one in alive if is_one(one)]


def send(number: int, processes: list[Process]) -> None:
    for one in processes:
        try:
            os.kill(one.pid, number)
        except ProcessLookupError:
            continue   # it has ended in the meantime


def kill_all(mark: str) -> None:
    """kill -9 until none is left: those that are being started meanwhile, too."""
    while alive := family(mark):
        send(signal.SIGKILL, alive)
        time.sleep(0.02)


def wait(condition, seconds: float) -> bool:
    """Whether the condition comes true in time."""
    end = time.monotonic() + seconds
    while not condition():
        if time.monotonic() > end:
            return False
        time.sleep(0.05)
    return True
