"""Runs the jobs of a request in a batch system: utils/queue.pl and utils/slurm.pl. Submission, waiting, cancelling, starting again.

The status of a task is what its own script wrote to a file; the batch system is asked, seldom, about tasks without one.
Nothing is read out of logs, nor taken from a submission that waits. One failing task does not stop the others.
When this program is itself killed with -9, its jobs go on in the queue, until it is started again: then it ends them first.
"""
import os
import re
import signal
import sys
import time

from sslspk.errors import InputError
from sslspk.launch import leaving, script
from sslspk.launch.conf import load
from sslspk.launch.endings import KILLED, End, Endings, ending, read_status
from sslspk.launch.request import NAMED, REQUEUE, log_path, outcome, parse, pick, put_away, report, seconds_of
from sslspk.launch.scheduler import Refused, Scheduler, State, Task, between_questions
from sslspk.launch.signals import Signals, Stopped
from sslspk.launch.why import Why

ASK = 10.0     # seconds between two questions to the batch system (SSLSPK_ASK_SECONDS changes it)
TRIES = 6      # of a submission while the batch system cannot be reached
LOOKS = 3.0    # seconds between two looks at the folder of statuses, in the end
TOGETHER = 60.0  # seconds for jobs that run together to end by themselves after one did (SSLSPK_TOGETHER_SECONDS changes it)
USAGE = """usage: {name} [options] [JOB=1:n] LOG COMMAND [ARGUMENT...]

Runs COMMAND as a job of {system} with its output in LOG; with JOB=1:n it runs an array of n with JOB replaced by the number.
  --mem 2G --gpu N --num-threads N --time T   as --config says
  --config FILE      how options become words of {system} (default: conf/{conf}, else built-in settings)
  --max-jobs-run N   at most N at a time
  --pick WHICH       all | failed (failed and unfinished ones again) | incomplete (only the unfinished ones)
  --requeue true     start a job again that {again};
                     a signal comes two minutes before the time limit, for it to save
  --max-requeues N   at most N times (default 100)
  --together true    the jobs need each other: all run at once, and end or are started again as one
  Words with one dash (-l, -q, -p, -pe smp N, -N ...) go to {system} as they are.
Scripts and the batch system's own messages are in the folder q/ beside the logs."""


