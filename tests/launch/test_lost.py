"""Submissions without an answer, cancellations that fail, jobs that can never run: nothing runs unseen, nothing is waited for in vain."""
import signal
import subprocess
import sys
import time

import pytest
from pretended import ROOT, Pretended
from waiting import wait_for

from sslspk.launch import conf, pending_reason
from sslspk.launch.gridengine import GridEngine
from sslspk.launch.pending_reason import PendingReason
from sslspk.launch.request import parse
from sslspk.launch.scheduler import State, Task
from sslspk.launch.slurm import Slurm

ARRAY = ("JOB=1:1", "l.JOB", "touch", "on;", "until", "[", "-e", "go", "];", "do", "sleep", "0.1;", "done")
STATES = "printf '1|1|CANCELLED|DependencyNeverSatisfied\n1|2|PENDING|JobHeldUser\n' > {}/states"
SILENT = "echo 'sbatch: error: Socket timed out on send/recv operation' >&2; exit 1"


@pytest.fixture
def go(tmp_path):
    """Jobs end with the test."""
    yield tmp_path / "go"
    (tmp_path / "go").touch()


def begins_without_an_answer(slurm: Pretended, job: int, then: str) -> None:
    """That job runs, but sbatch does not say so; `then` is what the later submissions do."""
    slurm.on_submit(f"if [ $n = {job} ]; then echo '{job}|1|RUNNING|None' >> states; {slurm.run_at_once()}\n"
                    f"until [ -e on ]; do sleep 0.05; done; {SILENT}; fi\n[ $n -lt {job} ] || {{ {then}; }}")


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_job_whose_submission_was_not_answered_is_cancelled_as_well(slurm, go, number):
    begins_without_an_answer(slurm, 1, "echo '2|1|PENDING|Resources' >> states")
    process = slurm.start(*ARRAY)
    wait_for(lambda: list((slurm.folder / "q/sync").glob("*/jobs")))
    process.send_signal(number)
    stderr = process.communicate(timeout=60)[1]
    assert process.returncode == 128 + number and "have ended" in stderr, stderr
    assert slurm.cancelled() == ["1", "2"] and not list((slurm.folder / "q/sync").iterdir())


def test_a_signal_between_two_tries_cancels_what_has_begun(slurm, go):
    begins_without_an_answer(slurm, 1, SILENT)
    process = slurm.start(*ARRAY, SSLSPK_ASK_SECONDS="30")
    assert "Socket timed out" in process.stderr.readline() and "trying again" in process.stderr.readline()
    process.terminate()
    assert "cancelling its jobs: scancel 1" in process.communicate(timeout=60)[1] and process.returncode == 143
    assert slurm.cancelled() == ["1"] and slurm.jobs() == 1


def test_a_submission_that_was_never_answered_leaves_nothing_behind(slurm, go):
    begins_without_an_answer(slurm, 1, SILENT)
    status, stderr = slurm.run(*ARRAY)
    assert status == 1 and "refused the job" in stderr and slurm.cancelled() == ["1"], stderr
    assert not list((slurm.folder / "q/sync").iterdir())


def test_the_folder_stays_closed_while_something_may_be_alive(slurm, go):
    begins_without_an_answer(slurm, 1, SILENT)
    slurm.program("scancel", f"echo $@ >> {slurm.folder}/cancelled")
    process = slurm.start(*ARRAY)
    wait_for(slurm.cancelled)
    process.terminate()
    assert "scancel 1 ends them" in process.communicate(timeout=60)[1]
    folder, = (slurm.folder / "q/sync").iterdir()
    assert (folder / "closed").exists() and (folder / "1.begun.0").read_text() == "1\n"


def test_a_job_that_cannot_be_submitted_again_does_not_run_unseen(slurm, go):
    """Job 1 saved; its second submission is not answered, but begins."""
    go.touch()
    slurm.says("1|1|COMPLETED|None", "1|2|RUNNING|None")
    process = slurm.start("--requeue", "true", "JOB=1:2", *ARRAY[1:])
    wait_for(lambda: list((slurm.folder / "q/sync").glob("*/jobs")))
    go.unlink()
    begins_without_an_answer(slurm, 2, SILENT)
    slurm.ended(1, 99)
    wait_for(slurm.cancelled)
    assert slurm.cancelled() == ["2"] and process.poll() is None     # the other one goes on
    slurm.ended(2, 0)
    stderr = process.communicate(timeout=60)[1]
    assert process.returncode == 99 and "refused the job" in stderr and not list((slurm.folder / "q/sync").iterdir()), stderr


