"""Decides for tasks that have ended whether they failed or are submitted again: each alone or, with --together true, all together."""
import time
from collections.abc import Callable
from dataclasses import dataclass, field

from sslspk.launch.request import REQUEUE, Request
from sslspk.launch.scheduler import Scheduler, State, Task

KILLED = 137    # status of a task that left none
TIMEOUTS = 3    # limits met in a row, without having saved, after which a task is not started again
WITH_OTHERS = "ended because another of the jobs that run together did"


@dataclass
class Outcome:
    """How a task ended."""
    status: int
    reason: str = ""         # what is known beside the status
    restart_reason: str = ""    # why it may be started again; "": it may not
    final: bool = False      # nothing may be started again, neither this task nor one that runs together with it
    cancelled: bool = False  # by a user, in the batch system
    cancelled_by_us: bool = False   # by this program, as another one ended badly
    when: float = field(default_factory=time.time)

    @property
    def rank(self) -> tuple[int, float]:
        """The cause comes first: a task that was lost or stopped from outside, since it makes the others fail; then the task that failed
        first."""
        return 0 if self.final else 3 if self.cancelled_by_us else 1 if self.restart_reason or self.status >= 128 else 2, self.when


def read_status(path: str) -> tuple[int, str]:
    """(status, caught) that a job's script wrote; of a damaged file the status of a killed one."""
    with open(path, encoding="utf-8", errors="replace") as file:
        words = file.read().split()
    if len(words) == 2 and words[0].isdecimal() and len(words[0]) <= 3:
        return int(words[0]), words[1]
    return KILLED, "-"


def outcome_of(task: Task, status: int, state: State | None, requeue: bool) -> Outcome:
    """How a task ended that is over and did not end with 0. status: its script's, or KILLED; the reason is left to be found."""
    if task.cancelled_by_us:
        return Outcome(status, WITH_OTHERS, cancelled_by_us=True)
    unsaved = bool(state and state.timeout and task.status is None)
    task.timeouts = task.timeouts + 1 if unsaved else 0
    cancelled = bool(state and state.cancelled)
    wanted = status == REQUEUE or task.warned or bool(state and state.again)   # every step goes on where it was stopped
    if cancelled or not (requeue and wanted):
        return Outcome(status, final=cancelled, cancelled=cancelled)
    if task.timeouts >= TIMEOUTS:
        return Outcome(status, f"it met its time limit {TIMEOUTS} times in a row before it could save; raise --time", final=True)
    return Outcome(status, restart_reason="saved" if status == REQUEUE else state.text if state and state.again else "told to end")


class Outcomes:
    """`failed` maps the number of each failed task to its status, the true reason first; `reasons` to what is known beside."""

    def __init__(self, request: Request, scheduler: Scheduler, say: Callable[[str], None], grace: float):
        self.name, self.say, self.grace = scheduler.name, say, grace
        self.limit = int(request.options.get("max_requeues", 100))
        self.together = request.options.get("together") == "true"
        self.failed: dict[int, int] = {}
        self.reasons: dict[int, str] = {}
        self.to_restart: list[Task] = []   # to be submitted again
        self.unexplained: list[Task] = []  # failed with a status that does not say why
        self.ended: list[tuple[Task, Outcome]] = []   # of those that run together
        self.cancelled = False             # by a user, in the batch system
        self.broken_at = 0.0               # since when one of those that run together has failed, by the monotonic clock

    def take(self, task: Task, outcome: Outcome) -> None:
        """A task has ended."""
        self.cancelled = self.cancelled or outcome.cancelled
        if self.together:
            self.ended.append((task, outcome))
            if outcome.status and not self.broken_at:
                self.broken_at = time.monotonic()
        elif outcome.status and self._may_go_on(task, outcome):
            self._start_again(task, outcome.restart_reason)
        elif outcome.status:
            self.fail(task, outcome)

    def to_cancel(self, tasks: list[Task]) -> list[Task]:
        """The open tasks that are still to be cancelled: another task failed, and they had time to end by themselves."""
        if not self.broken_at or time.monotonic() - self.broken_at < self.grace:
            return []
        return [task for task in tasks if not task.cancel_accepted and task.status is None]

    def decide_together(self) -> None:
        """After all jobs of a group have ended: restart all of them, or none."""
        ended, self.ended, self.broken_at = self.ended, [], 0.0
        bad = sorted(((task, outcome) for task, outcome in ended if outcome.status), key=lambda item: item[1].rank)
        wanted = [item for item in bad if item[1].restart_reason]
        if wanted and not any(outcome.final for _, outcome in bad) and self._may_go_on(*wanted[0]):
            for task, outcome in ended:
                self._start_again(task, outcome.restart_reason or "as those do that run together with it")
        else:
            for task, outcome in bad:
                self.fail(task, outcome)

    def _may_go_on(self, task: Task, outcome: Outcome) -> bool:
        if outcome.restart_reason and task.run >= self.limit:
            outcome.reason = f"it was to be started again more than {self.limit} times (--max-requeues)"
        return bool(outcome.restart_reason) and task.run < self.limit

    def _start_again(self, task: Task, why: str) -> None:
        task.run += 1
        self.say(f"job {task.number} ({self.name} {task.job}) ended, {why}; it is submitted again ({task.run} of at most {self.limit})")
        self.to_restart.append(task)

    def fail(self, task: Task, outcome: Outcome) -> None:
        """A task has failed for good."""
        self.failed[task.number] = outcome.status
        if outcome.reason or outcome.restart_reason:
            self.reasons[task.number] = outcome.reason or outcome.restart_reason
        if outcome.status >= 128 and not (outcome.cancelled_by_us or (outcome.final and outcome.reason)):
            self.unexplained.append(task)
