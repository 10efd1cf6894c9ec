"""SIGINT, SIGTERM and SIGHUP of a launcher: they take effect only while it waits, never in the middle of other work."""
import signal
import time
from collections.abc import Callable
from typing import TypeVar

AT_ONCE = 1.0   # seconds: what comes by several ways (its group, a script, a batch system) is one signal
Result = TypeVar("Result")


class Stopped(Exception):
    """A signal asked for the end."""


class Signals:
    """`caught` is the first signal that asked for the end, or 0; `again` is called at once at each later one."""

    def __init__(self, again: Callable[[], None] = lambda: None):
        self.caught, self.again, self.since = 0, again, 0.0
        self.unheard = self.waiting = False  # unheard: a signal has come that raised nothing so far

    def listen(self) -> None:
        """From here on signals count."""
        for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
            if signal.getsignal(number) != signal.SIG_IGN:  # nohup and `&` in a script ask not to be disturbed
                signal.signal(number, self._on_signal)

    def _on_signal(self, number: int, _frame: object) -> None:
        if self.caught and time.monotonic() - self.since < AT_ONCE:
            return
        if self.caught:
            self.again()
        self.caught, self.since = self.caught or number, time.monotonic()
        self.unheard = True
        if self.waiting:
            self.check()

    def check(self) -> None:
        """Raises Stopped when a signal has come since the last one that did."""
        if self.unheard:
            self.waiting = self.unheard = False
            raise Stopped

    def during(self, call: Callable[..., Result], *arguments: object) -> Result:
        """Make a call that waits and may be broken off. Raises Stopped as `check` does, or when a signal comes."""
        self.waiting = True  # from here on the signal handler itself raises
        self.check()
        result = call(*arguments)
        self.waiting = False
        return result

    def wait(self, seconds: float) -> None:
        """Raises Stopped as `during`: also at a second signal, while things are ended."""
        self.during(time.sleep, seconds)
