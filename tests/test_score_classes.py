"""steps/score_classes.sh as a user runs it: figures against scikit-learn, pooling, provenance, and what is refused."""
import json
import shutil
from pathlib import Path

import numpy as np
import pytest
import recipe_copy
from recipe_copy import run, sh
from sklearn import metrics as oracle

from sslspk.errors import InputError
from sslspk.io import predictions, table

STEP = "steps/score_classes.sh"
CLASSES = ["ang", "hap", "neu"]


@pytest.fixture(scope="module")
def recipe(tmp_path_factory) -> Path:
    """Two folds of 3 speakers with 2 recordings of 4 segments; the second fold names its classes in another order."""
    recipe = recipe_copy.make(tmp_path_factory.mktemp("classes"))
    rng = np.random.default_rng(0)
    emotion, recording, speaker, numbers = {}, {}, {}, {}
    for fold in (1, 2):
        utts = [f"s{fold}{s}-r{r}-{i}" for s in range(3) for r in range(2) for i in range(4)]
        for utt in utts:
            recording[utt], speaker[utt], numbers[utt] = utt[:6], utt[:3], float(rng.integers(30))
            emotion[utt] = CLASSES[(int(utt[2]) + int(utt[5]) + fold) % 3]
        truth = np.array([CLASSES.index(emotion[utt]) for utt in utts])
        values = rng.dirichlet(np.ones(3), len(utts)) + 0.4 * np.eye(3)[truth]
        order = [0, 1, 2] if fold == 1 else [2, 0, 1]
        predictions.write(recipe / f"f{fold}/predictions.tsv", utts, [CLASSES[c] for c in order], (values / 1.4)[:, order])
        predictions.write(recipe / f"n{fold}/predictions.tsv", utts, ["value"], np.array([[numbers[utt]] for utt in utts]) + fold)
        (recipe / f"f{fold}/provenance.json").write_text(json.dumps({"system": "dino", "labels": "none", "probe_C": fold}))
    for name, content in (("utt2emotion", emotion), ("utt2rec", recording), ("utt2spk", speaker), ("utt2mmse", numbers)):
        table.write(recipe / name, content)
    for fold in "12":
        table.write(recipe / f"labels{fold}", {utt: label for utt, label in emotion.items() if utt[1] == fold})
    return recipe


FOLDS = ("f1/predictions.tsv", "f2/predictions.tsv")


def result(recipe: Path, out: str) -> dict:
    return json.loads((recipe / out / "result.json").read_text())


def decisions(recipe: Path) -> tuple[list, list]:
    """True and predicted names of all utterances, read by hand."""
    said = {}
    for path in FOLDS:
        header, *lines = (recipe / path).read_text().splitlines()
        for line in lines:
            utt, *values = line.split("\t")
            said[utt] = header.split("\t")[1:][int(np.argmax(np.array(values, float)))]
    return [table.read(recipe / "utt2emotion")[utt] for utt in said], list(said.values())


def test_what_is_written(recipe):
    printed = run(recipe, STEP, "--labels", "utt2emotion", *FOLDS, "out")
    figures, (truth, said) = result(recipe, "out"), decisions(recipe)
    assert figures["classes"] == CLASSES and figures["utterances"] == figures["items"] == 48 and figures["speakers"] == 6
    expected = oracle.confusion_matrix(truth, said, labels=CLASSES)
    assert figures["confusion"] == expected.tolist()
    assert figures["wa_percent"] == pytest.approx(100 * oracle.accuracy_score(truth, said))
    assert figures["ua_percent"] == pytest.approx(100 * oracle.balanced_accuracy_score(truth, said))
    assert figures["macro_f1_percent"] == pytest.approx(100 * oracle.f1_score(truth, said, average="macro"))
    assert figures["per_class"]["hap"]["precision_percent"] == pytest.approx(
        100 * oracle.precision_score(truth, said, labels=["hap"], average="macro"))
    for i, fold in enumerate(figures["folds"]):
        half = slice(24 * i, 24 * i + 24)
        assert fold["ua_percent"] == pytest.approx(100 * oracle.balanced_accuracy_score(truth[half], said[half]))
        assert (fold["predictions"], fold["utterances"]) == (FOLDS[i], 24)
    assert figures["mean"]["ua_percent"] == pytest.approx(np.mean([fold["ua_percent"] for fold in figures["folds"]]))
    assert figures["ua_percent_low"] < figures["ua_percent"] < figures["ua_percent_high"] and figures["bootstrap_replicates"] == 1000
    assert (figures["system"], figures["labels"], figures["probe_C"]) == ("dino", "none", [1, 2])
    lines = [line.split("\t") for line in (recipe / "out/confusion.tsv").read_text().splitlines()]
    assert lines[0] == ["true", *CLASSES] and [list(map(int, line[1:])) for line in lines[1:]] == expected.tolist()
    assert (recipe / "out/confusion.png").read_bytes()[:4] == b"\x89PNG"
    assert f"{figures['ua_percent']:.2f}" in printed and "deviation" in printed and "over 6 speakers" in printed


