"""The script of a job, run by hand as a batch system would: its status, its signals, its GPUs, and where its files lie."""
import os
import shutil
import signal
import subprocess
import time
from pathlib import Path

import pytest
from waiting import wait_for

from sslspk.launch import conf, script
from sslspk.launch.request import parse
from sslspk.launch.slurm import Slurm


class Job:
    """One job of `words`."""

    def __init__(self, *words: str, task: str = "1", job: str = "7", gpus: int = 0, plain_exit: bool = False, warning: int = 120,
                 **environment: str):
        request = parse(["x.pl", *words])
        self.where = script.places(request)
        script.write(request, self.where, task, job, 0, gpus, plain_exit, warning)
        spooled = shutil.copy(self.where.script, f"spooled.{task}.{job}")   # as batch systems do: the next submission writes it anew
        self.process = subprocess.Popen(["bash", spooled], text=True, stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
                                        env={**os.environ, **environment}, start_new_session=True)
        self.task = task

    def end(self) -> tuple[int, str]:
        """Its exit status, and what it wrote for the launcher."""
        self.process.communicate(timeout=60)
        path = Path(self.where.sync, f"{self.task}.status.0")
        return self.process.returncode, path.read_text().strip() if path.exists() else ""


@pytest.fixture(autouse=True)
def folder(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("PWD", str(tmp_path))
    monkeypatch.delenv("CUDA_VISIBLE_DEVICES", raising=False)
    return tmp_path


@pytest.mark.parametrize("log, name, folder_and_script", [
    ("exp/log/train.log", "", "exp/log/q/train"),
    ("exp/log/x.JOB.log", "JOB", "exp/log/q/x"),
    ("log/JOB/x.log", "JOB", "log/q/x"),
    ("/a/split4/JOB/log/x.JOB.log", "JOB", "/a/split4/q/log.x"),
    ("x", "", "./q/x"),
    ("/JOB.log", "JOB", "/q/job"),
])
def test_where_the_scripts_lie(log, name, folder_and_script):
    where = script.places(parse(["x.pl", *([f"{name}=1:2"] if name else []), log, "true"]))
    assert f"{where.folder}/{where.name}" == folder_and_script
    assert where.sync.startswith(f"{where.folder}/sync/{where.name}.")


def test_no_line_of_a_script_looks_like_an_option_of_a_batch_system(folder, monkeypatch):
    """Nor is a byte lost that is no UTF-8."""
    here = folder / "a\n#$ -o x\n#SBATCH --wrap x\nb"
    here.mkdir()
    monkeypatch.chdir(here)
    monkeypatch.setenv("PWD", str(here))
    monkeypatch.setenv("SSLSPK_X", "\n#$ -N x\n")
    job = Job("l.log", "printf", "%s", "a'\n#$ -S x\n#SBATCH -n 9\n", "\udcff", ">", "out;", "printenv", "SSLSPK_X", ">>", "out")
    assert job.end() == (0, "0 -")
    assert (here / "out").read_bytes() == b"a'\n#$ -S x\n#SBATCH -n 9\n\xff\n#$ -N x\n\n"
    assert not any(line.startswith(("#$", "#SBATCH")) for line in (here / job.where.script).read_text(errors="replace").splitlines())


@pytest.mark.parametrize("plain_exit", [False, True])
@pytest.mark.parametrize("status", [0, 7, 99, 100])
def test_the_status_is_written_and_those_that_mean_something_to_grid_engine_are_not_returned(status, plain_exit):
    assert Job("l.log", "exit", str(status), plain_exit=plain_exit).end() == (min(status, 1) if plain_exit else status, f"{status} -")
    assert Path("l.log").read_text().endswith(f"with status {status}\n")


def test_a_command_longer_than_one_argument_may_be():
    assert Job("l.log", "echo", *["w" * 100_000] * 3, "|", "wc", "-c").end() == (0, "0 -")
    assert "\n300003\n" in Path("l.log").read_text()


def test_standard_input_is_at_its_end_and_a_failing_pipe_succeeds():
    assert Job("l.log", "cat;", "false", "|", "cat").end() == (0, "0 -")


SAVES = """import signal, sys, time
told = []
for number in (signal.SIGTERM, signal.SIGUSR1, signal.SIGUSR2):
    signal.signal(number, lambda number, frame: told.append(number))
open("on", "w").close()
while not told:
    time.sleep(0.02)
time.sleep(0.8)
print("told", *(signal.Signals(number).name for number in told), flush=True)
sys.exit(99)
"""


@pytest.mark.parametrize("number", [signal.SIGUSR1, signal.SIGUSR2, signal.SIGTERM, signal.SIGXCPU])
def test_a_signal_reaches_the_command_as_one_sigterm_and_its_status_is_told(number):
    Path("s.py").write_text(SAVES)
    job = Job("l.log", "python3", "s.py;", "echo", "never")
    wait_for(Path("on").exists)
    job.process.send_signal(number)
    assert job.end() == (99, f"99 {number.name.removeprefix('SIG')}")
    assert "told SIGTERM\n" in Path("l.log").read_text() and "\nnever\n" not in Path("l.log").read_text()


def test_a_sigterm_for_all_processes_is_not_doubled():
    """scancel tells every process of a job."""
    Path("s.py").write_text(SAVES)
    job = Job("l.log", "python3", "s.py")
    wait_for(Path("on").exists)
    children = subprocess.run(["ps", "-o", "pid=", "-s", str(job.process.pid)], text=True, capture_output=True, check=True).stdout.split()
    assert len(children) >= 4   # the script, its witness, the two shells and the command, less those that became the command
    for pid in children:
        os.kill(int(pid), signal.SIGTERM)
    assert job.end() == (99, "99 TERM")
    assert "told SIGTERM\n" in Path("l.log").read_text()


def test_nothing_is_left_when_the_script_is_killed():
    job = Job("l.log", "touch", "on;", "sleep", "600")
    wait_for(Path("on").exists)
    listing = ["ps", "-o", "pid=,stat=,args=", "-s", str(job.process.pid)]
    job.process.kill()
    job.process.wait(timeout=60)

    def left() -> list[str]:
        lines = subprocess.run(listing, text=True, capture_output=True, check=False).stdout.splitlines()
        return [line for line in lines if " Z" not in line]

    try:
        wait_for(lambda: not any("cat" in line for line in left()))   # the command is the batch system's to kill
        assert any("sleep 600" in line for line in left())
    finally:
        for line in left():
            os.kill(int(line.split()[0]), signal.SIGKILL)


def test_a_second_job_for_one_task_does_nothing():
    first = Job("l.log", "echo", "x", ">>", "count;", "sleep", "1")
    wait_for(Path("count").exists)
    second = Job("l.log", "echo", "x", ">>", "count", job="8")
    second.process.communicate(timeout=60)
    assert first.end() == (0, "0 -") and Path("count").read_text() == "x\n"


@pytest.mark.parametrize("closed", ["closed", "closed.0"])
def test_nothing_begins_once_the_launcher_has_closed_its_folder(closed):
    """A job whose submission was not answered, and which starts when its launcher has given up."""
    first = Job("l.log", "true")
    assert first.end() == (0, "0 -")
    Path(first.where.sync, "1.begun.0").unlink()
    Path("l.log").unlink()
    Path(first.where.sync, closed).touch()
    assert subprocess.run(["bash", "spooled.1.7"], timeout=60).returncode == 0 and not Path("l.log").exists()
    Path(first.where.sync, closed).rename(Path(first.where.sync, "closed.1"))   # of another submission
    Path(first.where.sync, "1.begun.0").unlink()
    assert subprocess.run(["bash", "spooled.1.7"], timeout=60).returncode == 0 and Path("l.log").exists()


def test_a_secret_of_slurm_is_not_logged():
    assert Job("l.log", "true", SLURM_JWT="secret", SLURM_CLUSTERS="c1").end() == (0, "0 -")
    assert "# SLURM_CLUSTERS=c1\n" in Path("l.log").read_text() and "secret" not in Path("l.log").read_text()


def test_a_signal_just_before_the_command_begins_is_not_lost(folder, monkeypatch):
    program(folder, "rm", "kill -USR1 $PPID; exec /bin/rm \"$@\"")   # the last program that the script runs before
    monkeypatch.setenv("PATH", f"{folder}/bin:{os.environ['PATH']}")
    assert Job("l.log", "touch", "ran").end() == (143, "143 USR1") and not Path("ran").exists()


def test_a_signal_while_path_sh_is_read_is_not_lost():
    Path("path.sh").write_text("touch on\nuntil [ -e go ]; do read -t 0.1 < <(:); done\n")
    job = Job("l.log", "touch", "ran")
    wait_for(Path("on").exists)
    job.process.send_signal(signal.SIGUSR2)
    wait_for(lambda: list(Path(job.where.sync).glob(".1.told.*")), seconds=10)
    Path("go").touch()
    assert job.end() == (143, "143 USR2") and not Path("ran").exists()


def program(folder: Path, name: str, text: str) -> None:
    """A program of the folder's own, in bin/."""
    (folder / "bin").mkdir(exist_ok=True)
    (folder / "bin" / name).write_text(f"#!/bin/bash\n{text}\n")
    (folder / "bin" / name).chmod(0o755)


@pytest.fixture
def node(folder, monkeypatch):
    """A machine with three GPUs."""
    program(folder, "nvidia-smi", "printf 'GPU %d: Pretended\\n' 0 1 2")
    monkeypatch.setenv("PATH", f"{folder}/bin:{os.environ['PATH']}")
    monkeypatch.setenv("SSLSPK_GPU_LOCKS", str(folder / "locks"))
    return folder


def test_jobs_take_free_gpus_and_give_them_back(node):
    words = ("JOB=1:4", "l.JOB", "echo", "$CUDA_VISIBLE_DEVICES", ">", "gpus.JOB;", "until", "[", "-e", "go.JOB", "];", "do", "sleep",
             "0.05;", "done")
    jobs = [Job(*words, task=str(task), gpus=gpus) for task, gpus in ((1, 2), (2, 1))]
    wait_for(lambda: all(Path(f"gpus.{n}").exists() and Path(f"gpus.{n}").read_text() for n in (1, 2)))
    taken = [Path(f"gpus.{n}").read_text().strip().split(",") for n in (1, 2)]
    assert sorted(taken[0] + taken[1]) == ["0", "1", "2"] and len(taken[0]) == 2
    third = Job(*words, task="3", gpus=2)
    time.sleep(1)
    assert not Path("gpus.3").exists()   # two are not free
    Path("go.1").touch()
    wait_for(lambda: Path("gpus.3").exists() and Path("gpus.3").read_text())
    assert Path("gpus.3").read_text().strip().split(",") == taken[0]
    Path("go.2").touch()
    Path("go.3").touch()
    assert [job.end() for job in (*jobs, third)] == [(0, "0 -")] * 3


def test_more_gpus_than_there_are_is_told_and_those_assigned_stay(node):
    assert Job("l.log", "true", gpus=4).end() == (1, "1 -")
    assert "of the 3 GPUs of" in Path("l.log").read_text()
    assert Job("m.log", "echo", "$CUDA_VISIBLE_DEVICES", gpus=4, CUDA_VISIBLE_DEVICES="9").end() == (0, "0 -")
    assert "\n9\n" in Path("m.log").read_text()
    assert Job("n.log", "echo", "[${CUDA_VISIBLE_DEVICES-unset}]").end() == (0, "0 -")
    assert "[unset]" in Path("n.log").read_text()


def test_gpus_on_which_others_work_are_taken_last(node):
    """Grid Engine's -l gpu=1 is a count: a process of somebody who knows no locks may sit on the first GPU."""
    Path("bin/nvidia-smi").write_text("#!/bin/bash\ncase $* in\n"
                                      "-L) for i in 0 1 2; do echo \"GPU $i: Pretended (UUID: GPU-a$i)\"; done ;;\n"
                                      "--query-compute-apps=gpu_uuid*) cat busy ;;\nesac\n")
    Path("busy").write_text("GPU-a0\nGPU-a0\nGPU-a2\n")
    assert Job("l.log", "echo", "on:$CUDA_VISIBLE_DEVICES", gpus=1).end() == (0, "0 -")
    assert "\non:1\n" in Path("l.log").read_text()
    assert Job("m.log", "echo", "on:$CUDA_VISIBLE_DEVICES", gpus=2).end() == (0, "0 -")   # the queue must know
    assert "\non:0,1\n" in Path("m.log").read_text()


def test_a_job_that_cannot_write_where_it_should_does_not_end_well():
    job = Job("l.log", "touch", "ran;", "sleep", "0")
    job.process.communicate(timeout=60)
    shutil.rmtree(job.where.sync)
    Path("ran").unlink()
    process = subprocess.run(["bash", "spooled.1.7"], text=True, capture_output=True, timeout=60)
    assert process.returncode == 1 and "cannot write" in process.stderr and not Path("ran").exists()


def test_files_are_named_as_other_machines_know_them(folder, monkeypatch):
    """An automounter's name, not the one it leads to."""
    (folder / "real").mkdir()
    (folder / "home").symlink_to("real")
    monkeypatch.chdir(folder / "real")
    monkeypatch.setenv("PWD", str(folder / "home"))
    job = Job("log/l.log", "true")
    text = Path(job.where.script).read_text()
    assert f"\ncwd={folder}/home\n" in text and f"\nsync={folder}/home/log/q/sync/l." in text and f"{folder}/real" not in text
    assert job.end() == (0, "0 -")
    request = parse(["x.pl", "l.log", "true"])
    assert f"--chdir={folder}/home" in Slurm(request, conf.parse(Slurm.settings, "x")).submission("s", "l", [1])


def test_path_sh_may_use_any_name_and_its_end_is_told():
    names = ("cwd", "name", "line", "log", "sync", "number", "job", "run", "gpus", "status", "code", "child", "caught", "again", "begun",
             "warning", "threads", "plain_exit", "begin", "witness")
    Path("path.sh").write_text("set -eu\nset -- a b\n" + "".join(f"{name}=x\n" for name in names) + "export OF_PATH=1\n")
    assert Job("JOB=1:1", "l.JOB", "echo", "got:$OF_PATH;", "exit", "7").end() == (7, "7 -")
    assert "\ngot:1\n" in Path("l.1").read_text()
    Path("path.sh").write_text("echo no Kaldi here; exit 3\n")
    assert Job("m.log", "touch", "ran").end() == (3, "3 -")
    assert "no Kaldi here" in Path("m.log").read_text() and not Path("ran").exists()


LINGERS = """import os, signal, sys, time
if os.fork():
    signal.signal(signal.SIGTERM, lambda number, frame: sys.exit(0))
    open("on", "w").close()
    time.sleep(600)
signal.signal(signal.SIGTERM, signal.SIG_IGN)
time.sleep(600)
"""


@pytest.mark.parametrize("number, warning, seconds", [(signal.SIGUSR1, 2, 2), (signal.SIGUSR1, 60, 60), (signal.SIGUSR2, 60, 30)])
def test_what_saves_has_the_time_of_the_warning(folder, monkeypatch, number, warning, seconds):
    """The command has ended, a part of it still saves; other signals leave it 30 seconds. Sleeps are counted, not slept."""
    program(folder, "sleep", "echo $1 >> sleeps")
    monkeypatch.setenv("PATH", f"{folder}/bin:{os.environ['PATH']}")
    Path("s.py").write_text(LINGERS)
    job = Job("l.log", "python3", "s.py", warning=warning)
    wait_for(Path("on").exists)
    job.process.send_signal(number)
    try:
        assert job.end() == (0, f"0 {number.name.removeprefix('SIG')}")
        assert Path("sleeps").read_text().split().count("0.2") * 0.2 == pytest.approx(seconds)
    finally:
        listing = subprocess.run(["ps", "-o", "pid=", "-s", str(job.process.pid)], text=True, capture_output=True, check=False).stdout
        for pid in listing.split():
            os.kill(int(pid), signal.SIGKILL)


def test_a_launcher_inside_a_job_leaves_its_jobs_the_time_of_the_warning():
    assert Job("l.log", "echo", "grace:$SSLSPK_GRACE_SECONDS", warning=100).end() == (0, "0 -")
    assert "\ngrace:90\n" in Path("l.log").read_text()


@pytest.mark.parametrize("words, environment, threads", [
    ((), {}, 1), ((), {"SLURM_CPUS_ON_NODE": "5"}, 5), ((), {"NSLOTS": "4"}, 4), (("--num-threads", "0"), {"NSLOTS": "4"}, 4),
    (("--num-threads", "3"), {"SLURM_CPUS_ON_NODE": "5", "NSLOTS": "1"}, 3),
])
def test_a_job_takes_the_threads_that_it_asked_for_or_was_given(monkeypatch, words, environment, threads):
    for name in ("SLURM_CPUS_ON_NODE", "NSLOTS"):
        monkeypatch.delenv(name, raising=False)
    job = Job(*words, "l.log", "echo", "'OMP='$OMP_NUM_THREADS", **environment)
    assert job.end() == (0, "0 -")
    text = Path("l.log").read_text()
    assert f"OMP={threads}" in text and f"threads={threads}\n" in text


def test_what_an_earlier_start_of_the_same_job_was_told_does_not_count():
    """A batch system that starts a job again by itself does so under the same id."""
    sync = Path(script.places(parse(["x.pl", "l.log", "true"])).sync)
    sync.mkdir(parents=True)
    (sync / ".1.told.7").touch()
    (sync / "1.begun.0").write_text("7\n")
    assert Job("l.log", "true").end() == (0, "0 -")
