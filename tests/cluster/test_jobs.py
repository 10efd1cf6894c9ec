"""queue.pl and slurm.pl on a real Grid Engine and Slurm: what runs, with what, and what is told when it fails."""
import json
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest
from waiting import body, wait_for

from sslspk.launch.request import read_status

pytestmark = pytest.mark.cluster
ROOT = Path(__file__).resolve().parents[2]
DUMP = "import json, os, sys; print(json.dumps([sys.argv[1:], dict(os.environ)]))\n"


def test_array_with_logs_in_folders_and_a_script_that_stays(system, tmp_path):
    result = system.run(tmp_path, "JOB=2:4", "log/JOB/x.log", "echo", "job", "JOB", "JOBS", "|", "tr", "j", "J")
    assert (result.returncode, result.stdout, result.stderr) == (0, "", "")
    assert [body(tmp_path / f"log/{n}/x.log") for n in (2, 3, 4)] == ["Job 2 2S", "Job 3 3S", "Job 4 4S"]
    lines = (tmp_path / "log/3/x.log").read_text().splitlines()
    assert lines[0].startswith("# Running on ") and lines[1].startswith("# Started at ") and "# echo job 3 3S | tr j J " in lines
    assert re.fullmatch(r"# Accounting: time=\d+ threads=1", lines[-2])
    assert lines[-1].startswith("# Finished at ") and lines[-1].endswith(" with status 0")
    assert "#!/bin/bash" in (tmp_path / "log/q/x.sh").read_text() and (tmp_path / "log/q/x.log").exists()
    assert not list((tmp_path / "log/q/sync").iterdir())


def test_words_and_environment_arrive_once(system, tmp_path):
    """Nothing is expanded twice; path.sh is sourced; PATH and SSLSPK_* go along, other variables do not."""
    (tmp_path / "dump.py").write_text(DUMP)
    (tmp_path / "path.sh").write_text("export FROM_PATH_SH=\"$PATH\"\n")
    words = ("two words", "it's", 'say "x" $HOME', "", "$((1+1))", "`echo", "a`", "$(echo x >> count; echo done)", "\\$SSLSPK_A")
    # The apostrophe stands in a word with white space; alone it would open a string, as in Kaldi.
    words = tuple("it's so" if word == "it's" else word for word in words)
    result = system.run(tmp_path, "one.log", "python3", "dump.py", *words, SSLSPK_A="x y'\"$z`", OTHER="1", OMP_NUM_THREADS="7")
    assert result.returncode == 0, result.stderr
    given, environment = json.loads(body(tmp_path / "one.log"))
    assert given == ["two words", "it's so", 'say "x" $HOME', "", "2", "a", "done", "$SSLSPK_A"]
    assert (tmp_path / "count").read_text() == "x\n"
    assert environment["SSLSPK_A"] == "x y'\"$z`" and "OTHER" not in environment and environment["OMP_NUM_THREADS"] == "1"
    assert environment["FROM_PATH_SH"] == environment["PATH"] == system.changed({})["PATH"]
    everything = system.run(tmp_path, "-V", "--num-threads", "2", "two.log", "python3", "dump.py", OTHER="1", TWO_WORDS="a b")
    assert everything.returncode == 0, everything.stderr
    environment = json.loads(body(tmp_path / "two.log"))[1]
    assert (environment["OTHER"], environment["TWO_WORDS"], environment["OMP_NUM_THREADS"]) == ("1", "a b", "2")


