"""SIGINT, SIGTERM and SIGHUP of a launcher that waits most of the time: they act while it waits, and never between two steps."""
import signal
import time


class Stopped(Exception):
    """A signal asked for the end."""


class Signals:
    """`caught` is the first signal that asked for the end, or 0."""

    def __init__(self) -> None:
        self.caught = 0
        self.unheard = self.waiting = False  # unheard: a signal has come that raised nothing so far

    def listen(self) -> None:
        """From here on signals count."""
        for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
            if signal.getsignal(number) != signal.SIG_IGN:  # nohup and `&` in a script ask not to be disturbed
                signal.signal(number, self._on_signal)

    def _on_signal(self, number: int, _frame: object) -> None:
        self.caught = self.caught or number
        self.unheard = True
        if self.waiting:
            self._stop()

    def _stop(self) -> None:
        self.waiting = self.unheard = False
        raise Stopped

    def wait(self, seconds: float) -> None:
        """Raises Stopped when a signal has come since the last one that did, or comes: also a second one, while things are ended."""
        self.waiting = True  # from here on the signal handler itself raises
        if self.unheard:
            self._stop()
        time.sleep(seconds)
        self.waiting = False
