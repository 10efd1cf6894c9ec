"""Ten faults of the campaign (tools/fault_campaign.py), and that it tells a toolkit that loses something from one that does not."""
import json
import os
import random
import signal
import subprocess
import sys

import pytest
import torch
from recipe_copy import ROOT, environment

sys.path.insert(0, str(ROOT / "tools"))

from faults import compare, inject, operations, processes, verdict
from faults.bench import Bench
from faults.cluster import Cluster
from faults.plan import ALL, KINDS, Fault, plan, possible
from faults.stages import BY_NAME, Stage

PAIRS = ("kill all:train", "kill run.sh:augment", "die at rename:train", "fail at open:augment", "full disk:augment", "read-only:augment",
         "cut input:train", "flip output:augment", "flip checkpoint:train", "twice:augment")


def campaign(out, *pairs):
    done = subprocess.run([sys.executable, str(ROOT / "tools/fault_campaign.py"), "--out", str(out), "--pairs", *pairs],
                          env=environment(), capture_output=True, text=True, check=False, timeout=1800)
    return done, json.loads((out / "campaign.json").read_text()) if (out / "campaign.json").exists() else {}


@pytest.mark.slow
def test_nothing_is_lost_and_what_is_lost_would_be_told(tmp_path):
    done, found = campaign(tmp_path, *PAIRS)
    assert done.returncode == 0, done.stdout[-6000:] + done.stderr[-2000:]
    assert found["counts"] == {"survived": len(PAIRS), "lost": 0, "hung": 0, "missed": 0}
    assert f"{len(PAIRS)} faults: {len(PAIRS)} survived" in done.stdout
    (tmp_path / "verdicts.0.json").unlink()
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
    bench.out, bench.part, bench.mounted, bench.cluster = tmp_path, 0, False, Cluster(tmp_path / "cluster")
    recipe = tmp_path / "work/egs/voxceleb/exp_mini"
    recipe.mkdir(parents=True)
    (tmp_path / "state/augment/before").mkdir(parents=True)
    (tmp_path / "sound").write_text("sound\n")
    bench.reference = {"augment": {"seconds": 1.0, "cpu": 0.1, "digests": {"exp_mini/made": compare.content(tmp_path / "sound")},
                                   "rewritten": ["exp_mini/made"], "operations": [["rename", "1", "mv", "x"]]}}
    monkeypatch.setattr(processes, "QUIET", 3)

    def judge(kind, line, seed=0):
        monkeypatch.setitem(BY_NAME, "augment", Stage("augment", ("bash", "-c", f"mkdir -p exp_mini; {line}"), (), (), "exp_mini"))
        return verdict.judge(bench, Fault(0, kind, "augment", 0.3, "", seed, 0))

    return judge


@pytest.mark.parametrize(("made", "said"), [("wrong", "lost"), ("sound", "missed")])
def test_a_fault_that_is_swallowed_is_lost_when_files_are_wrong(judged, made, said):
    row = judged("terminate run.sh", f"trap '' TERM; sleep 1; echo {made} > exp_mini/made")
    assert row["verdict"] == said, row
    assert said == "missed" or "exp_mini/made" in row["why"]


def test_a_process_that_stays_behind_is_told_though_the_command_ended_well(judged):
    row = judged("terminate run.sh", "trap '' TERM; sleep 60 & sleep 1; echo sound > exp_mini/made")
    assert row["verdict"] == "hung" and "sleep 60" in row["why"]


def test_a_command_that_sleeps_hangs(judged):
    row = judged("stop rank", "LOCAL_RANK=0 python3 -c 'import time; time.sleep(60)' sslspk.bin.train; echo sound > exp_mini/made")
    assert row["verdict"] == "hung" and "no CPU time and no new bytes for 3 s" in row["why"], row


BUSY = "python3 -c 'import time\nwhile time.process_time() < {}: pass'; echo sound > exp_mini/made"


def test_a_command_that_computes_does_not_hang_however_long_it_takes(judged, monkeypatch):
    monkeypatch.setattr(processes, "QUIET", 1)
    assert judged("kill run.sh", "sleep 0.6; " + BUSY.format(2))["verdict"] == "survived"


def test_cpu_seconds_are_limited(judged, monkeypatch):
    monkeypatch.setattr(processes, "MOST", (1, 1))
    row = judged("kill run.sh", "sleep 0.6; " + BUSY.format(60))
    assert row["verdict"] == "hung" and "CPU seconds, where undisturbed it takes 0" in row["why"], row


@pytest.mark.parametrize(("line", "why"), [
    ("sleep 1; echo sound > exp_mini/made; : > exp_mini/.made.0123.tmp", "different from the undisturbed run: exp_mini/.made.0123.tmp"),
    ("sleep 1; echo sound > exp_mini/made; mkdir exp_mini/log && : > exp_mini/log/a || [ -e exp_mini/log/b ] || : > exp_mini/log/b", ""),
    ("sleep 1; if [ -f exp_mini/made ]; then exit 3; fi; echo sound > exp_mini/made", "a third time it ended with 3"),
])
def test_hidden_litter_is_told_logs_are_not_and_a_third_run_must_be_well(judged, line, why):
    row = judged("kill run.sh", line.replace("&& : >", "2> /dev/null && : >"))
    assert row["verdict"] == ("lost" if why else "survived") and why in row["why"], row


def test_a_third_run_that_makes_again_what_was_finished_is_told(judged, tmp_path):
    line = "sleep 1; echo sound > exp_mini/new; mv exp_mini/new exp_mini/made"
    assert judged("kill run.sh", line)["verdict"] == "survived"   # as the undisturbed run does, says the reference
    row = judged("kill run.sh", f"{line}; : > exp_mini/.done")
    assert row["verdict"] == "lost" and ".done" in row["why"]


