"""Shows the progress of running jobs: figures from their logs every half minute, warnings and scores at once."""
import os
import re
import sys
import threading
import time
from collections import Counter
from types import TracebackType

from sslspk.launch.request import Request, log_path, seconds_of

LOOK = 1.0       # seconds between two looks at the logs
PAUSE = 30.0     # seconds between two lines (SSLSPK_PROGRESS_SECONDS changes it)
ALIKE = 5        # warnings that differ only in numbers and names are shown so many times
WARNINGS = 20    # kinds of warnings that are shown; the log has all
JOBS = 4         # jobs of an array whose figures are shown at a time
READ = 1 << 20   # bytes at a time
STAMP = re.compile(r"\d\d:\d\d:\d\d ")
NAME = re.compile(r"\S*[\d/_\\-]\S*")   # a word that is a number, a path or the name of an utterance


class Log:
    """The log of a job as it grows, also a new one where the job is started again. latest: figures that were not shown yet."""

    def __init__(self, path: str, prefix: str):
        self.path, self.prefix, self.latest = path, prefix, ""
        self.place, self.file, self.rest = 0, (0, 0), b""

    def lines(self) -> list[str]:
        """The lines since the last call."""
        try:
            with open(self.path, "rb") as log:
                status = os.fstat(log.fileno())
                if (status.st_dev, status.st_ino) != self.file or status.st_size < self.place:
                    self.file, self.place, self.rest = (status.st_dev, status.st_ino), 0, b""
                log.seek(self.place)
                new = log.read(READ)
        except OSError:   # not yet there
            return []
        self.place += len(new)
        *lines, self.rest = (self.rest + new).split(b"\n")
        return [line.decode(errors="replace") for line in lines]


class Follower(threading.Thread):
    """Prints the fields named in SSLSPK_FOLLOW ("step epoch loss") from the progress lines of the logs, and their warnings.

    Without the variable it does nothing. A progress line is `12:00:00 step 10 lr 0.1 loss 2.5`, or what a launcher inside the job printed
    of one. With "*" the newest line of the log is printed, whatever it is. Lines of an array's jobs begin with the number of the job.
    """

    def __init__(self, request: Request):
        super().__init__(daemon=True)
        self.keys = os.environ.get("SSLSPK_FOLLOW", "").split()
        numbers = request.numbers if self.keys else ()
        self.logs = [Log(log_path(request, number), f"job {number}: " if len(numbers) > 1 else "") for number in numbers]
        self.pause, self.look = seconds_of("SSLSPK_PROGRESS_SECONDS", PAUSE), max(LOOK, len(self.logs) / 20)
        self.said, self.kinds, self.shown_at = set(), Counter(), 0.0
        self.over = threading.Event()

    def __enter__(self) -> "Follower":
        if self.keys:
            self.start()
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        if self.is_alive():
            self.over.set()
            self.join(10 * LOOK)

    def run(self) -> None:
        while not self.over.wait(self.look):
            self._look()
        self._look(last=True)

    def _look(self, last: bool = False) -> None:
        for log in self.logs:
            for line in log.lines():
                self._take(log, line)
        new = [log for log in self.logs if log.latest]
        if new and (last or time.monotonic() - self.shown_at >= self.pause):
            shown = new[:JOBS]
            for log in shown:
                self._print(log)
            self.logs = [log for log in self.logs if log not in shown] + shown   # the others have their turn next
            self.shown_at = time.monotonic()

    def _take(self, log: Log, line: str) -> None:
        words = STAMP.sub("", line, count=1).split()
        if words and words[0].lower() == "warning:":
            self._warn(log, " ".join(words))
        elif self.keys == ["*"]:
            log.latest = " ".join(words) if not line.startswith("#") else log.latest
        elif not STAMP.match(line) and not line.startswith("  "):
            return
        elif words[:1] == ["evaluated"]:
            self._print(log, " ".join(words))   # after the figures, as in the log
            self.shown_at = time.monotonic()
        elif words[:1] == self.keys[:1]:
            log.latest = " ".join(f"{key} {words[words.index(key) + 1]}" for key in self.keys if key in words[:-1])

    def _warn(self, log: Log, text: str) -> None:
        """Show it: of many alike the first ones, of a collapse and the like (WARNING) all."""
        if text in self.said:
            return
        self.said.add(text)
        kind = NAME.sub("*", text)
        self.kinds[kind] += 1
        if text.startswith("WARNING:") or (self.kinds[kind] <= ALIKE and len(self.kinds) <= WARNINGS):
            print_lines(f"{log.prefix}{text}")
        elif self.kinds[kind] == ALIKE + 1 or (self.kinds[kind] == 1 and len(self.kinds) == WARNINGS + 1):
            print_lines(f"{log.prefix}more warnings of this kind are in {log.path}")

    def _print(self, log: Log, *more: str) -> None:
        """The figures of a job that were not shown yet, and more lines."""
        figures, log.latest = log.latest, ""
        print_lines(*(f"{log.prefix}{line}" for line in (figures, *more) if line))


def print_lines(*lines: str) -> None:
    """On standard output; where nobody reads it any more, nothing is printed, since the job does not depend on it."""
    try:
        print(*(f"  {line}" for line in lines), sep="\n", flush=True)
    except OSError:
        sys.stdout = open(os.devnull, "w")  # noqa: SIM115
