"""steps/probe.sh as a user runs it: what it writes, that steps/score_classes.sh takes it, and what is refused."""
import json
from pathlib import Path

import numpy as np
import pytest
import recipe_copy
from recipe_copy import run, sh

from sslspk.backend.config_probe import ProbeConfig
from sslspk.io import ark, datadir, predictions, table

STEP = "steps/probe.sh"


def data(seed, speakers):
    """Every speaker says 4 utterances of each of 3 classes: embeddings (N, 6), classes (N,), speakers (N,)."""
    rng = np.random.default_rng(seed)
    speaker, label = (a.ravel() for a in np.meshgrid(np.arange(speakers), np.repeat(np.arange(3), 4), indexing="ij"))
    centre = 2 * np.random.default_rng(99).normal(size=(3, 6))
    x = 3 + centre[label] + rng.normal(size=(speakers, 6))[speaker] + rng.normal(size=(len(speaker), 6))
    return x, [f"class{c}" for c in label], [f"s{s}" for s in speaker]


@pytest.fixture(scope="module")
def recipe(tmp_path_factory) -> Path:
    """Embeddings of 8 speakers for training and 4 for a test, their labels and numbers."""
    recipe = recipe_copy.make(tmp_path_factory.mktemp("probe"))
    (recipe / "emb").mkdir()
    labels, values = {}, {}
    with ark.Writer(recipe / "emb/xvector.ark", recipe / "emb/xvector.scp") as writer:
        for part, seed, count in (("test", 1, 4), ("train", 0, 8)):
            x, own, speakers = data(seed, count)
            names = [f"{part}{spk}-{i:03d}" for i, spk in enumerate(speakers)]
            utt2spk = {name: name.partition("-")[0] for name in names}
            datadir.write(str(recipe / part), wav={name: f"/{name}.wav" for name in names}, utt2spk=utt2spk)
            labels |= dict(zip(names, own, strict=True))
            for name, vector in zip(names, x.astype(np.float32), strict=True):
                writer.write(name, vector)
                values[name] = float(vector.sum())
    table.write(recipe / "utt2class", labels)
    table.write(recipe / "utt2value", values)
    table.write(recipe / "some", {utt: label for utt, label in labels.items() if not utt.startswith("test") and utt != "trains0-003"})
    (recipe / "emb/provenance.json").write_text(json.dumps({"system": "dino", "weights": "trained", "labels": "none"}))
    return recipe


def words(**options):
    given = {"labels": "utt2class", "train": "train", "test": "test", **options}
    return [word for key, value in given.items() for word in (f"--{key}", value)]


def test_the_step(recipe):
    said = run(recipe, STEP, "--classifier", "logistic", *words(), "emb", "out")
    assert "on 96 embeddings of 8 speakers, 3 classes; 48 predictions" in said
    found, labels = predictions.read(recipe / "out/predictions.tsv"), table.read(recipe / "utt2class")
    assert found.utts == sorted(table.read(recipe / "test/utt2spk")) and found.columns == ["class0", "class1", "class2"]
    assert np.mean([found.columns[row.argmax()] == labels[utt] for utt, row in zip(found.utts, found.values, strict=True)]) > 0.8
    known = json.loads((recipe / "out/provenance.json").read_text())
    assert (known["system"], known["labels"], known["probe"], known["probe_trained_on"]) == ("dino", "none", "logistic", "train")
    assert known["probe_C"] in ProbeConfig().grid and "classifier: logistic" in (recipe / "out/probe.yaml").read_text()
    assert "skipped" in run(recipe, STEP, "--classifier", "logistic", *words(), "emb", "out")
    again = (recipe / "out/predictions.tsv").read_bytes()
    (recipe / "out/predictions.tsv").unlink()
    assert "skipped" not in run(recipe, STEP, "--classifier", "logistic", *words(), "emb", "out")
    assert (recipe / "out/predictions.tsv").read_bytes() == again
    tested = table.read(recipe / "test/utt2spk")
    table.write(recipe / "tested", {utt: label for utt, label in labels.items() if utt in tested})
    run(recipe, "steps/score_classes.sh", "--labels", "tested", "out/predictions.tsv", "score")
    result = json.loads((recipe / "score/result.json").read_text())
    assert (result["system"], result["probe"], result["speakers"]) == ("dino", "logistic", 4) and result["ua_percent"] > 80


