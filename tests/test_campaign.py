"""Ten faults of the campaign (tools/fault_campaign.py), and that it tells a toolkit that loses something from one that does not."""
import json
import subprocess
import sys

import pytest
from recipe_copy import ROOT, environment

PAIRS = ("kill all:train", "kill run.sh:augment", "kill job:train", "terminate group:augment", "full disk:augment", "read-only:augment",
         "cut input:train", "lost output:train", "cut checkpoint:train", "twice:augment")


def campaign(out, *pairs):
    done = subprocess.run([sys.executable, str(ROOT / "tools/fault_campaign.py"), "--out", str(out), "--until", "train", "--pairs", *pairs],
                          env=environment(), capture_output=True, text=True, check=False, timeout=900)
    return done, json.loads((out / "campaign.json").read_text()) if (out / "campaign.json").exists() else {}


@pytest.mark.slow
def test_nothing_is_lost_and_what_is_lost_would_be_told(tmp_path):
    done, found = campaign(tmp_path, *PAIRS)
    assert done.returncode == 0, done.stdout[-6000:] + done.stderr[-2000:]
    assert found["counts"] == {"survived": len(PAIRS), "lost": 0, "hung": 0, "missed": 0}
    assert f"{len(PAIRS)} faults: {len(PAIRS)} survived" in done.stdout
    stamps = tmp_path / "code/utils/done.sh"   # steps that never look at what they once wrote
    stamps.write_text(stamps.read_text().replace("_done_fresh() {", "_done_fresh() { [ -f \"$1/.done\" ]; return; "))
    broken, found = campaign(tmp_path, "lost output:augment", "cut output:augment", "blank output:augment")
    assert broken.returncode == 1 and found["counts"]["lost"], broken.stdout[-3000:]
    assert "lost: " in broken.stdout and "different from the undisturbed run: data_mini/augment/" in broken.stdout


def test_a_fault_that_cannot_be_is_refused(tmp_path):
    done, _ = campaign(tmp_path / "out", "kill rank:table")
    assert done.returncode == 2 and "kill rank:table" in done.stderr and not (tmp_path / "out").exists()
