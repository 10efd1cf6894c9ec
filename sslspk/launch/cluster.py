"""Runs the jobs of a request in a batch system: utils/queue.pl and utils/slurm.pl. Submission, waiting, cancelling, starting again.

The status of a task is what its own script wrote to a file; the batch system is asked, seldom, about tasks without one.
Nothing is read out of logs, nor taken from a submission that waits. One failing task does not stop the others.
When this program is itself killed with -9, its jobs go on in the queue; scancel or qdel ends them.
"""
import os
import re
import shutil
import signal
import sys
import time

from sslspk.errors import InputError
from sslspk.launch import script
from sslspk.launch.conf import load
from sslspk.launch.request import NAMED, REQUEUE, Request, log_path, outcome, parse, pick, report
from sslspk.launch.scheduler import Refused, Scheduler, State, Task

ASK = 10.0     # seconds between two questions to the batch system (SSLSPK_ASK_SECONDS changes it)
TRIES = 6      # of a submission while the batch system cannot be reached
LOOKS = 3.0    # seconds between two looks at the folder of statuses, in the end
WAITS = 60.0   # seconds after which the reason why a job waits is said
GRACE = 60.0   # seconds for cancelled jobs to save and leave
KILLED = 137   # status of a task that left none
USAGE = """usage: {name} [options] [JOB=1:n] LOG COMMAND [ARGUMENT...]

Runs COMMAND as a job of {system} with its output in LOG; with JOB=1:n it runs an array of n with JOB replaced by the number.
  --mem 2G --gpu N --num-threads N --time T   as --config says
  --config FILE      how options become words of {system} (default: conf/{conf}, else built-in settings)
  --max-jobs-run N   at most N at a time
  --pick WHICH       all | failed (failed and unfinished ones again) | incomplete (only the unfinished ones)
  --requeue true     start a job again that ends with status {again} (it saved), is preempted or loses its node;
                     a signal comes two minutes before the time limit and before preemption
  --max-requeues N   at most N times (default 100)
  Words with one dash (-l, -q, -p, -pe smp N, -N ...) go to {system} as they are.
Scripts and the batch system's own messages are in the folder q/ beside the logs."""


class _Stopped(Exception):
    """A signal asked for the end."""


