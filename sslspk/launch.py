"""The jobs of a step: Kaldi's `run.pl [options] [JOB=1:n] LOG COMMAND...`. Standard library only.

`parse` reads Kaldi's command line into a `Request`, `shell_line` and `log_path` say what one job of it runs and where it
writes, `run_local` runs all of them on this machine, and `report` tells which failed. utils/run.pl is `main_local`.

A job is one line of bash, in a session of its own. Words are joined as Kaldi joins them: one without white space stays as
it is, so that a quoted `|` or `>` acts in bash; one with white space gets quotes. As in Kaldi there is no `pipefail`.
A job that fails does not stop its siblings; SIGINT, SIGTERM or SIGHUP ends them all, and so does the death of this program.
"""
import os
import re
import signal
import subprocess
import sys
import time
from dataclasses import dataclass, field

from sslspk.errors import InputError, entry

GRACE = 30.0  # seconds between SIGTERM and SIGKILL: what a training needs to save a checkpoint
TAIL = 20     # lines of the first failing log that are shown
USAGE = """usage: {name} [options] [JOB=1:n] LOG COMMAND [ARGUMENT...]

Runs COMMAND with its output in LOG; with JOB=1:n it runs n of them with JOB replaced by the number in LOG and COMMAND.
  --max-jobs-run N   at most N at a time (default: as many as there are cores)
  --gpu N            each job gets N of this machine's GPUs for itself (CUDA_VISIBLE_DEVICES)
  --num-threads N    noted in the log
  --pick WHICH       all | failed (failed and unfinished ones again) | incomplete (only the unfinished ones)
  --mem, --time, --config, -l, -q, -pe ... and other options of batch systems are read and have no effect here."""


class _Stopped(Exception):
    """A signal asked for the end."""


@dataclass(frozen=True)
class Request:
    """What one command line asks for; `name` is "" when there is no array."""
    program: str
    options: dict[str, str]
    name: str
    first: int
    last: int
    log: str
    words: tuple[str, ...]


@dataclass
class Job:
    """One running job."""
    number: int
    log: str
    process: subprocess.Popen
    started: float = field(default_factory=time.time)
    gpus: tuple[str, ...] = ()


def parse(argv: list[str]) -> Request:
    """Read Kaldi's command line (`argv[0]` is the program). Raises InputError on one that cannot be meant."""
    program, words = os.path.basename(argv[0]), list(argv[1:])
    options: dict[str, str] = {}
    name, first, last = "", 1, 1
    while words:
        array = re.fullmatch(r"(\w+)=(\d+)(?::(\d+))?", words[0])
        if array and not name:
            name, first, last = array[1], int(array[2]), int(array[3] or array[2])
            if not 1 <= first <= last:
                raise InputError(f"the job range {words[0]} is empty or starts below 1; write for example {name}=1:4.")
            words.pop(0)
        elif words[0].startswith("-"):
            _take_option(words, options)
        else:
            break
    if len(words) < 2:
        raise InputError(f"a log file and a command are needed: {program} [options] [JOB=1:n] LOG COMMAND [ARGUMENT...].")
    log = words.pop(0)
    if re.match(r"\w+=[^/]*:[^/]*$", log):
        raise InputError(f"'{log}' is no job range; both ends must be whole numbers, as in JOB=1:4.")
    if last > first and name not in log:
        raise InputError(f"all of {name}={first}:{last} would write to the one log file {log}; put {name} in its name.")
    return Request(program, options, name, first, last, log, tuple(words))


def _take_option(words: list[str], options: dict[str, str]) -> None:
    """Move one option from the front of `words` into `options`; a repeated one keeps its last value, limits the smallest."""
    flag = words.pop(0)
    if flag == "-V":
        return
    key, equals, value = flag.partition("=") if flag.startswith("--") else (flag, "", "")
    key = key.lstrip("-").replace("-", "_")
    for _ in range(0 if equals else 2 if key == "pe" else 1):
        if not words or words[0].startswith("--"):
            raise InputError(f"the option {flag} needs a value after it.")
        value = words.pop(0)
    if key in ("max_jobs_run", "tc"):
        key, value = "max_jobs_run", str(min(_count(flag, value, 1), int(options.get("max_jobs_run", value))))
    if key in ("gpu", "num_threads"):
        _count(flag, value, 0)
    if key == "pick" and value not in ("all", "failed", "incomplete"):
        raise InputError(f"--pick takes all, failed or incomplete, not '{value}'.")
    options[key] = value


def _count(flag: str, value: str, least: int) -> int:
    if not value.isdecimal() or int(value) < least:
        raise InputError(f"the option {flag} takes a whole number from {least} on, not '{value}'.")
    return int(value)


