"""Tables of classifications: of a folder of experiments, of two that are compared, of a study over tasks."""
import json
import re
import runpy
import sys

import numpy as np
import pytest
from recipe_copy import ROOT

from sslspk.errors import InputError
from sslspk.io import predictions, table
from sslspk.metrics import class_report, classification

CLASSES = ["glad", "sad"]


def call(name, *args):
    """The program local/NAME.py, as if called with these arguments."""
    sys.argv = [name, *map(str, args)]
    return runpy.run_path(str(ROOT / f"local/{name}.py"))["main"]()


@pytest.fixture(autouse=True)
def arguments(monkeypatch):
    monkeypatch.setattr("sys.argv", [])


def write_result(folder, ua, **more):
    folder.mkdir(parents=True)
    shares = dict.fromkeys(("wa_percent", "ua_percent", "macro_f1_percent", "micro_f1_percent"), ua)
    row = {"task": "classification", **shares, "ua_percent_low": ua - 5, "ua_percent_high": ua + 5, "mean": shares,
           "std": dict.fromkeys(shares, 1.5), "folds": [{}, {}], "items": 8, "pool": "none", "labels": "emotion", "commit": "abc", **more}
    (folder / "result.json").write_text(json.dumps(row))


def test_experiments_over_seeds_and_probes(tmp_path, capsys):
    for seed, ua in enumerate((60.0, 70.0)):
        write_result(tmp_path / f"dino_once/seed{seed}", ua, labels=["emotion", "emotion"], start="dino", trainable="all")
    probe = {"system": "dino", "probe": {}, "labels": "none"}
    write_result(tmp_path / "probes_dino/plda", 80.0, pool="vote", probe_labels_from=["data/utt2emotion"], **probe)
    write_result(tmp_path / "probes_dino/ridge", 0.0, task="regression", rmse=3.5, mean={"rmse": 3.4}, std={"rmse": 0.1}, pool="mean",
                 probe_labels_from=["data/utt2mmse"], **probe)
    call("show_classes", "--out", tmp_path / "RESULTS.md", tmp_path)
    text = capsys.readouterr().out
    assert (tmp_path / "RESULTS.md").read_text() in text
    found = {line.split(" | ")[0]: line for line in text.splitlines() if line.startswith("| ")}
    assert found["| dino_once"] == ("| dino_once | dino | all | 8 | 2 | 65.00 (60.00-70.00) | +-7.07 | 65.00 +-1.50 | 65.00 | 65.00 "
                                    "| 65.00 | utterance | emotion | abc |")
    assert found["| probes_dino plda"] == ("| probes_dino plda | dino | probe | 8 | 1 | 80.00 (75.00-85.00) |  | 80.00 +-1.50 | 80.00 "
                                           "| 80.00 | 80.00 | majority vote | emotion | abc |")
    assert found["| probes_dino ridge"] == "| probes_dino ridge | dino | 8 | 1 | 3.50 |  | 3.40 +-0.10 | mean posterior | mmse | abc |"
    assert text.index("probes_dino plda") < text.index("dino_once") < text.index("probes_dino ridge")
    with pytest.raises(InputError, match="run the stages before this one"):
        call("show_classes", "--out", tmp_path / "x.md", tmp_path / "dino_once/seed0")


def experiment(folder, truth, wrong, **more):
    """One fold of predictions that are right but for the utterances `wrong`."""
    told = [1 - CLASSES.index(one) if utt in wrong else CLASSES.index(one) for utt, one in truth.items()]
    folder.mkdir(parents=True)
    predictions.write(folder / "fold.tsv", list(truth), CLASSES, 0.2 + 0.6 * np.eye(2)[told])
    (folder / "result.json").write_text(json.dumps({"folds": [{"predictions": str(folder / "fold.tsv")}], "classes": CLASSES, **more}))


def test_a_difference_is_told_or_cannot_be_told(tmp_path, capsys):
    """Ten speakers with two utterances of each class; B errs once with each of them, C as often as A, with others."""
    truth = {f"s{s}-{k}": CLASSES[k % 2] for s in range(10) for k in range(4)}
    table.write(tmp_path / "utt2emotion", truth)
    wrong = {"A": {"s0-0", "s1-1"}, "B": {f"s{s}-0" for s in range(10)}, "C": {"s2-0", "s3-1"}}
    for name, utts in wrong.items():
        for seed in (0, 1):
            experiment(tmp_path / f"{name}/seed{seed}", truth, utts, pool="none", groups=None, labels_from=[str(tmp_path / "utt2emotion")])
        (tmp_path / f"{name}/seed0_step1").mkdir()   # of a fine-tuning in two steps: no seed of its own
    call("compare_classes", tmp_path / "A", tmp_path / "B")
    said = capsys.readouterr().out
    assert f"{tmp_path}/A 95.00, {tmp_path}/B 75.00: difference +20.00 (" in said and f"{tmp_path}/A is better" in said
    call("compare_classes", tmp_path / "A", tmp_path / "C")
    said = capsys.readouterr().out
    assert "difference +0.00 (" in said and "no significant difference" in said
    low, high = (float(x) for x in said.split("(")[1].split(")")[0].split(" to "))
    speaker = np.array([int(utt[1]) for utt in truth])
    right = {name: np.array([CLASSES.index(one) ^ (utt in wrong[name]) for utt, one in truth.items()]) for name in "AC"}
    codes = [CLASSES.index(one) for one in truth.values()]
    drawn = {name: classification.speaker_bootstrap(codes, right[name], speaker, 2, replicates=10000).ua for name in "AC"}
    gap = 100 * (drawn["A"] - drawn["C"])
    assert (low, high) == pytest.approx(tuple(np.percentile(gap, [2.5, 97.5])), abs=0.01)
    table.write(tmp_path / "utt2emotion", {**truth, "s3-1": "calm"})
    with pytest.raises(InputError, match="knows no class 'calm', which s3-1 has now"):
        call("compare_classes", tmp_path / "A", tmp_path / "B")
    table.write(tmp_path / "utt2emotion", {**truth, "s9-9": "sad"})
    with pytest.raises(InputError, match="score it again"):
        call("compare_classes", tmp_path / "A", tmp_path / "B")


