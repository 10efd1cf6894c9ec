"""Says why jobs wait in a batch system: after they have waited for long, and again when the reason changes."""
import re
import time
from collections.abc import Callable

from sslspk.launch.scheduler import Scheduler, Task

WAITS = 60.0     # seconds before the reason is said, and until it is looked for again
SELDOM = 3600.0  # reasons may take turns for days: each that is said doubles the pause, up to this


class PendingReason:
    """`look` at each task that is in the queue."""

    def __init__(self, scheduler: Scheduler, say: Callable[[str], None], ask: float):
        self.scheduler, self.say = scheduler, say
        self.pause = min(WAITS, 6 * ask)
        self.said = ""
        self.looked = 0.0   # when, by the monotonic clock

    def submitted(self) -> None:
        """Something was handed in just now, and may wait for a while."""
        self.looked = max(self.looked, time.monotonic())

    def check(self, task: Task) -> None:
        """Say why it waits, where that is due and new."""
        if not task.state.waits or time.monotonic() - self.looked < self.pause:
            return
        self.looked = time.monotonic()
        reason = self.scheduler.pending(task.job, task.state)
        kind = re.sub(r"[\d.]+", "#", reason)   # loads and the like always change
        if kind != self.said:
            self.said, self.pause = kind, min(SELDOM, 2 * self.pause)
            self.say(f"job {task.number} ({self.scheduler.name} {task.job}) waits: {reason}")
