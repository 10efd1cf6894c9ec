"""The jobs of a step, Kaldi's `run.pl [options] [JOB=1:n] LOG COMMAND...`: what every way of running them shares.

`parse` reads the command line into a `Request`; `shell_line` and `log_path` say what one job of it runs and where it
writes; `report` tells which jobs failed. It runs before every job, so it imports nothing slow.

Words are joined as Kaldi joins them: one without white space stays as it is, so that a quoted `|` or `>` acts in bash;
one with white space gets quotes. As in Kaldi there is no `pipefail`, and the range's name is replaced wherever it
stands. Unlike Kaldi's, `--name=value` is understood, and an option without its value is an error.
"""
import os
import re
import sys
import time
from collections.abc import Mapping
from dataclasses import dataclass, replace

from sslspk.errors import SPEECHLESS, InputError, shown

TAIL = 20  # lines of the first failing log that are shown
NAMED = 10  # failed jobs that are named one by one
REQUEUE = 99  # a job's way to say "saved, start me again": Grid Engine's, and passed on when no job failed otherwise
BARE = ("-V", "-cwd", "-notify")  # options of batch systems that take no value
DIGITS = 7   # of a number of jobs, threads or GPUs
COUNTS = {"max_jobs_run": 1, "gpu": 0, "num_threads": 0, "max_requeues": 0}  # the least of each
MEANINGS = {SPEECHLESS: "error: it could not write, not even to its log; free some space, then run the same command again"}
CHOICES = {"pick": ("all", "failed", "incomplete"), "requeue": ("true", "false"), "together": ("true", "false")}


@dataclass(frozen=True)
class Request:
    """What one command line asks for; `name` is "" when there is no range."""
    program: str
    options: dict[str, str]  # those with two dashes, in the order given, and --max-jobs-run also for -tc
    passed: tuple[str, ...]  # words with one dash and their values, for a batch system to read, in order
    name: str
    first: int
    last: int
    log: str
    words: tuple[str, ...]

    @property
    def numbers(self) -> range:
        """The numbers of all jobs."""
        return range(self.first, self.last + 1)


def parse(argv: list[str]) -> Request:
    """Read Kaldi's command line (`argv[0]` is the program). Raises InputError on one that cannot be meant."""
    program, words = os.path.basename(argv[0]), list(argv[1:])
    options: dict[str, str] = {}
    passed: list[str] = []
    name, first, last = "", 1, 1
    while words:
        array = re.fullmatch(r"(\w+)=([0-9]+)(?::([0-9]+))?", words[0])
        if array and not name:
            if max(len(array[2]), len(array[3] or "")) > DIGITS:
                raise InputError(f"the range {shown(words[0], 40)} is more than any cluster runs; write for example {array[1]}=1:4.")
            name, first, last = array[1], int(array[2]), int(array[3] or array[2])
            if not 1 <= first <= last:
                raise InputError(f"the range {words[0]} is empty or starts below 1; write for example {name}=1:4.")
            words.pop(0)
        elif words[0].startswith("-"):
            _take_option(words, options, passed)
        else:
            break
    if len(words) < 2:
        raise InputError(f"a log file and a command are needed: {program} [options] [JOB=1:n] LOG COMMAND...")
    log = words.pop(0)
    if not log:
        raise InputError(f"the log file has no name: {program} [options] [JOB=1:n] LOG COMMAND...")
    if re.match(r"\w+=[^/]*:[^/]*$", log):
        raise InputError(f"'{log}' is no range of jobs; both ends must be whole numbers, as in JOB=1:4.")
    if last > first and name not in log:
        raise InputError(f"all of {name}={first}:{last} would write to the one log {log}; put {name} in its name.")
    return _possible(Request(program, options, tuple(passed), name, first, last, log, tuple(words)))


def _possible(request: Request) -> Request:
    """Raises InputError on options that contradict each other."""
    jobs, limit = len(request.numbers), request.options.get("max_jobs_run")
    if request.options.get("together") == "true" and limit and int(limit) < jobs:
        raise InputError(f"the {jobs} jobs of --together true wait for each other, and --max-jobs-run {limit} never runs all at once; "
                         "leave that option out.")
    return request