def test_rerun_and_one_fold(recipe):
    words = (STEP, "--labels", "labels1", "--bootstrap", 0, FOLDS[0], "one")
    assert "deviation" not in run(recipe, *words)
    before = (recipe / "one/confusion.png").read_bytes()
    assert result(recipe, "one")["std"]["wa_percent"] is None and "wa_percent_low" not in result(recipe, "one")
    assert "skipped" in run(recipe, *words)
    (recipe / "one/result.json").unlink()
    assert "skipped" not in run(recipe, *words) and (recipe / "one/confusion.png").read_bytes() == before


def test_labels_may_come_in_parts(recipe):
    run(recipe, STEP, "--labels", "labels2", "--labels", "labels1", "--utt2spk", "utt2spk", *FOLDS, "parts")
    run(recipe, STEP, "--labels", "utt2emotion", *FOLDS, "whole")
    one, other = result(recipe, "parts"), result(recipe, "whole")
    assert {key for key in one if one[key] != other.get(key)} == {"labels_from", "commands"}


@pytest.mark.parametrize("how", ["mean", "vote"])
def test_pooling(recipe, how):
    run(recipe, STEP, "--labels", "utt2emotion", "--pool", how, "--groups", "utt2rec", *FOLDS, f"pool_{how}")
    figures = result(recipe, f"pool_{how}")
    rows: dict[str, list] = {}
    for path in FOLDS:
        header, *lines = (recipe / path).read_text().splitlines()
        for utt, *values in (line.split("\t") for line in lines):
            known = dict(zip(header.split("\t")[1:], map(float, values), strict=True))
            rows.setdefault(utt[:6], []).append([known[name] for name in CLASSES])
    right = 0
    for name, posteriors in rows.items():
        mean = np.mean(posteriors, 0)
        votes = np.bincount(np.argmax(posteriors, 1), minlength=3)
        said = max(range(3), key=lambda c: (votes[c] if how == "vote" else 0, mean[c]))
        right += CLASSES[said] == table.read(recipe / "utt2emotion")[f"{name}-0"]
    assert figures["items"] == 12 and figures["utterances"] == 48 and figures["wa_percent"] == pytest.approx(100 * right / 12)
    assert figures["speakers"] == 12, "the groups"
    run(recipe, STEP, "--labels", "utt2emotion", "--pool", how, "--groups", "utt2rec", "--utt2spk", "utt2spk", *FOLDS, f"pool_{how}")
    assert result(recipe, f"pool_{how}")["speakers"] == 6


def test_a_regression(recipe):
    """Values that are 1 too high in the first fold and 2 in the second: RMSE 1, 2 and sqrt(2.5)."""
    printed = run(recipe, STEP, "--labels", "utt2mmse", "n1/predictions.tsv", "n2/predictions.tsv", "numbers")
    figures = result(recipe, "numbers")
    assert [fold["rmse"] for fold in figures["folds"]] == pytest.approx([1, 2]) and figures["rmse"] == pytest.approx(2.5 ** 0.5)
    assert figures["mean"]["rmse"] == pytest.approx(1.5) and 1 <= figures["rmse_low"] <= figures["rmse_high"] <= 2
    assert "RMSE" in printed and "1.58" in printed and not (recipe / "numbers/confusion.tsv").exists()


def test_ids_that_do_not_tell_who_speaks(recipe):
    predictions.write(recipe / "plain/predictions.tsv", ["a", "b"], ["x", "y"], np.eye(2))
    table.write(recipe / "plain/labels", {"a": "x", "b": "y"})
    printed = run(recipe, STEP, "--labels", "plain/labels", "plain/predictions.tsv", "plain/out")
    figures = result(recipe, "plain/out")
    assert "note: no interval: the id a" in printed and "wa_percent_low" not in figures and figures["wa_percent"] == 100


