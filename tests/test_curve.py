"""EER over the steps of finished trainings: which result is which step, and the table."""
import importlib.util
import json

import pytest
from recipe_copy import ROOT

from sslspk.errors import InputError


@pytest.fixture(scope="module")
def show():
    spec = importlib.util.spec_from_file_location("show_curve", ROOT / "local/show_curve.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.fixture
def scored(tmp_path):
    """Trainings a and a_b, each with checkpoints of steps 10 and 20; final.pt of the first is a mean that ends at step 20."""
    points = {"a": ("encoder", 20, 9.0), "a_step10": ("encoder", 10, 30.0), "a_step20": ("encoder", 20, 20.0), "a_b": ("encoder", 30, 5.0)}
    for name, (weights, steps, eer) in points.items():
        for kind, step, rate in ((weights, steps, eer), *([("untrained", 0, 45.0)] if name == "a" else [])):
            folder = tmp_path / f"curve/{name}/scores_{kind}"
            folder.mkdir(parents=True)
            (folder / "result_trials_toy.json").write_text(json.dumps({
                "system": name, "weights": kind, "steps": step, "eer_percent": rate, "eer_percent_low": rate - 1,
                "eer_percent_high": rate + 2, "min_dcf_0.01": 0.5, "labels": "none", "trained_on": "toy", "commit": "abc",
                "trials": "data/trials_toy"}))
    return tmp_path


def test_steps_are_those_of_the_training(show, scored, monkeypatch, capsys):
    monkeypatch.chdir(scored)
    monkeypatch.setattr("sys.argv", ["show_curve.py", "--list", "toy", "--out", "CURVE.md", "--plot", "curve.svg", "curve", "a", "a_b"])
    show.main()
    rows = [line for line in (scored / "CURVE.md").read_text().splitlines() if line.startswith("| a")]
    assert [row.replace(" ", "").split("|")[1:5] for row in rows] == [
        ["a", "0", "untrained", "45.00(44.00-47.00)"], ["a", "10", "encoder", "30.00(29.00-32.00)"],
        ["a", "20", "encoder", "20.00(19.00-22.00)"], ["a_b", "30", "encoder", "5.00(4.00-7.00)"]]
    assert (scored / "curve.svg").stat().st_size > 5000
    assert "4 steps of 2 trainings" in capsys.readouterr().out


def test_a_training_without_results_is_named(show, scored, monkeypatch):
    monkeypatch.chdir(scored)
    monkeypatch.setattr("sys.argv", ["show_curve.py", "--list", "toy", "--out", "x.md", "--plot", "x.svg", "curve", "a", "none"])
    with pytest.raises(InputError, match=r"holds no result of none on toy; run egs/voxceleb/run_curve\.sh"):
        show.main()