def with_defaults(request: Request, defaults: Mapping[str, str], path: str) -> Request:
    """The request as if the defaults of the configuration `path` stood in it, after what was given. Raises InputError."""
    missing = {key: value for key, value in defaults.items() if key not in request.options}
    for key, value in missing.items():
        _check(f"--{key.replace('_', '-')}, a default of {path},", key, value)
    return _possible(replace(request, options={**request.options, **missing}))


def _take_option(words: list[str], options: dict[str, str], passed: list[str]) -> None:
    """Move one option from `words`; the last of a repeated one with two dashes counts, the least of limits."""
    flag = words.pop(0)
    if flag in BARE:
        passed.append(flag)
        return
    key, equals, value = flag.partition("=") if flag.startswith("--") else (flag, "", "")
    values = [value] if equals else []
    for _ in range(0 if equals else 2 if flag == "-pe" else 1):
        if not words or words[0].startswith("--"):
            raise InputError(f"the option {flag} needs a value after it.")
        values.append(words.pop(0))
    if not flag.startswith("--") and flag != "-tc":
        passed += [flag, *values]
        return
    key, value = key.lstrip("-").replace("-", "_"), values[0]
    key = {"tc": "max_jobs_run", "max_time": "time"}.get(key, key)
    _check(flag.partition("=")[0], key, value)
    if key == "max_jobs_run":
        value = str(min(int(value), int(options.get(key, value))))
    options[key] = value


def _check(flag: str, key: str, value: str) -> None:
    """Raises InputError on a value that an option cannot have."""
    least = COUNTS.get(key)
    if least is not None and not (re.fullmatch(rf"[0-9]{{1,{DIGITS}}}", value) and int(value) >= least):
        raise InputError(f"the option {flag} takes a whole number from {least} on, not {shown(value)}.")
    if value not in CHOICES.get(key, (value,)):
        *others, last = CHOICES[key]
        raise InputError(f"{flag} takes {', '.join(others)} or {last}, not {shown(value)}.")


def log_path(request: Request, number: int) -> str:
    """The log file of one job."""
    return request.log.replace(request.name, str(number)) if request.name else request.log


def command_line(request: Request) -> str:
    """The line of bash that the jobs run, the range's name still in it."""
    return " ".join(_quote(word) for word in request.words)


def shell_line(request: Request, number: int) -> str:
    """The line of bash that one job runs."""
    line = command_line(request)
    return line.replace(request.name, str(number)) if request.name else line


def _quote(word: str) -> str:
    """Kaldi's rule, and besides: a single quote inside a word that must stand in single quotes survives, and a backslash at the end."""
    if word and not re.search(r"\s", word, re.ASCII):   # as Kaldi's: bash, too, knows no other white space
        return word
    if '"' in word:
        return "'" + word.replace("'", "'\\''") + "'"
    odd = len(word) - len(word.rstrip("\\")) & 1   # it would take the closing quote for its own
    return f'"{word}{chr(92) * odd}"'


def put_away(path: str, run: int) -> None:
    """A log of an earlier launcher goes; that of a run before a requeue, the run-th, stays under a name of its own."""
    if os.path.exists(path):
        if run:
            os.replace(path, f"{path}.{run}")
        else:
            os.remove(path)


def write_header(path: str, line: str) -> None:
    """Start a log from its beginning."""
    os.makedirs(os.path.dirname(path) or ".", exist_ok=True)
    with open(path, "w", errors="surrogateescape") as log:
        log.write(f"# {line} \n# Started at {_date(time.time())}\n#\n")


def write_footer(path: str, code: int, started: float, threads: str) -> None:
    """End a log. code: exit status, or minus the signal that killed the job; started: seconds since 1970."""
    now = time.time()
    with open(path, "rb") as log:
        log.seek(-1, os.SEEK_END)
        newline = "" if log.read(1) == b"\n" else "\n"
    status = f"code {code}" if code >= 0 else f"code 0; signal {-code}"
    elapsed = round(now - started)
    with open(path, "a") as log:
        log.write(f"{newline}# Accounting: time={elapsed} threads={threads}\n"
                  f"# Ended ({status}) at {_date(now)}, elapsed time {elapsed} seconds\n")


