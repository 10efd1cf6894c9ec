"""steps/compare_systems.sh: which of two systems is better on a list, and where they differ."""
import importlib.util
import json
import shutil

import numpy as np
import pytest
import recipe_copy
from recipe_copy import run, sh

from sslspk.io import scores as score_file
from sslspk.io import trials as trial_list
from sslspk.metrics import bootstrap, comparison, speakers, verification


@pytest.fixture
def folder(tmp_path):
    """A recipe with a list and the scores of three systems: a, a worse one, and a again with each score times ten plus one."""
    recipe = recipe_copy.make(tmp_path)
    rng = np.random.default_rng(0)
    ids = [f"s{s}-u{u}" for s in range(12) for u in range(4)]
    pairs = [(x, y) for i, x in enumerate(ids) for y in ids[i + 1:]]
    target = np.array([x.split("-")[0] == y.split("-")[0] for x, y in pairs])
    enrol, test = zip(*pairs, strict=True)
    trial_list.write(recipe / "list.txt", enrol, test, target)
    good = 3 * target + rng.normal(size=len(pairs))
    for name, values in {"good": good, "bad": 1.0 * target + rng.normal(size=len(pairs)), "same": 10 * good + 1}.items():
        (recipe / f"exp/{name}/scores").mkdir(parents=True)
        score_file.write(recipe / f"exp/{name}/scores/scores_list", enrol, test, values)
        (recipe / f"exp/{name}/config.yaml").write_text(f"seed: 0\nmethod:\n  name: dino\n  out_dim: {len(name)}\ncrops: [1, 2]\n")
    return recipe


def result(recipe):
    return json.loads((recipe / "exp/cmp/comparison_list.json").read_text())


def test_a_better_system_is_said_to_be(folder):
    words = ("steps/compare_systems.sh", "--bootstrap", "100", "list.txt", "exp/good/scores", "exp/bad/scores", "exp/cmp")
    said = run(folder, *words)
    found = result(folder)
    assert "EER %" in said and said.count("a is better") == 3 and "method.out_dim: 4 | 3\n" in said and "seed" not in said.split("\n", 1)[1]
    assert found["eer_percent"]["difference"] == pytest.approx(found["eer_percent"]["a"] - found["eer_percent"]["b"])
    assert found["eer_percent"]["difference_high"] < 0 and found["configuration"] == {"method.out_dim": [4, 3]}
    lines = [line.split() for line in (folder / "exp/cmp/disagreements_list").read_text().splitlines()]
    assert len(lines) == found["only_a_right"] + found["only_b_right"] > 0
    assert sum(line[5] == "a" for line in lines) == found["only_a_right"] > found["only_b_right"]
    total = sum(found[key] for key in ("both_right", "only_a_right", "only_b_right", "both_wrong"))
    assert total == len((folder / "list.txt").read_text().splitlines())
    assert "up to date, skipped" in run(folder, *words)


def test_a_system_does_not_differ_from_itself_on_another_scale(folder):
    said = run(folder, "steps/compare_systems.sh", "--bootstrap", "20", "list.txt", "exp/good/scores", "exp/same/scores", "exp/cmp")
    assert said.count("no significant difference") == 3 and (folder / "exp/cmp/disagreements_list").read_text() == ""
    assert set(result(folder)["eer_percent"].values()) == {result(folder)["eer_percent"]["a"], 0.0}


def test_what_was_not_scored_is_named(folder):
    done = sh(folder, "steps/compare_systems.sh", "list.txt", "exp/good/scores", "exp/none", "exp/cmp")
    assert done.returncode == 1 and "there is no exp/none/scores_list" in done.stderr and done.stderr.count("\n") == 1
    path = folder / "exp/bad/scores/scores_list"
    path.write_text("".join(path.read_text().splitlines(keepends=True)[1:]))
    done = sh(folder, "steps/compare_systems.sh", "list.txt", "exp/good/scores", "exp/bad/scores", "exp/cmp")
    assert done.returncode == 1 and "has no score; score this list again" in done.stderr
    assert not (folder / "exp/cmp/comparison_list.json").exists()


