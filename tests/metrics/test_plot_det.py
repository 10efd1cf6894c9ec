"""The DET plot: a picture comes out, its axes hold the curves, and mistakes are sentences."""
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from sslspk.bin import plot_det
from sslspk.errors import InputError
from sslspk.io import scores as score_file
from sslspk.io import trials as trial_list
from sslspk.metrics import verification

ROOT = Path(__file__).parents[2]


@pytest.fixture
def systems(tmp_path):
    rng = np.random.default_rng(0)
    target = np.arange(500) < 200
    names = np.array([f"u{n}" for n in range(500)])
    trial_list.write(tmp_path / "trials_a.txt", names, names, target)
    (tmp_path / "good").mkdir()
    score_file.write(tmp_path / "good" / "scores_trials_a", names, names, rng.normal(size=500) + 4 * target)
    score_file.write(tmp_path / "chance", names, names, rng.normal(size=500))
    return tmp_path


def run(folder, *words):
    return subprocess.run([sys.executable, "-m", "sslspk.bin.plot_det", "--trials", "trials_a.txt", *words], cwd=folder,
                          capture_output=True, text=True, check=False)


def test_pictures(systems):
    for name, start in (("det.png", b"\x89PNG"), ("det.svg", b"<?xml")):
        done = run(systems, "--out", name, "DINO=good", "chance=chance")
        assert done.returncode == 0, done.stderr
        assert (systems / name).read_bytes().startswith(start)
    first = (systems / "det.svg").read_bytes()
    run(systems, "--out", "det.svg", "DINO=good", "chance=chance")
    assert (systems / "det.svg").read_bytes() == first


def test_step(systems):
    (systems / "utils").symlink_to(ROOT / "utils")
    environment = os.environ | {"PATH": f"{Path(sys.executable).parent}:{os.environ['PATH']}", "PYTHONPATH": str(ROOT)}
    step = ["bash", str(ROOT / "steps/plot_det.sh")]
    done = subprocess.run([*step, "--trials", "trials_a.txt", "--title", "two words", "det.png", "DINO ECAPA=good"],
                          cwd=systems, env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert (systems / "det.png").stat().st_size > 10000
    done = subprocess.run([*step, "det.png", "DINO=good"], cwd=systems, env=environment, capture_output=True, text=True,
                          check=False)
    assert done.returncode == 1 and "--trials is needed" in done.stderr


@pytest.mark.parametrize(("words", "named"), [
    (["--out", "det.gif", "a=good"], "det.gif"),
    (["--out", "det.png", "good"], "'good' is not NAME=SCORES"),
    (["--out", "det.png", "a=good", "a=chance"], "two systems are called a"),
    (["--out", "det.png", "a=nowhere"], "nowhere"),
])
def test_mistakes(systems, words, named):
    done = run(systems, *words)
    assert done.returncode == 1
    assert named in done.stderr and done.stderr.count("\n") == 1
    assert not list(systems.glob("det.*"))


@pytest.mark.parametrize("shift", [0.0, 2.0, 5.0, 100.0, -100.0])
def test_axes_hold_the_eer(shift):
    rng = np.random.default_rng(0)
    target = np.arange(3000) < 1500
    det = verification.det_curve(rng.normal(size=3000) + shift * target, target)
    low, high = plot_det.limits({"x": det})
    assert 0 < low < high < 1
    assert low < verification.eer(det) < high or verification.eer(det) in (0, 1)
    labelled = plot_det.ticks(low, high)
    assert len(labelled) >= 5
    assert labelled == sorted(labelled)
    plot_det.draw({"x": det}, "a list", 0.01)


def test_names_are_no_formulae(tmp_path):
    det = verification.det_curve(np.arange(20.0), np.arange(20) > 8)
    plot_det.save(plot_det.draw({"$(x) & $": det}, "a_{b $c^ $\\d$", 0.01), str(tmp_path / "det.png"))
    assert (tmp_path / "det.png").stat().st_size > 1000


def test_score_files_are_found_in_directories(tmp_path):
    assert plot_det.system_paths([f"a={tmp_path}", "b=x=y"], "scores_t") == {"a": str(tmp_path / "scores_t"), "b": "x=y"}
    with pytest.raises(InputError, match="NAME=SCORES"):
        plot_det.system_paths(["=x"], "scores_t")