def _date(when: float) -> str:
    return time.strftime("%a %b %d %H:%M:%S %Z %Y", time.localtime(when))


def read_status(path: str) -> int | None:
    """Exit status (128 + signal when killed) in a log's last line, of run.pl or of the others; None: not run, or not ended."""
    if not os.path.exists(path):
        return None
    lines = _lines(path)
    last = lines[-1] if lines else ""
    end = re.match(r"# Ended \(code (\d+)(?:; signal (\d+))?\)", last)
    if end is None:
        end = re.fullmatch(r"# Finished at .* with status (\d+)()", last)
    if end is None:
        return None
    return 128 + int(end[2]) if end[2] else int(end[1])


def pick(request: Request) -> tuple[list[int], dict[int, int]]:
    """What --pick says: the numbers of the jobs to run, and the failed ones that are left as they are, with their status."""
    which = request.options.get("pick", "all")
    status = {number: None if which == "all" else read_status(log_path(request, number)) for number in request.numbers}
    todo = [number for number, code in status.items() if code is None or (code and which == "failed")]
    if todo and request.options.get("together") == "true":
        return list(request.numbers), {}
    return todo, {number: code for number, code in status.items() if code and which == "incomplete"}


def seconds_of(variable: str, usual: float) -> float:
    """A number of seconds that a variable of the environment may change. Raises InputError on anything else."""
    given = os.environ.get(variable, str(usual))
    if not re.fullmatch(r"\d+(\.\d+)?", given) or not float(given):
        raise InputError(f"{variable} is a number of seconds above 0, not '{given}'; change or unset it.")
    return float(given)


def _lines(path: str) -> list[str]:
    with open(path, errors="replace") as log:
        return log.read().splitlines()


def _tail(path: str) -> list[str]:
    """The last lines, without those about the batch system's environment; from a program's own sentence on, where it stands there."""
    lines = [line for line in _lines(path) if not line.startswith("# SLURM_")][-TAIL:]
    told = [place for place, line in enumerate(lines) if re.match(r"\S+: error: ", line)]
    return lines[told[-1] if told else 0:]


def report(request: Request, failed: dict[int, int], reasons: Mapping[int, str] | None = None, also: str = "") -> None:
    """Say on stderr which jobs failed, where their logs are, and how the first of those logs ends.

    failed: exit status by job number, not empty, the true reason first where the jobs run together; reasons: what the batch
    system says of some of them; also: the file to show when the first job wrote no log.
    """
    total, program = len(request.numbers), request.program
    numbers = list(failed) if request.options.get("together") == "true" else sorted(failed)
    where = request.log.replace(request.name, "*") if request.name else request.log
    messages = [f"{len(failed)} / {total} failed, log is in {where}" if total > 1 else f"job failed, log is in {where}"]
    for number in numbers[:NAMED]:
        reason = (reasons or {}).get(number, "") or MEANINGS.get(failed[number], "")
        messages.append(f"job {number} ended with status {failed[number]}{reason and f' ({reason})'}: {log_path(request, number)}")
    if len(numbers) > NAMED:
        messages.append(f"... and {len(numbers) - NAMED} more")
    if not request.name and "JOB" in request.log:
        messages.append("the log's name holds JOB but no range was given; put JOB=1:$nj before it")
    shown = next((path for path in (log_path(request, numbers[0]), also) if os.path.exists(path)), None)
    messages.append(f"the last lines of {shown}:" if shown else "it wrote no log")
    print(*(f"{program}: {message}" for message in messages), *(_tail(shown) if shown else []), sep="\n", file=sys.stderr)


def exit_status(failed: dict[int, int]) -> int:
    """Exit status of a launcher: 0; REQUEUE when the jobs that did not end with 0 all ended with it; else 1."""
    return 0 if not failed else REQUEUE if set(failed.values()) == {REQUEUE} else 1
