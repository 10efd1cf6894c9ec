"""steps/train_calibration.sh and steps/apply_calibration.sh, run by a shell."""
import json
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from sslspk.backend import calibration
from sslspk.io import ark, files, table
from sslspk.io import scores as score_file
from sslspk.io import trials as trial_list
from sslspk.metrics import verification

ROOT = Path(__file__).parents[2]


def write_list(folder, name, seed, speakers=12):
    """A list over utterances of some speakers, and the scores of two systems in different orders, informative in different ways."""
    rng = np.random.default_rng(seed)
    ids = [f"id{seed}{s:02d}-v-{n}" for s in range(speakers) for n in range(6)]
    pairs = [(a, b) for i, a in enumerate(ids) for b in ids[:i]]
    enrol, test = map(np.array, zip(*pairs, strict=True))
    target = np.array([a.partition("-")[0] == b.partition("-")[0] for a, b in pairs])
    trial_list.write(folder / f"trials_{name}", enrol, test, target)
    for system in ("one", "two"):
        scores = 0.1 * rng.normal(np.where(target, 3.0, 0.0)) + 0.3
        order = rng.permutation(len(target))
        score_file.write(folder / system / f"scores_trials_{name}", enrol[order], test[order], scores[order])
        labels = {"one": "none", "two": "speaker"}[system]
        (folder / system / f"result_trials_{name}.json").write_text(json.dumps(
            {"system": system, "weights": "teacher", "trained_on": "toy", "labels": labels, "commit": "c", "backend": "cosine",
             "backend_labels": "none", "eer_percent_same_gender": 50}))
    return ids


@pytest.fixture
def recipe(tmp_path):
    rng = np.random.default_rng(9)
    ids = write_list(tmp_path, "dev", 1) + write_list(tmp_path, "eval", 2)
    table.write(tmp_path / "utt2dur", {name: f"{rng.uniform(2, 9):.3f}" for name in ids})
    (tmp_path / "emb").mkdir()
    with ark.Writer(tmp_path / "emb/xvector.ark", tmp_path / "emb/xvector.scp") as writer:
        for name in sorted(ids):
            writer.write(name, rng.normal(size=4).astype(np.float32))
    for name in ("steps", "utils"):
        (tmp_path / name).symlink_to(ROOT / name)
    return tmp_path


def step(folder, name, *words):
    environment = os.environ | {"PATH": f"{Path(sys.executable).parent}:{os.environ['PATH']}", "PYTHONPATH": str(ROOT),
                                "OMP_NUM_THREADS": "1"}
    return subprocess.run(["bash", f"steps/{name}_calibration.sh", *words], cwd=folder, env=environment, capture_output=True, text=True,
                          check=False)


def program(folder, name, *words):
    return subprocess.run([sys.executable, "-m", f"sslspk.bin.{name}_calibration", *words], cwd=folder, capture_output=True, text=True,
                          check=False)


def refused(done, *named):
    assert done.returncode == 1 and done.stderr.count("\n") == 1, done.stderr
    for text in named:
        assert text in done.stderr


DEV, EVAL = ("one/scores_trials_dev", "two/scores_trials_dev"), ("one/scores_trials_eval", "two/scores_trials_eval")


