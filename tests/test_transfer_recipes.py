"""egs/iemocap/run.sh and egs/adress/run.sh as a user runs them, on corpora of seconds: every stage, both ways to fine-tune, what is
decided, what a rerun does, and what is refused."""
import json
import os
import re
from collections import Counter
from pathlib import Path

import numpy as np
import pytest
import recipe_copy
import torch
from recipe_copy import kill_when, overrides, run, run_and_count, sh, snapshot

from sslspk.io import datadir, derive, predictions, table
from sslspk.train import checkpoint

UA = "UA % (95 % interval)"
EMOTIONS = ["angry", "happy", "neutral", "sad"]
TINY = """
features: {num_mel_bins: 20, snip_edges: false}
cmvn: {cmn: utterance}
data: {workers: 0, batch_size: 8}
encoder: {name: tdnn, channels: 8, pooled_channels: 12, embed_dim: 6, segment_layers: 1}
"""
DINO = TINY + """
method: {name: dino, out_dim: 16, hidden_dim: 8, bottleneck_dim: 4, crops: [{count: 2, seconds: 0.4}, {count: 2, seconds: 0.3}]}
train: {steps: 2, lr: 0.01, lr_batch: null, warmup_epochs: 0, log_every: 1}
"""
CPC = """
data: {workers: 0, batch_size: 8}
encoder: {name: cpc, channels: 16, context_dim: 8}
method: {name: cpc, steps: 4, crops: [{count: 1, seconds: 0.4}]}
train: {steps: 2, lr: 0.01, lr_batch: null, warmup_epochs: 0, log_every: 1}
"""
SHORT = "method.crops=[{count: 1, seconds: 0.4}]"
SMALL = overrides("train.steps=3", "train.warmup_epochs=0", "train.log_every=1", "data.batch_size=8", SHORT)
MINI = ("./run.sh", "--mini", "true", "--nj", "1")
IEMOCAP = (*MINI, "--synth=--emotion-utts 12 --seconds 0.6 0.9")
ADRESS = (*MINI, "--synth=--ad-participants 6 --ad-turns 2 --seconds 0.6 0.9")
MODEL = ("--init-from", "models/dino/final.pt")


def make(folder, name):
    """A recipe whose small encoder is a tiny one."""
    recipe = recipe_copy.make(folder, name)
    (recipe / "conf/mini/scratch.yaml").write_text(TINY)
    return recipe


def train(recipe, name, conf, data):
    """Two steps of a system, for --init-from models/NAME/final.pt."""
    (recipe / f"conf/{name}.yaml").write_text(conf)
    run(recipe, "steps/train.sh", "--conf", f"conf/{name}.yaml", data, f"models/{name}")


def result(folder):
    return json.loads((folder / "result.json").read_text())


def rows(text):
    """The lines of the Markdown tables, by experiment: column -> cell."""
    found, head = {}, []
    for line in text.splitlines():
        cells = [cell.strip() for cell in line.split("|")[1:-1]]
        if cells[:1] == ["experiment"]:
            head = cells
        elif line.startswith("| "):
            found[cells[0]] = dict(zip(head, cells, strict=True))
    return found


def parts(fold):
    """The speakers of each part of a fold."""
    return {path.name: set(table.read(path / "utt2spk").values()) for path in fold.iterdir()}


def check_folds(folder, data, count):
    """Every utterance is tested once, and nobody is in two parts of a fold."""
    assert (folder / "num_folds").read_text() == f"{count}\n"
    folds = [folder / str(number) for number in range(1, count + 1)]
    tested = Counter(utt for fold in folds for utt in table.read(fold / "test/utt2spk"))
    assert tested == Counter(table.read(data / "utt2spk").keys())
    for fold in folds:
        spoken = parts(fold)
        assert spoken["train"] and not spoken["train"] & spoken["test"]
        assert sum(len(table.read(fold / part / "utt2spk")) for part in spoken) == len(tested)
        datadir.validate(str(fold / "train"), need=("wav.scp", "utt2num_samples"), check_files=True)


