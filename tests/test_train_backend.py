"""steps/train_backend.sh as a user runs it, and what it writes."""
import json

import numpy as np
import pytest
import recipe_copy
from recipe_copy import run, sh

from sslspk.backend import front, labels_seen, load
from sslspk.backend.config import BackendConfig
from sslspk.errors import InputError
from sslspk.io import ark, kaldi_model, table

STEP = "steps/train_backend.sh"


@pytest.fixture(scope="module")
def recipe(tmp_path_factory):
    """12 speakers of 6 utterances, 8 dimensions, and trials between them."""
    recipe = recipe_copy.make(tmp_path_factory.mktemp("backend"))
    rng = np.random.default_rng(0)
    utt2spk = {f"s{s:02d}-u{u}": f"s{s:02d}" for s in range(12) for u in range(6)}
    speakers = {name: rng.normal(size=8) * 2 for name in set(utt2spk.values())}
    for folder, shift in (("emb", 0.0), ("far", 1.0)):
        (recipe / folder).mkdir()
        with ark.Writer(recipe / folder / "xvector.ark", recipe / folder / "xvector.scp") as writer:
            for utt, spk in utt2spk.items():
                writer.write(utt, (speakers[spk] + rng.normal(size=8) + shift).astype(np.float32))
    table.write(recipe / "utt2spk", utt2spk)
    table.write(recipe / "part", {utt: spk for utt, spk in utt2spk.items() if spk < "s09"})
    utts = sorted(utt2spk)
    pairs = [(a, b) for a in utts[::6] for b in utts[1::6]]
    (recipe / "trials").write_text("".join(f"{a} {b} {'target' if a[:3] == b[:3] else 'nontarget'}\n" for a, b in pairs))
    return recipe


@pytest.fixture(scope="module")
def trained(recipe):
    """A back-end `be` on pseudo-labels; what its training said."""
    return run(recipe, STEP, "--set", "lda_dim=5", "--labels", "part", "--label-kind", "pseudo", "emb", "be")


def test_what_is_written(recipe, trained):
    assert "54 embeddings of 8 dimensions, 18 left out; 9 speakers; 5 dimensions kept" in trained
    info = json.loads((recipe / "be/info.json").read_text())
    assert (info["labels"], info["n"], info["speakers"], info["trained_on"], info["labels_from"]) == ("pseudo", 54, 9, "emb", "part")
    assert kaldi_model.read(recipe / "be/mean.vec").shape == (8,) and kaldi_model.read(recipe / "be/transform.mat").shape == (5, 9)
    assert kaldi_model.read_plda(recipe / "be/plda").psi.shape == (5,)
    for backend in ("lda", "plda"):
        run(recipe, "steps/score.sh", "--backend", backend, "--model", "be", "trials", "emb", "emb", f"scores_{backend}")
        row = json.loads((recipe / f"scores_{backend}/result_trials.json").read_text())
        assert (row["backend"], row["backend_labels"]) == (backend, "pseudo") and row["eer_percent"] < 25
    assert "skipped" in run(recipe, STEP, "--set", "lda_dim=5", "--labels", "part", "--label-kind", "pseudo", "emb", "be")
    assert "skipped" not in run(recipe, STEP, "--set", "lda_dim=4", "--labels", "part", "--label-kind", "pseudo", "emb", "be")


def test_kaldis_files_in_text_are_taken(recipe):
    run(recipe, STEP, "--labels", "utt2spk", "emb", "be2")
    (recipe / "kaldi").mkdir()
    for name in ("mean.vec", "transform.mat"):
        kaldi_model.write(recipe / "kaldi" / name, kaldi_model.read(recipe / "be2" / name), binary=False)
    kaldi_model.write_plda(recipe / "kaldi/plda", kaldi_model.read_plda(recipe / "be2/plda"), binary=False)
    x = np.random.default_rng(1).normal(size=(6, 8))
    np.testing.assert_allclose(load(str(recipe / "kaldi"), "plda").score(x, x), load(str(recipe / "be2"), "plda").score(x, x), atol=1e-4)
    # Each step that takes a back-end takes them too, and assumes that true labels made them.
    run(recipe, "steps/score.sh", "--backend", "plda", "--model", "kaldi", "trials", "emb", "emb", "scores_kaldi")
    assert json.loads((recipe / "scores_kaldi/result_trials.json").read_text())["backend_labels"] == "speaker"
    run(recipe, STEP, "--adapt", "kaldi", "far", "kaldi_adapted")
    assert json.loads((recipe / "kaldi_adapted/info.json").read_text())["labels"] == "speaker"
    (recipe / "plda_ahc.yaml").write_text("method: plda_ahc\nclusters: 12\nplda_clusters: 12\n")
    run(recipe, "steps/cluster.sh", "--nj", "1", "--conf", "plda_ahc.yaml", "--model", "kaldi", "emb", "clusters_kaldi")
    assert "speaker" in json.loads((recipe / "clusters_kaldi/info.json").read_text())["labels"]