class Cluster:
    """All jobs of one request; `endings` holds what became of them."""

    def __init__(self, scheduler: Scheduler):
        self.scheduler, self.request = scheduler, scheduler.request
        self.where = script.places(self.request)
        self.ask = seconds_of("SSLSPK_ASK_SECONDS", ASK)
        self.requeue = self.request.options.get("requeue") == "true"
        self.open: dict[int, Task] = {}
        self.endings = Endings(self.request, scheduler, self._say, seconds_of("SSLSPK_TOGETHER_SECONDS", TOGETHER))
        self.why = Why(scheduler, self._say, self.ask)
        self.signals = Signals()
        self.submissions = 0
        self.asked = self.submitted = self.moved = self.cancelled = 0.0  # when, by the monotonic clock; moved: something happened
        self.said_silent, self.said_failed = False, ""
        self.lost: set[str] = set()        # jobs of submissions that counted as failed, and had begun
        self.left: bool | None = None      # at the end, whether none of the jobs is in the queue any more

    def run(self) -> dict[int, int]:
        """Run everything; returns the status of each failed job. Raises SystemExit(128 + signal) when told to stop."""
        self.signals.listen()
        try:
            self._work()
            if self.lost:
                self._leave("a submission failed, but its jobs had begun")
                if self.signals.caught:
                    raise SystemExit(128 + self.signals.caught)
            else:
                self.left = True
        except Stopped:
            self._leave(f"stopped by {signal.Signals(self.signals.caught).name}")
            raise SystemExit(128 + self.signals.caught) from None
        finally:
            if self.left is None:
                self._leave("ended by an error")
            if self.left:  # else the next launcher finds there what to end
                leaving.remove(self.where.sync)
        return self.endings.failed

    def _work(self) -> None:
        leaving.end_those_left(self.where, self.scheduler, self._say, self.signals.wait, self.ask / 5)
        leaving.sign(self.where, self.scheduler.name)
        todo, self.endings.failed = pick(self.request)
        self._submit([Task(number) for number in todo])
        while self.open or self.endings.again:
            self._collect()
            self._ask()
            self._keep_together()
            self._submit_again()
            if self.open or self.endings.again:
                self.signals.wait(min(LOOKS, 0.1 + (time.monotonic() - self.submitted) / 20))
        self._look_back()

    def _say(self, message: str) -> None:
        print(f"{self.request.program}: {message}", file=sys.stderr, flush=True)

    def _submit(self, tasks: list[Task]) -> None:
        """Hand tasks to the batch system as one job; wait and try again while it cannot be reached. Raises Refused."""
        if not tasks:
            return
        tasks = sorted(tasks, key=lambda task: task.number)
        numbers = [task.number for task in tasks]
        number, places = self.scheduler.task_number(numbers)
        for task in tasks:
            put_away(log_path(self.request, task.number), task.run)
        gpus = 0 if self.scheduler.assigns_gpus else int(self.request.options.get("gpu", 0))
        script.write(self.request, self.where, number, self.scheduler.job, self.submissions, gpus, self.scheduler.plain_exit,
                     self.scheduler.warning())
        job = self._try(self.scheduler.submission(self.where.script, self.where.log, numbers))
        for task in tasks:
            task.job, task.place, task.submission = job, places[task.number], self.submissions
            task.state, task.status, task.warned, task.culled, task.told, task.gone_at = None, None, False, False, False, 0.0
            self.open[task.number] = task
        leaving.remember(self.where, job)
        self.submissions += 1
        self.submitted = self.asked = self.moved = time.monotonic()
        self.why.submitted()

    def _submit_again(self) -> None:
        """Hand in what is to be started again; each submission is an array of its own, so a limit is held by handing in no more."""
        again, limit = self.endings.again, self.scheduler.at_once
        room = max(limit - len(self.open), 0) if limit else len(again)
        tasks, self.endings.again = again[:room], again[room:]
        try:
            self._submit(tasks)
        except Refused as err:  # the others still run
            begun = leaving.close(self.where.sync, f".{self.submissions}")
            self.submissions += 1
            self.lost |= set(begun)
            if begun:
                self._cancel(begun)
            for task in tasks:
                self.endings.fail(task, End(REQUEUE, str(err)))

    def _keep_together(self) -> None:
        """Of jobs that need each other, end those that another one left alone; decide when all have ended."""
        if self.endings.to_cull(list(self.open.values())) and time.monotonic() - self.cancelled > self.ask:
            self._collect()
            self._cull(self.endings.to_cull(list(self.open.values())))
        if self.endings.together and not self.open:
            self.endings.all_ended()

    def _cull(self, tasks: list[Task]) -> None:
        names = ", ".join(str(task.number) for task in tasks if not task.culled)
        if names:
            self._say(f"one of the jobs that run together has ended, and {names} did not within {self.endings.grace:g} seconds; cancelled")
        for task in tasks:
            task.culled = True   # whatever is said now: it may be cancelled all the same
        told = bool(tasks) and self._cancel([task.name for task in tasks])
        for task in tasks:
            task.told = told

    def _cancel(self, jobs: list[str]) -> bool:
        """Whether the batch system says that it has cancelled them."""
        words, self.cancelled = self.scheduler.cancellation(jobs), time.monotonic()
        failed = self.scheduler.fails(words)
        if failed and failed != self.said_failed:
            self._say(f"`{' '.join(words)}` failed, and will be tried again ({failed})")
        self.said_failed = failed or self.said_failed
        return not failed

    def _try(self, words: list[str]) -> str:
        for attempt in range(TRIES):
            try:
                return self.scheduler.submit(words)
            except Refused as err:
                if not err.transient or attempt == TRIES - 1:
                    raise
                pause = self.ask / 5 * 2 ** attempt
                self._say(f"{err}\n{self.request.program}: trying again in {pause:g} seconds")
                self.signals.wait(pause)
        raise AssertionError("unreachable")

    def _collect(self) -> None:
        """Read the statuses that have come."""
        found = set(os.listdir(self.where.sync))
        for task in list(self.open.values()):
            name = f"{task.number}.status.{task.submission}"
            if name not in found or task.status is not None:
                continue
            path = os.path.join(self.where.sync, name)
            status, caught = read_status(path)
            self.moved = time.monotonic()
            self._ended(task, status, caught, os.stat(path).st_mtime)

    def _ended(self, task: Task, status: int, caught: str, when: float) -> None:
        """caught: the first signal that its script caught, or "-"."""
        if status == 0 or task.culled:
            self._close(task, ending(task, status, None, self.requeue) if status else End(0))
        elif not self.requeue or (status != REQUEUE and caught == "-"):
            self._close(task, End(status, f"told to end by SIG{caught}" if caught != "-" else "", when=when))
        elif self.scheduler.warned_is_cancelled(caught):
            self._close(task, End(status, f"cancelled in {self.scheduler.name}", final=True, cancelled=True, when=when))
        else:
            task.status, task.warned = status, caught != "-"  # whether a user or a preemption ended it, the batch system knows

    def _close(self, task: Task, end: End) -> None:
        del self.open[task.number]
        self.moved = time.monotonic()
        self.endings.take(task, end)

    def _ask(self) -> None:
        """Ask the batch system, now and then, about the tasks without status; more often about those that seem to be over, and
        ever more seldom while nothing happens."""
        hurry = any(task.gone_at or task.status is not None for task in self.open.values())
        if not self.open or time.monotonic() - self.asked < between_questions(self.ask, time.monotonic() - self.moved, hurry):
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
            if self._cancel([task.name]):  # else with the next question
                self._close(task, End(KILLED, f"{self.scheduler.name}: {state.text}", final=True))
        elif state and state.alive:
            task.state, task.gone_at = state, 0.0
            self.why.look(task)
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
            with open(begun, encoding="utf-8", errors="replace") as file:
                job = file.read().strip()
            if job and job != task.job:
                task.job, task.gone_at, task.told = job, 0.0, False

    def _decide(self, task: Task, status: int, state: State | None) -> None:
        """A task is over, and did not end with 0."""
        end = ending(task, status, state, self.requeue)
        if not (end.again or end.reason):
            known = self.scheduler.explain(task.job, task.place) if self.requeue or len(self.endings.failed) < NAMED else ""
            if self.requeue and task.status is None and not end.final and re.search(self.scheduler.unheard, known):
                end = End(status, again="told to end before it began")
            known = known or (state.text if state else "it left the queue without a status: deleted, killed, or its node is gone")
            end.reason = f"{self.scheduler.name}: {known}"
        self._close(task, end)

    def _look_back(self) -> None:
        """Ask for the reason of statuses that mean a signal; those jobs may still be on their way out."""
        tasks = self.endings.over[:NAMED]
        jobs, states = sorted({task.job for task in tasks}), {}
        for _ in range(5 if tasks else 0):
            states = self.scheduler.states(jobs) or {}
            if not any(states[key].alive for key in states if key in {(task.job, task.place) for task in tasks}):
                break
            self.signals.wait(self.ask / 5)
        for task in tasks:
            state, known = states.get((task.job, task.place)), self.endings.reasons.get(task.number, "")
            if state and not state.alive and not state.text.startswith("FAILED") and state.text not in known:
                self.endings.reasons[task.number] = "; ".join(filter(None, [known, f"{self.scheduler.name}: {state.text}"]))

    def _leave(self, why: str) -> None:
        """Cancel everything, also what an unanswered submission began, and wait until it has left."""
        jobs, self.left, said = sorted({task.job for task in self.open.values()}), False, ""
        try:  # a second signal ends the waiting
            jobs = leaving.to_end(self.where.sync, self.scheduler, jobs)
            if jobs:
                self._say(f"{why}; cancelling its jobs: {' '.join(self.scheduler.cancellation(jobs))}")
                said = leaving.cancel_and_wait(self.scheduler, jobs, self.signals.wait, min(1.0, self.ask / 5))
                self._say(f"its jobs have not ended yet ({said})" if said else f"its jobs have ended; log is in {self.request.log}")
            elif self.signals.caught:
                self._say(f"{why}, with no job in the queue")
            self.left = not said
        except (InputError, OSError, Stopped) as err:
            self._say(f"its jobs may still run{str(err) and f' ({err})'}; {' '.join(self.scheduler.cancellation(jobs))} ends them")


def main(kind: type[Scheduler]) -> int:
    """utils/queue.pl or utils/slurm.pl; returns its exit status."""
    if sys.argv[1:] in (["--help"], ["-h"]):
        print(USAGE.format(name=os.path.basename(sys.argv[0]), system=kind.name, conf=kind.conf, again=kind.restarts))
        return 0
    request = parse(sys.argv)
    conf = load(request.options.get("config"), kind.conf, kind.settings)
    cluster = Cluster(kind(request, conf))
    failed = cluster.run()
    if failed:
        report(cluster.request, failed, cluster.endings.reasons, also=cluster.where.log)
    return 1 if cluster.endings.cancelled else outcome(failed)  # nobody is to start again what a user ended