@pytest.mark.slow
def test_iemocap_from_scratch(tmp_path, monkeypatch):
    """All stages at once, then again; and the folds by speaker."""
    recipe = make(tmp_path, "iemocap")
    monkeypatch.chdir(recipe)
    said = run(recipe, *IEMOCAP, *SMALL)
    data, exp = recipe / "data_mini/iemocap", recipe / "exp_mini/scratch_once_session/seed0"
    check_folds(recipe / "data_mini/folds_session", data, 5)
    assert [len(parts(recipe / f"data_mini/folds_session/{n}")["test"]) for n in range(1, 6)] == [2] * 5
    row = result(exp)
    assert (row["items"], row["speakers"], row["classes"], row["labels"]) == (88, 10, EMOTIONS, "emotion")
    assert [fold["items"] for fold in row["folds"]] == [16, 18, 18, 18, 18] and row["steps"] == 3 and row["pool"] == "none"
    truth, told = table.read(data / "utt2emotion"), {}
    for number in range(1, 6):
        found = predictions.read(exp / f"fold_{number}/test/predictions.tsv")
        assert found.columns == EMOTIONS and np.allclose(found.values.sum(1), 1)
        told |= dict(zip(found.utts, found.values.argmax(1), strict=True))
    recalls = [np.mean([EMOTIONS[told[utt]] == name for utt in truth if truth[utt] == name]) for name in EMOTIONS]
    assert row["ua_percent"] == pytest.approx(100 * np.mean(recalls)) and told.keys() == truth.keys()
    assert rows(said) == rows((recipe / "exp_mini/RESULTS.md").read_text())
    line = rows(said)["scratch_once_session"]
    assert line["seeds"] == "1" and line[UA].startswith(f"{row['ua_percent']:.2f} (")
    assert [line[key] for key in ("from", "trained", "items", "decided by", "labels used")] == ["none", "all", "88", "utterance", "emotion"]
    check_rerun(recipe, exp, tmp_path / "witness")
    run(recipe, *IEMOCAP, "--folds", "speaker", "--stage", "2", "--stop-stage", "2")
    check_folds(recipe / "data_mini/folds_speaker", data, 10)


def check_rerun(recipe, exp, witness):
    before = snapshot(recipe)
    again, started, heavy = run_and_count(recipe, witness, *IEMOCAP, *SMALL)
    assert len(started) <= 6 and not heavy and snapshot(recipe) == before, started + heavy
    assert "IEMOCAP is there already, skipped" in again and again.count("is up to date, skipped") == 2   # audio, folds
    (exp / ".done").unlink()   # as where the folds were trained and their scoring was stopped
    again, started, heavy = run_and_count(recipe, witness, *IEMOCAP, *SMALL, "--stage", "3")
    assert not heavy and snapshot(recipe) == before
    assert again.count("is up to date, skipped") == 1   # result
    for number in range(1, 6):
        assert "finished; nothing to do" in (exp / f"log/train.{number}.log").read_text()
        assert "is up to date, skipped" in (exp / f"log/classify.{number}.log").read_text()
    assert len(before) > 100 and rows(again)


@pytest.fixture(scope="module")
def two_sessions(tmp_path_factory):
    """A recipe with the first two sessions prepared and packed, and a model."""
    recipe = make(tmp_path_factory.mktemp("transfer"), "iemocap")
    run(recipe, *IEMOCAP, "--stop-stage", "1")
    for name in ("iemocap", "iemocap_packed"):
        folder = recipe / "data_mini" / name
        few = [utt for utt, session in table.read(folder / "utt2session").items() if session in ("Ses01", "Ses02")]
        derive.subset(str(folder), str(folder), utts=few)
    train(recipe, "dino", DINO, "data_mini/iemocap_packed")
    return recipe


@pytest.mark.slow
def test_iemocap_from_a_model(two_sessions, monkeypatch):
    """Two steps of fine-tuning and probes."""
    recipe = two_sessions
    monkeypatch.chdir(recipe)
    said = run(recipe, *IEMOCAP, "--stage", "2", *MODEL, "--ft", "step2", "--probes", "knn plda", *SMALL)
    exp, data = recipe / "exp_mini/dino_step2_session", recipe / "data_mini/iemocap"
    teacher = checkpoint.load(recipe / "models/dino/final.pt")["encoders"]["teacher"]
    for fold in (1, 2):
        first, second = (checkpoint.load(exp / f"{seed}/fold_{fold}/final.pt") for seed in ("seed0_step1", "seed0"))
        assert moved(first["encoders"]["encoder"], teacher) == {"segment"}
        assert moved(second["encoders"]["encoder"], first["encoders"]["encoder"]) >= {"layers", "segment"}
        start, end = first["classifier"]["weight"], second["classifier"]["weight"]
        # Adam moves a weight by the learning rate at most: 3e-3 in all from where step 1 began, of which step 2's share is 1e-3.
        assert 0 < (end - start).abs().max() < 1.5e-3
        given = second["config"]["train"]
        assert given["init_from"] == f"exp_mini/dino_step2_session/seed0_step1/fold_{fold}/final.pt" and given["init_part"] == "everything"
        assert second["classes"] == EMOTIONS and second["config"]["encoder"] == first["config"]["encoder"]
    row, probes = result(exp / "seed0"), recipe / "exp_mini/probes_dino_session"
    assert row["items"] == len(table.read(data / "utt2emotion")) and len(row["folds"]) == 2
    for name in ("knn", "plda"):
        assert (result(probes / name)["probe"], result(probes / name)["items"]) == (name, row["items"])
    assert rows(said).keys() == {"dino_step2_session", "probes_dino_session knn", "probes_dino_session plda"}
    compare = compared(recipe, exp, probes / "knn")
    difference = row["ua_percent"] - result(probes / "knn")["ua_percent"]
    assert compare[0] == pytest.approx(difference, abs=0.006) and compare[1] <= compare[0] <= compare[2]
    assert compared(recipe, probes / "knn", probes / "knn") == (0, 0, 0)


