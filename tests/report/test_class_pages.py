"""The part of a report about classes: confusion, folds and speakers, from the files that steps/score_classes.sh writes."""
import json
import re
import sys

import numpy as np
import pytest
from browser import complaints, needs_browser, opened, requested

from sslspk import cli
from sslspk.bin import score_classes
from sslspk.io import predictions, table
from sslspk.report import classified

NAMES = ["calm & co", "glad", "sad"]
RIGHT = {"s0": 3, "s1": 1, "s2": 2, "s3": 0}   # of the four utterances of a speaker


@pytest.fixture
def recipe(tmp_path, monkeypatch):
    """Two folds of two speakers each, and a regression; speaker s3 is always wrong."""
    monkeypatch.chdir(tmp_path)
    utts = [f"{speaker}-u{n}" for speaker in RIGHT for n in range(4)]
    labels = {utt: NAMES[n % 3] for n, utt in enumerate(utts)}
    (tmp_path / "data").mkdir()
    table.write("data/utt2emotion", labels)
    table.write("data/utt2spk", {utt: utt[:2] for utt in utts})
    table.write("data/utt2mmse", {utt: str(n) for n, utt in enumerate(utts)})
    paths = {"seed0": [], "ridge": []}
    for fold, part in enumerate((utts[:8], utts[8:]), 1):
        true = [NAMES.index(labels[utt]) for utt in part]
        said = [place if int(utt[-1]) < RIGHT[utt[:2]] else (place + 1) % 3 for utt, place in zip(part, true, strict=True)]
        for name, columns, values in (("seed0", NAMES, 0.8 * np.eye(3)[said] + 0.2 / 3), ("ridge", ["value"], np.array(
                [[utts.index(utt) + (2.0 if utt.startswith("s1") else 0.5)] for utt in part]))):
            folder = tmp_path / f"exp/dino/{name}/fold_{fold}"
            folder.mkdir(parents=True)
            predictions.write(folder / "predictions.tsv", part, columns, values)
            (folder / "provenance.json").write_text(json.dumps(
                {"system": "dino", "labels": "emotion", "start": "x<y", "machine": {"command": f"train fold {fold}"}}))
            paths[name].append(f"exp/dino/{name}/fold_{fold}/predictions.tsv")
    for name, labelled in (("seed0", "data/utt2emotion"), ("ridge", "data/utt2mmse")):
        monkeypatch.setattr(sys, "argv", ["score_classes", "--labels", labelled, "--bootstrap", "50", *paths[name], f"exp/dino/{name}"])
        score_classes.main()
    return tmp_path


def page() -> str:
    cli.run(["report", "exp"])
    with open("report.html", encoding="utf-8") as file:
        return file.read()


def test_confusion_folds_and_speakers(recipe, capsys):
    text = page()
    assert "classifications: 2" in capsys.readouterr().out
    assert text.count('class="share"') == 9 and "calm &amp; co taken for glad: " in text and "x&lt;y" in text
    result = json.loads((recipe / "exp/dino/seed0/result.json").read_text())
    counts = [int(count) for count in re.findall(r'class="count"[^>]*>(\d+)<', text)]
    assert counts == [count for line in result["confusion"] for count in line] and sum(counts) == 16
    folds = [f'<tr><td>{n}</td><td class="n">{fold["items"]}</td><td class="n">{fold["ua_percent"]:.2f}</td>' for n, fold in
             enumerate(result["folds"], 1)]
    assert all(fold in text for fold in folds) and "Regression" in text and "deviation" in text
    classes = [f'<tr><td>{name.replace("&", "&amp;")}</td><td class="n">{one["count"]}</td><td class="n">{one["recall_percent"]:.2f}</td>'
               for name, one in result["per_class"].items()]
    assert len(classes) == 3 and all(line in text for line in classes)
    assert "always the most frequent class: UA 33.33 %, WA 37.50 %" in text   # 6, 5 and 5 of 16 utterances
    scored = "python3 -m sslspk.bin.score_classes --labels data/utt2emotion --bootstrap 50 exp/dino/seed0/fold_1/predictions.tsv"
    assert f"<td>scores, dino seed0</td><td><code>{scored} " in text
    assert "2 trainings, one for each fold; the first: `train fold 1`" in text


def test_a_probe_names_its_model_and_its_labels(recipe):
    """A probe on an encoder that was trained without labels has read those of its task."""
    path = recipe / "exp/dino/seed0/result.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | {"labels": "none", "start": "none", "probe": "logistic",
                                                               "probe_labels_from": "data/utt2emotion"}))
    row = re.search(r'<table id="classification">.*?<tbody>(.*?)</tbody>', page(), re.DOTALL)[1]
    assert "<td>dino</td>" in row and row.endswith("<td>emotion</td></tr>") and "from scratch" not in row


def test_speakers_come_hardest_first(recipe):
    row = json.loads((recipe / "exp/dino/seed0/result.json").read_text())
    speakers, why = classified.by_speaker(row, [recipe])
    assert [tuple(one) for one in speakers] == [("s3", 4, 0.0), ("s1", 4, 25.0), ("s2", 4, 50.0), ("s0", 4, 75.0)] and not why
    row = json.loads((recipe / "exp/dino/ridge/result.json").read_text())
    speakers, _ = classified.by_speaker(row, [recipe])
    assert speakers[0] == ("s1", 4, pytest.approx(2.0)) and speakers[1].value == pytest.approx(0.5)


def test_groups_are_decided_as_their_result_was(recipe):
    """A subject's four utterances are one item: right where most of their posteriors are."""
    row = json.loads((recipe / "exp/dino/seed0/result.json").read_text())
    table.write("data/utt2emotion", {utt: "sad" for utt in table.read("data/utt2emotion")})
    speakers, _ = classified.by_speaker({**row, "pool": "mean", "groups": "data/utt2spk"}, [recipe])
    means = {}
    for fold in row["folds"]:
        read = predictions.read(fold["predictions"])
        for utt, values in zip(read.utts, read.values, strict=True):
            means[utt[:2]] = means.get(utt[:2], 0) + values
    assert {one.name: one.value for one in speakers} == {name: 100.0 * (values.argmax() == 2) for name, values in means.items()}


def test_without_the_predictions_the_rest_remains(recipe):
    (recipe / "exp/dino/seed0/fold_2/predictions.tsv").unlink()
    text = page()
    assert "fold_2/predictions.tsv is not there" in text and text.count('class="share"') == 9 and "Speakers of dino ridge" in text


@needs_browser
def test_a_browser_shows_the_confusion(recipe, tmp_path):
    page()
    with opened(recipe / "report.html", tmp_path / "browser") as driver:
        boxes = [box.rect for box in driver.find_elements("css selector", "svg.confusion rect")]
        assert len(boxes) == 9 and all(box["width"] > 20 and box["height"] > 20 for box in boxes)
        assert len(driver.find_elements("css selector", "#classification tbody tr")) == 1
        assert complaints(driver) == [] and requested(driver) == [driver.current_url]
