"""steps/score.sh and sslspk.bin.score on small archives."""
import json
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from sslspk.io import ark, files
from sslspk.io import scores as score_file
from sslspk.io import trials as trial_list
from sslspk.metrics import report

ROOT = Path(__file__).parents[2]


def write_vectors(folder, vectors):
    folder.mkdir(exist_ok=True)
    with ark.Writer(folder / "xvector.ark", folder / "xvector.scp") as writer:
        for name in sorted(vectors):
            writer.write(name, np.asarray(vectors[name], np.float32))


@pytest.fixture
def recipe(tmp_path):
    """A directory as a recipe sees it: emb/ and other/ of six speakers, and a list over emb/."""
    rng = np.random.default_rng(0)
    speakers = rng.normal(size=(6, 5))
    vectors = {f"id{s}-v-{n}": speakers[s] + 0.7 * rng.normal(size=5) + 1 for s in range(6) for n in range(5)}
    write_vectors(tmp_path / "emb", vectors)
    write_vectors(tmp_path / "other", {f"o{n}": rng.normal(size=5) + 1 for n in range(50)})
    names = sorted(vectors)
    pairs = [(a, b) for a in names for b in names if a < b]
    enrol, test = map(np.array, zip(*pairs, strict=True))
    target = np.array([a[:3] == b[:3] for a, b in pairs])
    trial_list.write(tmp_path / "trials_x.txt", enrol, test, target)
    (tmp_path / "prov.json").write_text('{"system": "toy", "labels": "none", "trials": "to be overwritten"}')
    for name in ("steps", "utils"):
        (tmp_path / name).symlink_to(ROOT / name)
    return tmp_path


def step(folder, *words):
    environment = os.environ | {"PATH": f"{Path(sys.executable).parent}:{os.environ['PATH']}", "PYTHONPATH": str(ROOT),
                                "OMP_NUM_THREADS": "1"}
    return subprocess.run(["bash", "steps/score.sh", *words], cwd=folder, env=environment, capture_output=True, text=True,
                          check=False)


def program(folder, *words):
    return subprocess.run([sys.executable, "-m", "sslspk.bin.score", *words], cwd=folder, capture_output=True, text=True,
                          check=False)


def load(folder):
    return {name: ark.load(spec).astype(float) for name, spec in ark.read_scp(folder / "xvector.scp").items()}


def test_step_scores_measures_and_skips(recipe):
    done = step(recipe, "--mean", "other", "--provenance", "prov.json", "trials_x.txt", "emb", "emb", "out")
    assert done.returncode == 0, done.stderr + done.stdout
    out = recipe / "out"
    vectors, mean = load(recipe / "emb"), np.mean(list(load(recipe / "other").values()), axis=0)
    trials, got = trial_list.read(recipe / "trials_x.txt"), score_file.read(out / "scores_trials_x")
    for enrol, test, score in zip(*got, strict=True):
        a, b = vectors[enrol] - mean, vectors[test] - mean
        assert score == pytest.approx(a @ b / np.linalg.norm(a) / np.linalg.norm(b), abs=1e-8)
    figures = json.loads((out / "result_trials_x.json").read_text())
    assert figures["eer_percent"] == pytest.approx(report.report(trials, score_file.align(trials, got))["eer_percent"])
    expected = {"system": "toy", "labels": "none", "trials": "trials_x.txt", "trials_md5": files.md5(recipe / "trials_x.txt"),
                "backend": "cosine", "backend_mean": "other", "p_target": [0.01, 0.05], "targets": 60, "nontargets": 375}
    assert {key: figures[key] for key in expected} == expected
    assert figures["eer_percent_low"] <= figures["eer_percent"] <= figures["eer_percent_high"]
    assert "EER" in done.stdout
    again = step(recipe, "--mean", "other", "--provenance", "prov.json", "trials_x.txt", "emb", "emb", "out")
    assert again.returncode == 0 and "skipped" in again.stdout
    other = step(recipe, "trials_x.txt", "emb", "emb", "out")
    assert other.returncode == 0 and "skipped" not in other.stdout
    assert json.loads((out / "result_trials_x.json").read_text())["backend_mean"] is None


def test_unknown_utterance_is_named_and_nothing_is_written(recipe):
    with open(recipe / "trials_x.txt", "a", encoding="utf-8") as file:
        file.write("id0-v-0 id9-v-9 nontarget\n")
    done = program(recipe, "trials_x.txt", "emb", "emb", "out")
    assert done.returncode == 1
    assert "id9-v-9" in done.stderr and done.stderr.count("\n") == 1
    assert not (recipe / "out").exists()
    assert step(recipe, "trials_x.txt", "emb", "emb", "out").returncode != 0
    assert not list((recipe / "out").glob("*_trials_x*"))


@pytest.mark.parametrize("value", [0.0, np.nan])
def test_embedding_that_cannot_be_scored_is_named(recipe, value):
    vectors = load(recipe / "emb") | {"id3-v-2": np.full(5, 7.25)}
    write_vectors(recipe / "emb", vectors)
    archive = recipe / "emb" / "xvector.ark"  # the writer itself refuses NaN, so the damage comes later
    marker = np.full(5, 7.25, np.float32).tobytes()
    data = archive.read_bytes()
    assert data.count(marker) == 1
    archive.write_bytes(data.replace(marker, np.full(5, value, np.float32).tobytes()))
    done = program(recipe, "trials_x.txt", "emb", "emb", "out")
    assert done.returncode == 1
    assert "id3-v-2 in emb" in done.stderr and done.stderr.count("\n") == 1
    assert not (recipe / "out").exists()


def test_embeddings_of_two_models(recipe):
    write_vectors(recipe / "wide", {f"id{s}-v-{n}": np.ones(7) for s in range(6) for n in range(5)})
    done = program(recipe, "trials_x.txt", "emb", "wide", "out")
    assert done.returncode == 1 and "5 and 7 dimensions" in done.stderr
    done = program(recipe, "--mean", "wide", "trials_x.txt", "emb", "emb", "out")
    assert done.returncode == 1 and "5 and 7 dimensions" in done.stderr
    write_vectors(recipe / "wide", load(recipe / "emb") | {"id3-v-2": np.ones(7)})
    done = program(recipe, "trials_x.txt", "emb", "wide", "out")
    assert done.returncode == 1 and "id3-v-2 has shape (7,)" in done.stderr


@pytest.mark.parametrize(("text", "named"), [("{", "not valid JSON"), ("[1]", "one JSON object")])
def test_bad_provenance(recipe, text, named):
    (recipe / "prov.json").write_text(text)
    done = program(recipe, "--provenance", "prov.json", "trials_x.txt", "emb", "emb", "out")
    assert done.returncode == 1 and named in done.stderr and not (recipe / "out").exists()


def test_missing_input_is_named_by_the_step(recipe):
    done = step(recipe, "trials_x.txt", "nowhere", "emb", "out")
    assert done.returncode == 1
    assert "nowhere/xvector.scp" in done.stderr
