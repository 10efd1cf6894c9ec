"""Calibrations of local/score_backends.sh, made on recordings that no clustering, cohort or back-end of their scores has seen."""
import json
import runpy
import time

import heldout
import numpy as np
import pytest
import recipe_copy
from recipe_copy import ROOT, run
from test_score_step import write_vectors

from sslspk.corpora import own
from sslspk.errors import InputError
from sslspk.io import table
from sslspk.io import trials as trial_list

CLUSTER = "method: cosine_ahc\nclusters: 10\n"


def make(recipe, sessions):
    """Embeddings of ten training voices in five sessions of four utterances, and a list of eight utterances of four others."""
    rng = np.random.default_rng(0)
    exp, test, train = recipe / "exp/toy", recipe / "data/voxceleb1_test", recipe / "data/dev"
    test.mkdir(parents=True)
    train.mkdir()
    (exp / "emb_teacher").mkdir(parents=True)
    voices = 3 * rng.normal(size=(14, 6))
    utts = {f"v{voice}-s{session}-{n}": voice for voice in range(10) for session in range(5) for n in range(4)}
    write_vectors(exp / "emb_teacher/dev", {utt: voices[voice] + rng.normal(size=6) + 1 for utt, voice in utts.items()})
    table.write(train / "utt2spk", {utt: f"v{voice}" for utt, voice in utts.items()})
    if sessions:
        table.write(train / "utt2session", {utt: utt.rpartition("-")[0] for utt in utts})
    vectors = {f"t{n}": voices[10 + n // 2] + rng.normal(size=6) + 1 for n in range(8)}
    write_vectors(exp / "emb_teacher/voxceleb1_test", vectors)
    for folder in ("dev", "voxceleb1_test"):
        (exp / f"emb_teacher/{folder}/provenance.json").write_text(
            '{"system": "toy", "weights": "teacher", "trained_on": "toy", "labels": "none", "commit": "c"}')
    pairs = [(f"t{a}", f"t{b}") for b in range(8) for a in range(b)]
    enrol, other = map(np.array, zip(*pairs, strict=True))
    trial_list.write(test / "trials_veri_test2", enrol, other, np.array([int(a[1]) // 2 == int(b[1]) // 2 for a, b in pairs]))
    for name, text in {"cluster": CLUSTER, "cohort": CLUSTER, "backend": "lda_dim: 4\nmin_utterances: 2\n"}.items():
        (recipe / f"conf/few_{name}.yaml").write_text(text)
    return exp


def test_nothing_leaks_into_a_calibration(tmp_path):
    recipe = recipe_copy.make(tmp_path)
    exp = make(recipe, sessions=True)
    run(recipe, "local/score_system.sh", "--weights", "teacher", "data", "exp/toy")
    words = ("local/score_backends.sh", "--weights", "teacher", "--nj", "1", "--cluster", "conf/few_cluster.yaml", "--true-labels", "false",
             "--cohort", "conf/few_cohort.yaml", "--conf", "conf/few_backend.yaml", "--top-n", "5", "data/dev", "data", "exp/toy")
    run(recipe, *words)
    heldout.check(exp / "calibration", table.read(recipe / "data/dev/utt2session"))
    for name, fused in (("calibrated", 1), ("fusion", 2)):
        row = json.loads((exp / f"scores_teacher_{name}/result_trials_veri_test2.json").read_text())
        assert (row["fused"], row["calibration_labels"], row["labels"]) == (fused, "pseudo", "none"), name
    assert not (exp / "calibration.json").exists()   # there is no final.pt that it could go with
    said = run(recipe, *words)
    assert "wrote" not in said.replace(f"wrote {exp}", "") and "skipped" in said, said


def hold_out(monkeypatch, *words):
    monkeypatch.setattr("sys.argv", ["hold_out.py", *map(str, words)])
    runpy.run_path(str(ROOT / "local/hold_out.py"))["main"]()


@pytest.fixture
def embeddings(tmp_path):
    write_vectors(tmp_path / "dev", {f"u{n:02d}": [n, 1] for n in range(40)})
    table.write(tmp_path / "sessions", {f"u{n:02d}": f"s{n // 4}" for n in range(40)})
    return tmp_path


@pytest.mark.parametrize(("words", "size"), [((), 20), (("--share", 0.25), 10), (("--utt2session", "sessions"), 20), (("--seed", 1), 20)])
def test_parts_are_disjoint_and_the_same_each_time(embeddings, monkeypatch, capsys, words, size):
    words = [embeddings / word if word == "sessions" else word for word in words]
    for out in ("a", "b"):
        hold_out(monkeypatch, *words, embeddings / "dev", embeddings / out)
        assert f"{size} of 40 utterances" in capsys.readouterr().out
    parts = [{part: table.read(embeddings / f"{out}/{part}/dev/xvector.scp") for part in ("others", "heldout")} for out in ("a", "b")]
    assert parts[0] == parts[1] and not parts[0]["others"].keys() & parts[0]["heldout"].keys()
    assert parts[0]["others"] | parts[0]["heldout"] == table.read(embeddings / "dev/xvector.scp") and len(parts[0]["heldout"]) == size


@pytest.mark.parametrize(("words", "said"), [
    (("--share", 1), "--share takes a number between 0 and 1, not 1"),
    (("--utt2session", "short"), "lacks u39 of"),
    (("--utt2session", "one"), "is of 1 session, too few to hold some out")])
def test_what_cannot_be_held_out_is_said(embeddings, monkeypatch, words, said):
    table.write(embeddings / "short", {f"u{n:02d}": "s" for n in range(39)})
    table.write(embeddings / "one", {f"u{n:02d}": "s" for n in range(40)})
    words = [embeddings / word if word in ("short", "one") else word for word in words]
    with pytest.raises(InputError, match=said):
        hold_out(monkeypatch, *words, embeddings / "dev", embeddings / "out")


def test_a_large_corpus_is_divided_in_no_time():
    """The work grows with the number of recordings, not with its square (half a minute for these)."""
    begin = time.process_time()
    heldout_part, others = own.draw({f"u{n}": f"u{n}" for n in range(80_000)}, 40_000, 80_000, 0)
    assert time.process_time() - begin < 8 and (len(heldout_part), len(others)) == (40_000, 40_000)
