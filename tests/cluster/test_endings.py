"""Jobs that are cancelled, killed, stopped at a limit, preempted or started again; and a batch system that cannot be reached."""
import signal
import sys
from pathlib import Path

import pytest
from systems import System
from waiting import wait_for

from sslspk.launch.request import read_status

pytestmark = pytest.mark.cluster
# Ends with 99 a moment after SIGTERM, having said so; with the run's number in a file, and 0 in the run given.
TRAINING = """import pathlib, signal, sys, time
name, last = sys.argv[1], int(sys.argv[2])
runs = pathlib.Path(f"runs.{name}")
run = len(runs.read_text()) if runs.exists() else 0
told = []
signal.signal(signal.SIGTERM, lambda number, frame: told.append(number))
runs.write_text("x" * (run + 1))
while not told and run < last:
    time.sleep(0.05)
time.sleep(0.7)
if run < last:
    print("saved", len(told), flush=True)
    sys.exit(99)
print("finished", flush=True)
"""


@pytest.fixture
def training(tmp_path) -> tuple[str, ...]:
    """Words of a command that goes on until it is told to stop, in as many runs as its last word says and one more."""
    (tmp_path / "train.py").write_text(TRAINING)
    return "python3", "train.py", "JOB"


def started(folder: Path, *names: str, runs: int = 1):
    return lambda: all((folder / f"runs.{name}").exists() and len((folder / f"runs.{name}").read_text()) >= runs for name in names)


def text(path: Path) -> str:
    return path.read_text()


def test_a_cancelled_task_is_told_and_the_others_go_on(system: System, tmp_path, training):
    runner = system.start(tmp_path, "JOB=1:3", "l.JOB.log", *training, "$((JOB==2?9:0))")
    wait_for(started(tmp_path, "2"))
    system.cancel(system.jobs()[0], 2)
    stderr = runner.communicate(timeout=60)[1]
    assert runner.returncode == 99   # it saved: without --requeue that is passed on
    assert "1 / 3 failed" in stderr and "job 2 ended with status 99 (told to end by SIG" in stderr
    assert "saved 1" in text(tmp_path / "l.2.log") and "finished" in text(tmp_path / "l.3.log")


def test_a_job_cancelled_before_it_starts_is_told(system: System, tmp_path, training):
    (tmp_path / "b.log").write_text("# of an earlier run\n# Finished at x with status 0\n")
    first = system.start(tmp_path, "--num-threads", "4", "JOB=1:2", "a.JOB.log", *training, "9")
    wait_for(system.jobs)
    mine = set(system.jobs())
    second = system.start(tmp_path, "--num-threads", "4", "b.log", "sleep", "60")
    wait_for(lambda: set(system.jobs()) - mine)
    system.cancel(*(set(system.jobs()) - mine))
    stderr = second.communicate(timeout=60)[1]
    assert second.returncode == 1 and f"({system.title}: " in stderr and "of an earlier run" not in stderr
    assert ("CANCELLED" in stderr) if system.name == "slurm" else ("without a status" in stderr)
    first.terminate()
    assert first.wait(timeout=60) == 143


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_cancels_the_jobs_which_may_save(system: System, tmp_path, training, number):
    runner = system.start(tmp_path, "--requeue", "true", "JOB=1:2", "l.JOB.log", *training, "9")
    wait_for(started(tmp_path, "1", "2"))
    runner.send_signal(number)
    stderr = runner.communicate(timeout=90)[1]
    assert runner.returncode == 128 + number
    assert f"stopped by {number.name}; cancelling its jobs" in stderr and "have ended" in stderr
    assert [text(tmp_path / f"runs.{n}") for n in (1, 2)] == ["x", "x"]
    assert all("saved 1" in text(tmp_path / f"l.{n}.log") and read_status(str(tmp_path / f"l.{n}.log")) == 99 for n in (1, 2))
    wait_for(lambda: not system.jobs())