def broken(recipe: Path) -> None:
    """Files that the cases below name."""
    if (recipe / "bad/people").exists():
        return
    (recipe / "bad").mkdir()
    text = (recipe / FOLDS[0]).read_text()
    first = text.splitlines()[1]
    utt = first.split("\t")[0]
    for name, content in {
            "nan": text.replace(first, f"{utt}\tnan\t0.5\t0.5"), "sum": text.replace(first, f"{utt}\t0.9\t0.5\t0.5"),
            "negative": text.replace(first, f"{utt}\t-0.5\t0.5\t1.0"), "word": text.replace(first, f"{utt}\tx\t0.5\t0.5"),
            "short": text.replace(first, f"{utt}\t0.5\t0.5"), "twice": text + first + "\n", "header": text.replace("utt\t", "id\t", 1),
            "one": "utt\tang\ns\t1\n", "none": "utt\tang\thap\n", "double": "utt\tang\tang\ns\t1\t0\n",
            "other": text.replace("neu", "sad", 1), "infinite": "utt\tvalue\ns\tinf\n"}.items():
        (recipe / "bad" / name).write_text(content)
    labels = table.read(recipe / "labels1")
    table.write(recipe / "bad/fewer", {utt: label for utt, label in labels.items() if utt != "s10-r0-0"})
    table.write(recipe / "bad/more", {**labels, "extra": "ang"})
    table.write(recipe / "bad/odd", {**labels, "s10-r0-1": "sad"})
    table.write(recipe / "bad/spk", {"s10-r0-0": "s10"})
    table.write(recipe / "bad/all", dict.fromkeys(labels, "all"))
    table.write(recipe / "bad/people", {utt: utt[-1] for utt in labels})


ONE = ("--labels", "labels1")
POOL = (*ONE, "--pool", "mean", "--groups")


@pytest.mark.parametrize(("words", "parts"), [
    ((*ONE, "bad/nan"), ("bad/nan:2", "s10-r0-0", "not finite")),
    ((*ONE, "bad/sum"), ("bad/sum:2", "shares of 1")), ((*ONE, "bad/negative"), ("shares of 1",)),
    ((*ONE, "bad/word"), ("bad/word:2", "no number")), ((*ONE, "bad/short"), ("bad/short:2", "3 numbers")),
    ((*ONE, "bad/twice"), ("s10-r0-0 is there twice",)), ((*ONE, "bad/header"), ("bad/header:1", "utt")),
    ((*ONE, "bad/one"), ("bad/one:1", "two classes")), ((*ONE, "bad/double"), ("bad/double:1",)),
    ((*ONE, "bad/none"), ("bad/none holds no prediction",)),
    (("--labels", "utt2mmse", "bad/infinite"), ("bad/infinite:2", "value that is not finite")),
    ((*ONE, FOLDS[0], "bad/other"), ("same classes", "neu")),
    ((*ONE, FOLDS[0], FOLDS[0]), ("utterance s10-r0-0", "once")),
    (("--labels", "bad/fewer", FOLDS[0]), ("s10-r0-0 has a prediction and no label", "1 of 24")),
    (("--labels", "bad/more", FOLDS[0]), ("extra of bad/more has no prediction",)),
    (("--labels", "bad/odd", FOLDS[0]), ("label 'sad' of 's10-r0-1'", "['ang', 'hap', 'neu']")),
    ((*ONE, "--labels", "bad/odd", FOLDS[0]), ("bad/odd gives s10-r0-1 the label sad",)),
    ((*ONE, "--utt2spk", "bad/spk", FOLDS[0]), ("bad/spk has no speaker for s10-r0-1",)),
    ((*POOL, "bad/spk", FOLDS[0]), ("bad/spk has no group for s10-r0-1",)),
    ((*POOL, "bad/all", FOLDS[0]), ("group all has utterances of two labels",)),
    ((*POOL, "utt2rec", "--utt2spk", "bad/people", FOLDS[0]), ("of two speakers",)),
    (("--labels", "utt2emotion", "--pool", "mean", "--groups", "utt2emotion", *FOLDS), ("the group ang is in",)),
    ((*ONE, "--pool", "vote", FOLDS[0]), ("--pool vote needs --groups",)), ((*ONE, "--groups", "utt2rec", FOLDS[0]), ("needs --pool",)),
    (("--labels", "utt2mmse", "--pool", "vote", "--groups", "utt2rec", "n1/predictions.tsv", "n2/predictions.tsv"), ("no vote",)),
    (("--labels", "labels1", "n1/predictions.tsv"), ("is not a number", "labels1")),
    (("--labels", "utt2mmse", "--cavg", "true", "n1/predictions.tsv", "n2/predictions.tsv"), ("--cavg true", "two classes or more")),
    ((*ONE, "--bootstrap", "-1", FOLDS[0]), ("--bootstrap", "'-1'")),
    ((FOLDS[0],), ("--labels is needed",)), ((*ONE, "gone.tsv"), ("gone.tsv",)), ((*ONE, "--groups", "gone", FOLDS[0]), ("gone",)),
])
def test_mistakes_are_one_sentence(recipe, words, parts):
    broken(recipe)
    done = sh(recipe, STEP, *words, "no")
    said = [line for line in done.stderr.splitlines() if "error:" in line]
    assert done.returncode == 1 and len(said) == 1 and "Traceback" not in done.stderr, done.stderr
    assert all(part in said[0] for part in parts), said[0]
    assert not (recipe / "no/result.json").exists()