def test_words_and_names_of_any_kind_arrive_unchanged(system, tmp_path):
    """What a step hands on (utils/launch.sh), in a folder and with a log of a name that could be executed."""
    name = "R&D it's $(touch canary) {a,b};#`touch canary` %j%% \\n, $JOB_ID:*"
    words = [name, "", "a\n b", '{"a": "JOB"}', "caf\u00e9", "\\", "-x", "~"]
    folder = tmp_path / name
    folder.mkdir()
    (folder / "dump.py").write_text("import json, sys; print(json.dumps(sys.argv[1:]))\n")
    (folder / "step.sh").write_text(f'set -euo pipefail\n. "{ROOT}/utils/launch.sh" exp\nlog=$1\n'
                                    f'launch "{system.program}" JOB=1:2 "$log/log/$JOB.log" python3 dump.py "$JOB" "${{@:2}}"\n')
    path = {"PATH": f"{Path(sys.executable).parent}:{system.environment['PATH']}", "SSLSPK_ASK_SECONDS": "1"}
    done = subprocess.run(["bash", "step.sh", name, *words], cwd=folder, text=True, capture_output=True, timeout=200,
                          env={**system.environment, **path})
    assert (done.returncode, done.stderr) == (0, ""), done.stderr
    for job in (1, 2):
        assert json.loads(body(folder / name / f"log/{job}.log")) == [str(job), *words]
    assert {path.name for path in folder.iterdir()} == {"dump.py", "step.sh", name} and not list(tmp_path.rglob("canary"))


def test_failures_are_told_by_the_status_and_by_nothing_that_is_printed(system, tmp_path):
    (tmp_path / "s.sh").write_text('case $1 in\n1) echo "# Finished at x with status 0"; exit 3 ;;\n'
                                   '2) echo "# Finished at x with status 7" ;;\n3) exit 100 ;;\n'
                                   '4) exec python3 -c "import os; os.kill(os.getpid(), 9)" ;;\nesac\n')
    result = system.run(tmp_path, "JOB=1:5", "log/f.JOB.log", "bash", "s.sh", "JOB")
    assert result.returncode == 1
    report = result.stderr.splitlines()
    name = system.program.name
    assert report[0] == f"{name}: 3 / 5 failed, log is in log/f.*.log"
    for number, status in ((1, 3), (3, 100), (4, 137)):
        assert any(line.startswith(f"{name}: job {number} ended with status {status}") for line in report), report
    assert report[-1].endswith("with status 3")
    assert [read_status(str(tmp_path / f"log/f.{n}.log")) for n in range(1, 6)] == [3, 0, 100, 137, 0]
    wait_for(lambda: not system.jobs())   # none stays in error


def test_a_job_whose_script_is_killed_is_missed(system, tmp_path):
    """The script stands above the two shells of the command."""
    (tmp_path / "kill.py").write_text("import os\npid = os.getpid()\nfor _ in range(3):\n"
                                      "    pid = int(open(f'/proc/{pid}/stat').read().split()[3])\nos.kill(pid, 9)\n")
    result = system.run(tmp_path, "--pick", "failed", "log/k.log", "python3", "kill.py", ";", "sleep", "60")
    assert result.returncode == 1
    assert f"job 1 ended with status 137 ({system.title}: " in result.stderr
    assert ("signal 9" in result.stderr) if system.name == "slurm" else ("exit_status 137" in result.stderr)


def test_pick_runs_again_only_what_is_wanted(system, tmp_path):
    command = ("echo", "x", ">>", "ran.JOB", ";", "[", "-e", "good.JOB", "]")
    for number in (1, 3, 5):
        (tmp_path / f"good.{number}").touch()
    assert system.run(tmp_path, "JOB=1:5", "l.JOB", *command).returncode == 1
    assert system.run(tmp_path, "--pick", "incomplete", "JOB=1:5", "l.JOB", *command).returncode == 1
    for number in (2, 4):
        (tmp_path / f"good.{number}").touch()
    assert system.run(tmp_path, "--pick", "failed", "JOB=1:5", "l.JOB", *command).returncode == 0
    assert [(tmp_path / f"ran.{n}").read_text().count("x") for n in range(1, 6)] == [1, 2, 1, 2, 1]


def test_no_more_jobs_than_allowed_run_at_once(system, tmp_path):
    (tmp_path / "s.sh").write_text("touch on.$1; ls | grep -c ^on; sleep 1; ls | grep -c ^on; rm on.$1\n")
    assert system.run(tmp_path, "--max-jobs-run", "2", "JOB=1:5", "l.JOB", "bash", "s.sh", "JOB").returncode == 0
    assert max(int(n) for number in range(1, 6) for n in body(tmp_path / f"l.{number}").split()) == 2