def test_a_cancellation_of_jobs_that_run_together_is_tried_again(slurm):
    slurm.says("1|1|FAILED|None", "1|2|RUNNING|None")
    slurm.fails("scancel", 2)
    process = slurm.start("--requeue", "true", "--together", "true", "JOB=1:2", "l.JOB", "true", SSLSPK_TOGETHER_SECONDS="0.5")
    wait_for(lambda: list((slurm.folder / "q/sync").glob("*/jobs")))
    slurm.ended(1, 3)
    stderr = process.communicate(timeout=60)[1]
    assert process.returncode == 1 and slurm.cancelled() == ["1_2"] and slurm.failures() == 3, stderr
    assert stderr.count("`scancel 1_2` failed, and will be tried again (scancel: error: busy)") == 1
    assert stderr.count("did not within") == 1 and "another of the jobs that run together" in stderr


def test_between_two_cancellations_there_is_as_much_time_as_between_two_questions(slurm):
    slurm.says("1|1|FAILED|None", "1|2|RUNNING|None")
    slurm.fails("scancel", 1)
    process = slurm.start("--requeue", "true", "--together", "true", "JOB=1:2", "l.JOB", "true", SSLSPK_TOGETHER_SECONDS="0.5",
                          SSLSPK_ASK_SECONDS="600")
    wait_for(lambda: list((slurm.folder / "q/sync").glob("*/jobs")))
    slurm.ended(1, 3)
    wait_for(slurm.failures)
    time.sleep(1.5)          # many turns of the launcher's loop
    slurm.ended(2, 0)
    assert process.wait(timeout=60) == 1 and slurm.failures() == 1 and not slurm.cancelled()


def test_a_cancellation_at_the_end_is_tried_again(slurm):
    slurm.says("1|1|RUNNING|None")
    slurm.fails("scancel", 2)
    process = slurm.start("JOB=1:1", "l.JOB", "true")
    wait_for(lambda: list((slurm.folder / "q/sync").glob("*/jobs")))
    process.terminate()
    assert "have ended" in process.communicate(timeout=60)[1] and slurm.cancelled() == ["1"]


def test_a_job_that_can_never_run_is_cancelled_also_when_that_fails_once(slurm):
    slurm.says("1|1|PENDING|DependencyNeverSatisfied", "1|2|PENDING|JobHeldUser")
    slurm.fails("scancel", 1)
    slurm.program("scancel", (slurm.folder / "bin/scancel").read_text().replace(f": > {slurm.folder}/states", STATES.format(slurm.folder)))
    process = slurm.start("JOB=1:2", "l.JOB", "true")
    wait_for(lambda: slurm.cancelled() == ["1_1"])
    slurm.ended(2, 0)     # it was released
    stderr = process.communicate(timeout=60)[1]
    assert process.returncode == 1 and "job 1 ended with status 137 (Slurm: PENDING, DependencyNeverSatisfied)" in stderr, stderr


@pytest.mark.parametrize("state, reason, waits, stuck", [
    ("PENDING", "Resources", True, False), ("PENDING", "JobHeldUser", True, False), ("PENDING", "JobHeldAdmin", True, False),
    ("PENDING", "job requeued in held state", True, False),     # scontrol requeuehold
    ("PENDING", "launch failed requeued held", True, True), ("PENDING", "BadConstraints", True, True),
    ("PENDING", "DependencyNeverSatisfied", True, True), ("RUNNING", "None", False, False), ("REQUEUE_HOLD", "None", True, False),
])
def test_which_jobs_wait_and_which_can_never_run(slurm, monkeypatch, state, reason, waits, stuck):
    monkeypatch.setenv("PATH", f"{slurm.folder}/bin:/usr/bin:/bin")
    slurm.says(f"1|1|{state}|{reason}")
    told = Slurm(parse(["x.pl", "l", "true"]), conf.parse(Slurm.settings, "x")).states(["1"])["1", 1]
    assert (told.alive, told.waits, told.stuck) == (True, waits, stuck)


