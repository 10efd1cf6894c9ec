"""The jobs of a step, Kaldi's `run.pl [options] [JOB=1:n] LOG COMMAND...`: what every way of running them shares.

`parse` reads the command line into a `Request`; `shell_line` and `log_path` say what one job of it runs and where it
writes; `report` tells which jobs failed. sslspk/launch_local.py runs the jobs on this machine (utils/run.pl).
Standard library only, since it starts before every job.

Words are joined as Kaldi joins them: one without white space stays as it is, so that a quoted `|` or `>` acts in bash;
one with white space gets quotes. As in Kaldi there is no `pipefail`, and the range's name is replaced wherever it
stands. Unlike Kaldi's, `--name=value` is understood, and an option without its value is an error.
"""
import os
import re
import sys
import time
from dataclasses import dataclass

from sslspk.errors import InputError

TAIL = 20  # lines of the first failing log that are shown


@dataclass(frozen=True)
class Request:
    """What one command line asks for; `name` is "" when there is no range."""
    program: str
    options: dict[str, str]
    name: str
    first: int
    last: int
    log: str
    words: tuple[str, ...]


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
                raise InputError(f"the range {words[0]} is empty or starts below 1; write for example {name}=1:4.")
            words.pop(0)
        elif words[0].startswith("-"):
            _take_option(words, options)
        else:
            break
    if len(words) < 2:
        raise InputError(f"a log file and a command are needed: {program} [options] [JOB=1:n] LOG COMMAND...")
    log = words.pop(0)
    if re.match(r"\w+=[^/]*:[^/]*$", log):
        raise InputError(f"'{log}' is no range of jobs; both ends must be whole numbers, as in JOB=1:4.")
    if last > first and name not in log:
        raise InputError(f"all of {name}={first}:{last} would write to the one log {log}; put {name} in its name.")
    return Request(program, options, name, first, last, log, tuple(words))


def _take_option(words: list[str], options: dict[str, str]) -> None:
    """Move one option from `words` to `options`; the last of a repeated one counts, the least of limits."""
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
    """The line of bash that one job runs."""
    line = " ".join(_quote(word) for word in request.words)
    return line.replace(request.name, str(number)) if request.name else line


def _quote(word: str) -> str:
    """Kaldi's rule, and besides: a single quote inside a word that must stand in single quotes survives."""
    if word and not re.search(r"\s", word):
        return word
    if '"' in word:
        return "'" + word.replace("'", "'\\''") + "'"
    return f'"{word}"'


def write_header(path: str, line: str) -> None:
    """Start a log anew."""
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
    """Exit status (128 + signal when killed) that a log's last line states; None without one: not run, or not ended."""
    if not os.path.exists(path):
        return None
    lines = _lines(path)
    end = re.match(r"# Ended \(code (\d+)(?:; signal (\d+))?\)", lines[-1]) if lines else None
    if end is None:
        return None
    return 128 + int(end[2]) if end[2] else int(end[1])


def _lines(path: str) -> list[str]:
    with open(path, errors="replace") as log:
        return log.read().splitlines()


def report(request: Request, failed: dict[int, int]) -> None:
    """Say on stderr which jobs failed, where their logs are, and how the first of those logs ends.

    failed: exit status by job number, not empty.
    """
    total, program, numbers = request.last - request.first + 1, request.program, sorted(failed)
    where = request.log.replace(request.name, "*") if request.name else request.log
    messages = [f"{len(failed)} / {total} failed, log is in {where}" if total > 1 else f"job failed, log is in {where}"]
    messages += [f"job {number} ended with status {failed[number]}: {log_path(request, number)}"
                 for number in numbers[:10]]
    if len(numbers) > 10:
        messages.append(f"... and {len(numbers) - 10} more")
    if not request.name and "JOB" in request.log:
        messages.append("the log's name holds JOB but no range was given; put JOB=1:$nj before it")
    first = log_path(request, numbers[0])
    messages.append(f"the last lines of {first}:")
    print(*(f"{program}: {message}" for message in messages), *_lines(first)[-TAIL:], sep="\n", file=sys.stderr)
