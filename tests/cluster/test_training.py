"""Trainings in a real Slurm and Grid Engine: several nodes, and back into the queue when the time is up."""
import subprocess

import pytest
import recipe_copy
import torch
from tones import conf_text, make_data, weights
from waiting import wait_for

pytestmark = [pytest.mark.cluster, pytest.mark.slow]


@pytest.fixture(scope="module")
def recipe(tmp_path_factory):
    recipe = recipe_copy.make(tmp_path_factory.mktemp("cluster"))
    (recipe / "data").mkdir()
    make_data(recipe / "data/x")
    for name, steps in (("short", 6), ("long", 250)):
        (recipe / f"conf/{name}.yaml").write_text(conf_text(steps=steps, log_every=5, save_every=100000))
    return recipe


def train(system, recipe, exp, *words, conf="short"):
    """steps/train.sh in the batch system, under way."""
    command = ["steps/train.sh", "--cmd", f"{system.program} --max-requeues 30", "--conf", f"conf/{conf}.yaml", *words, "data/x", exp]
    return subprocess.Popen(command, cwd=recipe, text=True, stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
                            env=system.changed(recipe_copy.environment() | {"SSLSPK_ASK_SECONDS": "1", "SSLSPK_INTERFACE": "lo"}))


def here(recipe, exp, *words, conf="short", threads=1):
    """The same on this machine, undisturbed, each rank on as many threads as the job had (they settle the bits); its weights."""
    if not (recipe / exp / "final.pt").exists():
        recipe_copy.run(recipe, "env", f"OMP_NUM_THREADS={threads}", "steps/train.sh", "--conf", f"conf/{conf}.yaml", *words, "data/x", exp)
    return weights(recipe / exp)


def lines(path):
    return len(path.read_text().splitlines()) if path.exists() else 0


def test_two_nodes_are_two_ranks(system, recipe):
    exp = f"exp/nodes_{system.name}"
    # In Slurm a task takes all of a node's cores, so that the other one has to run on the other node.
    threads = 4 if system.name == "slurm" else 1
    process = train(system, recipe, exp, "--cmd", f"{system.program} --num-threads {threads}", "--nodes", "2", "--wait", "3")
    output, _ = process.communicate(timeout=600)
    assert process.returncode == 0, output
    logs = [(recipe / exp / f"log/train.node{node}.log").read_text() for node in (1, 2)]
    assert "2 ranks on cpu" in "".join(logs) and "node 2 of 2 looks for node 1" in logs[1]
    if system.name == "slurm":
        nodes = {line for log in logs for line in log.splitlines() if line.startswith("# SLURM_JOB_NODELIST=")}
        assert nodes == {"# SLURM_JOB_NODELIST=n1", "# SLURM_JOB_NODELIST=n2"}
    assert torch.equal(weights(recipe / exp), here(recipe, f"{exp}_here", "--ranks", "2", threads=threads))


def test_a_warned_training_saves_goes_back_and_ends_the_same(slurm, recipe):
    """The signal that Slurm sends before a time limit (--signal=B:USR1@120), sent twice, to one of two nodes and then to the other."""
    process = train(slurm, recipe, "exp/warned", "--nodes", "2", "--wait", "3", "--requeue", "true", conf="long")
    for task in (1, 2):
        wait_for(lambda least=10 * task: lines(recipe / "exp/warned/progress.jsonl") > least, 200)
        jobs = {*slurm.jobs()}
        for job in jobs:
            slurm.call("scancel", "--batch", "--signal=USR1", f"{job}_{task}")
        wait_for(lambda before=jobs: {*slurm.jobs()} - before, 100)   # submitted again
    output, _ = process.communicate(timeout=600)
    assert process.returncode == 0, output
    assert output.count("is submitted again") >= 4 and (recipe / "exp/warned/log/train.node1.log.1").exists()
    assert torch.equal(weights(recipe / "exp/warned"), here(recipe, "exp/undisturbed2", "--ranks", "2", conf="long"))


def test_a_preempted_training_goes_back_and_ends_the_same(slurm, recipe):
    """A job of a partition with higher priority takes both nodes."""
    process = train(slurm, recipe, "exp/preempted", "--cmd", f"{slurm.program} -p low", "--requeue", "true", conf="long")
    wait_for(lambda: lines(recipe / "exp/preempted/progress.jsonl") > 10, 200)
    slurm.call("srun", "-p", "high", "-N", "2", "-c", "4", "true")
    output, _ = process.communicate(timeout=600)
    assert process.returncode == 0, output
    assert output.count("is submitted again") == 1 and "asked to stop: saved" in (recipe / "exp/preempted/log/train.log.1").read_text()
    assert torch.equal(weights(recipe / "exp/preempted"), here(recipe, "exp/undisturbed", conf="long"))


def test_a_training_whose_place_is_wanted_goes_back_and_ends_the_same(gridengine, recipe):
    """Grid Engine warns a job (-notify) before it suspends it for another one."""
    process = train(gridengine, recipe, "exp/wanted", "--requeue", "true", conf="long")
    wait_for(lambda: lines(recipe / "exp/wanted/progress.jsonl") > 10, 200)
    gridengine.call("qmod", "-sj", *gridengine.jobs())
    output, _ = process.communicate(timeout=600)
    assert process.returncode == 0, output
    assert output.count("is submitted again") == 1 and (recipe / "exp/wanted/log/train.log.1").exists()
    assert torch.equal(weights(recipe / "exp/wanted"), here(recipe, "exp/undisturbed", conf="long"))
