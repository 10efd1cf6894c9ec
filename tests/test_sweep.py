"""run_sweep.sh: the trainings of a sweep as tasks of one job array, what they share, and how they are brought back."""
import os
import signal
import subprocess

import pytest
import recipe_copy
from recipe_copy import SYNTH, overrides, run, sh
from test_chain import shrink
from tones import conf_text, make_data, words_of
from waiting import wait_for

from sslspk.launch.processes import running
from sslspk.train import checkpoint, failures

SWEEP = ("./run_sweep.sh", "--mini", "true", "--system", "tiny", "--over", "seed=3 4")


@pytest.fixture
def recipe(tmp_path):
    """A recipe whose training data are a few tones, and the system tiny, whose training takes minutes."""
    recipe = recipe_copy.make(tmp_path)
    (recipe / "data_mini").mkdir()
    make_data(recipe / "data_mini/voxceleb1_dev_packed")
    (recipe / "conf/mini/tiny.yaml").write_text(conf_text(steps=4000, log_every=1, save_every=100000))
    return recipe


def test_the_array_is_requeued_and_its_tasks_run_on_this_machine(recipe):
    told = recipe / "told.sh"
    told.write_text('#!/bin/sh\nprintf "%s\\n" "$@" > told\nexit 99\n')
    told.chmod(0o755)
    done = sh(recipe, *SWEEP, "--cmd", "./told.sh --time 1:00", "--requeue", "true", "--stage", "3", "--stop-stage", "3")
    words = (recipe / "told").read_text().split()
    assert done.returncode == failures.REQUEUE and " ".join(words[:7]) == "--time 1:00 --gpu 0 --requeue true JOB=1:2", done.stderr
    assert words[-2:] == ["--cmd", "utils/run.pl"]
    sh(recipe, *SWEEP, "--cmd", "./told.sh", "--stage", "3", "--stop-stage", "3")
    assert "--requeue" not in (recipe / "told").read_text()


def test_a_training_that_saved_ends_its_task_with_99(recipe):
    """Its launcher within the task, the recipe and the sweep pass the status on."""
    exps = [recipe / f"exp_mini/tiny_seed{seed}" for seed in (3, 4)]
    process = subprocess.Popen([*SWEEP, "--requeue", "true", "--cmd", "utils/run.pl --max-jobs-run 2", "--stage", "3", "--stop-stage", "3"],
                               cwd=recipe, env=recipe_copy.environment(), stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
    for exp in exps:
        wait_for(lambda lines=exp / "progress.jsonl": lines.exists(), process=process)
        for pid in trainings(exp.relative_to(recipe)):
            os.kill(pid, signal.SIGTERM)
    output, _ = process.communicate(timeout=120)
    assert process.returncode == failures.REQUEUE, output
    assert all(len(checkpoint.checkpoints(exp)) == 1 for exp in exps)


def trainings(exp):
    """Process ids of the programs that train into `exp`."""
    words = {pid: words_of(pid) for pid, *_ in running()}
    return [pid for pid, line in words.items() if line[2:3] == ["sslspk.bin.train"] and line[-1] == str(exp)]


def test_several_machines_are_refused(recipe):
    done = sh(recipe, *SWEEP, "--nodes", "2")
    assert done.returncode == 1 and done.stderr.count("\n") == 1 and "--nodes 2" in done.stderr and not (recipe / "exp_mini").exists()


@pytest.mark.slow
def test_each_training_on_features_has_noisy_copies_of_its_own(tmp_path, monkeypatch):
    recipe = recipe_copy.make(tmp_path)
    monkeypatch.chdir(recipe)
    shrink(recipe)
    run(recipe, "./run_sweep.sh", "--mini", "true", f"--synth={SYNTH}", "--nj", "1", "--system", "c3dino_from_moco_tdnn",
        "--input", "feats", "--stop-stage", "3", "--over", "seed=3 4", *overrides("train.steps=3", "data.batch_size=8"))
    data, name = recipe / "data_mini", "c3dino_from_moco_tdnn_seed"
    assert {path.parent.name for path in data.glob("voxceleb1_dev_packed*/feats.scp")} == {
        f"voxceleb1_dev_packed_{system}" for system in ("moco_tdnn", f"{name}3", f"{name}4")}
    assert all((recipe / f"exp_mini/{system}/final.pt").exists() for system in ("moco_tdnn", f"{name}3", f"{name}4"))
