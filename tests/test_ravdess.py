"""local/prepare_ravdess.py and egs/ravdess/run.sh on a tiny corpus in the original's layout, as a user runs them."""
import json
import os
import shutil
import subprocess
import sys
from collections import Counter
from pathlib import Path

import numpy as np
import pytest
import recipe_copy
import soundfile
from recipe_copy import overrides, run, sh, snapshot

from sslspk.io import datadir, table
from sslspk.io import trials as trial_list

ROOT = Path(__file__).resolve().parents[1]
ENV = {**os.environ, "PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": "1"}
TINY = """
features: {num_mel_bins: 20, snip_edges: false}
cmvn: {cmn: utterance}
data: {workers: 0, batch_size: 8}
encoder: {name: tdnn, channels: 8, pooled_channels: 12, embed_dim: 6, segment_layers: 1}
"""
SMALL = overrides("train.steps=2", "train.warmup_epochs=0", "train.log_every=1", "data.batch_size=8",
                  "method.crops=[{count: 1, seconds: 0.3}]")


def put(folder, actor, emotion, statement=1, kind=1, modality=3, seconds=0.4):
    path = folder / f"Actor_{actor:02d}/{modality:02d}-{kind:02d}-{emotion:02d}-01-{statement:02d}-01-{actor:02d}.wav"
    path.parent.mkdir(parents=True, exist_ok=True)
    wave = np.random.default_rng([actor, emotion, statement]).integers(-9000, 9000, round(16000 * seconds), np.int16)
    soundfile.write(path, wave, 16000, subtype="PCM_16")
    return path


@pytest.fixture
def corpus(tmp_path):
    """Eight actors, eight emotions, two sentences; one film, and songs in a folder of their own."""
    root = tmp_path / "RAVDESS"
    for actor in range(1, 9):
        for emotion in range(1, 9):
            for statement in (1, 2):
                put(root / "Audio_Speech_Actors_01-24", actor, emotion, statement)
    put(root / "Audio_Speech_Actors_01-24", 1, 5, modality=1)
    put(root / "Audio_Song_Actors_01-24", 3, 2, kind=2)
    put(root / "Audio_Song_Actors_01-24", 3, 3, kind=2)
    return root


def prepare(*args):
    return subprocess.run([sys.executable, str(ROOT / "local/prepare_ravdess.py"), "--nj", "1", *map(str, args)], env=ENV,
                          capture_output=True, text=True, check=False)


def test_names_say_everything(corpus, tmp_path):
    done = prepare(corpus, tmp_path / "data")
    assert (done.returncode, done.stderr) == (0, "") and "128 utterances, 8 actors" in done.stdout
    found = datadir.read(str(tmp_path / "data/ravdess"))
    assert set(found) == {"wav.scp", "utt2spk", "spk2utt", "utt2dur", "utt2num_samples", "utt2emotion", "utt2group", "utt2kind",
                          "utt2intensity", "utt2statement", "spk2gender"}
    utt = "actor06-03-01-05-01-02-01-06"
    said = {name: found[f"utt2{name}"][utt] for name in ("spk", "emotion", "group", "kind", "intensity", "statement")}
    assert said == {"spk": "actor06", "emotion": "angry", "group": "group2", "kind": "speech", "intensity": "normal",
                    "statement": "statement2"}
    genders = Counter((found["utt2group"][f"{spk}-03-01-01-01-01-01-{spk[-2:]}"], one) for spk, one in found["spk2gender"].items())
    assert genders == {(group, gender): 2 for group in ("group1", "group2") for gender in "mf"}
    assert set(Counter(found["utt2emotion"].values()).values()) == {16}


def test_kinds_and_emotions_are_options(corpus, tmp_path):
    done = prepare("--kind", "all", "--classes", "calm sad", corpus, tmp_path / "data")
    assert done.returncode == 0 and "17 calm, 16 sad" in done.stdout and "17 happy" in done.stdout.partition("left out: ")[2]
    flat = tmp_path / "flat"
    shutil.copytree(corpus / "Audio_Song_Actors_01-24", flat)
    assert prepare("--kind", "song", "--classes", "calm happy", flat, tmp_path / "song").returncode == 0
    assert table.read(tmp_path / "song/ravdess/utt2kind") == {f"actor03-03-02-0{one}-01-01-01-03": "song" for one in (2, 3)}


