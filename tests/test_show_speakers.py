"""local/show_speakers.py: the tables of egs/librispeech from result files, beside the published figures."""
import json
import runpy
import sys

import pytest
import recipe_copy

from sslspk.errors import InputError

CONF = recipe_copy.ROOT / "egs/librispeech/conf/paper.yaml"


def show(monkeypatch, *words):
    monkeypatch.setattr(sys, "argv", ["show_speakers.py", *map(str, words)])
    return runpy.run_path(str(recipe_copy.ROOT / "local/show_speakers.py"))["main"]()


def put(exps, name, share, place, accuracy, seconds=None, **more):
    folder = exps / name / f"speakers/{share}/{place}"
    folder.mkdir(parents=True)
    row = {"task": "classification", "classes": ["a", "b", "c", "d"], "items": 20, "pool": "none", "folds": [], "labels_from": [],
           "ua_percent": accuracy, "wa_percent": accuracy, "wa_percent_low": accuracy - 5, "wa_percent_high": accuracy + 4,
           "labels": "speaker" if place.startswith("supervised") else "none", "commit": "abc", **more}
    (folder / "result.json").write_text(json.dumps(row))
    if seconds:
        log = (folder if place.startswith("supervised") else exps / name) / "log/train.log"
        log.parent.mkdir(exist_ok=True)
        log.write_text(f"12:00:00 CPU time of rank 0: {seconds:.1f} s\n")


@pytest.fixture
def exps(tmp_path):
    """Two systems, one of them with two seeds, a supervised baseline and a second share."""
    for name, shift in (("cpc_spk_3_short", 0), ("cpc_spk_3_short_seed1", 10)):
        put(tmp_path, name, 100, "encoder_linear", 60 + shift, 120)
        put(tmp_path, name, 100, "untrained_linear", 5 + shift)
        put(tmp_path, name, 100, "supervised_linear", 80 + shift, 600)
        put(tmp_path, name, 20, "encoder_linear", 40 + shift)
        put(tmp_path, name, 20, "supervised_linear", 20 + shift)
    put(tmp_path, "gim_short", 100, "encoder_linear", 30)
    put(tmp_path, "gim_short", 100, "encoder_mlp", 35)
    return tmp_path


def test_tables(exps, monkeypatch):
    show(monkeypatch, "--paper", CONF, "--out", exps / "RESULTS.md", exps)
    text = (exps / "RESULTS.md").read_text()
    linear = text.split("## Head linear")[1].split("##")[0]
    rows = [[cell.strip() for cell in line.split("|")[1:-1]] for line in linear.splitlines() if "_short" in line]
    assert "20 utterances of 4 speakers; chance 25.00 %" in linear
    assert rows == [
        ["cpc_spk_3_short", "supervised, end to end", "2", "85.00 (80.00-89.00) +-7.07", "83.92", "speaker", "10.0", "abc"],
        ["cpc_spk_3_short", "frozen", "2", "65.00 (60.00-69.00) +-7.07", "86.23", "none", "2.0", "abc"],
        ["gim_short", "frozen", "1", "30.00 (25.00-34.00)", "", "none", "", "abc"],
        ["cpc_spk_3_short", "frozen, random", "2", "10.00 (5.00-14.00) +-7.07", "1.00", "none", "", "abc"]]
    assert "| gim_short | frozen | 1 | 35.00 (30.00-39.00) |  | none |" in text.split("## Head mlp")[1]
    curve = [line for line in text.splitlines() if line.startswith(("| 20 |", "| 100 |"))]
    assert curve == ["| 20 | 45.00 (40.00-49.00) +-7.07 |  | 25.00 (20.00-29.00) +-7.07 | 69.0 | 41.0 |",
                     "| 100 | 65.00 (60.00-69.00) +-7.07 | 10.00 (5.00-14.00) +-7.07 | 85.00 (80.00-89.00) +-7.07 | 84.0 | 86.0 |"]
    put(exps, "lim_short", 100, "supervised_linear", 50)   # another network than the report's
    put(exps, "lim_short", 20, "supervised_linear", 20)
    show(monkeypatch, "--paper", CONF, "--out", exps / "RESULTS.md", exps)
    said = (exps / "RESULTS.md").read_text()
    assert "| lim_short | supervised, end to end | 1 | 50.00 (45.00-54.00) |  | speaker |" in said
    assert "Lepage" not in said.split("## Fewer labels: lim_short")[1]
    assert "two dots stand the other way round" in text and "86.23 for the features of cpc-spk-3, 83.92 supervised" in text
    assert (exps / "fewer_labels_cpc_spk_3_short.png").read_bytes().startswith(b"\x89PNG")
    show(monkeypatch, "--out", exps / "RESULTS.md", exps)
    assert "Lepage" not in (exps / "RESULTS.md").read_text()


@pytest.mark.parametrize(("damage", "words"), [
    (lambda exps: [path.unlink() for path in exps.glob("*/speakers/*/*/result.json")], ("holds no */speakers/",)),
    (lambda exps: (exps / "gim_short/speakers/100/encoder_mlp/result.json").write_text('{"classes": ["a"], "ua_percent": 1}'),
     ("encoder_mlp/result.json", "has no wa_percent")),
    (lambda exps: (exps / "gim_short/speakers/100/encoder_mlp/result.json").write_text("{"), ("encoder_mlp/result.json",)),
])
def test_damage_is_named(exps, monkeypatch, damage, words):
    damage(exps)
    with pytest.raises(InputError) as caught:
        show(monkeypatch, "--out", exps / "RESULTS.md", exps)
    assert all(word in str(caught.value) for word in words), str(caught.value)
    assert not (exps / "RESULTS.md").exists()


def test_the_published_figures_are_those_of_the_report():
    from sslspk.config import read_yaml
    paper = read_yaml(CONF)
    assert [paper["heads"]["linear"][f"cpc_spk_{i}"] for i in (1, 2, 3, 4)] == [77.90, 72.29, 86.23, 55.10]
    assert [paper["heads"]["mlp"][f"cpc_spk_{i}"] for i in (1, 2, 3, 4)] == [81.58, 79.51, 87.78, 61.09]
    assert len(paper["curve"]["shares"]) == len(paper["curve"]["encoder"]) == len(paper["curve"]["supervised"]) == 7