def test_the_reason_for_waiting_is_said_when_it_changes_but_seldom(monkeypatch):
    now, said = [1000.0], []
    monkeypatch.setattr(pending_reason.time, "monotonic", lambda: now[0])
    told = PendingReason(type("Named", (), {"name": "Slurm", "pending": lambda self, job, state: state.text})(), said.append, 10.0)
    told.submitted()
    for seconds, reason, count in [(59, "load 1.5", 0), (1, "load 1.5", 1), (500, "load 2.7", 1), (1, "held", 1), (119, "held", 2),
                                   (100, "load 3.1", 2), (140, "load 3.1", 3), (9999, "load 4.9", 3)]:
        now[0] += seconds
        told.check(Task(1, job="7", state=State(reason, waits=True)))
        assert len(said) == count, (seconds, reason, said)
    now[0] += 9999
    told.check(Task(1, job="7", state=State("RUNNING")))
    assert said[:2] == ["job 1 (Slurm 7) waits: load 1.5", "job 1 (Slurm 7) waits: held"] and len(said) == 3


def test_which_slurm_is_meant_stays_known_but_no_job_of_another_one(monkeypatch):
    for name in ("SLURM_CONF", "SLURM_CLUSTERS", "SLURM_JWT", "SBATCH_CLUSTERS", "SLURM_JOB_ID", "OTHER"):
        monkeypatch.setenv(name, "x")
    seen = {}
    monkeypatch.setattr(subprocess, "run", lambda words, **given: seen.update(given["env"]))
    Slurm(parse(["x.pl", "l", "true"]), conf.parse(Slurm.settings, "x")).call(["sbatch"])
    assert {name for name, value in seen.items() if value == "x"} == {"SLURM_CONF", "SLURM_CLUSTERS", "SLURM_JWT", "SBATCH_CLUSTERS"}


def test_the_threads_and_gpus_of_a_job_may_be_defaults_of_the_conf(tmp_path):
    """Of Grid Engine, which counts GPUs: the job takes them."""
    (tmp_path / "bin").mkdir()
    for name, text in {"qsub": f"cp \"${{@: -1}}\" {tmp_path}/script; echo no; exit 1", "qstat": "exit 1"}.items():
        (tmp_path / "bin" / name).write_text(f"#!/bin/bash\n{text}\n")
        (tmp_path / "bin" / name).chmod(0o755)
    (tmp_path / "own.conf").write_text(f"{GridEngine.settings}\ndefault gpu=2\ndefault num_threads=3\n")
    subprocess.run([sys.executable, ROOT / "utils/queue.pl", "--config", "own.conf", "l", "true"], cwd=tmp_path, capture_output=True,
                   env={"PATH": f"{tmp_path}/bin:/usr/bin:/bin"})
    script = (tmp_path / "script").read_text()
    assert "\ngpus=2\n" in script and "\nthreads=3\n" in script


@pytest.mark.parametrize(("answers", "status"), [(2, 0), (1000, 1)], ids=["late", "never"])
def test_the_record_of_a_job_that_left_no_status_may_come_late(slurm, answers, status):
    """A job that was told to end before it could listen is started again, though its record comes after it has left the queue."""
    slurm.on_submit(f"if [ $n = 2 ]; then {slurm.run_at_once()}\nfi")
    slurm.program("scontrol", f"echo x >> {slurm.folder}/told\n[ $(wc -l < {slurm.folder}/told) -le {answers} ] ||\n"
                              "echo 'JobState=FAILED Reason=None ExitCode=0:10'")
    found, stderr = slurm.run("--requeue", "true", "JOB=1:1", "l.JOB", "echo", "done")
    assert found == status and slurm.jobs() == 2 - status, stderr
    assert ("told to end before it began; it is submitted again" if not status else "left the queue without a status") in stderr