def test_a_job_that_saved_is_started_again_with_its_logs_kept(system: System, tmp_path, training):
    """Tasks 1 and 3 of five end with 99 twice by themselves: an array with gaps comes back."""
    (tmp_path / "s.sh").write_text("echo x >> count.$1; [ $(wc -l < count.$1) -gt $(($1 % 2 ? 2 : 0)) ] || exit 99; echo done $1\n")
    result = system.run(tmp_path, "--requeue", "true", "JOB=1:4", "l.JOB.log", "bash", "s.sh", "JOB")
    assert result.returncode == 0, result.stderr
    assert result.stderr.count("submitted again (1 of at most 100)") == result.stderr.count("submitted again (2 of at most 100)") == 2
    assert "failed" not in result.stderr
    for number in (1, 3):
        assert [read_status(str(tmp_path / f"l.{number}.log{kept}")) for kept in (".1", ".2", "")] == [99, 99, 0]
        assert f"done {number}" in text(tmp_path / f"l.{number}.log")
    assert not (tmp_path / "l.2.log.1").exists()


def test_starting_again_has_an_end_and_a_failure_is_no_reason(system: System, tmp_path):
    result = system.run(tmp_path, "--requeue", "true", "--max-requeues", "1", "l.log", "echo", "x", ">>", "count;", "exit", "99")
    assert result.returncode == 99 and "--max-requeues" in result.stderr
    assert text(tmp_path / "count") == "x\nx\n"
    result = system.run(tmp_path, "--requeue", "true", "m.log", "echo", "x", ">>", "other;", "exit", "98")
    assert result.returncode == 1 and text(tmp_path / "other") == "x\n"
    assert system.run(tmp_path, "JOB=1:2", "n.JOB", "exit", "$((99*(JOB-1)))").returncode == 99
    assert system.run(tmp_path, "JOB=1:2", "o.JOB", "exit", "$((98+JOB))").returncode == 1


def test_what_a_user_cancelled_is_not_started_again(system: System, tmp_path, training):
    runner = system.start(tmp_path, "--requeue", "true", "JOB=1:2", "l.JOB.log", *training, "$((JOB==1?9:0))")
    wait_for(started(tmp_path, "1"))
    system.cancel(system.jobs()[0], 1)
    stderr = runner.communicate(timeout=60)[1]
    assert runner.returncode == 1 and "cancelled" in stderr.lower() and "submitted again" not in stderr
    assert "saved 1" in text(tmp_path / "l.1.log") and text(tmp_path / "runs.1") == "x"


def test_preemption_by_a_job_of_higher_priority(slurm: System, tmp_path, training):
    runner = slurm.start(tmp_path, "--requeue", "true", "-p", "low", "--num-threads", "4", "JOB=1:2", "l.JOB.log", *training, "1")
    wait_for(started(tmp_path, "1", "2"))
    slurm.call("srun", "-p", "high", "-c", "4", "true")
    wait_for(lambda: started(tmp_path, "1", runs=2)() or started(tmp_path, "2", runs=2)())
    for _ in range(2):   # the other one, if it is still in its first run
        slurm.call("srun", "-p", "high", "-N", "2", "-c", "4", "true")
    stderr = runner.communicate(timeout=120)[1]
    assert runner.returncode == 0 and stderr.count("submitted again (1 of at most 100)") == 2, stderr
    assert all("saved 1" in text(tmp_path / f"l.{n}.log.1") and "finished" in text(tmp_path / f"l.{n}.log") for n in (1, 2))


def test_a_job_told_to_end_before_it_can_listen_is_started_again(system: System, tmp_path):
    """USR1 comes while the shell of its script starts, where no trap is set yet."""
    early = tmp_path / "early.sh"
    early.write_text(f"#!/bin/bash\n! mkdir {tmp_path}/once 2> /dev/null || kill -USR1 $$\n[ $# -eq 0 ] || exec /bin/bash \"$@\"\n")
    early.chmod(0o755)
    conf = {"slurm": f"command sbatch --export=ALL,BASH_ENV={early}", "gridengine": f"command qsub -cwd -S {early} -j y"}
    (tmp_path / "x.conf").write_text(f"{conf[system.name]}\n")
    result = system.run(tmp_path, "--config", "x.conf", "--requeue", "true", "JOB=1:2", "l.JOB.log", "echo", "done")
    assert result.returncode == 0 and "failed" not in result.stderr, result.stderr
    assert result.stderr.count("told to end before it began; it is submitted again (1 of at most 100)") == 1
    assert all("done" in text(tmp_path / f"l.{n}.log") for n in (1, 2))


