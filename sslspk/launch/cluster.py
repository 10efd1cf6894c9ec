"""Runs the jobs of a request in a batch system: utils/queue.pl and utils/slurm.pl. Submission, waiting, cancelling, starting again.

The status of a task is what its own script wrote to a file; the batch system is asked, seldom, about tasks without one. Neither logs nor
the exit status of a waiting submission are used. One failing task does not stop the others. If this program is killed with -9, its jobs
stay in the queue; when it is started again, it cancels them first.
"""
import os
import re
import signal
import sys
import time

from sslspk.errors import InputError
from sslspk.launch import cleanup, script
from sslspk.launch.conf import load
from sslspk.launch.follow import Follower
from sslspk.launch.outcomes import KILLED, Outcome, Outcomes, outcome_of, read_status
from sslspk.launch.pending_reason import PendingReason
from sslspk.launch.request import NAMED, REQUEUE, exit_status, log_path, parse, pick, put_away, report, seconds_of
from sslspk.launch.scheduler import Refused, Scheduler, State, Task, between_questions
from sslspk.launch.signals import Signals, Stopped

ASK = 10.0     # seconds between two questions to the batch system (SSLSPK_ASK_SECONDS changes it)
TRIES = 6      # of a submission while the batch system cannot be reached
LOOKS = 3.0    # seconds between two looks at the folder of statuses, in the end
RECORDED = 3   # times ASK, in which the batch system must have recorded how a job ended
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
    """All jobs of one request; `outcomes` holds what became of them."""

    def __init__(self, scheduler: Scheduler):
        self.scheduler, self.request = scheduler, scheduler.request
        self.where = script.places(self.request)
        self.ask = seconds_of("SSLSPK_ASK_SECONDS", ASK)
        self.requeue = self.request.options.get("requeue") == "true"
        self.open: dict[int, Task] = {}
        self.outcomes = Outcomes(self.request, scheduler, self._say, seconds_of("SSLSPK_TOGETHER_SECONDS", TOGETHER))
        self.pending_reason = PendingReason(scheduler, self._say, self.ask)
        self.signals = Signals()
        self.submissions = 0
        self.asked = self.submitted = self.moved = self.cancelled = 0.0  # when, by the monotonic clock; moved: something happened
        self.said_silent, self.said_failed = False, ""
        self.lost: set[str] = set()        # jobs of submissions that counted as failed, and had begun
        self.queue_is_empty: bool | None = None   # at the end, whether none of the jobs is in the queue any more

    def run(self) -> dict[int, int]:
        """Run everything; returns the status of each failed job. Raises SystemExit(128 + signal) when told to stop."""
        self.signals.listen()
        try:
            self._work()
            if self.lost:
                self._cancel_all("a submission failed, but its jobs had begun")
                if self.signals.caught:
                    raise SystemExit(128 + self.signals.caught)
            else:
                self.queue_is_empty = True
        except Stopped:
            self._cancel_all(f"stopped by {signal.Signals(self.signals.caught).name}")
            raise SystemExit(128 + self.signals.caught) from None
        finally:
            if self.queue_is_empty is None:
                self._cancel_all("ended by an error")
            if self.queue_is_empty:  # else the next launcher finds in the folder the jobs to cancel
                cleanup.remove(self.where.sync)
        return self.outcomes.failed

    def _work(self) -> None:
        cleanup.cancel_leftover_jobs(self.where, self.scheduler, self._say, self.signals.wait, self.ask / 5)
        cleanup.write_owner(self.where, self.scheduler.name)
        todo, self.outcomes.failed = pick(self.request)
        self._submit([Task(number) for number in todo])
        while self.open or self.outcomes.to_restart:
            self._collect()
            self._ask()
            self._keep_together()
            self._submit_again()
            if self.open or self.outcomes.to_restart:
                self.signals.wait(min(LOOKS, 0.1 + (time.monotonic() - self.submitted) / 20))
        self._explain_failures()

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
            task.state, task.status, task.gone_at = None, None, 0.0
            task.warned = task.cancelled_by_us = task.cancel_accepted = False
            self.open[task.number] = task
        cleanup.record_job(self.where, job)
        self.submissions += 1
        self.submitted = self.asked = self.moved = time.monotonic()
        self.pending_reason.submitted()

    def _submit_again(self) -> None:
        """Hand in what is to be started again; each submission is an array of its own, so a limit is held by handing in no more."""
        again, limit = self.outcomes.to_restart, self.scheduler.at_once
        room = max(limit - len(self.open), 0) if limit else len(again)
        tasks, self.outcomes.to_restart = again[:room], again[room:]
        try:
            self._submit(tasks)
        except Refused as err:  # the others still run
            begun = cleanup.close(self.where.sync, f".{self.submissions}")
            self.submissions += 1
            self.lost |= set(begun)
            if begun:
                self._cancel(begun)
            for task in tasks:
                self.outcomes.fail(task, Outcome(REQUEUE, str(err)))

    def _keep_together(self) -> None:
        """For jobs that run together: cancel the others if one has ended, and decide about restarts when all have ended."""
        if self.outcomes.to_cancel(list(self.open.values())) and time.monotonic() - self.cancelled > self.ask:
            self._collect()
            self._cancel_rest(self.outcomes.to_cancel(list(self.open.values())))
        if self.outcomes.together and not self.open:
            self.outcomes.decide_together()

    def _cancel_rest(self, tasks: list[Task]) -> None:
        names = ", ".join(str(task.number) for task in tasks if not task.cancelled_by_us)
        if names:
            self._say(f"one of the jobs that run together has ended, and {names} did not within {self.outcomes.grace:g} seconds; cancelled")
        for task in tasks:
            task.cancelled_by_us = True   # set it even if the cancellation fails: it may still take effect
        told = bool(tasks) and self._cancel([task.name for task in tasks])
        for task in tasks:
            task.cancel_accepted = told

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
        if status == 0 or task.cancelled_by_us:
            self._close(task, outcome_of(task, status, None, self.requeue) if status else Outcome(0))
        elif not self.requeue or (status != REQUEUE and caught == "-"):
            self._close(task, Outcome(status, f"told to end by SIG{caught}" if caught != "-" else "", when=when))
        elif self.scheduler.warned_is_cancelled(caught):
            self._close(task, Outcome(status, f"cancelled in {self.scheduler.name}", final=True, cancelled=True, when=when))
        else:
            task.status, task.warned = status, caught != "-"  # whether a user or a preemption ended it, the batch system knows

    def _close(self, task: Task, outcome: Outcome) -> None:
        del self.open[task.number]
        self.moved = time.monotonic()
        self.outcomes.take(task, outcome)

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
            self._update(task, states.get((task.job, task.place)))

    def _update(self, task: Task, state: State | None) -> None:
        """state: what the batch system says of a task; None when it knows nothing of it."""
        if state and state.stuck:
            if self._cancel([task.name]):  # else with the next question
                self._close(task, Outcome(KILLED, f"{self.scheduler.name}: {state.text}", final=True))
        elif state and state.alive:
            task.state, task.gone_at = state, 0.0
            self.pending_reason.check(task)
        elif task.status is not None:
            self._decide(task, task.status, state)
        elif not task.gone_at:
            task.state, task.gone_at = state, time.monotonic()
            self._find_twin(task)
        elif time.monotonic() - task.gone_at > self.ask / 2:  # time for a network disk to show the status
            self._decide(task, KILLED, state)

    def _find_twin(self, task: Task) -> None:
        """A submission whose answer was lost may run instead of the one that was repeated."""
        job = cleanup.job_of(os.path.join(self.where.sync, f"{task.number}.begun.{task.submission}"))
        if job and job != task.job:
            task.job, task.gone_at, task.cancel_accepted = job, 0.0, False

    def _decide(self, task: Task, status: int, state: State | None) -> None:
        """A task is over, and did not end with 0."""
        outcome = outcome_of(task, status, state, self.requeue)
        if not (outcome.restart_reason or outcome.reason):
            known = self.scheduler.explain(task.job, task.place) if self.requeue or len(self.outcomes.failed) < NAMED else ""
            unknown = self.requeue and task.status is None and not outcome.final
            if unknown and not (known or state) and time.monotonic() - task.gone_at < RECORDED * self.ask:
                return   # the batch system's records may come late: Grid Engine writes them every 15 seconds
            if unknown and re.search(self.scheduler.unheard, known):
                outcome = Outcome(status, restart_reason="told to end before it began")
            known = known or (state.text if state else "it left the queue without a status: deleted, killed, or its node is gone")
            outcome.reason = f"{self.scheduler.name}: {known}"
        self._close(task, outcome)

    def _explain_failures(self) -> None:
        """Ask for the reason of statuses that mean a signal; those jobs may still be on their way out."""
        tasks = self.outcomes.unexplained[:NAMED]
        jobs, states = sorted({task.job for task in tasks}), {}
        for _ in range(5 if tasks else 0):
            states = self.scheduler.states(jobs) or {}
            if not any(states[key].alive for key in states if key in {(task.job, task.place) for task in tasks}):
                break
            self.signals.wait(self.ask / 5)
        for task in tasks:
            state, known = states.get((task.job, task.place)), self.outcomes.reasons.get(task.number, "")
            if state and not state.alive and not state.text.startswith("FAILED") and state.text not in known:
                self.outcomes.reasons[task.number] = "; ".join(filter(None, [known, f"{self.scheduler.name}: {state.text}"]))

    def _cancel_all(self, why: str) -> None:
        """Cancel everything, also what an unanswered submission began, and wait until it has left."""
        jobs, self.queue_is_empty, said = sorted({task.job for task in self.open.values()}), False, ""
        try:  # a second signal ends the waiting
            jobs = cleanup.jobs_to_cancel(self.where.sync, self.scheduler, jobs)
            if jobs:
                self._say(f"{why}; cancelling its jobs: {' '.join(self.scheduler.cancellation(jobs))}")
                said = cleanup.cancel_and_wait(self.scheduler, jobs, self.signals.wait, min(1.0, self.ask / 5))
                self._say(f"its jobs have not ended yet ({said})" if said else f"its jobs have ended; log is in {self.request.log}")
            elif self.signals.caught:
                self._say(f"{why}, with no job in the queue")
            self.queue_is_empty = not said
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
    with Follower(request):
        failed = cluster.run()
    if failed:
        report(cluster.request, failed, cluster.outcomes.reasons, also=cluster.where.log)
    return 1 if cluster.outcomes.cancelled else exit_status(failed)  # status 1: jobs that a user cancelled are not restarted
