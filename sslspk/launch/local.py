"""Runs the jobs of a request on this machine: utils/run.pl. Standard library only.

Each job is one line of bash in a session of its own. One that fails does not stop its siblings. SIGINT, SIGTERM or
SIGHUP ends them all: SIGTERM first, so that a training can save, SIGKILL after GRACE seconds or at the second signal.
With --together true one that fails ends its siblings in the same way, as they wait for it.
If this program is killed with -9, a small watchdog process, forked at the start, kills its jobs.
"""
import contextlib
import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass, field

from sslspk.errors import InputError, entry
from sslspk.launch.follow import Follower
from sslspk.launch.processes import running
from sslspk.launch.request import Request, exit_status, log_path, parse, pick, report, seconds_of, shell_line, write_footer, write_header
from sslspk.launch.signals import Signals, Stopped

GRACE = 30.0  # seconds (SSLSPK_GRACE_SECONDS changes it: in a batch system's job, to what is left before its end)
USAGE = """usage: {name} [options] [JOB=1:n] LOG COMMAND [ARGUMENT...]

Runs COMMAND with its output in LOG; with JOB=1:n it runs n of them with JOB replaced by the number in LOG and COMMAND.
  --max-jobs-run N   at most N at a time (default: as many as there are cores)
  --gpu N            each job gets N of this machine's GPUs for itself (CUDA_VISIBLE_DEVICES)
  --num-threads N    noted in the log
  --together true    the jobs need each other: all run at once, or none; when one fails the others are ended
  --pick WHICH       all | failed (failed and unfinished ones again) | incomplete (only the unfinished ones)
  --mem, --time, --requeue, --config, -l, -q, -pe ... and other options of batch systems are read and have no effect here."""


@dataclass
class Job:
    """One running job."""
    number: int
    log: str
    process: subprocess.Popen
    gpus: list[str]
    started: float = field(default_factory=time.time)


