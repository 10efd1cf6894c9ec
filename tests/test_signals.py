"""A signal to a script reaches what it runs, however deep, and the script ends when that has ended."""
import os
import re
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
from recipe_copy import ROOT, VOXCELEB, environment
from tones import make_data
from waiting import listen, wait_for

from sslspk.launch.processes import running

SCRIPT = """#!/usr/bin/env bash
set -euo pipefail
nj=1
help_message="usage"
echo "begins $0"
. {root}/utils/parse_options.sh
echo "$$ $PPID" > pids.{name}
{body}
touch reached.{name}
"""
JOB = """trap 'sleep 0.3; touch saved.$1; exit 3' TERM
echo $$ > pids.job$1
touch up.$1
while :; do sleep 0.05; done
"""
SCRIPTS = [*sorted((ROOT / "steps").glob("*.sh")), *sorted((ROOT / "local").glob("*.sh")), *sorted((ROOT / "egs").glob("*/run*.sh"))]


@pytest.fixture
def nested(tmp_path):
    """recipe.sh runs step.sh, which runs two jobs by run.pl; all of them are under way. Returns the recipe's process."""
    (tmp_path / "job.sh").write_text(JOB)
    bodies = {"recipe": "./step.sh", "step": f"{ROOT}/utils/run.pl JOB=1:2 log.JOB bash job.sh JOB"}
    for name, body in bodies.items():
        (tmp_path / f"{name}.sh").write_text(SCRIPT.format(root=ROOT, name=name, body=body))
        (tmp_path / f"{name}.sh").chmod(0o755)
    process = subprocess.Popen(["./recipe.sh"], cwd=tmp_path, env=environment(), stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
                               text=True, start_new_session=True, preexec_fn=listen)
    wait_for(lambda: (tmp_path / "up.1").exists() and (tmp_path / "up.2").exists(), process=process)
    yield process
    for one in running():
        if one.session == process.pid:
            os.kill(one.pid, signal.SIGKILL)
    process.communicate()


def pids(folder):
    return {int(pid) for path in folder.glob("pids.*") for pid in path.read_text().split()}


def ended(process, folder, status):
    """It ends with `status`, and leaves no process."""
    said, _ = process.communicate(timeout=60)
    assert process.returncode == status, said
    wait_for(lambda: not pids(folder) & {one.pid for one in running()}, 10)   # they close their output a little before they are gone
    assert not list(folder.glob("reached.*"))
    return said


def saved(folder):
    return sorted(path.name for path in folder.glob("saved.*"))


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT, signal.SIGHUP])
def test_a_signal_to_the_recipe_reaches_the_jobs(nested, tmp_path, number):
    nested.send_signal(number)
    said = ended(nested, tmp_path, 128 + number)
    assert saved(tmp_path) == ["saved.1", "saved.2"]
    assert said.count("begins ./recipe.sh") == said.count("begins ./step.sh") == 1 and f"stopped by {number.name}, and its jobs" in said


@pytest.mark.parametrize("place", [0, 1])
def test_a_signal_to_the_shell_of_a_step_reaches_the_jobs(nested, tmp_path, place):
    """Whichever of its two shells it is sent to."""
    os.kill(int((tmp_path / "pids.step").read_text().split()[place]), signal.SIGTERM)
    ended(nested, tmp_path, 143)
    assert saved(tmp_path) == ["saved.1", "saved.2"]


def test_a_signal_that_comes_by_several_ways_is_one(nested, tmp_path):
    """As from `timeout`, or from a batch system that tells every process of a job."""
    for one in running():
        if one.session == nested.pid:
            os.kill(one.pid, signal.SIGTERM)
    nested.communicate(timeout=60)
    assert saved(tmp_path) == ["saved.1", "saved.2"]
    wait_for(lambda: not pids(tmp_path) & {one.pid for one in running()}, 10)


def test_jobs_do_not_outlive_a_shell_that_is_killed(nested, tmp_path):
    os.kill(int((tmp_path / "pids.step").read_text().split()[0]), signal.SIGKILL)
    ended(nested, tmp_path, 137)


def test_a_launcher_kills_what_its_jobs_scripts_run(tmp_path):
    """Scripts have process groups of their own, which must not save them."""
    (tmp_path / "step.sh").write_text(SCRIPT.format(root=ROOT, name="step", body="trap '' TERM; sleep 60 & echo $! > pids.sleep; wait"))
    runner = subprocess.Popen([sys.executable, ROOT / "utils/run.pl", "log", "bash", "step.sh"], cwd=tmp_path, stderr=subprocess.DEVNULL)
    wait_for(lambda: (tmp_path / "pids.sleep").exists() and (tmp_path / "pids.sleep").read_text().endswith("\n"), process=None)
    runner.kill()
    runner.wait()
    wait_for(lambda: not pids(tmp_path) & {one.pid for one in running()}, seconds=20)


def test_a_training_that_saved_as_its_step_was_told_to_end_may_be_started_again(tmp_path):
    make_data(tmp_path / "data")
    (tmp_path / "conf.yaml").write_text("{}")
    exp = tmp_path / "exp"
    launcher = tmp_path / "launcher"
    launcher.write_text(f"#!/bin/bash\ntrap 'touch {exp}/.stopped; exit 143' TERM\ntouch {tmp_path}/up\nwhile :; do sleep 0.05; done\n")
    launcher.chmod(0o755)
    words = ["steps/train.sh", "--cmd", launcher, "--conf", tmp_path / "conf.yaml", tmp_path / "data", exp]
    process = subprocess.Popen(words, cwd=VOXCELEB, env=environment(), stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
    wait_for((tmp_path / "up").exists, process=process)
    time.sleep(0.2)
    process.terminate()
    said, _ = process.communicate(timeout=60)
    assert process.returncode == 99, said


@pytest.mark.parametrize("path", SCRIPTS, ids=lambda path: str(Path(path).relative_to(ROOT)))
def test_every_script_passes_signals_on(path):
    assert re.search(r'^(.*; )?\. ("\$SSLSPK_ROOT"/)?utils/parse_options\.sh\b', path.read_text(), re.MULTILINE)