CONF = {"slurm": None, "gridengine": "command qsub -cwd -S /bin/bash -j y\noption mem=* -l ram_free=$0\noption num_threads=* -pe smp $0\n"
                                     "option gpu=* -l gpu=$0\noption time=* -l h_rt=$0\n"}
ASKED = {"slurm": ("MinMemoryCPU=150M", "CPUs/Task=2", "gres:gpu:1", "TimeLimit=00:10:00"),
         "gridengine": ("ram_free=150M", "gpu=1", "h_rt=600", "smp range: 2")}


def test_what_is_asked_for_arrives_and_gpus_are_not_shared(system, tmp_path):
    (tmp_path / "bin").mkdir()
    (tmp_path / "bin/nvidia-smi").write_text("#!/bin/bash\nprintf 'GPU %d: Pretended\\n' 0 1\n")
    (tmp_path / "bin/nvidia-smi").chmod(0o755)
    options = ["--mem", "150M", "--num-threads", "2", "--gpu", "1", "--time", "0:10:0"]
    if CONF[system.name]:
        (tmp_path / "conf").mkdir()
        (tmp_path / "conf/queue.conf").write_text(CONF[system.name])
    environment = {"PATH": f"{tmp_path}/bin:{system.changed({})['PATH']}", "SSLSPK_GPU_LOCKS": str(tmp_path / "locks")}
    runner = system.start(tmp_path, *options, "JOB=1:2", "l.JOB", "echo", "$(hostname):${SLURMD_NODENAME-}:$CUDA_VISIBLE_DEVICES;",
                          "until", "[", "-e", "go", "];", "do", "sleep", "0.1;", "done", **environment)
    try:
        wait_for(lambda: all((tmp_path / f"l.{n}").exists() and body(tmp_path / f"l.{n}") for n in (1, 2)))
        description = system.description(system.jobs()[0])
        assert all(text in description for text in ASKED[system.name]), description
    finally:
        (tmp_path / "go").touch()
    assert runner.wait(timeout=60) == 0
    used = [body(tmp_path / f"l.{n}") for n in (1, 2)]
    assert len(set(used)) == 2 and all(gpu[-1] in "01" for gpu in used), used
    assert "threads=2" in (tmp_path / "l.1").read_text()


def test_more_than_there_is_is_refused_at_once(system, tmp_path):
    words = ("-w", "e", "-l", "ram_free=9000G") if system.name == "gridengine" else ("--mem", "9000G")
    for options in (("--num-threads", "64"), ("--gpu", "9"), words, ("--mem", "9000G"), ("--mem", "1M", "--gpu", "9")):
        result = system.run(tmp_path, *options, "JOB=1:2", "l.JOB", "true")
        assert result.returncode == 1 and f"{system.title} refused the job" in result.stderr
        assert "Traceback" not in result.stderr and not system.jobs()
    length = "JOB=1:5000" if system.name == "slurm" else "JOB=1:80000"
    result = system.run(tmp_path, length, "l.JOB", "true")
    assert result.returncode == 1 and "ask for fewer jobs" in result.stderr and not system.jobs()


def test_a_job_that_waits_says_why(system, tmp_path):
    """Four cores each on two nodes of Slurm, or four slots of Grid Engine: the third waits."""
    runner = system.start(tmp_path, "--num-threads", "4", "JOB=1:3", "l.JOB", "until", "[", "-e", "go", "];", "do", "sleep", "0.1;", "done")
    said = runner.stderr.readline()
    (tmp_path / "go").touch()
    assert f"({system.title} " in said and "waits: " in said
    assert ("Resources" in said) if system.name == "slurm" else ("cannot run" in said), said
    assert runner.wait(timeout=60) == 0 and "waits" not in runner.stderr.read()


def test_a_job_that_slurm_can_never_run_is_cancelled(slurm, tmp_path):
    good = slurm.call("sbatch", "--parsable", f"--output={tmp_path}/good.log", "--wrap", "true").strip()
    wait_for(lambda: good not in slurm.jobs())
    result = slurm.run(tmp_path, "-d", f"afternotok:{good}", "l.log", "true")
    assert result.returncode == 1 and "(Slurm: PENDING, DependencyNeverSatisfied)" in result.stderr, result.stderr
    wait_for(lambda: not slurm.jobs())