def moved(state, start):
    """The parts of an encoder that are not bit for bit what they were."""
    assert state.keys() == start.keys()
    return {key.split(".")[0] for key in state if not torch.equal(state[key], start[key])}


def compared(recipe, a, b):
    """The difference that local/compare_classes.py prints, and the ends of its interval."""
    said = run(recipe, "bash", "-c", ". ./path.sh; exec local/compare_classes.py \"$@\"", "_", "--bootstrap", "200", a, b)
    return tuple(map(float, re.search(r"difference (\S+) \((\S+) to (\S+)\), ", said).groups()))


@pytest.mark.slow
def test_iemocap_killed_and_with_two_seeds(two_sessions, monkeypatch):
    """Killed with -9 while a fold trains and started again, it says what an undisturbed run says, bit for bit."""
    recipe = two_sessions
    monkeypatch.chdir(recipe)
    longer = overrides("train.steps=20", "train.save_every=1", "train.warmup_epochs=0", "data.batch_size=8", SHORT)
    words = (*IEMOCAP, "--stage", "2", "--stop-stage", "3", *longer, "--seeds", "0 1", "--tag", "seeds")
    exp, whole = recipe / "exp_mini/scratch_once_session_seeds", recipe / "exp_mini/scratch_once_session_whole"
    kill_when(exp / "seed0/fold_2/ckpt/step-00000002.pt", recipe, words)
    assert (exp / "seed0/fold_1/final.pt").exists() and not (exp / "seed0/fold_2/final.pt").exists()
    assert not (exp / "seed0/fold_1/test/predictions.tsv").exists()
    kept = snapshot(exp / "seed0/fold_1")
    run(recipe, *words)
    assert {name: md5 for name, md5 in snapshot(exp / "seed0/fold_1").items() if name in kept} == kept
    assert re.search(r"from step ([2-9]|1\d),", (exp / "seed0/fold_2/log/train.log").read_text())
    said = run(recipe, *IEMOCAP, "--stage", "3", *longer, "--tag", "whole")
    for fold in (1, 2):
        told = [(folder / f"fold_{fold}/test/predictions.tsv").read_bytes() for folder in (exp / "seed0", whole / "seed0", exp / "seed1")]
        assert told[0] == told[1] != told[2]
    seeds, ua = rows(said)["scratch_once_session_seeds"], [result(exp / f"seed{seed}")["ua_percent"] for seed in (0, 1)]
    assert seeds["seeds"] == "2" and seeds[UA].startswith(f"{np.mean(ua):.2f} (") and seeds["over seeds"] == f"+-{np.std(ua, ddof=1):.2f}"
    assert compared(recipe, exp, whole)[0] == pytest.approx(np.mean(ua) - ua[0], abs=0.006)