def test_fusion_with_quality_measures(recipe):
    options = ("--utt2dur", "utt2dur", "--embeddings", "emb")
    words = (*options, "--p-target", "0.1", "--label-kind", "pseudo", "trials_dev", *DEV, "fused/model.json")
    done = step(recipe, "train", *words)
    assert done.returncode == 0, done.stderr + done.stdout
    model = json.loads((recipe / "fused/model.json").read_text())
    dev = trial_list.read(recipe / "trials_dev")
    expected = {"systems": ["one teacher cosine", "two teacher cosine"], "quality": ["log_duration", "magnitude"], "p_target": 0.1,
                "labels": "pseudo", "trials": "trials_dev", "trials_md5": files.md5(recipe / "trials_dev"), "targets": 180,
                "nontargets": 2376}
    assert {key: model[key] for key in expected} == expected
    columns = by_hand(recipe, dev, DEV)
    weights, offset = calibration.fit(columns, dev.target, 0.1)
    np.testing.assert_allclose([*model["weights"], model["offset"]], [*weights, offset], rtol=1e-6)

    done = step(recipe, "apply", *options, "fused/model.json", "trials_eval", *EVAL, "fused")
    assert done.returncode == 0, done.stderr + done.stdout
    trials = trial_list.read(recipe / "trials_eval")
    got = score_file.read(recipe / "fused/scores_trials_eval")
    np.testing.assert_array_equal(got.enrol, trials.enrol)
    np.testing.assert_allclose(got.score, by_hand(recipe, trials, EVAL) @ weights + offset, rtol=1e-5)
    figures = json.loads((recipe / "fused/result_trials_eval.json").read_text())
    assert figures["cllr"] == pytest.approx(verification.cllr(got.score, trials.target))
    assert "actDCF(0.05)" in done.stdout and "Cllr" in done.stdout and "note:" not in done.stdout
    expected = {"system": "one + two", "weights": "teacher", "labels": "speaker", "backend": "cosine", "backend_labels": "none",
                "calibration": "fused/model.json", "calibration_labels": "pseudo", "calibration_p_target": 0.1,
                "calibration_trials_md5": model["trials_md5"], "calibration_same_list": False, "calibration_trials_seen": 0,
                "systems_scores": list(EVAL), "fused": 2}
    assert {key: figures[key] for key in expected} == expected
    assert "eer_percent_same_gender" not in figures  # a figure of the input is none of the output
    for name, last in (("train", words), ("apply", (*options, "fused/model.json", "trials_eval", *EVAL, "fused"))):
        again = step(recipe, name, *last)
        assert again.returncode == 0 and "skipped" in again.stdout
    done = step(recipe, "train", "--p-target", "0.2", *words[:4], *words[6:])
    assert done.returncode == 0 and "skipped" not in done.stdout


def by_hand(recipe, trials, paths):
    """The columns of a fusion with both measures, trial by trial."""
    durations = {utt: np.log(float(text)) for utt, text in table.read(recipe / "utt2dur").items()}
    lengths = {utt: np.linalg.norm(ark.load(spec)) for utt, spec in ark.read_scp(recipe / "emb/xvector.scp").items()}
    scores = [{(e, t): s for e, t, s in zip(*score_file.read(recipe / path), strict=True)} for path in paths]
    return np.array([[*(of[e, t] for of in scores), *(f(of[e], of[t]) for of in (durations, lengths) for f in (min, max))]
                     for e, t in zip(trials.enrol.tolist(), trials.test.tolist(), strict=True)])


def test_calibration_of_one_system_on_its_own_list(recipe):
    assert step(recipe, "train", "trials_dev", DEV[0], "one/calibration.json").returncode == 0
    words = ("one/calibration.json", "trials_dev", DEV[0], "out")
    done = step(recipe, "apply", *words)
    assert done.returncode == 1 and "trials_dev is the list that one/calibration.json was trained on" in done.stderr + done.stdout
    assert not list((recipe / "out").glob("[!.]*_trials_dev*"))
    # The same trials in another form and order are the same list.
    trials = trial_list.read(recipe / "trials_dev")
    lines = [f"{int(same)} {e} {t}\n" for e, t, same in zip(*trials, strict=True)]
    (recipe / "voxceleb_form").write_text("".join(reversed(lines)))
    refused(program(recipe, "apply", "one/calibration.json", "voxceleb_form", DEV[0], "out"), "voxceleb_form is the list")
    done = step(recipe, "apply", "--same-list", "true", *words)
    assert done.returncode == 0, done.stderr + done.stdout
    figures = json.loads((recipe / "out/result_trials_dev.json").read_text())
    assert figures["calibration_same_list"] is True and figures["calibration_labels"] == "speaker"
    assert figures["calibration_trials_seen"] == 1
    assert figures["commands"] == {"scoring": f"python3 -m sslspk.bin.apply_calibration --same-list true {' '.join(words)}"}
    raw, got = score_file.read(recipe / DEV[0]), score_file.read(recipe / "out/scores_trials_dev")
    aligned = score_file.align(trials, raw)
    np.testing.assert_array_equal(np.argsort(aligned, kind="stable"), np.argsort(got.score, kind="stable"))
    assert verification.cllr(got.score, trials.target) < 0.5 < verification.cllr(aligned, trials.target)


