"""The benchmarks of tools/bench that a GPU or another toolkit's checkout is for say so where there is none."""
import argparse
import importlib.util
import subprocess
import sys
from pathlib import Path

import pytest
import torch

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


def test_peers_counts_the_operations_of_a_step(program):
    peers, a, args = program("peers"), torch.ones(500, 200), argparse.Namespace(small=True, rounds=3)
    operations, share, ratio = peers.limit(lambda: [a @ a.T for _ in range(10)], 0.02, 0.01, args).split()
    assert operations == "1.0" and float(ratio) * float(share) == pytest.approx(200, rel=0.05)
    assert peers.limit(lambda: None, 0.02, 0.01, args) == ""


def test_scale_makes_directories_that_are_sound(program, tmp_path):
    from sslspk.io import datadir, quick
    program("scale").make(str(tmp_path / "data"), 400)
    found = quick.look(str(tmp_path / "data"))
    assert (found.utterances, found.speakers) == (400, 3) and len(datadir.validate(str(tmp_path / "data"))["wav.scp"]) == 400


def gpu(*words):
    return subprocess.run(["bash", BENCH / "gpu.sh", *map(str, words)], capture_output=True, text=True)


@pytest.mark.skipif(torch.cuda.is_available(), reason="there is a GPU")
def test_gpu_checks_are_refused_without_a_gpu():
    done = gpu()
    assert done.returncode == 3 and "finds no GPU" in done.stderr and not done.stdout


@pytest.mark.slow
def test_every_part_of_the_gpu_checks_runs_on_a_cpu(tmp_path):
    done = gpu("--device", "cpu", "--small", "true", "--out", tmp_path)
    assert done.returncode == 0, done.stdout + done.stderr
    assert sorted(path.stem for path in tmp_path.iterdir()) == ["kmeans", "methods", "methods_bf16", "on_device", "on_device_bf16"]
    assert "5 of 5 agree" in (tmp_path / "on_device.txt").read_text()
