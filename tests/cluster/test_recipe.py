"""egs/voxceleb/run.sh --mini true with every job in a real Slurm or Grid Engine."""
import json
import re
import subprocess
from pathlib import Path

import pytest
import recipe_copy
from recipe_copy import SMALL, SYNTH, overrides
from systems import System
from waiting import wait_for

pytestmark = [pytest.mark.cluster, pytest.mark.slow]
VARIANT = {"slurm": "# Slurm", "gridengine": "# Grid Engine"}


def choose(cmd: Path, heading: str) -> None:
    """Edit cmd.sh as a user does: the lines below a heading become the ones in force; no GPUs here, and small jobs."""
    before, _, after = cmd.read_text().partition(heading)
    lines = re.sub(r"^export ", "# export ", before, flags=re.MULTILINE)
    chosen = re.sub(r"^# export ", "export ", after, count=2, flags=re.MULTILINE)
    text = (lines + heading + chosen).replace(" --gpu 1", "").replace("--mem 4G", "--mem 200M").replace("--mem 8G", "--mem 200M")
    cmd.write_text(text.replace("--num-threads 4", "--num-threads 1"))


def test_from_wav_to_eer(system: System, tmp_path):
    recipe = recipe_copy.make(tmp_path)
    choose(recipe / "cmd.sh", VARIANT[system.name])
    words = ["./run.sh", "--mini", "true", f"--synth={SYNTH}", "--nj", "2", "--system", "dino_tdnn",
             *overrides(*SMALL)]
    environment = {**system.environment, **recipe_copy.environment(), "SSLSPK_ASK_SECONDS": "2"}
    environment |= {key: value for key, value in system.environment.items() if key.startswith(("SGE_", "SLURM_"))}
    done = subprocess.run(words, cwd=recipe, env=environment, text=True, capture_output=True, timeout=900)
    assert done.returncode == 0, f"{done.stdout[-3000:]}\n{done.stderr[-3000:]}"
    result = json.loads((recipe / "exp_mini/dino_tdnn/scores_teacher/result_trials_veri_test2.json").read_text())
    assert 0 <= result["eer_percent"] <= 100 and result["steps"] == 3
    assert "dino_tdnn" in (recipe / "exp_mini/RESULTS.md").read_text()
    logs = [path for path in recipe.rglob("*.log") if path.parent.name == "log"]
    texts = {path: path.read_text(errors="replace").splitlines() for path in logs}
    headed = [path for path, lines in texts.items() if lines[0].startswith("# Running on ")]
    assert len(headed) > 15 and recipe / "exp_mini/dino_tdnn/log/train.log" in headed
    assert not [path for path, lines in texts.items() if lines[-1].startswith("# Ended ")]   # by run.pl
    assert (recipe / "exp_mini/dino_tdnn/log/q/train.sh").exists()
    wait_for(lambda: not system.jobs())
