"""Shows the progress of a running job: figures from its log every half minute, warnings and scores at once."""
import os
import re
import sys
import threading
import time
from types import TracebackType

from sslspk.launch.request import Request, log_path, seconds_of

LOOK = 1.0       # seconds between two looks at the log
PAUSE = 30.0     # seconds between two lines (SSLSPK_PROGRESS_SECONDS changes it)
WARNINGS = 20    # are shown; the log has the others
READ = 1 << 20   # bytes at a time
STAMP = re.compile(r"\d\d:\d\d:\d\d ")


class Follower(threading.Thread):
    """Prints what SSLSPK_FOLLOW names ("step epoch loss"): of each line `12:00:00 step 10 lr 0.1 loss 2.5` these words and their values.

    Only where the variable is set. Of several jobs the first is followed: steps/train.sh runs them for one training on several nodes.
    """

    def __init__(self, request: Request):
        super().__init__(daemon=True)
        self.path, self.keys = log_path(request, request.first), os.environ.get("SSLSPK_FOLLOW", "").split()
        self.pause = seconds_of("SSLSPK_PROGRESS_SECONDS", PAUSE)
        self.place, self.file, self.rest = 0, (0, 0), b""
        self.latest, self.said, self.shown_at = "", set(), 0.0
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
        while not self.over.wait(LOOK):
            self._look()
        self._look(last=True)

    def _look(self, last: bool = False) -> None:
        for line in self._lines():
            words = STAMP.sub("", line, count=1).split()
            if words and words[0].lower() == "warning:":
                self._warn(" ".join(words))
            elif STAMP.match(line) and words[:1] == ["evaluated"]:
                self._print(*filter(None, (self.latest, " ".join(words))))   # in the order of the log
                self.latest, self.shown_at = "", time.monotonic()
            elif STAMP.match(line) and words[:1] == self.keys[:1]:
                self.latest = " ".join(f"{key} {words[words.index(key) + 1]}" for key in self.keys if key in words[:-1])
        if self.latest and (last or time.monotonic() - self.shown_at >= self.pause):
            self._print(self.latest)
            self.latest, self.shown_at = "", time.monotonic()

    def _warn(self, text: str) -> None:
        if text not in self.said and len(self.said) <= WARNINGS:
            self.said.add(text)
            self._print(text if len(self.said) <= WARNINGS else f"more warnings are in {self.path}")

    def _lines(self) -> list[str]:
        """What the log has got since the last look. A new log, of a job that was started again, is read from its beginning."""
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

    def _print(self, *lines: str) -> None:
        try:
            print(*(f"  {line}" for line in lines), sep="\n", flush=True)
        except OSError:   # nobody reads any more: the job does not depend on it
            sys.stdout = open(os.devnull, "w")  # noqa: SIM115
            self.pause = float("inf")
