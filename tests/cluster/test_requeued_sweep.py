"""A sweep of trainings as one array of a real Slurm, one of which is stopped on the way."""
import subprocess

import pytest
import recipe_copy
from tones import conf_text, make_data
from waiting import wait_for

pytestmark = [pytest.mark.cluster, pytest.mark.slow]


def test_a_warned_training_of_a_sweep_goes_back_and_all_end(slurm, tmp_path):
    recipe = recipe_copy.make(tmp_path)
    (recipe / "data_mini").mkdir()
    make_data(recipe / "data_mini/voxceleb1_dev_packed")
    (recipe / "conf/mini/tiny.yaml").write_text(conf_text(steps=250, log_every=5, save_every=100000))
    words = ("./run_sweep.sh", "--mini", "true", "--system", "tiny", "--over", "seed=3 4", "--cmd", str(slurm.program), "--requeue", "true",
             "--stage", "3", "--stop-stage", "3")
    process = subprocess.Popen(words, cwd=recipe, text=True, stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
                               env=slurm.changed(recipe_copy.environment() | {"SSLSPK_ASK_SECONDS": "1"}))
    exps = [recipe / f"exp_mini/tiny_seed{seed}" for seed in (3, 4)]
    wait_for((exps[0] / "progress.jsonl").exists, 200, process)
    [job] = {*slurm.jobs()}
    slurm.call("scancel", "--batch", "--signal=USR1", f"{job}_1")   # as Slurm does before a time limit
    output, _ = process.communicate(timeout=400)
    assert process.returncode == 0, output
    assert output.count("is submitted again") == 1 and all((exp / "final.pt").exists() for exp in exps)
    log = exps[0].parent / "sweep_tiny/log/train.1.log.1"
    assert "stopped by SIGTERM" in log.read_text()
