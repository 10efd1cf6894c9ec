"""Ends jobs in a batch system: those of a launcher that is told to stop or fails, and those that a killed one left behind.

A launcher's folder, q/sync/NAME.HOST.PID, holds who it is (LAUNCHER) and the ids of its jobs (JOBS). After kill -9 it stays, and the
next launcher with this script finds there what it must end before a second set of jobs writes to the same files.
"""
import glob
import os
import shutil
import time
from collections.abc import Callable

from sslspk.errors import InputError
from sslspk.launch.scheduler import Scheduler
from sslspk.launch.script import Places

GRACE = 60.0   # seconds for cancelled jobs to save and leave
LAUNCHER, JOBS = "launcher", "jobs"


def cancel_and_wait(scheduler: Scheduler, jobs: list[str], wait: Callable[[float], None], pause: float) -> str:
    """Cancel jobs, and wait until they have left: "", or what the batch system said when they have not. Raises Refused."""
    done = scheduler.call(scheduler.cancellation(jobs))
    end = time.monotonic() + GRACE
    while time.monotonic() < end:
        states = scheduler.states(jobs)
        if states is not None and not any(state.alive for state in states.values()):
            return ""
        wait(pause)
    return done.stderr.strip() or f"not within {GRACE:g} seconds"


def sign(where: Places, system: str) -> None:
    """Say in the launcher's folder who it is."""
    os.makedirs(where.sync, exist_ok=True)
    with open(os.path.join(where.sync, LAUNCHER), "w", encoding="utf-8") as file:
        file.write(f"{_birth(os.getpid())}\n{system}\n")


def remember(where: Places, job: str) -> None:
    """Keep the id of a job that was submitted."""
    with open(os.path.join(where.sync, JOBS), "a", encoding="utf-8") as file:
        file.write(f"{job}\n")


def end_those_left(where: Places, scheduler: Scheduler, say: Callable[[str], None], wait: Callable[[float], None], pause: float) -> None:
    """Cancel the jobs of killed launchers of this machine with this script. Raises InputError when they do not leave."""
    for folder in glob.glob(f"{glob.escape(where.sync.rpartition('.')[0])}.*"):
        birth, system = _signature(folder)
        if system not in ("", scheduler.name) or not _is_dead(folder.rpartition(".")[2], birth):
            continue
        known = _jobs(folder)
        while (states := scheduler.states(known) if known else {}) is None:
            say(f"{scheduler.name} does not answer, and {folder} names jobs that a killed launcher left there; waiting")
            wait(pause * 5)
        alive = sorted({job for (job, _), state in states.items() if state.alive})
        if alive:
            words = " ".join(scheduler.cancellation(alive))
            say(f"a launcher that was killed left its jobs in {scheduler.name}; cancelling them: {words}")
            said = cancel_and_wait(scheduler, alive, wait, pause)
            if said:
                raise InputError(f"jobs of an earlier launcher, which was killed, do not leave {scheduler.name} ({said}); "
                                 f"end them by `{words}`, then run the same command again.")
        shutil.rmtree(folder, ignore_errors=True)


def _jobs(folder: str) -> list[str]:
    """Ids in a launcher's folder: those it kept, and those that its jobs wrote (it may have been killed before it could)."""
    found: set[str] = set()
    for path in (os.path.join(folder, JOBS), *glob.glob(f"{glob.escape(folder)}/*.begun.*")):
        if os.path.exists(path):
            with open(path, encoding="utf-8") as file:
                found |= {word for word in file.read().split() if word.isdecimal()}
    return sorted(found)


def _signature(folder: str) -> tuple[str, str]:
    """(birth, batch system) of a folder's launcher; empty where it was killed before it could sign."""
    path = os.path.join(folder, LAUNCHER)
    if not os.path.exists(path):
        return "", ""
    with open(path, encoding="utf-8") as file:
        lines = [*file.read().splitlines(), "", ""]
    return lines[0], lines[1]


def _is_dead(pid: str, birth: str) -> bool:
    """Whether this process of this machine has ended; another one may have its number by now."""
    if not pid.isdecimal():
        return False
    now = _birth(int(pid))
    return not now or bool(birth and now != birth) or int(pid) == os.getpid()


def _birth(pid: int) -> str:
    """Tells a process from every other one, before and after a reboot; "" when there is none, or only a zombie."""
    try:
        with open(f"/proc/{pid}/stat", encoding="utf-8", errors="replace") as file:
            fields = file.read().rpartition(")")[2].split()
    except (FileNotFoundError, ProcessLookupError):
        return ""
    with open("/proc/sys/kernel/random/boot_id", encoding="utf-8") as file:
        return "" if fields[0] == "Z" else f"{file.read().strip()} {fields[19]}"