class Local:
    """All jobs of one request. `failed` maps the number of each failed job to its status (128 + signal when killed)."""

    def __init__(self, request: Request):
        self.request = request
        self.failed: dict[int, int] = {}
        self.reasons: dict[int, str] = {}  # of failures
        self.together = request.options.get("together") == "true"
        self.grace = seconds_of("SSLSPK_GRACE_SECONDS", GRACE)
        self.running: dict[int, Job] = {}  # by process id, which is also that of its session
        self.signals = Signals(lambda: self._signal_all(signal.SIGKILL))  # asked twice: no more time to save
        self.threads = request.options.get("num_threads", "1")
        self.per_job = int(request.options.get("gpu", 0))
        self.free_gpus = visible_gpus() if self.per_job else []
        self.at_once = self._limit()
        self.watchdog = _start_watchdog()

    def _limit(self) -> int:
        jobs = len(self.request.numbers)
        limit = int(self.request.options.get("max_jobs_run", 0))
        if self.together:
            if self.per_job * jobs > len(self.free_gpus):
                raise InputError(f"the {jobs} jobs of --together true need {self.per_job * jobs} GPUs at once, but this machine has "
                                 f"{len(self.free_gpus)}; ask for fewer jobs or GPUs, or use a batch system.")
            return jobs
        if self.per_job and gpus_are_known():
            needed = self.per_job * min(limit or 1, jobs)
            if needed > len(self.free_gpus):
                raise InputError(f"GPUs asked for: {needed} (--gpu {self.per_job}), but this machine has {len(self.free_gpus)}; ask for "
                                 "fewer (--ngpu; 0: the CPU), or run where there are as many.")
            return min(limit or jobs, len(self.free_gpus) // self.per_job)
        if self.per_job:
            return 1   # the job itself checks the number of GPUs
        cores = len(os.sched_getaffinity(0))
        # A few jobs more than cores run together rather than leave a last one to run alone.
        return limit or (jobs if jobs < 1.4 * cores else cores)

    def run(self) -> dict[int, int]:
        """Run everything; returns `failed`. Raises SystemExit(128 + signal) when told to stop."""
        self.signals.listen()
        try:
            numbers, self.failed = pick(self.request)
            for number in numbers:
                while len(self.running) >= self.at_once:
                    self._wait_for_one()
                self._start(number)
            while self.running:
                self._wait_for_one()
        except Stopped:
            self._end_all(time.sleep)
            for job in self.running.values():
                write_footer(job.log, job.process.wait(), job.started, self.threads)
            print(f"{self.request.program}: stopped by {signal.Signals(self.signals.caught).name}, and its jobs with it; "
                  f"log is in {self.request.log}", file=sys.stderr)
            raise SystemExit(128 + self.signals.caught) from None
        return self.failed

    def _start(self, number: int) -> None:
        self.signals.check()
        line, path = shell_line(self.request, number), log_path(self.request, number)
        gpus = [self.free_gpus.pop(0) for _ in range(min(self.per_job, len(self.free_gpus)))]
        environment = {**os.environ, "CUDA_VISIBLE_DEVICES": ",".join(gpus)} if gpus else None
        write_header(path, line)
        with open(path, "a") as log:
            # The line goes in by stdin, which has no limit of length, and leaves the command's own stdin at its end.
            process = subprocess.Popen(["bash"], stdin=subprocess.PIPE, stdout=log, stderr=log, env=environment,
                                       start_new_session=True)
        self.running[process.pid] = Job(number, path, process, gpus)
        os.write(self.watchdog, b"+%d\n" % process.pid)
        try:
            process.stdin.write(os.fsencode(f"( {line} )\n"))
            process.stdin.close()
        except BrokenPipeError:  # killed before it could read: its status will tell
            process.stdin = None

    def _wait_for_one(self) -> None:
        ended = self.signals.during(os.waitid, os.P_ALL, 0, os.WEXITED | os.WNOWAIT)  # its status is kept for the next line
        self._ended(*os.waitpid(ended.si_pid, 0))
        if self.together and self.failed and self.running:
            self._end_the_others()

    def _end_the_others(self) -> None:
        """One of the jobs that need each other has failed."""
        first = next(iter(self.failed))
        self.reasons = {job.number: f"ended because job {first} had failed" for job in self.running.values()}
        self._end_all(self.signals.wait)
        for pid in list(self.running):
            self._ended(*os.waitpid(pid, 0))

    def _ended(self, pid: int, status: int) -> None:
        job = self.running.pop(pid, None)
        if job is None:
            return
        code = job.process.returncode = os.waitstatus_to_exitcode(status)
        os.write(self.watchdog, b"-%d\n" % pid)
        self.free_gpus += job.gpus
        write_footer(job.log, code, job.started, self.threads)
        if code:
            self.failed[job.number] = code if code > 0 else 128 - code

    def _signal_all(self, number: int) -> None:
        """SIGTERM to the running jobs, whose scripts pass it on to process groups of their own; SIGKILL to every process of theirs."""
        if number == signal.SIGKILL:
            _kill_sessions(set(self.running))
            return
        for pid in self.running:
            try:
                os.killpg(pid, number)
            except ProcessLookupError:
                continue  # it has ended in the meantime

    def _end_all(self, sleep: Callable[[float], None]) -> None:
        """SIGTERM for every process of every running job, time to save, SIGKILL."""
        self._signal_all(signal.SIGTERM)
        end = time.monotonic() + self.grace
        while time.monotonic() < end and any(one.session in self.running for one in running()):
            sleep(0.05)
        self._signal_all(signal.SIGKILL)


def gpus_are_known() -> bool:
    """Whether visible_gpus tells all: a machine may have GPUs that nvidia-smi does not list, or no nvidia-smi."""
    others = ("/dev/kfd", "/dev/dxg", "/dev/nvidia0", "/dev/nvidiactl")
    return "CUDA_VISIBLE_DEVICES" in os.environ or bool(shutil.which("nvidia-smi")) or not any(map(os.path.exists, others))


def visible_gpus() -> list[str]:
    """Ids of the GPUs that jobs may use: CUDA_VISIBLE_DEVICES when it is set, else what nvidia-smi lists."""
    if "CUDA_VISIBLE_DEVICES" in os.environ:
        return [gpu for gpu in os.environ["CUDA_VISIBLE_DEVICES"].split(",") if gpu]
    try:
        listing = subprocess.run(["nvidia-smi", "-L"], capture_output=True, text=True, check=False).stdout
    except FileNotFoundError:
        return []
    return [str(i) for i, _ in enumerate(line for line in listing.splitlines() if line.startswith("GPU "))]


def _start_watchdog() -> int:
    """Fork a process that kills the jobs should this one die without doing so; it ends with this one.

    Returns the descriptor that reports it: "+PID" started, "-PID" ended.
    """
    read_end, write_end = os.pipe()
    if os.fork():
        os.close(read_end)
        return write_end
    os.setsid()
    os.close(write_end)
    nowhere = os.open(os.devnull, os.O_RDWR)
    for descriptor in (0, 1, 2):
        os.dup2(nowhere, descriptor)
    alive: set[int] = set()
    with open(read_end) as messages:
        for message in messages:
            (alive.add if message[0] == "+" else alive.discard)(int(message[1:]))
    _kill_sessions(alive)
    os._exit(0)


def _kill_sessions(sessions: set[int]) -> None:
    """SIGKILL to every process of these sessions, also to those that are being started meanwhile."""
    while left := [one.pid for one in running() if one.session in sessions]:
        for pid in left:
            with contextlib.suppress(ProcessLookupError):   # it has ended in the meantime
                os.kill(pid, signal.SIGKILL)
        time.sleep(0.02)


def main() -> int:
    """utils/run.pl; returns its exit status."""
    if sys.argv[1:] in (["--help"], ["-h"]):
        print(USAGE.format(name=os.path.basename(sys.argv[0])))
        return 0
    request = parse(sys.argv)
    local = Local(request)
    with Follower(request):
        failed = local.run()
    if failed:
        report(request, failed, local.reasons)
    return exit_status(failed)


if __name__ == "__main__":
    entry(main)