def log_path(request: Request, number: int) -> str:
    """The log file of one job."""
    return request.log.replace(request.name, str(number)) if request.name else request.log


def shell_line(request: Request, number: int) -> str:
    """The line of bash that one job runs, with the array's name replaced wherever it stands."""
    line = " ".join(_quote(word) for word in request.words)
    return line.replace(request.name, str(number)) if request.name else line


def _quote(word: str) -> str:
    """Kaldi's rule, and besides: a single quote inside a word that must stand in single quotes survives."""
    if word and not re.search(r"\s", word):
        return word
    if '"' in word:
        return "'" + word.replace("'", "'\\''") + "'"
    return f'"{word}"'


def status_of_log(path: str) -> int | None:
    """Exit status that the last line of a log states; None when the job has not ended (or there is no log)."""
    try:
        with open(path, errors="replace") as file:
            lines = file.read().splitlines()
    except FileNotFoundError:
        return None
    end = re.match(r"# Ended \(code (\d+)(?:; signal (\d+))?\)", lines[-1]) if lines else None
    if end is None:
        return None
    return int(end[1]) or (128 + int(end[2]) if end[2] else 0)


def _stamp(when: float) -> str:
    return time.strftime("%a %b %d %H:%M:%S %Z %Y", time.localtime(when))


class Local:
    """Runs the jobs of a request on this machine. `failed` maps the number of each failed job to its status."""

    def __init__(self, request: Request):
        self.request = request
        self.failed: dict[int, int] = {}
        self.running: dict[int, Job] = {}  # by process id
        self.caught = 0                    # the first signal that asked for the end
        self.waiting = False
        self.per_job = int(request.options.get("gpu", 0))
        self.free_gpus = visible_gpus() if self.per_job else []
        self.at_once = self._limit()
        self.watchdog = _start_watchdog()

    def _limit(self) -> int:
        jobs = self.request.last - self.request.first + 1
        limit = int(self.request.options.get("max_jobs_run", 0))
        if self.per_job:
            slots = len(self.free_gpus) // self.per_job
            if not slots:
                print(f"{self.request.program}: warning: --gpu {self.per_job} but this machine has "
                      f"{len(self.free_gpus)} GPUs; the jobs run one at a time.", file=sys.stderr)
            return min(limit or jobs, max(slots, 1))
        cores = len(os.sched_getaffinity(0))
        # A few jobs more than cores run together rather than leave a last one to run alone.
        return limit or (jobs if jobs < 1.4 * cores else cores)

    def run(self) -> dict[int, int]:
        """Run everything; returns `failed`. Raises SystemExit(128 + signal) when told to stop."""
        for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
            signal.signal(number, self._on_signal)
        queue = [n for n in range(self.request.first, self.request.last + 1) if self._picked(n)]
        try:
            for number in queue:
                while len(self.running) >= self.at_once:
                    self._wait_for_one()
                self._start(number)
            while self.running:
                self._wait_for_one()
        except _Stopped:
            self._stop()
            print(f"{self.request.program}: stopped by {signal.Signals(self.caught).name}; "
                  f"its jobs are ended, their logs are {self.request.log}", file=sys.stderr)
            raise SystemExit(128 + self.caught) from None
        return self.failed

    def _picked(self, number: int) -> bool:
        pick = self.request.options.get("pick", "all")
        status = None if pick == "all" else status_of_log(log_path(self.request, number))
        if status and pick == "incomplete":
            self.failed[number] = status
        return status is None or bool(status and pick == "failed")

    def _on_signal(self, number: int, _frame: object) -> None:
        if self.caught:
            self._kill(signal.SIGKILL)  # asked twice: no more time to save
        self.caught = self.caught or number
        if self.waiting:
            self.waiting = False
            raise _Stopped

    def _start(self, number: int) -> None:
        if self.caught:
            raise _Stopped
        line, path = shell_line(self.request, number), log_path(self.request, number)
        os.makedirs(os.path.dirname(path) or ".", exist_ok=True)
        gpus = tuple(self.free_gpus.pop(0) for _ in range(min(self.per_job, len(self.free_gpus))))
        environment = {**os.environ, "CUDA_VISIBLE_DEVICES": ",".join(gpus)} if gpus else None
        with open(path, "w", errors="surrogateescape") as log:
            log.write(f"# {line} \n# Started at {_stamp(time.time())}\n#\n")
        with open(path, "a") as log:
            # The line goes in by stdin, which has no limit of length, and leaves the command's own stdin at its end.
            process = subprocess.Popen(["bash"], stdin=subprocess.PIPE, stdout=log, stderr=log, env=environment,
                                       start_new_session=True)
        self.running[process.pid] = Job(number, path, process, gpus=gpus)
        self._tell_watchdog(f"+{process.pid}")
        try:
            process.stdin.write(f"( {line} )\n".encode(errors="surrogateescape"))
            process.stdin.close()
        except BrokenPipeError:  # killed before it could read: its status says so
            process.stdin = None

    def _wait_for_one(self) -> None:
        self.waiting = True  # from here on the signal handler itself raises
        if self.caught:
            raise _Stopped
        pid, status = os.wait()
        self.waiting = False
        job = self.running.pop(pid, None)
        if job is None:
            return
        code = os.waitstatus_to_exitcode(status)
        job.process.returncode = code
        self._tell_watchdog(f"-{pid}")
        self.free_gpus += job.gpus
        _write_footer(job, code, self.request.options.get("num_threads", "1"))
        if code:
            self.failed[job.number] = code if code > 0 else 128 - code

    def _kill(self, number: int) -> bool:
        """Signal the session of every running job; True while any of it is alive."""
        alive = False
        for pid in self.running:
            try:
                os.killpg(pid, number)
                alive = True
            except ProcessLookupError:
                continue
        return alive

    def _stop(self) -> None:
        """SIGTERM, time to save, SIGKILL; the jobs' logs say that they were ended."""
        self._kill(signal.SIGTERM)
        end = time.time() + GRACE
        while time.time() < end:
            for job in self.running.values():
                job.process.poll()
            if not self._kill(0):
                break
            time.sleep(0.05)
        self._kill(signal.SIGKILL)
        for job in self.running.values():
            _write_footer(job, job.process.wait(), self.request.options.get("num_threads", "1"))

    def _tell_watchdog(self, message: str) -> None:
        os.write(self.watchdog, f"{message}\n".encode())