def test_a_list_without_labels_is_calibrated(recipe):
    train = ["--p-target", "0.05", "trials_dev", "one/scores_trials_dev", "two/scores_trials_dev", "cal.json"]
    apply = ["cal.json", "trials_eval", "one/scores_trials_eval", "two/scores_trials_eval", "out"]
    assert program(recipe, "train", *train).returncode == 0 and program(recipe, "apply", *apply).returncode == 0
    scores = (recipe / "out/scores_trials_eval").read_text()
    lines = (recipe / "trials_eval").read_text().splitlines()
    (recipe / "trials_eval").write_text("".join(line.rpartition(" ")[0] + "\n" for line in lines))
    done = step(recipe, "apply", *apply)
    assert done.returncode == 0 and "note: trials_eval has no labels" in done.stdout, done.stderr
    assert (recipe / "out/scores_trials_eval").read_text() == scores and not (recipe / "out/result_trials_eval.json").exists()
    again = step(recipe, "apply", *apply)
    assert again.returncode == 0 and "up to date, skipped" in again.stdout
    refused(program(recipe, "apply", "cal.json", "trials_dev", "one/scores_trials_dev", "two/scores_trials_dev", "out"), "flatter")


def test_provenance_is_laid_over_what_the_scores_say(recipe):
    for path in recipe.glob("*/result_*.json"):
        path.unlink()
    (recipe / "prov.json").write_text('{"system": "mine", "labels": "none"}')
    assert program(recipe, "train", "trials_dev", *DEV, "m.json").returncode == 0
    assert json.loads((recipe / "m.json").read_text())["systems"] == ["one", "two"]
    (recipe / "three").symlink_to("two")
    words = ("--bootstrap", "0", "--provenance", "prov.json", "m.json", "trials_eval", EVAL[0], EVAL[1].replace("two", "three"), "out")
    done = program(recipe, "apply", *words)
    assert done.returncode == 0 and "note: m.json was trained with one, two, and applied to one, three" in done.stdout
    figures = json.loads((recipe / "out/result_trials_eval.json").read_text())
    assert figures["system"] == "mine" and figures["systems"] == ["one", "three"] and "backend" not in figures
    assert figures["labels"] == "none"


def test_provenance_takes_no_labels_away(recipe):
    (recipe / "prov.json").write_text('{"system": "mine", "labels": "pseudo", "backend_labels": "none", "backend": "plda"}')
    path = recipe / "two/result_trials_eval.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | {"backend_labels": "speaker"}))
    assert program(recipe, "train", "trials_dev", *DEV, "m.json").returncode == 0
    done = program(recipe, "apply", "--bootstrap", "0", "--provenance", "prov.json", "m.json", "trials_eval", *EVAL, "out")
    assert done.returncode == 0, done.stderr
    figures = json.loads((recipe / "out/result_trials_eval.json").read_text())
    expected = {"system": "mine", "backend": "plda", "backend_labels": "none + speaker", "labels": "speaker + pseudo"}
    assert {key: figures[key] for key in expected} == expected