@pytest.mark.parametrize(("text", "named"), [("{", "not valid JSON"), ("{}", "does not say which labels"),
                                             ('{"labels": "some"}', "does not say which labels")])
def test_labels_that_a_back_end_saw_are_not_guessed(tmp_path, text, named):
    assert labels_seen(str(tmp_path)) == "speaker"
    (tmp_path / "info.json").write_text(text)
    with pytest.raises(InputError, match=named):
        labels_seen(str(tmp_path))


def test_adaptation_needs_no_labels(recipe):
    run(recipe, STEP, "--labels", "utt2spk", "emb", "be3")
    run(recipe, STEP, "--adapt", "be3", "far", "adapted")
    info = json.loads((recipe / "adapted/info.json").read_text())
    assert (info["labels"], info["adapted_from"], info["adapted_on"]) == ("speaker", "be3", 72)
    one, other = (kaldi_model.read_plda(recipe / name / "plda") for name in ("be3", "adapted"))
    assert not np.allclose(one.mean, other.mean)
    assert "skipped" in run(recipe, STEP, "--adapt", "be3", "far", "adapted")
    kaldi_model.write_plda(recipe / "be3/plda", one._replace(mean=one.mean + 0.5))
    assert "skipped" not in run(recipe, STEP, "--adapt", "be3", "far", "adapted")
    (recipe / "adapted/plda").unlink()
    run(recipe, STEP, "--adapt", "be3", "far", "adapted")
    assert (recipe / "adapted/plda").exists()


def test_without_labels(recipe):
    words = (STEP, "--set", "lda=none", "--set", "plda=none", "--set", "pca=0.9", "--set", "whiten=true", "emb", "white")
    run(recipe, *words)
    assert json.loads((recipe / "white/info.json").read_text())["labels"] == "none" and not (recipe / "white/plda").exists()
    assert "skipped" in run(recipe, *words)
    run(recipe, "steps/score.sh", "--backend", "lda", "--model", "white", "trials", "emb", "emb", "scores_white")
    refused = sh(recipe, "steps/score.sh", "--backend", "plda", "--model", "white", "trials", "emb", "emb", "scores_no")
    assert refused.returncode == 1 and "white/plda" in refused.stderr


@pytest.mark.parametrize(("words", "named"), [
    (("emb", "no"), "--labels"), (("--labels", "gone", "emb", "no"), "gone"), (("--labels", "utt2spk", "empty", "no"), "empty/xvector.scp"),
    (("--labels", "odd", "emb", "no"), "x-1"), (("--labels", "utt2spk", "--set", "lda_dims=3", "emb", "no"), "lda_dim"),
    (("--labels", "utt2spk", "--set", "min_utterances=7", "emb", "no"), "min_utterances"),
    (("--labels", "utt2spk", "nan", "no"), "s00-u1 in nan holds NaN"), (("--adapt", "be", "--labels", "utt2spk", "emb", "no"), "--adapt"),
])
def test_mistakes_are_one_sentence(recipe, trained, words, named):
    table.write(recipe / "odd", {"x-1": "x"})
    (recipe / "nan").mkdir(exist_ok=True)
    text = (recipe / "emb/xvector.scp").read_text()
    bad = np.full(8, np.nan, "<f4")
    (recipe / "nan/bad.ark").write_bytes(b"s00-u1 \0BFV \4\x08\0\0\0" + bad.tobytes())
    (recipe / "nan/xvector.scp").write_text("".join(f"s00-u1 {recipe}/nan/bad.ark:7\n" if line.startswith("s00-u1 ") else f"{line}\n"
                                                    for line in text.splitlines()))
    done = sh(recipe, STEP, *words)
    said = [line for line in done.stderr.splitlines() if "error:" in line]
    assert done.returncode == 1 and len(said) == 1 and named in said[0] and "Traceback" not in done.stderr, done.stderr
    assert not (recipe / "no/info.json").exists()


def test_who_is_chosen():
    """Speakers with enough utterances, no more than the cap of each, the same ones for the same seed."""
    labels = ["a"] * 2 + ["b"] * 9 + ["c"] * 4
    chosen = front.chosen(labels, BackendConfig(min_utterances=3, max_utterances=5, seed=1))
    kept = [labels[i] for i in chosen]
    assert kept == ["b"] * 5 + ["c"] * 4 and chosen.tolist() == sorted(set(chosen.tolist()))
    assert chosen.tolist() == front.chosen(labels, BackendConfig(min_utterances=3, max_utterances=5, seed=1)).tolist()
    assert {tuple(front.chosen(labels, BackendConfig(max_utterances=5, seed=s))) for s in range(9)} != {tuple(chosen)}
    assert front.chosen(labels, BackendConfig()).tolist() == list(range(15))