def test_preemption_without_starting_again_is_a_failure(slurm: System, tmp_path):
    runner = slurm.start(tmp_path, "-p", "low", "--num-threads", "4", "JOB=1:2", "l.JOB", "touch", "on.JOB;", "sleep", "60")
    wait_for(lambda: (tmp_path / "on.1").exists() and (tmp_path / "on.2").exists())
    slurm.call("srun", "-p", "high", "-N", "2", "-c", "4", "true")
    stderr = runner.communicate(timeout=120)[1]
    assert runner.returncode == 1 and "2 / 2 failed" in stderr and ("PREEMPTED" in stderr or "TIMEOUT" in stderr), stderr


def test_a_time_limit_of_grid_engine(gridengine: System, tmp_path, training):
    result = gridengine.run(tmp_path, "--time", "0:0:3", "l.log", "sleep", "60")
    assert result.returncode == 1 and "told to end by SIGUSR2" in result.stderr
    # On a machine with much to do a run may be warned before it has begun: then it is one run more.
    result = gridengine.run(tmp_path, "--time", "0:0:20", "--requeue", "true", "JOB=1:1", "m.JOB.log", *training, "1")
    assert result.returncode == 0 and result.stderr.count("submitted again") >= 1, result.stderr
    assert any("saved 1" in text(path) for path in tmp_path.glob("m.1.log.*")) and "finished" in text(tmp_path / "m.1.log")


@pytest.mark.slow
def test_a_time_limit_of_slurm(slurm: System, tmp_path, training):
    """Limits are minutes, and looked at twice a minute; the warning may come a minute early."""
    (tmp_path / "deaf.sh").write_text("trap '' TERM\nwhile :; do sleep 1; done\n")
    runner = slurm.start(tmp_path, "--time", "1", "l.log", "bash", "deaf.sh")
    result = slurm.run(tmp_path, "--max-time", "1", "--requeue", "true", "JOB=1:1", "m.JOB.log", *training, "1")
    # That minute may be over before a run has begun: then it is one run more.
    assert result.returncode == 0 and result.stderr.count("submitted again") >= 1, result.stderr
    assert any("saved 1" in text(path) for path in tmp_path.glob("m.1.log.*")) and "finished" in text(tmp_path / "m.1.log")
    stderr = runner.communicate(timeout=180)[1]
    assert runner.returncode == 1 and "TIMEOUT" in stderr, stderr


def needy(folder: Path, count: int) -> tuple[str, ...]:
    """Words of jobs that need each other: each run of them, in runs.N, ends well only when all of its run have met."""
    (folder / "s.sh").write_text("runs=$(cat runs.$1 2> /dev/null)x; echo -n $runs > runs.$1; trap 'echo told; exit 9' TERM\n"
                                 f"for i in $(seq {count}); do until [ \"$(cat runs.$i)\" = $runs ]; do sleep 0.1; done\n"
                                 "done 2> /dev/null\n"
                                 "until [ -e go.$runs ]; do [ ! -s bad.$1.$runs ] || exit $(cat bad.$1.$runs); sleep 0.1; done\n"
                                 "echo met\n")
    return f"JOB=1:{count}", "l.JOB.log", "bash", "s.sh", "JOB"


def test_jobs_that_run_together_come_back_together(system: System, tmp_path):
    """The second saved and wants to be started again; the others hang, waiting for it."""
    words = needy(tmp_path, 3)
    runner = system.start(tmp_path, "--requeue", "true", "--together", "true", *words, SSLSPK_TOGETHER_SECONDS="2")
    wait_for(started(tmp_path, "1", "2", "3"))
    (tmp_path / "bad.2.x").write_text("99")
    wait_for(started(tmp_path, "1", "2", "3", runs=2), 100)
    (tmp_path / "go.xx").touch()
    stderr = runner.communicate(timeout=100)[1]
    assert runner.returncode == 0 and stderr.count("is submitted again (1 of at most 100)") == 3, stderr
    assert "1, 3 did not within 2 seconds; cancelled" in stderr
    assert ["told" in text(tmp_path / f"l.{n}.log.1") for n in (1, 2, 3)] == [True, False, True]
    assert all("met" in text(tmp_path / f"l.{n}.log") for n in (1, 2, 3))