def visible_gpus() -> list[str]:
    """Ids of the GPUs that jobs may use: CUDA_VISIBLE_DEVICES when it is set, else what nvidia-smi lists."""
    if "CUDA_VISIBLE_DEVICES" in os.environ:
        return [gpu for gpu in os.environ["CUDA_VISIBLE_DEVICES"].split(",") if gpu]
    try:
        listing = subprocess.run(["nvidia-smi", "-L"], capture_output=True, text=True, check=False).stdout
    except FileNotFoundError:
        return []
    return [str(i) for i, _ in enumerate(line for line in listing.splitlines() if line.startswith("GPU "))]


def _write_footer(job: Job, code: int, threads: str) -> None:
    now = time.time()
    with open(job.log, "rb") as log:
        log.seek(-1, os.SEEK_END)
        newline = "" if log.read(1) == b"\n" else "\n"
    status = f"code {code}" if code >= 0 else f"code 0; signal {-code}"
    elapsed = round(now - job.started)
    with open(job.log, "a") as log:
        log.write(f"{newline}# Accounting: time={elapsed} threads={threads}\n"
                  f"# Ended ({status}) at {_stamp(now)}, elapsed time {elapsed} seconds\n")


def _start_watchdog() -> int:
    """Fork a process that outlives this one just long enough to kill its jobs, should it die without doing so (kill -9).

    Returns the descriptor to tell it about jobs: "+PID" started, "-PID" ended.
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
    for pid in alive:
        try:
            os.killpg(pid, signal.SIGKILL)
        except ProcessLookupError:
            continue
    os._exit(0)


def report(request: Request, failed: dict[int, int]) -> None:
    """Say on stderr which jobs failed, where their logs are, and how the first of those logs ends."""
    total, program = request.last - request.first + 1, request.program
    where = request.log.replace(request.name, "*") if request.name else request.log
    count = f"{len(failed)} / {total} failed" if total > 1 else "job failed"
    print(f"{program}: {count}, log is in {where}", file=sys.stderr)
    numbers = sorted(failed)
    for number in numbers[:10]:
        print(f"{program}: job {number} ended with status {failed[number]}: {log_path(request, number)}", file=sys.stderr)
    if len(numbers) > 10:
        print(f"{program}: ... and {len(numbers) - 10} more", file=sys.stderr)
    if not request.name and "JOB" in request.log:
        print(f"{program}: the log's name holds JOB but no range was given; put JOB=1:$nj before it.", file=sys.stderr)
    first = log_path(request, numbers[0])
    with open(first, errors="replace") as log:
        lines = log.read().splitlines()
    print(f"{program}: the last lines of {first}:", *lines[-TAIL:], sep="\n", file=sys.stderr)


def main_local() -> int:
    """utils/run.pl: 0 when every job ended with 0, else 1."""
    if sys.argv[1:] in (["--help"], ["-h"]):
        print(USAGE.format(name=os.path.basename(sys.argv[0])))
        return 0
    request = parse(sys.argv)
    failed = Local(request).run()
    if failed:
        report(request, failed)
    return 1 if failed else 0


if __name__ == "__main__":
    entry(main_local)