def test_participants_are_compared_where_they_decide(tmp_path, capsys):
    """One of three segments told wrongly changes no participant's vote, two do."""
    truth = {f"p{s}-{k}": CLASSES[s % 2] for s in range(8) for k in range(3)}
    table.write(tmp_path / "utt2diagnosis", truth)
    table.write(tmp_path / "utt2spk", {utt: utt[:2] for utt in truth})
    common = {"pool": "vote", "groups": str(tmp_path / "utt2spk"), "labels_from": [str(tmp_path / "utt2diagnosis")]}
    experiment(tmp_path / "A", truth, {f"p{s}-0" for s in range(8)}, **common)
    experiment(tmp_path / "B", truth, {"p0-0", "p0-1"}, **common)
    call("compare_classes", tmp_path / "A", tmp_path / "B")
    assert f"{tmp_path}/A 100.00, {tmp_path}/B 87.50: difference +12.50" in capsys.readouterr().out
    experiment(tmp_path / "C", truth, set(), **{**common, "pool": "none", "groups": None})
    with pytest.raises(InputError, match=r"different items \(8 and 24\)"):
        call("compare_classes", tmp_path / "A", tmp_path / "C")


def test_a_study_over_tasks(tmp_path, capsys):
    for seed, ua in enumerate((60.0, 70.0)):
        write_result(tmp_path / f"emo/seed{seed}", ua)
    write_result(tmp_path / "probe", 50.0)
    sv = tmp_path / "sv/scores_encoder"
    sv.mkdir(parents=True)
    (sv / "result_trials_veri_test2.json").write_text(json.dumps(
        {"system": "sv", "weights": "encoder", "trained_on": "v", "labels": "speaker", "commit": "abc", "eer_percent": 12.345}))
    call("show_study", "--title", "chunks", "--out", tmp_path / "out/S.md", f"1 s:iemocap={tmp_path}/emo", f"1 s:voxceleb={tmp_path}/sv",
         f"2 s:iemocap={tmp_path}/probe", f"2 s:voxceleb={tmp_path}/none", "wavlm:iemocap=", f"4 s:iemocap={tmp_path}/emo",
         f"4 s:iemocap={tmp_path}/emo")
    text = (tmp_path / "out/S.md").read_text()
    assert "| | voxceleb, EER % | iemocap, UA % | labels used |" in text
    assert re.search(r"\| 1 s \| 12.3[45] \| 65.00 \(60.00-70.00\), 2 seeds \| speaker \|", text)
    assert "| 4 s | not run | 65.00 (60.00-70.00), 4 runs |  |" in text
    assert "| 2 s | not run | 50.00 (45.00-55.00) |  |" in text and "| wavlm | not run | not run |  |" in text
    assert text in capsys.readouterr().out
    with pytest.raises(InputError, match="a cell is written VARIANT:TASK=EXPERIMENT"):
        call("show_study", "--title", "x", "--out", tmp_path / "x.md", "1 s:sing=x")


def test_a_study_of_languages_asks_the_trained_encoder(tmp_path, capsys):
    """Other probes, and the untrained encoder that lies beside, are not in the mean."""
    for name, ua, weights in (("language_encoder/dev_logistic", 40.0, "encoder"), ("language_encoder/dev_mlp", 90.0, "encoder"),
                              ("language_encoder/test_logistic", 70.0, "encoder"), ("language_untrained/dev_logistic", 20.0, "untrained")):
        write_result(tmp_path / "cpc" / name, ua, weights=weights)
    write_result(tmp_path / "cpc_seed1/language_encoder/dev_logistic", 50.0, weights="encoder")
    call("show_study", "--title", "x", "--out", tmp_path / "x.md", f"a:language={tmp_path}/cpc", f"b:language={tmp_path}/cpc",
         f"b:language={tmp_path}/cpc_seed1", f"a, untrained:language={tmp_path}/cpc")
    said = capsys.readouterr().out
    assert "| a, untrained | 20.00 (15.00-25.00) |" in said
    assert "| a | 40.00 (35.00-45.00) |" in said and "| b | 45.00 (40.00-50.00), 2 seeds |" in said


def test_means_over_seeds():
    rows = [{"rmse": 1.0, "rmse_low": 0.5, "rmse_high": 2.0}, {"rmse": 3.0, "rmse_low": 1.5, "rmse_high": 4.0}]
    assert class_report.mean_over_seeds(rows, "rmse") == 2.0 and class_report.interval_over_seeds(rows, "rmse") == "2.00 (1.00-3.00)"
    assert class_report.interval_over_seeds([{"rmse": 1.0}, rows[0]], "rmse") == "1.00"
