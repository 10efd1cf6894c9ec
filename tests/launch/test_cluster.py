"""The loop of slurm.pl against a pretended Slurm."""
import os
import signal
import subprocess
import sys
import time

import pytest
from pretended import ROOT, Pretended
from waiting import wait_for

from sslspk.launch import conf, scheduler
from sslspk.launch.gridengine import GridEngine
from sslspk.launch.outcomes import Outcome, Outcomes, outcome_of
from sslspk.launch.request import parse
from sslspk.launch.scheduler import State, Task, between_questions
from sslspk.launch.signals import Signals, Stopped
from sslspk.launch.slurm import Slurm

RUNNING = ("1|1|RUNNING|None", "1|2|RUNNING|None")
ARRAY = ("JOB=1:2", "l.JOB", "true")


def test_an_error_cancels_the_open_jobs(slurm):
    """The status of a task that cannot be understood, for one."""
    slurm.says(*RUNNING)
    process = slurm.start(*ARRAY)
    wait_for(slurm.jobs)
    wait_for(lambda: list((slurm.folder / "q/sync").glob("*/jobs")))
    folder, = (slurm.folder / "q/sync").glob("*")
    (folder / "1.status.0").mkdir()
    stderr = process.communicate(timeout=60)[1]
    assert process.returncode == 1 and "ended by an error; cancelling its jobs: scancel 1" in stderr and "have ended" in stderr
    assert slurm.cancelled() == ["1"] and not folder.exists()


@pytest.mark.parametrize("content", [b"", b"\xff\xfe 0\n", b"0 - and more\n", b"9" * 5000 + b" -\n"])
def test_a_damaged_status_is_that_of_a_killed_job(slurm, content):
    slurm.says(*RUNNING)
    process = slurm.start("JOB=1:1", "l.JOB", "true")
    wait_for(lambda: list((slurm.folder / "q/sync").glob("*/jobs")))
    folder, = (slurm.folder / "q/sync").glob("*")
    (folder / "written").write_bytes(content)
    (folder / "written").replace(folder / "1.status.0")
    stderr = process.communicate(timeout=60)[1]
    assert process.returncode == 1 and "ended with status 137" in stderr and "Traceback" not in stderr, stderr


def test_a_cancellation_that_fails_leaves_the_ids_to_the_next_launcher(slurm):
    slurm.says(*RUNNING)
    process = slurm.start(*ARRAY)
    wait_for(lambda: list((slurm.folder / "q/sync").glob("*/jobs")))
    slurm.program("scancel", f"touch {slurm.folder}/tried")
    folder, = (slurm.folder / "q/sync").glob("*")
    (folder / "1.status.0").mkdir()
    wait_for((slurm.folder / "tried").exists)
    time.sleep(0.5)
    process.terminate()   # somebody has no time to wait
    assert "scancel 1 ends them" in process.communicate(timeout=60)[1] and (folder / "jobs").read_text() == "1\n"


def test_what_is_only_good_to_know_may_stay_unknown(slurm, monkeypatch):
    monkeypatch.setattr(scheduler, "PATIENCE", 0.2)
    for name in ("scontrol", "sacct", "qalter", "qacct", "qstat"):
        slurm.program(name, "exec sleep 5")
    monkeypatch.setenv("PATH", f"{slurm.folder}/bin:{os.environ['PATH']}")
    request = parse(["x.pl", "l", "true"])
    assert Slurm(request, conf.parse(Slurm.settings, "x")).explain("1", 0) == ""
    engine = GridEngine(request, conf.parse(GridEngine.settings, "x"))
    assert (engine.explain("1", 0), engine.pending("1", State("state qw")), engine._why("1")) == ("", "state qw", "state Eqw")


