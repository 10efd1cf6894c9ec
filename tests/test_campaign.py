"""Ten faults of the campaign (tools/fault_campaign.py), and that it tells a toolkit that loses something from one that does not."""
import hashlib
import json
import subprocess
import sys

import pytest
from recipe_copy import ROOT, environment

sys.path.insert(0, str(ROOT / "tools"))

from faults import verdict
from faults.bench import Bench
from faults.plan import Fault
from faults.stages import BY_NAME, Stage

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
    stamps.write_text(stamps.read_text().replace("done_fresh() {", "done_fresh() { [ -f \"$1/.done\" ]; return; "))
    broken, found = campaign(tmp_path, "lost output:augment", "cut output:augment", "blank output:augment")
    assert broken.returncode == 1 and found["counts"]["lost"], broken.stdout[-3000:]
    assert "lost: " in broken.stdout and "different from the undisturbed run: data_mini/augment/" in broken.stdout


def test_a_fault_that_cannot_be_is_refused(tmp_path):
    done, _ = campaign(tmp_path / "out", "kill rank:table")
    assert done.returncode == 2 and "kill rank:table" in done.stderr and not (tmp_path / "out").exists()


@pytest.fixture
def judged(tmp_path, monkeypatch):
    """What is said of a fault at a stage that is a line of bash, of a second, which is to write `sound` to exp_mini/made."""
    bench = Bench.__new__(Bench)
    bench.out, bench.recipe, bench.mounted = tmp_path, tmp_path / "work/egs/voxceleb", False
    (bench.recipe / "exp_mini").mkdir(parents=True)
    bench.reference = {"augment": {"seconds": 1.0, "digests": {"exp_mini/made": hashlib.md5(b"sound\n").hexdigest()}}}

    def judge(kind, line):
        monkeypatch.setitem(BY_NAME, "augment", Stage("augment", ("bash", "-c", f"mkdir -p exp_mini; {line}"), (), (), "exp_mini"))
        return verdict.judge(bench, Fault(0, kind, "augment", 0.3, "", 0, 0))

    return judge


@pytest.mark.parametrize(("made", "said"), [("wrong", "lost"), ("sound", "missed")])
def test_a_fault_that_is_swallowed_is_lost_when_files_are_wrong(judged, made, said):
    row = judged("terminate run.sh", f"trap '' TERM; sleep 1; echo {made} > exp_mini/made")
    assert row["verdict"] == said, row
    assert said == "missed" or "exp_mini/made" in row["why"]


def test_a_process_that_stays_behind_is_told_though_the_command_ended_well(judged, monkeypatch):
    monkeypatch.setattr(verdict, "LEAVING", 1)
    row = judged("terminate run.sh", "trap '' TERM; sleep 60 & sleep 1; echo sound > exp_mini/made")
    assert row["verdict"] == "hung" and "sleep 60" in row["why"]


def test_a_training_that_does_not_notice_a_stopped_rank_in_time_hangs(judged, monkeypatch):
    assert verdict.TIMEOUT + verdict.MARGIN == 100
    monkeypatch.setattr(verdict, "TIMEOUT", 1)
    monkeypatch.setattr(verdict, "MARGIN", 1)
    row = judged("stop rank", "LOCAL_RANK=0 python3 -c 'import time; time.sleep(60)' sslspk.bin.train; echo sound > exp_mini/made")
    assert row["verdict"] == "hung" and "after 2 s" in row["why"], row


@pytest.mark.parametrize(("stopped", "told"), [("raise SystemExit('a stage failed')", "a stage failed"), ("1 / 0", "ZeroDivisionError")])
def test_a_share_tells_what_stops_it(stopped, told):
    program = f"import fault_campaign\ndef stop(*_):\n    {stopped}\nfault_campaign.campaign = stop\nfault_campaign.share(None, 1)"
    done = subprocess.run([sys.executable, "-c", program], cwd=ROOT / "tools", env=environment(), stderr=subprocess.PIPE, text=True,
                          check=False)
    assert done.returncode == 1 and told in done.stderr