def test_trials_that_training_saw_are_counted_in_either_order(recipe):
    """All of the list turned round is the list; a tenth of it is too much, a twentieth is stated."""
    assert program(recipe, "train", "trials_dev", DEV[0], "m.json").returncode == 0
    dev, other = trial_list.read(recipe / "trials_dev"), trial_list.read(recipe / "trials_eval")
    of_both = {frozenset(pair): score for path in (DEV[0], EVAL[0]) for *pair, score in zip(*score_file.read(recipe / path), strict=True)}
    for name, seen, unseen in (("turned", len(dev.target), 0), ("tenth", 200, 1800), ("twentieth", 100, 1900)):
        enrol, test, target = (np.concatenate([a[:seen], b[:unseen]]) for a, b in
                               ((dev.test, other.enrol), (dev.enrol, other.test), (dev.target, other.target)))
        trial_list.write(recipe / f"trials_{name}", enrol, test, target)
        scores = [of_both[frozenset(pair)] for pair in zip(enrol, test, strict=True)]
        score_file.write(recipe / f"one/scores_trials_{name}", enrol, test, scores)
    def apply(name):
        return "apply", "--bootstrap", "0", "m.json", f"trials_{name}", f"one/scores_trials_{name}", "out"

    refused(program(recipe, *apply("turned")), "trials_turned is the list that m.json was trained on")
    refused(program(recipe, *apply("tenth")), "trials_tenth shares 10.0 % of its trials with trials_dev, the list that m.json")
    done = program(recipe, *apply("twentieth"))
    assert done.returncode == 0, done.stderr
    figures = json.loads((recipe / "out/result_trials_twentieth.json").read_text())
    assert figures["calibration_trials_seen"] == 0.05 and figures["calibration_same_list"] is False
    (recipe / "trials_dev").unlink()
    assert "is not known: trials_dev is not the list any more" in program(recipe, *apply("twentieth")).stdout
    assert json.loads((recipe / "out/result_trials_twentieth.json").read_text())["calibration_trials_seen"] is None
    refused(program(recipe, *apply("turned")), "trials_turned is the list")


def test_what_does_not_fit_the_model_is_named(recipe):
    assert program(recipe, "train", "trials_dev", *DEV, "m.json").returncode == 0
    apply = ("apply", "m.json", "trials_eval")
    refused(program(recipe, *apply, EVAL[0], "out"), "takes the scores of 2 systems (one teacher cosine, two teacher cosine), not 1 file")
    refused(program(recipe, *apply, EVAL[1], EVAL[0], "out"), "takes them in the order one teacher cosine, two teacher cosine")
    refused(program(recipe, "apply", "--utt2dur", "utt2dur", *apply[1:], *EVAL, "out"), "trained without --utt2dur; leave it out")
    refused(program(recipe, *apply, DEV[0], EVAL[1], "out"), "one/scores_trials_dev", "has no score")
    assert program(recipe, "train", "--embeddings", "emb", "trials_dev", *DEV, "q.json").returncode == 0
    refused(program(recipe, "apply", "q.json", "trials_eval", *EVAL, "out"), "trained with --embeddings; give it")
    (recipe / "bad.json").write_text('{"systems": ["a"]}')
    refused(program(recipe, "apply", "bad.json", "trials_eval", EVAL[0], "out"), "bad.json: key weights is missing")
    assert not (recipe / "out").exists()
    done = step(recipe, "apply", "--same-list", "true", "m.json", "trials_dev", *DEV, "one")
    assert done.returncode == 1 and "would be overwritten" in done.stderr


def test_training_trouble_is_named(recipe):
    trials = trial_list.read(recipe / "trials_dev")
    keep = trials.target
    trial_list.write(recipe / "targets", trials.enrol[keep], trials.test[keep], trials.target[keep])
    score_file.write(recipe / "scores", trials.enrol[keep], trials.test[keep], np.arange(keep.sum()))
    refused(program(recipe, "train", "targets", "scores", "m.json"), "no non-target trial among 180")
    refused(program(recipe, "train", "--p-target", "1", "trials_dev", DEV[0], "m.json"), "--p-target 1")
    durations = table.read(recipe / "utt2dur")
    table.write(recipe / "utt2dur", durations | {"id100-v-0": "0.0", "id100-v-1": "1"})
    refused(program(recipe, "train", "--utt2dur", "utt2dur", "trials_dev", DEV[0], "m.json"), "utt2dur: the duration of id100-v-0 is '0.0'")
    del durations["id105-v-3"]
    table.write(recipe / "utt2dur", durations)
    refused(program(recipe, "train", "--utt2dur", "utt2dur", "trials_dev", DEV[0], "m.json"), "the trials name id105-v-3", "utt2dur")
    assert not (recipe / "m.json").exists()
    done = step(recipe, "train", "trials_dev", "nothing", "m.json")
    assert done.returncode == 1 and "there is no nothing" in done.stderr