def test_jobs_of_a_killed_launcher_are_cancelled_first(slurm):
    slurm.says(*RUNNING, "2|1|RUNNING|None", "2|2|RUNNING|None", "3|1|RUNNING|None")
    first = slurm.start(*ARRAY)
    wait_for(lambda: list((slurm.folder / "q/sync").glob("*/jobs")))
    other = slurm.start("JOB=1:2", "other.JOB", "true")
    wait_for(lambda: list((slurm.folder / "q/sync").glob("other*/jobs")))
    alive = slurm.start(*ARRAY)     # while the first one lives, its jobs stay
    wait_for(lambda: list((slurm.folder / "q/sync").glob(f"*.{alive.pid}/jobs")))
    assert slurm.jobs() == 3 and not slurm.cancelled()
    for process in (alive, other):
        process.kill()
        process.wait()
    first.kill()
    first.wait()
    slurm.says("1|1|RUNNING|None", "2|1|RUNNING|None", "3|1|COMPLETED|None")
    last = slurm.start(*ARRAY)
    assert "that was killed left its jobs in Slurm; cancelling them: scancel" in last.stderr.readline()
    wait_for(lambda: slurm.jobs() == 4)
    assert "1" in slurm.cancelled() and "3" not in slurm.cancelled()
    folders = {path.name.rpartition(".")[2] for path in (slurm.folder / "q/sync").iterdir()}
    assert folders == {str(last.pid), str(other.pid)}
    last.kill()
    last.communicate()


def test_a_limit_is_held_when_jobs_are_submitted_again(slurm):
    slurm.says(*RUNNING, "1|3|RUNNING|None")
    process = slurm.start("--requeue", "true", "--max-jobs-run", "2", "JOB=1:3", "l.JOB", "true")
    wait_for(lambda: list((slurm.folder / "q/sync").glob("*/jobs")))
    slurm.says("1|1|COMPLETED|None", "1|2|RUNNING|None", "1|3|RUNNING|None")
    slurm.ended(1, 99)
    time.sleep(2)
    assert slurm.jobs() == 1        # two are open
    slurm.ended(2, 0)
    wait_for(lambda: slurm.jobs() == 2)
    assert "--array=1%2" in (slurm.folder / "job.2/words").read_text()
    slurm.ended(3, 0)
    slurm.ended(1, 0, submission=1)
    assert process.wait(timeout=60) == 0


@pytest.mark.parametrize("quiet, hurry, seconds", [(0, False, 10), (200, False, 10), (600, False, 30), (86400, False, 60),
                                                   (86400, True, 2.5)])
def test_a_batch_system_is_asked_ever_more_seldom(quiet, hurry, seconds):
    assert between_questions(10, quiet, hurry) == seconds


def test_a_limit_met_three_times_without_saving_is_enough(slurm):
    slurm.on_submit('echo "$n|1|TIMEOUT|TimeLimit" > states')
    status, stderr = slurm.run("--requeue", "true", "JOB=1:1", "l.JOB", "true")
    assert status == 1 and slurm.jobs() == 3 and "raise --time" in stderr, stderr


TOGETHER = ("--requeue", "true", "--together", "true", "JOB=1:3", "l.JOB", "true")
THREE = tuple(f"1|{place}|RUNNING|None" for place in (1, 2, 3))


def up(slurm: Pretended, *words: str) -> subprocess.Popen:
    slurm.says(*THREE)
    process = slurm.start(*words, SSLSPK_TOGETHER_SECONDS="1")
    wait_for(lambda: list((slurm.folder / "q/sync").glob("*/jobs")))
    return process


def test_jobs_that_run_together_are_started_again_as_one(slurm):
    """The node of the second is lost; the first notices and fails, the third hangs and is cancelled."""
    process = up(slurm, *TOGETHER)
    slurm.ended(1, 1)
    slurm.says("1|1|FAILED|None", "1|2|NODE_FAIL|None", "1|3|RUNNING|None")
    slurm.on_submit(": > states; for i in 1 2 3; do echo \"$n|$i|RUNNING|None\" >> states; done")
    wait_for(slurm.cancelled)
    assert slurm.cancelled() == ["1_3"] and slurm.jobs() == 1
    wait_for(lambda: slurm.jobs() == 2)
    assert "--array=1-3" in (slurm.folder / "job.2/words").read_text()
    for task in (1, 2, 3):
        slurm.ended(task, 0, submission=1)
    stderr = process.communicate(timeout=30)[1]
    assert process.returncode == 0 and stderr.count("is submitted again (1 of at most 100)") == 3, stderr


def test_jobs_that_run_together_fail_as_one_and_the_reason_is_first(slurm):
    process = up(slurm, *TOGETHER)
    slurm.ended(2, 3)
    stderr = process.communicate(timeout=30)[1]
    assert process.returncode == 1 and slurm.cancelled() == ["1_1", "1_3"] and slurm.jobs() == 1, stderr
    lines = [line for line in stderr.splitlines() if "ended with status" in line]
    assert lines[0].startswith("slurm.pl: job 2 ended with status 3") and len(lines) == 3
    assert "another of the jobs that run together" in lines[1]


