"""steps/score.sh and sslspk.bin.score on small archives."""
import json
import os
import shlex
import shutil
import subprocess
import sys
from argparse import Namespace
from pathlib import Path

import numpy as np
import pytest

from sslspk.backend.cosine import Cosine
from sslspk.bin import score as score_program
from sslspk.io import ark, files, table
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


def test_a_result_tells_the_commands_of_extraction_and_scoring(recipe):
    """The first job's, from its log, and its own; of embeddings without such a log its own alone. The same command scores again."""
    def commands(out: str) -> dict:
        return json.loads((recipe / out / "result_trials_x.json").read_text())["commands"]
    assert step(recipe, "--bootstrap", "0", "trials_x.txt", "emb", "emb", "o ut").returncode == 0
    options = "--backend cosine --cohort-label-kind speaker --top-n 300 --bootstrap 0"
    scored = f"python3 -m sslspk.bin.score {options} trials_x.txt emb emb 'o ut'"
    assert commands("o ut") == {"scoring": scored}
    (recipe / "emb/log").mkdir()
    (recipe / "emb/log/extract.1.log").write_text("# OMP_NUM_THREADS=1 python3 -m x emb/split2/1 \n# Started at Sun\n#\n")
    written = (recipe / "o ut/scores_trials_x").read_text()
    (recipe / "o ut/scores_trials_x").unlink()
    subprocess.run([sys.executable, *shlex.split(scored)[1:]], cwd=recipe, check=True, capture_output=True)
    assert (recipe / "o ut/scores_trials_x").read_text() == written
    assert commands("o ut") == {"extraction": "OMP_NUM_THREADS=1 python3 -m x emb/split2/1", "scoring": scored}


def test_all_figures_are_printed_and_the_provenance_beside_the_embeddings_is_taken(recipe):
    """As the program prints them; with no speakers known the reason why there is no interval; of two models' embeddings no provenance."""
    (recipe / "spk2gender").write_text("".join(f"id{s} {'mf'[s % 2]}\n" for s in range(6)))
    said = program(recipe, "--spk2gender", "spk2gender", "trials_x.txt", "emb", "emb", "there").stdout.splitlines()
    shutil.copy(recipe / "prov.json", recipe / "emb/provenance.json")
    done = step(recipe, "--spk2gender", "spk2gender", "trials_x.txt", "emb", "emb", "out")
    assert len(said) > 8 and "same gender" in said[-1] and all(line in done.stdout.splitlines() for line in said), done.stdout
    assert json.loads((recipe / "out/result_trials_x.json").read_text())["system"] == "toy"
    shutil.copytree(recipe / "emb", recipe / "emb2")
    (recipe / "emb2/provenance.json").write_text("{}")
    done = step(recipe, "trials_x.txt", "emb", "emb2", "out2")
    assert done.returncode == 0 and "system" not in json.loads((recipe / "out2/result_trials_x.json").read_text())
    (recipe / "short").write_text((recipe / "trials_x.txt").read_text().replace("-", "_"))
    write_vectors(recipe / "odd", {name.replace("-", "_"): x for name, x in load(recipe / "emb").items()})
    done = step(recipe, "short", "odd", "odd", "out3")
    assert done.returncode == 0 and "no interval: " in done.stdout


def test_a_list_without_labels_is_scored(recipe):
    labelled = trial_list.read(recipe / "trials_x.txt")
    (recipe / "trials_y").write_text("".join(f"{e} {t}\n" for e, t in zip(*labelled[:2], strict=True)) + "id0-v-0 id0-v-0\n")
    (recipe / "out").mkdir()
    (recipe / "out/result_trials_y.json").write_text("{}")   # of a time when the list had labels
    done = step(recipe, "trials_y", "emb", "emb", "out")
    assert done.returncode == 0 and "EER and minDCF need a label" in done.stdout, done.stderr + done.stdout
    assert "trials that compare an id with itself: 1 of 436, such as id0-v-0" in done.stdout
    assert len(score_file.read(recipe / "out/scores_trials_y").score) == 436
    assert not (recipe / "out/result_trials_y.json").exists()
    assert "skipped" in step(recipe, "trials_y", "emb", "emb", "out").stdout


def test_unknown_utterance_is_named_and_nothing_is_written(recipe):
    with open(recipe / "trials_x.txt", "a", encoding="utf-8") as file:
        file.write("id0-v-0 id9-v-9 nontarget\n")
    done = program(recipe, "trials_x.txt", "emb", "emb", "out")
    assert done.returncode == 1
    assert "id9-v-9" in done.stderr and done.stderr.count("\n") == 1
    assert not (recipe / "out").exists()
    assert step(recipe, "trials_x.txt", "emb", "emb", "out").returncode != 0
    assert not list((recipe / "out").glob("[!.]*_trials_x*"))


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


def cohort_of(folder):
    """A cohort of 12 utterances of 4 speakers."""
    rng = np.random.default_rng(1)
    write_vectors(folder / "cohort", {f"c{n:02d}": rng.normal(size=5) + 1 for n in range(12)})
    table.write(folder / "cohort_utt2spk", {f"c{n:02d}": f"s{n % 4}" for n in range(12)})