@pytest.mark.parametrize(("damage", "options", "words"), [
    (shutil.rmtree, (), ("is not a folder", "zenodo.org")),
    (lambda root: [shutil.rmtree(path) for path in root.iterdir()], (), ("Actor_01 to Actor_24", "zenodo.org")),
    (lambda root: put(root, 2, 9), (), ("seven numbers", "rename")),
    (lambda root: put(root, 2, 3).rename(root / "Actor_02/03-01-03-01-01-01-04.wav"), (), ("the last one the actor's", "Actor_02")),
    (lambda root: (root / "Actor_02").mkdir() or put(root, 2, 1).rename(root / "Actor_02/take.wav"), (), ("Actor_02/take.wav",)),
    (str, ("--classes", "angry bored"), ("'bored'", "choose from neutral calm")),
    (str, ("--classes", "angry"), ("at least two",)),
    (str, ("--classes", "angry sad", "--kind", "song"), ("no recording of song is angry", "--kind")),
], ids=["no corpus", "nothing in it", "no emotion", "another actor", "strange name", "unknown", "one", "no song"])
def test_bad_corpora_and_options(corpus, tmp_path, damage, options, words):
    damage(corpus)
    done = prepare(*options, corpus, tmp_path / "data")
    assert done.returncode == 1 and done.stderr.count("\n") == 1 and "Traceback" not in done.stderr, done.stderr
    assert all(word in done.stderr for word in words), done.stderr
    assert not (tmp_path / "data").exists()


@pytest.fixture
def recipe(tmp_path, monkeypatch):
    (recipe_copy.make(tmp_path, "iemocap") / "conf/scratch.yaml").write_text(TINY)
    made = recipe_copy.make(tmp_path, "ravdess")
    monkeypatch.chdir(made)
    return made


@pytest.mark.slow
def test_ravdess_from_a_model(corpus, recipe):
    """A model from scratch in two folds; then probes on the first fold's model."""
    words = ("./run.sh", "--ravdess", corpus, "--nj", "1", "--classes", "angry sad", *SMALL)
    run(recipe, *words)
    exp = recipe / "exp/scratch_once_group/seed0"
    row = json.loads((exp / "result.json").read_text())
    assert (row["items"], row["speakers"], row["classes"], row["labels"]) == (32, 8, ["angry", "sad"], "emotion")
    for fold in ("1", "2"):
        spoken = [set(table.read(recipe / f"data/folds_group/{fold}/{part}/utt2spk").values()) for part in ("train", "test")]
        assert [len(one) for one in spoken] == [4, 4] and not spoken[0] & spoken[1]
    before = snapshot(recipe)
    assert run(recipe, *words).count("skipped") == 4 and snapshot(recipe) == before   # audio, two lists, fine-tuning
    emotion = table.read(recipe / "data/ravdess/utt2emotion")
    for pairs in ("across", "within"):
        trials = trial_list.read(recipe / f"data/ravdess_packed/trials_{pairs}_emotions")
        same = {emotion[enrol] == emotion[test] for enrol, test in zip(trials.enrol, trials.test, strict=True)}
        assert same == {pairs == "within"} and 0 < trials.target.sum() < len(trials.target)
    said = run(recipe, *words[:-len(SMALL)], "--stage", "3", "--init-from", exp / "fold_1/final.pt", "--ft", "none", "--probes", "knn")
    assert "| probes_fold_1_group knn |" in said


@pytest.mark.parametrize(("words", "named"), [
    ((), ("--ravdess names no folder",)),
    (("--folds", "session"), ("--folds takes group or speaker, not 'session'",)),
    (("--kind", "spoken"), ("--kind", "'spoken'")),
    (("--ft", "twice"), ("--ft", "'twice'")),
    (("--ft", "step2"), ("--ft step2", "--init-from")),
    (("--init-from", "nowhere/final.pt"), ("nowhere/final.pt", "train it")),
    (("song",), ("'song'", "--help")),
])
def test_what_ravdess_cannot_mean(recipe, words, named):
    done = sh(recipe, "./run.sh", *words)
    assert done.returncode == 1 and done.stderr.count("\n") == 1 and "error:" in done.stderr, done.stderr
    assert all(part in done.stderr for part in named), done.stderr
    assert not (recipe / "data").exists() and not (recipe / "exp").exists()