@pytest.mark.parametrize("seed", [0, 1, 2, 3])
def test_a_shell_dies_before_a_rename_and_comes_back(judged, seed):
    row = judged("die at rename", "echo sound > exp_mini/new; mv exp_mini/new exp_mini/made", seed)
    assert row["verdict"] == "survived" and row["why"].startswith("exit -9"), row


def test_an_error_at_a_rename_is_a_sentence_of_mv(judged):
    assert judged("fail at rename", "set -e; echo sound > exp_mini/new; mv exp_mini/new exp_mini/made")["why"] == "exit 1"
    silent = judged("fail at rename", "set -e; echo sound > exp_mini/new; mv exp_mini/new exp_mini/made 2> /dev/null")
    assert silent["verdict"] == "lost" and "in place of a sentence" in silent["why"]


PROGRAM = """import fcntl, os
with open("exp/.new", "w") as file:
    fcntl.flock(file, fcntl.LOCK_EX)
    file.write("sound")
    os.fsync(file.fileno())
os.replace("exp/.new", "exp/made")
os.remove("exp/old")
open("exp/end", "w").close()
"""


@pytest.mark.parametrize(("operation", "there"), [("open\t2", {"made"}), ("lock\t1", {".new", "old"}),
                                                  ("sync\t1", {".new", "old"}), ("rename\t1", {".new", "old"}),
                                                  ("remove\t1", {"made", "old"})])
@pytest.mark.parametrize("how", ["die", "28"])
def test_python_dies_or_fails_right_before_the_chosen_operation(tmp_path, operation, there, how):
    (tmp_path / "exp").mkdir()
    (tmp_path / "exp/old").touch()
    (tmp_path / "p.py").write_text(PROGRAM)

    def run(settings):
        words = operations.watched(tmp_path, tmp_path / "exp", settings, tmp_path / "counts")
        return subprocess.run([sys.executable, "p.py"], cwd=tmp_path, env={**environment(), **words}, capture_output=True, text=True,
                              check=False)

    done = run({"AT": f"{operation}\tp.py", "HOW": how})
    left = {path.name for path in (tmp_path / "exp").iterdir()}
    if how == "die":
        assert done.returncode == -signal.SIGKILL and left == there
    else:
        assert done.returncode == 1 and "No space left on device" in done.stderr and left == there
    assert (tmp_path / "counts/fired").exists()
    (tmp_path / "exp/old").touch()
    assert run({"TRACE": str(tmp_path / "trace")}).returncode == 0
    assert [line[0] for line in operations.read(tmp_path / "trace")] == ["open", "lock", "sync", "rename", "remove", "open"]


@pytest.mark.parametrize("how", ["flip", "hole"])
def test_quiet_damage_keeps_size_and_time(tmp_path, how):
    path = tmp_path / "x"
    path.write_bytes(b"\xff" * 1000)
    os.utime(path, ns=(10 ** 18, 10 ** 18 + 7))
    inject.spoil(path, how, random.Random(1))
    there = path.read_bytes()
    assert path.stat().st_mtime_ns == 10 ** 18 + 7 and len(there) == 1000
    assert sum(8 - byte.bit_count() for byte in there) == 1 if how == "flip" else 0 < there.count(0) <= 256


def test_what_is_compared_and_what_is_left_out(tmp_path):
    """Counters of an optimizer and figures of a log are compared; times, locks and speeds are not."""
    exp = tmp_path / "exp_mini"
    (exp / "log").mkdir(parents=True)

    def digests(counter=3, loss=0.5, speed=9.0, stamp="a", log="b", label="speaker"):
        torch.save({"method": {"w": torch.ones(2)}, "optimizer": {"state": {0: {"step": counter}}}}, exp / "step.pt")
        (exp / "progress.jsonl").write_text(json.dumps({"step": 1, "loss": loss, "utterances_per_second": speed}) + "\n")
        for name, text in ((".done", stamp), (".busy", stamp), ("log/x.log", log), (".source", label)):
            (exp / name).write_text(text)
        return compare.digests(tmp_path)

    first = digests()
    assert set(first) == {f"exp_mini/{name}" for name in ("step.pt", "progress.jsonl", ".done", ".busy", ".source")}
    assert digests(speed=1.0, stamp="c", log="d") == first
    assert compare.unlike(first, digests(counter=4)) == ["exp_mini/step.pt"]
    assert compare.unlike(first, digests(loss=0.6)) == ["exp_mini/progress.jsonl"]
    assert compare.unlike(first, digests(label="session")) == ["exp_mini/.source"]
    (exp / "step.pt").write_bytes((exp / "step.pt").read_bytes()[:100])
    assert compare.content(exp / "step.pt").startswith("unreadable")


def test_a_plan_is_the_seed_s_and_each_kind_has_its_turn():
    pairs = possible({name: set(operations.OPERATIONS) for name in ALL})
    faults = plan(225, 3, pairs)
    assert faults == plan(225, 3, pairs) and faults != plan(225, 4, pairs)
    counts = [sum(fault.kind == kind for fault in faults) for kind in KINDS]
    assert max(counts) - min(counts) == 1 and min(counts) >= 5
    assert {fault.stage for fault in faults} == set(ALL)
    assert [fault.kind for fault in plan(2, 0, [("kill all", "train"), ("clock", "train")], True)] == ["kill all", "clock"]
    assert ("die at lock", "table") not in possible({"table": {"open"}})