def test_jobs_that_run_together_and_end_well_are_left_alone(slurm):
    process = up(slurm, *TOGETHER)
    slurm.ended(1, 0)
    time.sleep(2)
    assert not slurm.cancelled()
    for task in (2, 3):
        slurm.ended(task, 0)
    assert process.wait(timeout=60) == 0


def ends(*given: tuple[int, int, str, State | None], run: int = 0) -> Outcomes:
    """What became of (number, status or 137, signal that was caught, state), told in this order."""
    request = parse(["slurm.pl", "--requeue", "true", "--together", "true", "--max-requeues", "2", f"JOB=1:{len(given)}", "l.JOB", "true"])
    outcomes = Outcomes(request, type("Named", (), {"name": "Slurm"}), lambda message: None, 1.0)
    for when, (number, status, caught, state) in enumerate(given):
        task = Task(number, run=run, status=None if status == 137 else status, warned=caught != "-", cancelled_by_us=caught == "cancelled")
        end = outcome_of(task, status, state, True) if status else Outcome(0)
        end.when = when
        outcomes.take(task, end)
    outcomes.decide_together()
    return outcomes


CANCELLED, PREEMPTED = State("CANCELLED", alive=False, cancelled=True), State("PREEMPTED", alive=False, again=True)
FAILED = State("FAILED", alive=False)


@pytest.mark.parametrize("given, again, failed", [
    ([(1, 99, "USR1", None), (2, 99, "USR1", None)], [1, 2], []),
    ([(1, 1, "-", FAILED), (2, 137, "-", PREEMPTED)], [1, 2], []),
    ([(1, 0, "-", None), (2, 143, "TERM", PREEMPTED)], [1, 2], []),
    ([(1, 1, "-", FAILED), (2, 99, "cancelled", CANCELLED)], [], [1, 2]),       # what we ended ourselves is no reason
    ([(2, 99, "USR1", None), (1, 99, "cancelled", CANCELLED)], [2, 1], []),
    ([(1, 99, "USR1", None), (2, 143, "TERM", CANCELLED)], [], [2, 1]),      # a user's wish
    ([(2, 1, "-", FAILED), (1, 1, "-", FAILED), (3, 137, "-", None)], [], [3, 2, 1]),
    ([(1, 0, "-", None), (2, 0, "-", None)], [], []),
])
def test_what_becomes_of_jobs_that_run_together(given, again, failed):
    outcomes = ends(*given)
    assert [task.number for task in outcomes.to_restart] == again and list(outcomes.failed) == failed
    assert {task.run for task in outcomes.to_restart} <= {1}
    stopped = ends(*given, run=2)
    assert not stopped.to_restart and bool(stopped.failed) == bool(again or failed)


@pytest.mark.parametrize("launcher", ["slurm.pl", "queue.pl", "run.pl"])
def test_jobs_that_wait_for_each_other_must_be_able_to_run_at_once(slurm, launcher):
    words = ["--together", "true", "--max-jobs-run", "2", "JOB=1:3", "l.JOB", "true"]
    done = subprocess.run([sys.executable, ROOT / "utils" / launcher, *words], cwd=slurm.folder, text=True, capture_output=True)
    assert done.returncode == 1 and "wait for each other" in done.stderr and not slurm.jobs()


def test_a_signal_counts_once_also_when_it_came_between_two_waits(monkeypatch):
    now = [1000.0]
    monkeypatch.setattr("sslspk.launch.signals.time.monotonic", lambda: now[0])
    signals = Signals()
    with pytest.raises(Stopped):
        signals._on_signal(signal.SIGINT, None)
        signals.wait(0)
    signals.wait(0)               # things are ended
    signals._on_signal(signal.SIGTERM, None)   # the first one again, by another way
    signals.wait(0)
    now[0] += 2
    signals._on_signal(signal.SIGTERM, None)
    with pytest.raises(Stopped):  # the second one
        signals.wait(0)
    assert signals.caught == signal.SIGINT


@pytest.mark.parametrize("launcher, told, not_told", [("slurm.pl", "loses its node", "suspension"), ("queue.pl", "suspension", "its node")])
def test_help_promises_what_the_batch_system_does(launcher, told, not_told):
    done = subprocess.run([sys.executable, ROOT / "utils" / launcher, "--help"], text=True, capture_output=True, check=True)
    assert told in done.stdout and not_told not in done.stdout and "--together true" in done.stdout