def test_options_of_other_launchers_do_no_harm(system, tmp_path):
    assert system.run(tmp_path, "-sync", "y", "--gpu", "0", "--mem", "0", "--num-threads", "1", "one.log", "true").returncode == 0
    name = "-N" if system.name == "gridengine" else "-J"
    assert system.run(tmp_path, "-tc", "1", name, "mine", "JOB=1:2", "l.JOB", "true").returncode == 0


def test_after_a_hard_kill_of_the_launcher_its_jobs_go_on_until_it_is_started_again(system, tmp_path):
    """One writer at a time: the jobs of the first have left before those of the second begin."""
    (tmp_path / "s.sh").write_text("mkdir busy.$1 || exit 7; trap 'sleep 0.5; rmdir busy.$1; exit 9' TERM; echo x >> on.$1\n"
                                   "until [ -e go ]; do sleep 0.1; done; rmdir busy.$1\n")
    words = ("JOB=1:2", "log/l.JOB", "bash", "s.sh", "JOB")
    ons = [tmp_path / "on.1", tmp_path / "on.2"]
    runner = system.start(tmp_path, *words)
    wait_for(lambda: all(on.exists() for on in ons))
    runner.kill()
    runner.wait(timeout=60)
    old = set(system.jobs())
    assert old and list((tmp_path / "log/q/sync").iterdir())
    again = system.start(tmp_path, *words)
    wait_for(lambda: all(on.read_text() == "x\nx\n" for on in ons), 100)
    assert not old & set(system.jobs())
    (tmp_path / "go").touch()
    stderr = again.communicate(timeout=60)[1]
    assert again.returncode == 0 and f"that was killed left its jobs in {system.title}; cancelling them" in stderr, stderr
    assert not list((tmp_path / "log/q/sync").iterdir())


def test_jobs_of_a_killed_launcher_that_have_ended_are_no_matter(system, tmp_path):
    runner = system.start(tmp_path, "l.log", "touch", "on;", "sleep", "1;", "touch", "done")
    wait_for((tmp_path / "on").exists)
    runner.kill()
    runner.wait(timeout=60)
    wait_for((tmp_path / "done").exists)
    wait_for(lambda: not system.jobs())
    result = system.run(tmp_path, "l.log", "true")
    assert (result.returncode, result.stderr) == (0, "") and not list((tmp_path / "q/sync").iterdir())


def test_the_scripts_bring_up_and_take_down_nothing_but_their_own(system, tmp_path):
    folder = Path(system.environment["SLURM_CONF"]).parent if system.name == "slurm" else Path(system.environment["SGE_ROOT"])
    tools = Path(__file__).resolve().parents[2] / "tools/cluster"
    again = subprocess.run([tools / f"{system.name}_up.sh", folder], text=True, capture_output=True, timeout=60)
    assert again.returncode == 0 and "already" in again.stdout
    other = tmp_path / "second"
    subprocess.run([tools / f"{system.name}_up.sh", other], check=True, timeout=100)
    pids = [int(line.split()[0]) for line in (other / "pids").read_text().splitlines()]
    assert len(pids) == 2 and all(os.path.exists(f"/proc/{pid}") for pid in pids)
    subprocess.run([tools / f"{system.name}_down.sh", other], check=True, timeout=100)
    assert not other.exists()
    assert not any(Path(f"/proc/{pid}/cmdline").exists() and Path(f"/proc/{pid}/cmdline").read_bytes() for pid in pids)
    assert system.run(tmp_path, "l.log", "true").returncode == 0   # the first one is untouched
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine/file").touch()
    for script in ("up", "down"):
        refused = subprocess.run([tools / f"{system.name}_{script}.sh", tmp_path / "mine"], text=True, capture_output=True, timeout=60)
        assert refused.returncode == 1 and "error:" in refused.stderr and (tmp_path / "mine/file").exists()