def cosines(a, b):
    a, b = (np.atleast_2d(x) / np.linalg.norm(np.atleast_2d(x), axis=1, keepdims=True) for x in (a, b))
    return a @ b.T


def test_adaptive_s_norm_by_the_step(recipe):
    cohort_of(recipe)
    words = ("--snorm", "as", "--cohort", "cohort", "--top-n", "5", "--bootstrap", "0", "trials_x.txt", "emb", "emb", "out")
    done = step(recipe, *words)
    assert done.returncode == 0, done.stderr + done.stdout
    vectors, cohort = load(recipe / "emb"), np.array(list(load(recipe / "cohort").values()))
    for enrol, test, score in zip(*score_file.read(recipe / "out/scores_trials_x"), strict=True):
        raw, sides = cosines(vectors[enrol], vectors[test])[0, 0], []
        for side in (enrol, test):
            top = np.sort(cosines(vectors[side], cohort)[0])[-5:]
            sides.append((raw - top.mean()) / top.std())
        assert score == pytest.approx(np.mean(sides), rel=1e-6)
    figures = json.loads((recipe / "out/result_trials_x.json").read_text())
    expected = {"backend": "cosine", "backend_model": None, "backend_labels": "none", "snorm": "as", "top_n": 5, "cohort": "cohort",
                "cohort_size": 12, "cohort_labels": "none", "cohort_in_trials": 0}
    assert {key: figures[key] for key in expected} == expected
    assert "skipped" in step(recipe, *words).stdout
    (recipe / "cohort/xvector.scp").write_text((recipe / "cohort/xvector.scp").read_text().rpartition("c11")[0])
    done = step(recipe, *words)
    assert "skipped" not in done.stdout and json.loads((recipe / "out/result_trials_x.json").read_text())["cohort_size"] == 11


def test_cohort_of_cluster_means(recipe):
    """Labels are stated, a small cohort is used whole and said, z-norm takes the enrolment's side."""
    cohort_of(recipe)
    table.write(recipe / "cohort_utt2spk", {f"c{n:02d}": f"s{n % 4}" for n in range(11)})  # what has no cluster is left out
    words = ("--cohort", "cohort", "--cohort-utt2spk", "cohort_utt2spk", "--cohort-label-kind", "pseudo", "--bootstrap", "0")
    done = step(recipe, "--snorm", "as", *words, "trials_x.txt", "emb", "emb", "as")
    assert done.returncode == 0, done.stderr + done.stdout
    assert "note: the cohort has 4 entries, fewer than --top-n 300: all of them are used" in done.stdout
    vectors, raw = load(recipe / "emb"), load(recipe / "cohort")
    means = np.array([np.mean([raw[f"c{n:02d}"] for n in range(s, 11, 4)], axis=0) for s in range(4)])
    assert program(recipe, "--snorm", "z", *words, "trials_x.txt", "emb", "emb", "z").returncode == 0
    for enrol, test, score in zip(*score_file.read(recipe / "z/scores_trials_x"), strict=True):
        against = cosines(vectors[enrol], means)
        assert score == pytest.approx((cosines(vectors[enrol], vectors[test])[0, 0] - against.mean()) / against.std(), rel=1e-6)
    figures = [json.loads((recipe / kind / "result_trials_x.json").read_text()) for kind in ("as", "z")]
    assert [figures[0][key] for key in ("top_n", "cohort_size", "cohort_labels")] == [4, 4, "pseudo"]
    assert [figures[1][key] for key in ("snorm", "top_n", "cohort_labels")] == ["z", None, "pseudo"]
    done = program(recipe, "--snorm", "s", "--cohort", "emb", "--bootstrap", "0", "trials_x.txt", "emb", "emb", "own")
    assert done.returncode == 0 and "note: 30 utterances of the cohort are also in the trials" in done.stdout


def test_utterances_of_the_trials_are_counted_in_a_cohort_of_means(recipe):
    """Those behind the means, and those behind the models of an enrolment map, which are what the means would stand against."""
    table.write(recipe / "clusters", {f"id{s}-v-{n}": f"cluster-{n}" for s in range(6) for n in range(4)})
    words = ("--snorm", "s", "--cohort", "emb", "--cohort-utt2spk", "clusters", "--bootstrap", "0")
    done = program(recipe, *words, "trials_x.txt", "emb", "emb", "own")
    assert done.returncode == 0 and "note: 24 utterances of the cohort are also in the trials" in done.stdout, done.stderr
    assert json.loads((recipe / "own/result_trials_x.json").read_text())["cohort_in_trials"] == 24
    table.write(recipe / "models", {f"m{s}": f"id{s}-v-0 id{s}-v-1" for s in range(6)})
    trial_list.write(recipe / "trials_m", *zip(*((f"m{s}", f"id{t}-v-4", s == t) for s in range(5) for t in range(6)), strict=True))
    done = program(recipe, "--enrol-map", "models", *words, "trials_m", "emb", "emb", "mapped")
    assert done.returncode == 0, done.stderr
    assert json.loads((recipe / "mapped/result_trials_m.json").read_text())["cohort_in_trials"] == 10


