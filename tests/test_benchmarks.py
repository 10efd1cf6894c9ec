"""The benchmarks of tools/bench that a GPU or another toolkit's checkout is for say so where there is none."""
import importlib.util
import sys
from pathlib import Path

import pytest

BENCH = Path(__file__).resolve().parents[1] / "tools/bench"


@pytest.fixture
def program(monkeypatch):
    """A program of tools/bench as a module, and its arguments."""
    def load(name, *words):
        monkeypatch.syspath_prepend(str(BENCH))
        monkeypatch.setattr(sys, "argv", [name, *map(str, words)])
        spec = importlib.util.spec_from_file_location(f"bench_{name}", BENCH / f"{name}.py")
        module = importlib.util.module_from_spec(spec)
        spec.loader.exec_module(module)
        return module
    return load


def test_peers_says_what_is_not_there(program, tmp_path, capsys):
    program("peers", "--wespeaker", tmp_path, "--only", "asnorm", "head 65536").main()
    said = capsys.readouterr().out.splitlines()[2:]
    assert said[0].endswith(f"not measured: {tmp_path}/wespeaker is not there") and said[1].endswith("not measured: no --sslsv")


def test_peers_takes_either_side_in_turns_and_leaves_the_first_round_out(program):
    order = []
    seconds = program("peers").measured(lambda: order.append("theirs"), lambda: order.append("ours"), 3)
    assert order == ["ours", "theirs", "theirs", "ours"] * 2 and all(value >= 0 for value in seconds)


def test_scale_makes_directories_that_are_sound(program, tmp_path):
    from sslspk.io import datadir, quick
    program("scale").make(str(tmp_path / "data"), 400)
    found = quick.look(str(tmp_path / "data"))
    assert (found.utterances, found.speakers) == (400, 3) and len(datadir.validate(str(tmp_path / "data"))["wav.scp"]) == 400