def test_jobs_that_run_together_fail_together(system: System, tmp_path):
    words = needy(tmp_path, 3)
    runner = system.start(tmp_path, "--requeue", "true", "--together", "true", *words, SSLSPK_TOGETHER_SECONDS="2")
    wait_for(started(tmp_path, "1", "2", "3"))
    (tmp_path / "bad.2.x").write_text("4")
    stderr = runner.communicate(timeout=100)[1]
    assert runner.returncode == 1 and "submitted again" not in stderr, stderr
    first, *others = [line for line in stderr.splitlines() if "ended with status" in line]
    assert "job 2 ended with status 4" in first and len(others) == 2
    assert all("another of the jobs that run together" in line for line in others)
    wait_for(lambda: not system.jobs())


def test_a_lost_one_of_jobs_that_run_together_brings_all_back(slurm: System, tmp_path):
    """Preempted: a job of higher priority takes one of the two nodes."""
    words = needy(tmp_path, 2)
    runner = slurm.start(tmp_path, "--requeue", "true", "--together", "true", "-p", "low", "--num-threads", "4", *words,
                         SSLSPK_TOGETHER_SECONDS="2")
    wait_for(started(tmp_path, "1", "2"))
    slurm.call("srun", "-p", "high", "-c", "4", "true")
    wait_for(started(tmp_path, "1", "2", runs=2), 100)
    (tmp_path / "go.xx").touch()
    stderr = runner.communicate(timeout=100)[1]
    assert runner.returncode == 0 and stderr.count("is submitted again (1 of at most 100)") == 2, stderr


FLAKY = """#!{python}
import os, pathlib, subprocess, sys
calls = pathlib.Path(__file__ + ".calls")
number = len(calls.read_text()) if calls.exists() else 0
calls.write_text("x" * (number + 1))
if number < {failures}:
    if {really}:
        subprocess.run([{real!r}, *sys.argv[1:]], stdout=subprocess.DEVNULL)
    sys.exit({message!r})
os.execv({real!r}, sys.argv)
"""
MESSAGES = {"slurm": "sbatch: error: Batch job submission failed: Socket timed out on send/recv operation",
            "gridengine": "error: unable to contact qmaster using port 6444 on host \"x\""}


def flaky(system: System, folder: Path, program: str, failures: int, really: bool = False) -> str:
    """PATH with a program that fails a few times, and does its work in spite of that if `really`."""
    path = system.changed({})["PATH"]
    real = next(str(Path(part) / program) for part in path.split(":") if (Path(part) / program).exists())
    (folder / "bin").mkdir()
    wrapper = folder / "bin" / program
    wrapper.write_text(FLAKY.format(python=sys.executable, failures=failures, really=really, real=real, message=MESSAGES[system.name]))
    wrapper.chmod(0o755)
    return f"{folder}/bin:{path}"


def submitter(system: System) -> str:
    return "sbatch" if system.name == "slurm" else "qsub"


def test_a_submission_is_tried_again(system: System, tmp_path):
    path = flaky(system, tmp_path, submitter(system), 2)
    result = system.run(tmp_path, "JOB=1:2", "l.JOB", "true", PATH=path)
    assert result.returncode == 0 and result.stderr.count("trying again") == 2, result.stderr


def test_a_submission_is_not_tried_for_ever(system: System, tmp_path):
    path = flaky(system, tmp_path, submitter(system), 99)
    result = system.run(tmp_path, "l", "true", PATH=path, SSLSPK_ASK_SECONDS="0.1")
    assert result.returncode == 1 and "Traceback" not in result.stderr
    assert f"{system.program.name}: error: {system.title} refused the job ({MESSAGES[system.name]})" in result.stderr


def test_a_submission_whose_answer_was_lost_runs_once(system: System, tmp_path):
    path = flaky(system, tmp_path, submitter(system), 1, really=True)
    result = system.run(tmp_path, "JOB=1:2", "l.JOB", "echo", "x", ">>", "count.JOB;", "sleep", "3", PATH=path)
    assert result.returncode == 0 and result.stderr.count("trying again") == 1, result.stderr
    wait_for(lambda: not system.jobs())
    assert [text(tmp_path / f"count.{n}") for n in (1, 2)] == ["x\n", "x\n"]


def test_a_batch_system_that_is_silent_for_a_while_loses_no_job(system: System, tmp_path):
    path = flaky(system, tmp_path, "squeue" if system.name == "slurm" else "qstat", 3)
    result = system.run(tmp_path, "l.log", "sleep", "6", PATH=path)
    assert result.returncode == 0 and result.stderr.count("does not answer") == 1, result.stderr
