"""Finds all processes of a command, even detached ones, by a mark in their environment."""
import os
import signal
import subprocess
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

from faults.bench import Bench, environment
from faults.stages import Stage

MARK = "SSLSPK_FAULT_MARK"   # variables of this name reach the jobs of batch systems as well
QUIET = 75      # seconds without CPU time and without new bytes after which a command hangs
LITTLE = 0.04   # share of one core that counts as none: a launcher polls whether its job has ended
MOST = (60, 15)   # CPU seconds that a command may take: this many, plus this many times those of the undisturbed one
TICKS = os.sysconf("SC_CLK_TCK")


@dataclass(frozen=True)
class Process:
    """cpu: seconds used by the process and its ended children."""

    pid: int
    parent: int
    words: tuple[str, ...]
    rank: bool   # one of several ranks
    cpu: float


@dataclass
class Command:
    """A running command; its output goes to `log`."""

    mark: str
    popen: subprocess.Popen
    log: Path


def start(bench: Bench, stage: Stage, mark: str, limit: Callable[[], None] = lambda: None,
          variables: dict[str, str] | None = None) -> Command:
    """Run the stage as from a terminal: it receives Ctrl-C and a hang-up even if the campaign runs in the background."""
    def listen() -> None:
        limit()
        for number in (signal.SIGINT, signal.SIGHUP):
            signal.signal(number, signal.SIG_DFL)

    log = bench.out / "said" / f"{mark}.txt"
    log.parent.mkdir(exist_ok=True)
    around = {**environment(), **bench.cluster.variables(stage), **(variables or {}), MARK: mark}
    with log.open("w") as file:
        popen = subprocess.Popen(stage.words, cwd=bench.folder(stage), env=around, stdin=subprocess.DEVNULL, stdout=file,
                                 stderr=subprocess.STDOUT, start_new_session=True, preexec_fn=listen)
    return Command(mark, popen, log)


def family(*marks: str) -> list[Process]:
    """The living processes that carry one of the marks."""
    found, wanted = [], {f"{MARK}={mark}".encode() for mark in marks}
    for folder in Path("/proc").iterdir():
        if not folder.name.isdecimal():
            continue
        try:
            stat = (folder / "stat").read_text().rpartition(")")[2].split()
            variables = (folder / "environ").read_bytes().split(b"\0")
            words = tuple((folder / "cmdline").read_bytes().decode(errors="replace").rstrip("\0").split("\0"))
        except (FileNotFoundError, ProcessLookupError, PermissionError):
            continue   # it has just ended, or belongs to another user
        if stat[0] not in "ZX" and wanted & set(variables):
            found.append(Process(int(folder.name), int(stat[1]), words, any(v.startswith(b"LOCAL_RANK=") for v in variables),
                                 sum(map(int, stat[11:15])) / TICKS))
    return found


def of_role(role: str, mark: str) -> list[Process]:
    """The marked processes with a role: the step's shell, its launcher (run.pl or another), its jobs, ranks or data workers."""
    alive = family(mark)
    words = {one.pid: one.words for one in alive}

    def is_one(one: Process) -> bool:
        child = words.get(one.parent) == one.words   # forked
        runner = any(word.endswith(("utils/run.pl", "utils/slurm.pl", "utils/queue.pl")) for word in one.words)
        python = any(word.startswith("sslspk.bin.") for word in one.words) and not runner
        return {"step": len(one.words) > 1 and one.words[1].startswith("steps/") and not child,
                "run.pl": runner and not child,
                "job": python and not child and not one.rank,
                "rank": python and one.rank and not child,
                "worker": python and child,
                "python": python}[role]

    return [one for one in alive if is_one(one)]


def send(number: int, processes: list[Process]) -> None:
    for one in processes:
        try:
            os.kill(one.pid, number)
        except ProcessLookupError:
            continue   # it has ended in the meantime


def kill_all(mark: str) -> None:
    """kill -9 until no marked process is left, including those started meanwhile."""
    while alive := family(mark):
        send(signal.SIGKILL, alive)
        time.sleep(0.02)


def wait(condition, seconds: float) -> bool:
    """Whether the condition becomes true within `seconds`."""
    end = time.monotonic() + seconds
    while not condition():
        if time.monotonic() > end:
            return False
        time.sleep(0.05)
    return True


@dataclass
class Watch:
    """Decides whether the commands with these marks make progress, regardless of the machine's load: by the CPU time of all their
    processes, and by the bytes that they write to the bench's disk and to `log`."""

    bench: Bench
    marks: tuple[str, ...]
    log: Path
    usual: float   # CPU seconds of the undisturbed command
    most: float = 0.0   # CPU seconds so far
    seen: list[tuple[float, float]] = field(default_factory=list)   # (time, CPU seconds) since bytes were last written
    written: tuple[int, int] = (0, 0)

    def verdict(self) -> str:
        """Why they make no progress; empty if they do."""
        now, cpu = time.monotonic(), sum(one.cpu for one in family(*self.marks))
        self.most = max(self.most, cpu)
        disk = os.statvfs(self.bench.out / "work").f_bfree if self.bench.mounted else 0
        written = (self.log.stat().st_size, disk)
        if written != self.written:
            self.written, self.seen = written, []
        self.seen.append((now, cpu))
        while len(self.seen) > 1 and self.seen[1][0] <= now - QUIET:
            self.seen.pop(0)
        if self.most > MOST[0] + MOST[1] * self.usual:
            return f"took {self.most:.0f} CPU seconds, where undisturbed it takes {self.usual:.0f}"
        if self.seen[0][0] <= now - QUIET and abs(cpu - self.seen[0][1]) < LITTLE * QUIET:
            return f"no CPU time and no new bytes for {QUIET} s"
        return ""

    def until(self, condition: Callable[[], bool]) -> str:
        """Wait until the condition is true, which returns "", or they make no progress, which returns the reason."""
        while not wait(condition, min(1, QUIET / 4)):
            if said := self.verdict():
                return said
        return ""
