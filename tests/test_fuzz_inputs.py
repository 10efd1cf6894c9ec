"""Inputs of every family whose right outcome is known (tools/fuzz_inputs.py), and that its guard would see what they must not cause."""
import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent
FAMILIES = ("conf", "launchers", "tables", "trials", "archives", "audio", "results", "checkpoints", "shell", "kinds")


def fuzz(tmp_path: Path, *words: object) -> tuple[subprocess.CompletedProcess, dict]:
    report = tmp_path / "report.json"
    environment = {**os.environ, "PATH": f"{os.path.dirname(sys.executable)}:{os.environ['PATH']}"}   # python3 in shells is this one
    command = [sys.executable, ROOT / "tools/fuzz_inputs.py", "--json", report, *words]
    done = subprocess.run([str(word) for word in command], text=True, capture_output=True, timeout=600, env=environment)
    return done, json.loads(report.read_text()) if report.exists() else {}


@pytest.mark.parametrize("family", FAMILIES)
def test_every_input_is_read_right_or_refused_in_one_sentence(family, tmp_path):
    done, found = fuzz(tmp_path, "--inputs", 30, "--seed", 7, "--families", family)
    assert done.returncode == 0, done.stdout
    assert len(found[family]) == 30


FAULTY = '''
import os, pathlib, sys
from fuzz.case import Case, anything, function, said
def prepare(base): pass
def warm(base): pass
def case(call, check=anything): return lambda base: Case("a fault", function(call), check)
def refuse(text):
    from sslspk.errors import InputError
    raise InputError(text)
def wait():
    os.mkfifo("f")
    open("f").read()
CRAFTED = [case(lambda: os.system("true")), case(lambda: pathlib.Path("CANARY").touch()),
           case(lambda: 1 / 0), case(lambda: bytearray(3 << 30)),
           case(lambda: 5, said("6")), case(lambda: 5, None), case(lambda: refuse("x " * 100)), case(lambda: sys.exit("no name")),
           lambda base: Case("sound", function(lambda: refuse("no")), anything, False), case(lambda: open("../../../o", "w")),
           case(wait), case(lambda: os._exit(3)), case(lambda: refuse("one sentence")), case(lambda: 5, said("5"))]
def mutated(base, rng): return CRAFTED[-1](base)
'''
KINDS = ["command", "command", "traceback", "memory", "wrong", "accepted", "message", "message", "too strict", "command", "hang", "hang",
         "", ""]


def test_the_guard_sees_what_no_input_may_cause(tmp_path):
    """A family of faults in the place of launchers: each is WRONG for its reason, what follows a death is tried too."""
    tools = tmp_path / "tools"
    tools.mkdir()
    for path in (ROOT / "tools/fuzz_inputs.py", *(ROOT / "tools/fuzz").glob("*.py")):
        copy = tools / path.relative_to(ROOT / "tools")
        copy.parent.mkdir(exist_ok=True)
        copy.write_bytes(path.read_bytes())
    (tools / "fuzz/launchers.py").write_text(FAULTY)
    command = [sys.executable, tools / "fuzz_inputs.py", "--root", ROOT, "--families", "launchers", "--inputs", 28]
    command += ["--json", tmp_path / "r.json"]
    done = subprocess.run([str(word) for word in command], text=True, capture_output=True, timeout=300, cwd=tmp_path)
    assert done.returncode == 1, done.stderr
    rows = json.loads((tmp_path / "r.json").read_text())["launchers"]
    assert [row["kind"] for row in rows if row["number"] % 2 == 0] == KINDS
    assert {row["verdict"] for row in rows if row["number"] % 2} == {"ok"}


def test_an_input_is_the_same_each_time_and_can_be_replayed_alone(tmp_path):
    _, first = fuzz(tmp_path, "--inputs", 12, "--seed", 3, "--families", "trials")
    done, alone = fuzz(tmp_path, "--seed", 3, "--only", "trials:11", "--keep", tmp_path / "kept")
    assert alone["trials"] == [row for row in first["trials"] if row["number"] == 11]
    assert first["trials"][11]["what"] in done.stdout
    assert (tmp_path / "kept/trials/in11/trials").is_file()