@pytest.mark.slow
def test_adress(tmp_path, monkeypatch):
    """All stages from scratch, decided by participant; other speech; folds of one participant; a frame-level model, probed, then tuned."""
    recipe = make(tmp_path, "adress")
    monkeypatch.chdir(recipe)
    data, exps = recipe / "data_mini", recipe / "exp_mini"
    said = run(recipe, *ADRESS, "--cv", "2", *SMALL)
    check_folds(data / "folds_2", data / "adress_train", 2)
    for name, part in (("scratch_once_cv2", "train"), ("scratch_once_test", "test")):
        check_participants(exps / name / "seed0", data / f"adress_{part}")
        assert (rows(said)[name]["decided by"], rows(said)[name]["labels used"]) == ("mean posterior", "diagnosis")
    _, started, heavy = run_and_count(recipe, tmp_path / "witness", *ADRESS, "--cv", "2", *SMALL)
    assert len(started) <= 6 and not heavy, started + heavy
    run(recipe, *ADRESS, "--cv", "loso", "--stage", "2", "--stop-stage", "2")
    check_folds(data / "folds_loso", data / "adress_train", 12)
    check_speech(recipe)
    train(recipe, "cpc", CPC, "data_mini/adress_train_packed")
    model = ("--init-from", "models/cpc/final.pt")
    said = run(recipe, *ADRESS, "--cv", "2", "--stage", "5", *model, "--ft", "none", "--mmse", "true")
    check_probes(recipe, rows(said))
    _, _, heavy = run_and_count(recipe, tmp_path / "witness", *ADRESS, "--cv", "2", *model, "--ft", "none", "--mmse", "true")
    assert not heavy, heavy
    said = run(recipe, *ADRESS, "--cv", "2", "--stage", "4", *model, "--probes", "", *SMALL)
    start, end = (checkpoint.load(recipe / path)["encoders"]["encoder"]
                  for path in ("models/cpc/final.pt", "exp_mini/cpc_once_test/seed0/fold_1/final.pt"))
    assert moved(end, start) == {"layers", "contexts"} and rows(said)["cpc_once_test"]["from"] == "cpc"
    check_participants(exps / "cpc_once_test/seed0", data / "adress_test")
    assert all((end[key] - start[key]).abs().max() < 0.01 for key in start if key.endswith("conv.weight")), "three steps of Adam at 1e-3"


def check_participants(exp, data):
    """A participant is decided by the mean posterior of what they said, all of them once."""
    row, who, diagnosis = result(exp), table.read(data / "utt2spk"), table.read(data / "utt2diagnosis")
    assert (row["pool"], row["classes"], row["labels"]) == ("mean", ["cc", "cd"], "diagnosis")
    assert row["items"] == row["speakers"] == len(set(who.values())) < row["utterances"] == len(who)
    right = {}
    for path in exp.glob("fold_*/test/predictions.tsv"):
        found = predictions.read(path)
        for name in sorted({who[utt] for utt in found.utts}):
            mine = [utt for utt in found.utts if who[utt] == name]
            mean = found.values[[found.utts.index(utt) for utt in mine]].mean(0)
            right[name] = found.columns[mean.argmax()] == diagnosis[mine[0]]
    assert len(right) == row["items"] and row["wa_percent"] == pytest.approx(100 * np.mean(list(right.values())))


def check_speech(recipe):
    """Turns cut out by the transcripts lie beside the chunks and mix with nothing."""
    data, before = recipe / "data_mini", snapshot(recipe)
    run(recipe, *ADRESS, "--cv", "2", "--speech", "participant", "--stop-stage", "2")
    after = snapshot(recipe)
    assert {name: after[name] for name in before} == before
    assert all(name.startswith("data_mini/participant/") for name in after.keys() - before.keys())
    for part in ("train", "test"):
        chunks, turns = (datadir.validate(str(folder / f"adress_{part}"), need=("wav.scp",), check_files=True)
                         for folder in (data, data / "participant"))
        assert set(chunks["utt2spk"].values()) == set(turns["utt2spk"].values())
        assert not set(chunks["wav.scp"].values()) & set(turns["wav.scp"].values())
        assert (data / f"participant/final/1/{part}").resolve() == data / f"participant/adress_{part}_packed"
    check_folds(data / "participant/folds_2", data / "participant/adress_train", 2)


def check_probes(recipe, shown):
    exps, data = recipe / "exp_mini", recipe / "data_mini"
    assert not list(exps.glob("cpc_*"))
    for name, part in (("cv2", "train"), ("test", "test")):
        row = result(exps / f"probes_cpc_{name}/logistic")
        assert row["items"] == len(set(table.read(data / f"adress_{part}/utt2spk").values())) and row["probe"] == "logistic"
    known = {name for name, score in table.read(data / "adress_train/spk2mmse").items() if score != "NA"}
    row = result(exps / "probes_cpc_mmse_cv2/ridge")
    assert (row["task"], row["items"]) == ("regression", len(known)) == ("regression", 11) and row["rmse"] > 0
    assert {"probes_cpc_cv2 logistic", "probes_cpc_test logistic", "probes_cpc_mmse_cv2 ridge"} <= shown.keys()
    assert shown["probes_cpc_mmse_cv2 ridge"]["RMSE (95 % interval)"].startswith(f"{row['rmse']:.2f} (")


NONE = ("--init-from", "nowhere/final.pt")