def test_the_step_with_numbers(recipe):
    said = run(recipe, STEP, "--target", "regression", "--cmd", "utils/run.pl", *words(labels="utt2value"), "emb", "numbers")
    assert "note: C 10 is at an end of the grid" in said and "trained ridge" in said and "a regression" in said
    found, values = predictions.read(recipe / "numbers/predictions.tsv"), table.read(recipe / "utt2value")
    assert found.numeric
    error = found.values[:, 0] - [float(values[utt]) for utt in found.utts]
    assert np.sqrt(np.mean(error ** 2)) < 0.1, "a sum is linear"


def test_validation_utterances_stop_a_head(recipe):
    mlp = ("hidden=[8]", "balanced=false", "standardise=false", "centre=false", "iterations=20", "patience=2", "lr=0.05")
    sets = [word for item in mlp for word in ("--set", item)]
    known = table.read(recipe / "train/utt2spk")
    for name, speakers in (("few", ("trains0", "trains1", "trains2", "trains3")), ("held", ("trains4", "trains5"))):
        own = {utt: spk for utt, spk in known.items() if spk in speakers}
        datadir.write(str(recipe / name), wav={utt: f"/{utt}.wav" for utt in own}, utt2spk=own)
    said = run(recipe, STEP, "--classifier", "mlp", *sets, *words(train="few"), "--valid", "held", "emb", "head")
    assert "the validation loss was lowest after" in said and "on 48 embeddings of 4 speakers" in said
    assert json.loads((recipe / "head/provenance.json").read_text())["probe_hidden"] == [8]
    both = sh(recipe, STEP, "--classifier", "mlp", *sets, *words(), "--valid", "held", "emb", "head2")
    assert both.returncode == 1 and "is in train and in held" in both.stderr


def test_a_configuration_file(recipe):
    (recipe / "conf/probe.yaml").write_text("classifier: knn\nneighbours: 3\n")
    run(recipe, STEP, "--conf", "conf/probe.yaml", "--set", "neighbours=7", *words(), "emb", "knn")
    assert "neighbours: 7" in (recipe / "knn/probe.yaml").read_text()


@pytest.mark.parametrize(("given", "parts"), [
    (words(labels="some"), ("trains0-003", "some has no label")),
    (words(train="test"), ("tests0-000", "is in test and in test")),
    (words(labels="gone"), ("gone",)), (words(train="gone"), ("gone/utt2spk",)),
    (("--labels", "utt2class", "--train", "train"), ("--test is needed",)),
    (("--classifier", "forest", *words()), ("classifier", "forest")),
    (("--set", "neighbour=3", *words()), ("did you mean neighbours",)),
    (("--classifier", "ridge", *words()), ("ridge is not for --target classification",)),
    (("--classifier", "svm_linear", "--target", "regression", *words()), ("classifier",)),
    (("--classifier", "mlp", "--target", "regression", *words()), ("mlp is not for --target regression",)),
    (("--target", "regression", *words()), ("utt2class: the label class", "not a number")),
    (("--conf", "gone.yaml", *words()), ("gone.yaml",)),
    (("--set", "folds=9", *words()), ("8 speakers, fewer than the 9 folds",)),
    (words(train="more"), ("extra-0", "no embedding in emb/xvector.scp", "1 of 97")),
    (words(test="bad"), ("bad-0 in emb holds NaN",)),
])
def test_mistakes_are_one_sentence(recipe, given, parts):
    if not (recipe / "more").exists():
        for folder, own in (("more", {"extra-0": "extra", **table.read(recipe / "train/utt2spk")}), ("bad", {"bad-0": "bad"})):
            datadir.write(str(recipe / folder), wav=dict.fromkeys(own, "/x.wav"), utt2spk=own)
        labels = table.read(recipe / "utt2class")
        table.write(recipe / "utt2class", {**labels, "extra-0": "class0"})
        vector = np.full(6, np.nan, "<f4")
        (recipe / "emb/bad.ark").write_bytes(b"bad-0 \0BFV \4\x06\0\0\0" + vector.tobytes())
        lines = [*(recipe / "emb/xvector.scp").read_text().splitlines(), f"bad-0 {recipe}/emb/bad.ark:6"]
        (recipe / "emb/xvector.scp").write_text("\n".join(sorted(lines)) + "\n")
    done = sh(recipe, STEP, *given, "emb", "no")
    said = [line for line in done.stderr.splitlines() if "error:" in line]
    assert done.returncode == 1 and len(said) == 1 and "Traceback" not in done.stderr, done.stderr
    assert all(part in said[0] for part in parts), said[0]
    assert not (recipe / "no/predictions.tsv").exists()