class Cluster:
    """All jobs of one request. `failed` maps the number of each failed job to its status, `reasons` to what is known beside."""

    def __init__(self, request: Request, scheduler: Scheduler):
        self.request, self.scheduler = request, scheduler
        self.where = script.places(request)
        self.ask = _seconds_between_questions()
        self.requeue = request.options.get("requeue") == "true"
        self.limit = int(request.options.get("max_requeues", 100))
        self.open: dict[int, Task] = {}
        self.failed: dict[int, int] = {}
        self.reasons: dict[int, str] = {}
        self.again: list[Task] = []        # to be submitted again
        self.over: list[Task] = []         # failed with a status that does not say why
        self.submissions = self.caught = 0  # caught: the first signal that asked for the end
        self.asked = self.submitted = 0.0  # when, by the monotonic clock
        self.cancelled = self.waiting = self.said_why = self.said_silent = False  # cancelled: by a user, in the batch system

    def run(self) -> dict[int, int]:
        """Run everything; returns `failed`. Raises SystemExit(128 + signal) when told to stop."""
        for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
            if signal.getsignal(number) != signal.SIG_IGN:  # nohup and `&` in a script ask not to be disturbed
                signal.signal(number, self._on_signal)
        try:
            todo, self.failed = pick(self.request)
            self._submit([Task(number) for number in todo])
            while self.open:
                self._collect()
                self._ask()
                self._submit_again()
                if self.open:
                    self._pause(min(LOOKS, 0.1 + (time.monotonic() - self.submitted) / 20))
            self._look_back()
        except _Stopped:
            self._stop()
            raise SystemExit(128 + self.caught) from None
        finally:
            shutil.rmtree(self.where.sync, ignore_errors=True)
        return self.failed

    def _on_signal(self, number: int, _frame: object) -> None:
        self.caught = self.caught or number
        if self.waiting:
            self.waiting = False
            raise _Stopped

    def _pause(self, seconds: float) -> None:
        self.waiting = True  # from here on the signal handler itself raises
        if self.caught:
            raise _Stopped
        time.sleep(seconds)
        self.waiting = False

    def _say(self, message: str) -> None:
        print(f"{self.request.program}: {message}", file=sys.stderr, flush=True)

    def _submit(self, tasks: list[Task]) -> None:
        """Hand tasks to the batch system as one job; wait and try again while it cannot be reached. Raises Refused."""
        if not tasks:
            return
        numbers = [task.number for task in tasks]
        number, places = self.scheduler.task_number(numbers)
        for task in tasks:
            self._put_log_away(task)
        gpus = 0 if self.scheduler.assigns_gpus else int(self.request.options.get("gpu", 0))
        script.write(self.request, self.where, number, self.scheduler.job, self.submissions, gpus, self.scheduler.plain_exit)
        job = self._try(self.scheduler.submission(self.where.script, self.where.log, numbers))
        for task in tasks:
            task.job, task.place, task.submission = job, places[task.number], self.submissions
            task.state, task.status, task.warned, task.gone_at = None, None, False, 0.0
            self.open[task.number] = task
        self.submissions += 1
        self.submitted = self.asked = time.monotonic()

    def _submit_again(self) -> None:
        tasks, self.again = self.again, []
        try:
            self._submit(tasks)
        except Refused as err:  # the others still run
            for task in tasks:
                self._fail(task, REQUEUE, str(err))

    def _try(self, words: list[str]) -> str:
        for attempt in range(TRIES):
            try:
                return self.scheduler.submit(words)
            except Refused as err:
                if not err.transient or attempt == TRIES - 1:
                    raise
                pause = self.ask / 5 * 2 ** attempt
                self._say(f"{err}\n{self.request.program}: trying again in {pause:g} seconds")
                self._pause(pause)
        raise AssertionError("unreachable")

    def _put_log_away(self, task: Task) -> None:
        """A log of an earlier run of this program goes, that of a run before a requeue stays under a name of its own."""
        log = log_path(self.request, task.number)
        if os.path.exists(log):
            if task.run:
                os.replace(log, f"{log}.{task.run}")
            else:
                os.remove(log)

    def _collect(self) -> None:
        """Read the statuses that have come."""
        found = set(os.listdir(self.where.sync))
        for task in list(self.open.values()):
            name = f"{task.number}.status.{task.submission}"
            if name not in found or task.status is not None:
                continue
            with open(os.path.join(self.where.sync, name), encoding="utf-8") as file:
                status, caught = file.read().split()
            self._ended(task, int(status), caught)

    def _ended(self, task: Task, status: int, caught: str) -> None:
        """caught: the first signal that its script caught, or "-"."""
        if status == 0:
            del self.open[task.number]
        elif not self.requeue or (status != REQUEUE and caught == "-"):
            self._fail(task, status, f"told to end by SIG{caught}" if caught != "-" else "")
        elif self.scheduler.warned_is_cancelled(caught):
            self.cancelled = True
            self._fail(task, status, f"cancelled in {self.scheduler.name}")
        else:
            task.status, task.warned = status, caught != "-"  # whether a user or a preemption ended it, the batch system knows

    def _fail(self, task: Task, status: int, reason: str) -> None:
        self.open.pop(task.number, None)
        self.failed[task.number] = status
        if reason:
            self.reasons[task.number] = reason
        if status >= 128:
            self.over.append(task)

    def _ask(self) -> None:
        """Ask the batch system, now and then, about the tasks without status; more often about those that seem to be over."""
        hurry = any(task.gone_at or task.status is not None for task in self.open.values())
        if not self.open or time.monotonic() - self.asked < self.ask / (4 if hurry else 1):
            return
        self.asked = time.monotonic()
        states = self.scheduler.states(sorted({task.job for task in self.open.values()}))
        if states is None:
            if not self.said_silent:
                self._say(f"{self.scheduler.name} does not answer; waiting for it, and for the jobs")
            self.said_silent = True
            return
        for task in list(self.open.values()):
            self._look_at(task, states.get((task.job, task.place)))

    def _look_at(self, task: Task, state: State | None) -> None:
        """state: what the batch system says of a task; None when it knows nothing of it."""
        if state and state.stuck:
            self.scheduler.call(self.scheduler.cancellation([f"{task.job}.{task.place}" if task.place else task.job]))
            self._fail(task, KILLED, f"{self.scheduler.name}: {state.text}")
        elif state and state.alive:
            task.state, task.gone_at = state, 0.0
            self._say_why(task)
        elif task.status is not None:
            self._decide(task, task.status, state)
        elif not task.gone_at:
            task.state, task.gone_at = state, time.monotonic()
            self._find_twin(task)
        elif time.monotonic() - task.gone_at > self.ask / 2:  # time for a network disk to show the status
            self._decide(task, KILLED, state)

    def _find_twin(self, task: Task) -> None:
        """A submission whose answer was lost may run instead of the one that was repeated."""
        begun = os.path.join(self.where.sync, f"{task.number}.begun.{task.submission}")
        if os.path.exists(begun):
            with open(begun, encoding="utf-8") as file:
                job = file.read().strip()
            if job and job != task.job:
                task.job, task.gone_at = job, 0.0

    def _decide(self, task: Task, status: int, state: State | None) -> None:
        """What becomes of a task that is over, and did not end with 0."""
        wanted = status == REQUEUE or task.warned or bool(state and state.again)   # every step goes on where it was stopped
        if not (self.requeue and wanted) or (state and state.cancelled):
            self.cancelled = self.cancelled or bool(state and state.cancelled)
            known = self.scheduler.explain(task.job, task.place) if len(self.failed) < NAMED else ""
            known = known or (state.text if state else "it left the queue without a status: deleted, killed, or its node is gone")
            self._fail(task, status, f"{self.scheduler.name}: {known}")
        elif task.run >= self.limit:
            self._fail(task, status, f"it was to be started again more than {self.limit} times (--max-requeues)")
        else:
            task.run += 1
            why = "saved" if status == REQUEUE else state.text if state and state.again else "told to end"
            self._say(f"job {task.number} ({self.scheduler.name} {task.job}) ended, {why}; it is submitted again "
                      f"({task.run} of at most {self.limit})")
            del self.open[task.number]
            self.again.append(task)

    def _say_why(self, task: Task) -> None:
        """Say, once, why a job waits."""
        if task.state.waits and not self.said_why and time.monotonic() - self.submitted > min(WAITS, 6 * self.ask):
            self.said_why = True
            self._say(f"job {task.number} ({self.scheduler.name} {task.job}) waits: {self.scheduler.pending(task.job, task.state)}")

    def _look_back(self) -> None:
        """Ask for the reason of statuses that mean a signal; those jobs may still be on their way out."""
        tasks = self.over[:NAMED]
        jobs, states = sorted({task.job for task in tasks}), {}
        for _ in range(5 if tasks else 0):
            states = self.scheduler.states(jobs) or {}
            if not any(states[key].alive for key in states if key in {(task.job, task.place) for task in tasks}):
                break
            self._pause(self.ask / 5)
        for task in tasks:
            state, known = states.get((task.job, task.place)), self.reasons.get(task.number, "")
            if state and not state.alive and not state.text.startswith("FAILED") and state.text not in known:
                self.reasons[task.number] = "; ".join(filter(None, [known, f"{self.scheduler.name}: {state.text}"]))

    def _stop(self) -> None:
        """Cancel everything, and wait until it has left."""
        name, jobs = signal.Signals(self.caught).name, sorted({task.job for task in self.open.values()})
        if not jobs:
            self._say(f"stopped by {name}, with no job in the queue")
            return
        words = self.scheduler.cancellation(jobs)
        self._say(f"stopped by {name}; cancelling its jobs: {' '.join(words)}")
        end = time.monotonic() + GRACE
        try:
            done = self.scheduler.call(words)
            while time.monotonic() < end:
                self._collect()
                states = self.scheduler.states(jobs) if self.open else {}
                if states is not None and not any(state.alive for state in states.values()):
                    self._say(f"its jobs have ended; log is in {self.request.log}")
                    return
                self.waiting = True  # a second signal ends the waiting
                time.sleep(min(1.0, self.ask / 5))
                self.waiting = False
            self._say(f"its jobs have not ended yet ({done.stderr.strip()})")
        except (Refused, _Stopped) as err:
            self._say(f"its jobs may still run{str(err) and f' ({err})'}; {' '.join(words)} ends them")


def _seconds_between_questions() -> float:
    given = os.environ.get("SSLSPK_ASK_SECONDS", str(ASK))
    if not re.fullmatch(r"\d+(\.\d+)?", given) or not float(given):
        raise InputError(f"SSLSPK_ASK_SECONDS is a number of seconds above 0, not '{given}'; change or unset it.")
    return float(given)


def main(kind: type[Scheduler]) -> int:
    """utils/queue.pl or utils/slurm.pl; returns its exit status."""
    if sys.argv[1:] in (["--help"], ["-h"]):
        print(USAGE.format(name=os.path.basename(sys.argv[0]), system=kind.name, conf=kind.conf, again=REQUEUE))
        return 0
    request = parse(sys.argv)
    conf = load(request.options.get("config"), kind.conf, kind.settings)
    cluster = Cluster(request, kind(request, conf))
    failed = cluster.run()
    if failed:
        report(request, failed, cluster.reasons, also=cluster.where.log)
    return 1 if cluster.cancelled else outcome(failed)  # nobody is to start again what a user ended
