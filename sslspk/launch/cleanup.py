"""Cancels jobs in a batch system: those of a launcher that stops or fails, and those of a launcher that was killed earlier.

A launcher's folder q/sync/NAME.HOST.PID has its process (LAUNCHER) and the ids of its jobs (JOBS). After kill -9 the folder stays: the next
launcher with the same script cancels these jobs first, so that no two sets of jobs write the same files. A job may begin while its launcher
ends; the file CLOSED decides: a job that finds it does nothing, and the launcher cancels all jobs that have begun before it wrote it.
"""
import contextlib
import glob
import os
import shutil
import time
from collections.abc import Callable

from sslspk.errors import InputError
from sslspk.launch.scheduler import Scheduler
from sslspk.launch.script import Places

GRACE = 60.0   # seconds for cancelled jobs to save and leave
LAUNCHER, JOBS, CLOSED = "launcher", "jobs", "closed"


def cancel_and_wait(scheduler: Scheduler, jobs: list[str], wait: Callable[[float], None], pause: float) -> str:
    """Cancel jobs, again when that fails, and wait until they have left: "", or what the batch system said when they have not."""
    left, said, told = jobs, "", False
    end = time.monotonic() + GRACE
    while time.monotonic() < end:
        if not told:
            said = scheduler.fails(scheduler.cancellation(left))
            told = not said
        now = alive(scheduler, jobs)
        if now == []:
            return ""
        left = jobs if now is None else now
        wait(pause)
    return said or f"not within {GRACE:g} seconds"


def alive(scheduler: Scheduler, jobs: list[str]) -> list[str] | None:
    """The jobs that are waiting or running; None when the batch system does not answer."""
    states = scheduler.states(jobs) if jobs else {}
    return None if states is None else sorted({job for (job, _), state in states.items() if state.alive})


def jobs_to_cancel(folder: str, scheduler: Scheduler, jobs: list[str]) -> list[str]:
    """Keep further jobs of a launcher from beginning. Returns the jobs to cancel: those given, and others that have begun and may be
    alive."""
    close(folder)
    begun = known(folder)
    left = alive(scheduler, begun)
    return sorted({*jobs, *(begun if left is None else left)})


def close(folder: str, run: str = "") -> list[str]:
    """Let no job begin whose submission was not answered, of all or of one (".0", ".1" ...); returns the ids of those that have."""
    if os.path.isdir(folder):
        with contextlib.suppress(OSError), open(os.path.join(folder, CLOSED + run), "w"):  # if the disk is full, no job can begin either
            pass
    return _ids(glob.glob(f"{glob.escape(folder)}/*.begun{run or '.*'}"))


def remove(folder: str) -> None:
    """Remove a launcher's folder in one go, so that a job that comes late finds all of it or nothing."""
    close(folder)
    over = f"{folder}.over"
    shutil.rmtree(over, ignore_errors=True)
    with contextlib.suppress(OSError):
        os.replace(folder, over)
    shutil.rmtree(over, ignore_errors=True)


def write_owner(where: Places, system: str) -> None:
    """Say in the launcher's folder who it is."""
    os.makedirs(where.sync, exist_ok=True)
    with open(os.path.join(where.sync, LAUNCHER), "w", encoding="utf-8") as file:
        file.write(f"{_birth(os.getpid())}\n{system}\n")


def record_job(where: Places, job: str) -> None:
    """Keep the id of a job that was submitted."""
    with open(os.path.join(where.sync, JOBS), "a", encoding="utf-8") as file:
        file.write(f"{job}\n")


def cancel_leftover_jobs(where: Places, scheduler: Scheduler, say: Callable[[str], None], wait: Callable[[float], None],
                         pause: float) -> None:
    """Cancel the jobs of killed launchers of this machine with this script. Raises InputError when they do not leave."""
    for folder in glob.glob(f"{glob.escape(where.sync.rpartition('.')[0])}.*"):
        birth, system = _signature(folder)
        if system not in ("", scheduler.name) or not _is_dead(folder.rpartition(".")[2], birth):
            continue
        close(folder)
        jobs = known(folder)
        while (left := alive(scheduler, jobs)) is None:
            say(f"{scheduler.name} does not answer, and {folder} names jobs that a killed launcher left there; waiting")
            wait(pause * 5)
        if left:
            words = " ".join(scheduler.cancellation(left))
            say(f"a launcher that was killed left its jobs in {scheduler.name}; cancelling them: {words}")
            said = cancel_and_wait(scheduler, left, wait, pause)
            if said:
                raise InputError(f"jobs of an earlier launcher, which was killed, are still in {scheduler.name} ({said}); "
                                 f"end them by `{words}`, then run the same command again.")
        shutil.rmtree(folder, ignore_errors=True)


def known(folder: str) -> list[str]:
    """Ids in a launcher's folder: those it kept, and those that its jobs wrote (their submission may not have been answered)."""
    return _ids([os.path.join(folder, JOBS), *glob.glob(f"{glob.escape(folder)}/*.begun.*")])


def job_of(begun: str) -> str:
    """The job that wrote this file when it began; "" where there is none."""
    return next(iter(_ids([begun])), "")


def _ids(paths: list[str]) -> list[str]:
    found: set[str] = set()
    for path in paths:
        if os.path.exists(path):
            with open(path, encoding="utf-8", errors="replace") as file:
                found |= {word for word in file.read().split() if word.isdecimal()}
    return sorted(found)


def _signature(folder: str) -> tuple[str, str]:
    """(birth, batch system) of a folder's launcher; empty where it was killed before it could sign."""
    path = os.path.join(folder, LAUNCHER)
    if not os.path.exists(path):
        return "", ""
    with open(path, encoding="utf-8", errors="replace") as file:
        lines = [*file.read().splitlines(), "", ""]
    return lines[0], lines[1]


def _is_dead(pid: str, birth: str) -> bool:
    """Whether this process of this machine has ended; a new process may have the same number."""
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
