"""SIGINT, SIGTERM and SIGHUP of a launcher that waits most of the time: they act while it waits, and never between two steps."""
import signal
import time


class Stopped(Exception):
    """A signal asked for the end."""


class Signals:
    """`caught` is the first signal that asked for the end, or 0."""

    def __init__(self) -> None:
        self.caught = 0
        self.waiting = False

    def listen(self) -> None:
        """From here on signals count."""
        for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
            if signal.getsignal(number) != signal.SIG_IGN:  # nohup and `&` in a script ask not to be disturbed
                signal.signal(number, self._on_signal)

    def _on_signal(self, number: int, _frame: object) -> None:
        self.caught = self.caught or number
        if self.waiting:
            self.waiting = False
            raise Stopped

    def pause(self, seconds: float) -> None:
        """Wait. Raises Stopped when a signal has come, or comes."""
        self.waiting = True  # from here on the signal handler itself raises
        if self.caught:
            self.waiting = False
            raise Stopped
        self.nap(seconds)

    def nap(self, seconds: float) -> None:
        """Wait. Raises Stopped when a signal comes now: a second one, perhaps."""
        self.waiting = True
        time.sleep(seconds)
        self.waiting = False