@pytest.mark.parametrize(("name", "words", "named"), [
    ("iemocap", ("--ft", "step3"), ("--ft", "step1", "'step3'")),
    ("iemocap", ("--folds", "dialog"), ("--folds", "session or speaker", "'dialog'")),
    ("iemocap", NONE, ("nowhere/final.pt", "train it")),
    ("iemocap", ("--ft", "step2"), ("--ft step2", "--init-from")),
    ("iemocap", ("--mini", "true", "--ft", "step1"), ("--ft step1", "--init-from")),
    ("iemocap", (), ("--iemocap", "--mini true")),
    ("iemocap", ("--iemocap", "nowhere"), ("looked for in nowhere",)),
    ("iemocap", ("--kind", "sung"), ("--kind", "'sung'")),
    ("iemocap", ("scripted",), ("'scripted'", "--help")),
    ("iemocap", ("--merge-excited", "maybe"), ("--merge-excited", "'maybe'")),
    ("adress", ("--ft", "twice"), ("--ft", "step1", "'twice'")),
    ("adress", ("--cv", "1"), ("--cv", "'1'", "loso")),
    ("adress", ("--cv", "lopo"), ("--cv", "'lopo'")),
    ("adress", ("--pool", "max"), ("--pool", "'max'")),
    ("adress", ("--speech", "doctor"), ("--speech", "'doctor'")),
    ("adress", ("--mini", "true", "--mmse", "true"), ("--mmse", "--init-from")),
    ("adress", NONE, ("nowhere/final.pt", "train it")),
    ("adress", ("--ft", "step2"), ("--ft step2", "--init-from")),
    ("adress", (), ("--adress", "--mini true")),
    ("adress", ("--adress", "nowhere"), ("nowhere", "not")),
])
def test_what_cannot_be_meant_is_refused_in_one_sentence(tmp_path, name, words, named):
    recipe = recipe_copy.make(tmp_path, name)
    before = snapshot(recipe)
    done = sh(recipe, "./run.sh", *words)
    assert done.returncode == 1 and done.stderr.count("\n") == 1 and "error:" in done.stderr, done.stderr
    assert all(part in done.stderr for part in named), done.stderr
    assert snapshot(recipe) == before and not (recipe / "data").exists() and not (recipe / "exp").exists()


@pytest.mark.parametrize("name", ["iemocap", "adress"])
def test_confs_can_be_laid_on_a_model(name):
    """Those of both recipes on the large encoder of conf/scratch.yaml, which is JHU's."""
    from sslspk.config import load
    from sslspk.train.config import SystemConfig
    conf = recipe_copy.ROOT / "egs" / name / "conf"
    jhu = load(SystemConfig, recipe_copy.VOXCELEB / "conf/dino_lresnet34.yaml")
    for step in ("once", "step1", "step2"):
        config = load(SystemConfig, conf / f"ft/{step}.yaml", under=conf / "scratch.yaml")
        assert (config.features.num_mel_bins, config.encoder) == (jhu.features.num_mel_bins, jhu.encoder)
        assert config.method.name == "supervised" and config.data.balance == "class"


@pytest.mark.slow
@pytest.mark.parametrize("name", ["iemocap", "adress"])
def test_real_speech(tmp_path, monkeypatch, name):
    """Stages 0 to 2 on the corpora that SSLSPK_CORPORA names: every recording is of a person of the folds."""
    corpus = Path(os.environ.get("SSLSPK_CORPORA") or "nowhere") / {"iemocap": "IEMOCAP", "adress": "ADReSS"}[name]
    if not corpus.is_dir():
        pytest.skip(f"SSLSPK_CORPORA names no folder with {corpus.name}")
    recipe = recipe_copy.make(tmp_path, name)
    monkeypatch.chdir(recipe)
    said = run(recipe, "./run.sh", f"--{name}", corpus, "--stop-stage", "2")
    data = recipe / "data"
    assert not (recipe / "exp").exists() and not list(data.glob("*/bad_files.txt"))
    if name == "iemocap":
        check_folds(data / "folds_session", data / "iemocap", 5)
        found, column = [data / "iemocap"], "utt2emotion"
        assert sorted(set(table.read(data / "iemocap/utt2emotion").values())) == EMOTIONS
    else:
        check_folds(data / "folds_5", data / "adress_train", 5)
        found, column = [data / "adress_train", data / "adress_test"], "utt2diagnosis"
        assert not set.intersection(*(set(table.read(folder / "utt2spk").values()) for folder in found))
    for folder in found:
        tables = datadir.validate(f"{folder}_packed", need=("wav.scp", "utt2num_samples"), check_files=True)
        assert tables["utt2spk"] == table.read(folder / "utt2spk") and tables["utt2spk"].keys() == table.read(folder / column).keys()
        assert f"{len(tables['utt2spk'])} utterances, {len(set(tables['utt2spk'].values()))} speakers" in said
