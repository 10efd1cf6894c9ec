"""The benchmarks of tools/bench that a GPU or another toolkit's checkout is for say so where there is none."""
import argparse
import importlib.util
import os
import subprocess
import sys
from pathlib import Path
from typing import get_args

import pytest
import torch

from sslspk.methods.config import MethodConfig

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
    operations, share, ratio, products, bound = peers.limit(lambda: [a @ a.T for _ in range(10)], 0.02, 0.01, args).split()
    assert operations == "1.0" and float(ratio) * float(share) == pytest.approx(200, rel=0.05)
    assert 10 < float(products) <= 100 and float(products) * float(bound) == pytest.approx(200, rel=0.05)
    more = peers._counted(lambda: [a @ a.T, [a.exp() for _ in range(300)]])
    assert more.total == 2 * 500 * 200 * 500 and more.seconds < peers._counted(lambda: [a @ a.T for _ in range(100)]).seconds
    assert peers.limit(lambda: None, 0.02, 0.01, args) == ""


def test_scale_makes_directories_that_are_sound(program, tmp_path):
    from sslspk.io import datadir, quick
    program("scale").make(str(tmp_path / "data"), 400)
    found = quick.look(str(tmp_path / "data"))
    assert (len(found.utterances), len(found.speakers)) == (400, 3) and len(datadir.validate(str(tmp_path / "data"))["wav.scp"]) == 400


def test_growth_prints_and_draws_every_curve(program, tmp_path, capsys):
    growth = program("growth", "--recordings", 200, "--seconds", 0.3, "--prototypes", 16, 32, "--channels", 8, "--batch", 2, "--out",
                     tmp_path / "x.png")
    growth.main()
    said = capsys.readouterr().out.splitlines()
    assert len(said) == 5 and said[3].startswith("prototypes K, step") and "16: " in said[3] and "exponent nan" in said[4]
    assert (tmp_path / "x.png").stat().st_size > 5000
    assert growth.exponent([(1, 9), (10, 2), (100, 200)]) == pytest.approx(2)


def test_index_memory_counts_a_shared_page_once(program, tmp_path):
    bench = program("index_memory", "--lines", 1000, "--ranks", 1, "--workers", 2, "--looks", 50)
    own = bench.pss(os.getpid())
    assert 1000 < own <= int(Path("/proc/self/smaps_rollup").read_text().split("Rss:")[1].split()[0]) + 1000


def gpu(*words):
    return subprocess.run(["bash", BENCH / "gpu.sh", *map(str, words)], capture_output=True, text=True)


@pytest.mark.skipif(torch.cuda.is_available(), reason="there is a GPU")
def test_gpu_checks_are_refused_without_a_gpu():
    done = gpu()
    assert done.returncode == 3 and "finds no GPU" in done.stderr and not done.stdout


def test_a_part_alone_runs_on_a_cpu(tmp_path):
    done = gpu("--device", "cpu", "--small", "true", "--parts", "loader", "--out", tmp_path)
    assert done.returncode == 0 and "no check failed on cpu" in done.stdout, done.stdout + done.stderr
    assert [path.stem for path in tmp_path.iterdir()] == ["loader"]


def test_a_part_that_is_not_there_is_refused():
    done = gpu("--device", "cpu", "--parts", "loaders")
    assert done.returncode == 1 and "there is no part 'loaders'" in done.stderr


@pytest.mark.slow
def test_every_part_of_the_gpu_checks_runs_on_a_cpu(tmp_path):
    done = gpu("--device", "cpu", "--small", "true", "--out", tmp_path)
    assert done.returncode == 0, done.stdout + done.stderr
    parts = ["extraction", "kmeans", "loader", "on_device", "on_device_bf16", "on_device_compiled", "steps", "two_ranks"]
    assert sorted(path.stem for path in tmp_path.iterdir()) == parts
    assert "WRONG" not in done.stdout and "no check failed on cpu" in done.stdout


def test_benchmarks_have_a_system_of_every_method(program):
    made, kinds = program("made"), get_args(get_args(MethodConfig)[0])
    names = {name for kind in kinds for name in get_args(kind.model_fields["name"].annotation)}
    for small in (False, True):
        found = {config.method.name for config in made.systems(small).values()}
        assert found == names - {"cdsvae"} and len(names) > 20


def test_what_is_not_reached_is_named(program, capsys):
    """A share of the time that is over before the first system."""
    assert program("steps", "--device", "cpu", "--small", "--only", "dino", "--seconds", "-1").main() == 0
    assert capsys.readouterr().out.splitlines()[-1] == "0 of 3 reached; not dino float32, dino bf16, dino bf16 compiled"


def test_steps_of_a_system_are_timed(program, capsys):
    measured = program("steps", "--device", "cpu", "--small", "--only", "dino", "--batch", "2", "--steps", "1", "--seconds", "-1")
    args = argparse.Namespace(device="cpu", batch=2, steps=1, precision="float32")
    words = measured.measured(measured.made.systems(small=True)["dino"], args, compiled=False).split()
    assert len(words) == 5 and all(float(word) >= 0 for word in words) and float(words[2]) > 0.1   # GFLOP of a step