def test_enrolment_with_several_utterances(recipe):
    cohort_of(recipe)
    table.write(recipe / "models", {f"m{s}": " ".join(f"id{s}-v-{n}" for n in range(s % 3 + 1)) for s in range(6)})
    pairs = [(f"m{s}", f"id{t}-v-4", s == t) for s in range(6) for t in range(6)]
    trial_list.write(recipe / "trials_m", *zip(*pairs, strict=True))
    table.write(recipe / "utt2spk", {f"m{s}": f"id{s}" for s in range(6)} | {f"id{s}-v-4": f"id{s}" for s in range(6)})
    words = ("--enrol-map", "models", "--utt2spk", "utt2spk", "--snorm", "s", "--cohort", "cohort")
    done = step(recipe, *words, "trials_m", "emb", "emb", "out")
    assert done.returncode == 0, done.stderr + done.stdout
    vectors, cohort = load(recipe / "emb"), np.array(list(load(recipe / "cohort").values()))
    for (model, test, _), score in zip(pairs, score_file.read(recipe / "out/scores_trials_m").score, strict=True):
        s = int(model[1])
        mean = sum(vectors[f"id{s}-v-{n}"] for n in range(s % 3 + 1)) / (s % 3 + 1)
        raw, sides = cosines(mean, vectors[test])[0, 0], [cosines(x, cohort) for x in (mean, vectors[test])]
        assert score == pytest.approx(np.mean([(raw - side.mean()) / side.std() for side in sides]), rel=1e-6)
    assert json.loads((recipe / "out/result_trials_m.json").read_text())["enrol_map"] == "models"

    good = (recipe / "models").read_text()
    for text, named in ((good.replace("m5 id5-v-0", "m5 id9-v-0"), "models: m5 names id9-v-0, which is not in emb/xvector.scp"),
                        (good.replace("m0 id0-v-0", "m0 "), "models:1: m0 has no value"), (good.replace("m5", "m4"), "m4 is there twice"),
                        (good.replace("id1-v-1", "id1-v-0"), "models: m1 names id1-v-0 twice"),
                        (good.replace("m5", "m6"), "the trials name m5, which is not in models")):
        (recipe / "models").write_text(text)
        done = program(recipe, "--enrol-map", "models", "trials_m", "emb", "emb", "bad")
        assert done.returncode == 1 and named in done.stderr and done.stderr.count("\n") == 1
    assert not (recipe / "bad").exists()


def test_counts_reach_the_back_end(monkeypatch):
    """PLDA asks of how many utterances an average is: the numbers of the map must come to both score methods."""
    seen = []

    class Counting(Cosine):
        def score(self, enrol, test, counts=None):
            seen.append(counts)
            return super().score(enrol, test)

        def score_trials(self, enrol, test, enrol_row, test_row, counts=None):
            seen.append(counts)
            return super().score_trials(enrol, test, enrol_row, test_row)

    rng = np.random.default_rng(0)
    enrol = score_program.Rows(["m", "n"], rng.normal(size=(2, 4)), np.array([3, 1]))
    test, cohort = (score_program.Rows([f"{kind}{i}" for i in range(5)], rng.normal(size=(5, 4))) for kind in "tc")
    monkeypatch.setattr(score_program, "_sides", lambda args, trials: (enrol, test))
    monkeypatch.setattr(score_program, "_cohort", lambda args: cohort)
    monkeypatch.setattr(score_program, "_backend", lambda args, mean: (Counting(), {}))
    args = Namespace(mean=None, cohort="c", cohort_utt2spk=None, enrol_map="map", enrol="e", test="t", snorm="s", top_n=3)
    trials = trial_list.Trials(np.array(["n", "m"]), np.array(["t1", "t2"]), np.array([True, False]))
    score_program.score(args, trials)
    assert [None if counts is None else counts.tolist() for counts in seen] == [[3, 1], [3, 1], None]


@pytest.mark.parametrize(("options", "named"), [
    (("--snorm", "as"), "--snorm needs --cohort"), (("--cohort", "emb"), "--cohort needs --snorm"),
    (("--cohort-utt2spk", "x"), "--cohort-utt2spk needs --cohort"), (("--model", "emb"), "--backend cosine takes no --model"),
    (("--snorm", "as", "--cohort", "emb", "--top-n", "1"), "give --top-n 2 or more"),
    (("--snorm", "as", "--cohort", "one"), "a cohort of 1 "), (("--snorm", "z", "--cohort", "flat"), "cohort scores of id0-v-0 are all"),
    (("--snorm", "z", "--cohort", "wide"), "5 and 7 dimensions")])
def test_normalisation_that_cannot_be(recipe, options, named):
    write_vectors(recipe / "one", {"c": np.ones(5)})
    write_vectors(recipe / "flat", {f"c{n}": np.ones(5) for n in range(5)})
    write_vectors(recipe / "wide", {f"c{n}": np.ones(7) for n in range(5)})
    done = program(recipe, *options, "trials_x.txt", "emb", "emb", "out")
    assert done.returncode == 1 and named in done.stderr and done.stderr.count("\n") == 1
    assert not (recipe / "out").exists()