@pytest.mark.parametrize("count", [4, 31, 240])
def test_a_picture_of_many_classes_has_a_bound(tmp_path, count):
    from sslspk.bin import score_classes
    figures = {"classes": [f"c{i}" for i in range(count)], "confusion": np.eye(count, dtype=int), "wa_percent": 100.0, "ua_percent": 100.0}
    figure = score_classes.draw(figures)
    texts = figure.axes[0].texts
    assert max(figure.get_size_inches()) <= 42 and len(texts) == (count ** 2 if count <= score_classes.MANY else 0)


def test_no_picture_of_an_earlier_time_stays_beside_too_many_classes(tmp_path):
    from sslspk.bin import score_classes
    (tmp_path / "confusion.png").write_bytes(b"of four classes")
    score_classes.save_confusion({"classes": [f"c{i}" for i in range(241)], "confusion": np.eye(241, dtype=int)}, str(tmp_path))
    assert not (tmp_path / "confusion.png").exists() and (tmp_path / "confusion.tsv").exists()


def test_a_result_of_an_earlier_time_does_not_stay(recipe):
    broken(recipe)
    shutil.copytree(recipe / "f1", recipe / "f3")
    run(recipe, STEP, *ONE, "f3/predictions.tsv", "stale")
    shutil.copy(recipe / "bad/nan", recipe / "f3/predictions.tsv")
    assert sh(recipe, STEP, *ONE, "f3/predictions.tsv", "stale").returncode == 1 and not (recipe / "stale/result.json").exists()


def test_predictions_come_back(tmp_path):
    values = np.random.default_rng(0).dirichlet(np.ones(2), 3)
    predictions.write(tmp_path / "p.tsv", ["b", "a", "c"], ["no emotion", "x"], values)
    found = predictions.read(tmp_path / "p.tsv")
    assert found.utts == ["a", "b", "c"] and found.columns == ["no emotion", "x"] and not found.numeric
    np.testing.assert_allclose(found.values, values[[1, 0, 2]], atol=1e-8)
    for utts, columns in ((["a b", "b", "c"], ["x", "y"]), (["a", "b", "c"], ["x\ty", "z"]), (["a", "b", "c"], ["", "z"])):
        with pytest.raises(InputError):
            predictions.write(tmp_path / "p.tsv", utts, columns, values)
    with pytest.raises(ValueError):
        predictions.write(tmp_path / "p.tsv", ["a"], ["x", "y"], values)


def test_a_class_that_training_lacked_is_refused_or_wrong(recipe):
    labels = table.read(recipe / "labels1")
    first = min(labels)
    table.write(recipe / "rare", {**labels, first: "calm"})
    refused = sh(recipe, STEP, "--labels", "rare", FOLDS[0], "unseen")
    assert refused.returncode == 1 and "the label 'calm'" in refused.stderr
    run(recipe, STEP, "--labels", "labels1", FOLDS[0], "seen")
    run(recipe, STEP, "--labels", "rare", "--unseen", "wrong", FOLDS[0], "unseen")
    before, after = result(recipe, "seen"), result(recipe, "unseen")
    assert after["classes"] == [*before["classes"], "calm"] and after["per_class"]["calm"]["recall_percent"] == 0
    right = before["wa_percent"] * 24 - after["wa_percent"] * 24
    assert right == pytest.approx(100 * (decisions(recipe)[1][sorted(labels).index(first)] == labels[first]))