def test_both_are_measured_on_the_same_speakers(folder):
    """The interval is that of the difference of two bootstraps with the same draws, which is narrower than one of either system."""
    trials = trial_list.read(folder / "list.txt")
    of = speakers.of_trials(trials)
    a = score_file.align(trials, score_file.read(folder / "exp/good/scores/scores_list"))
    b = a + 0.3 * np.random.default_rng(1).normal(size=len(a))
    found = comparison.compare(a, b, trials.target, of, replicates=50, seed=3)["eer_percent"]
    alone = [bootstrap.speaker_bootstrap(x, trials.target, of.enrol, of.test, replicates=50, seed=3).eer * 100 for x in (a, b)]
    assert found[:2] == tuple(100 * verification.eer(verification.det_curve(x, trials.target)) for x in (a, b))
    np.testing.assert_allclose(found[3:], np.quantile(alone[0] - alone[1], [0.025, 0.975]))
    assert found[4] - found[3] < np.ptp(np.quantile(alone[0], [0.025, 0.975]))


def test_margins_say_who_is_right_at_the_eer():
    scores, target = np.array([0.0, 1, 2, 3, 4, 5]), np.array([False, False, True, False, True, True])
    found = comparison.margins(scores, target)
    assert ((found >= 0) == [True, True, False, False, True, True]).sum() >= 5   # one miss or one false alarm at the EER
    order, counts = comparison.disagreements(np.array([1.0, -1, 2, -3]), np.array([-0.5, -1, 1, 3]), most=1)
    assert order == [3] and counts == {"both_right": 1, "only_a_right": 1, "only_b_right": 1, "both_wrong": 1}


def test_a_table_compares_each_trained_system_with_the_next(folder, monkeypatch):
    """And with its untrained network. Only a system whose scores changed is compared again; without speakers a sentence stands there."""
    spec = importlib.util.spec_from_file_location("show_table", recipe_copy.ROOT / "local/show_table.py")
    show_table = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(show_table)
    for path in folder.glob("exp/*/config.yaml"):
        path.write_text("method:\n  evaluate: encoder\n")
    rows = [{"system": name, "weights": weights, "scores": folder / f"exp/{name}/scores/scores_list", "labels": "none"}
            for name, weights in (("good", "encoder"), ("same", "encoder"), ("same", "untrained"), ("bad", "encoder"), ("gone", "encoder"))]
    table, kept = folder / "list.txt", folder / "exp/.differences"
    lines = show_table.differences(rows, table, kept)[-3:]
    assert lines[0] == "| good, encoder | same, encoder | +0.00 (+0.00 to +0.00) | +0.000 (+0.000 to +0.000) | no |"
    assert lines[1].startswith("| same, encoder | bad, encoder | -") and lines[1].endswith("| EER, minDCF |")
    assert lines[2].startswith("| same, encoder | same, untrained | +0.00")
    calls = []
    damaged = kept.read_bytes()[:-9]
    kept.write_bytes(damaged + b"\xff12345678")
    assert show_table.differences(rows, table, kept)[-3:] == lines
    kept.write_text("{")
    assert show_table.differences(rows, table, kept)[-3:] == lines
    monkeypatch.setattr(show_table.comparison, "difference", lambda *args: calls.append(args) or {
        "eer_percent": (0, 0, 1, 2, 3), "min_dcf_0.01": (0, 0, 0, -1, 1)})
    assert show_table.differences(rows, table, kept)[-3:] == lines and not calls
    shutil.copy(rows[0]["scores"], rows[3]["scores"])
    assert show_table.differences(rows, table, kept)[-2].endswith("| +1.00 (+2.00 to +3.00) | +0.000 (-1.000 to +1.000) | EER |") and calls
    copies = [{**rows[0], "system": name} for name in ("one", "two", "three")]   # the same scores, byte for byte
    assert [line[:9] for line in show_table.differences(copies, table, kept)[-2:]] == ["| one, en", "| two, en"]
    assert show_table.differences(rows[:1], table, kept) == []
    table.write_text("a.wav b_1.wav target\n" + table.read_text())
    assert "No differences between systems: " in show_table.differences(rows, table, kept)[-1]
