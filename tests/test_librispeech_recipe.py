"""egs/librispeech/run.sh as a user runs it, on a corpus of seconds: every stage once, what a rerun does, and what is refused."""
import json
import math
import os
import re
from pathlib import Path

import numpy as np
import pytest
import recipe_copy
from recipe_copy import overrides, run, run_and_count, sh, snapshot

from sslspk.config import read_yaml
from sslspk.io import datadir, table

SYNTH = "--libri-speakers 4 --chapters 2 --utts 5 --seconds 1.3 1.5 --musan-files 2 --rooms 1 --rirs 1"
TINY = overrides("train.steps=3", "train.log_every=1", "data.batch_size=16", "encoder.channels=8", "encoder.context_dim=8")
MINI = ("./run.sh", "--mini", "true", f"--synth={SYNTH}", "--nj", "1", "--systems", "cpc_spk_4", "--seeds", "3", "--shares", "50",
        "--heads", "linear mlp", "--num-trials", "60", "--supervised-set", "train.steps=2", *TINY)


@pytest.mark.slow
def test_all_stages(tmp_path, monkeypatch):
    recipe = recipe_copy.make(tmp_path, "librispeech")
    monkeypatch.chdir(recipe)
    run(recipe, *MINI)
    data, exps = recipe / "data_mini", recipe / "exp_mini"
    assert len(datadir.validate(str(data / "librispeech_first"), check_files=True)["segments"]) == 40
    parts = {name: set(table.read(data / f"split/{name}/utt2spk")) for name in ("train", "valid", "test")}
    assert [len(utts) for utts in parts.values()] == [28, 8, 4] and len(set().union(*parts.values())) == 40
    config = read_yaml(exps / "cpc_spk_4_seed3/config.yaml")
    assert (config["seed"], config["augment"]["dir"], config["train"]["patience"]) == (3, "data_mini/augment", 5)
    check_classification(data, exps / "cpc_spk_4_seed3", 3)
    check_results(exps)
    before = snapshot(recipe)
    again, started, heavy = run_and_count(recipe, tmp_path / "witness", *MINI)
    assert not heavy and snapshot(recipe) == before, heavy
    assert again.count("/speakers/100 is up to date, skipped") == 2 and again.count("/speakers/50 is up to date, skipped") == 1
    assert len(started) < 20, started
    assert run(recipe, *MINI, "--baselines", "none", "--print-name", "true")
    named = run(recipe, *MINI, "--seeds", "0 3", "--print-name", "true").split()
    assert named == ["exp_mini/cpc_spk_4", "exp_mini/cpc_spk_4_seed3"]


def check_classification(data, exp, seed):
    """Every variant was asked about every test utterance, the smaller share holds part of the labels."""
    tested = table.read(data / "split/test/utt2spk")
    for share in (50, 100):
        own = table.read(data / f"split/share{share}_seed{seed}/train/utt2spk")
        assert len(own) == 28 * share // 100 and own.keys() <= table.read(data / "split/train/utt2spk").keys()
        for variant, labels in (("encoder", "none"), ("untrained", "none"), ("supervised", "speaker")):
            for head in ("linear", "mlp") if share == 100 else ("linear",):   # the curve is that of the first head
                row = json.loads((exp / f"speakers/{share}/{variant}_{head}/result.json").read_text())
                assert row["items"] == len(tested) and row["labels"] == labels and set(row["classes"]) >= set(tested.values())
                assert row["seed"] == seed
    for head, dims in (("linear", [256]), ("mlp", [512, 512])):
        state = read_yaml(exp / f"speakers/100/supervised_{head}/config.yaml")
        assert (state["method"]["hidden"], state["method"]["hidden_dims"], state["seed"]) == ({"mlp": "relu"}.get(head, head), dims, seed)


def check_results(exps):
    text = (exps / "RESULTS.md").read_text()
    for head in ("linear", "mlp"):
        section = text.partition(f"## Head {head}\n")[2].partition("\n## ")[0]
        rows = [[cell.strip() for cell in line.split("|")[1:-1]] for line in section.splitlines() if line.startswith("| cpc_spk_4 ")]
        assert {(row[1], row[2]) for row in rows} == {(name, "1") for name in ("frozen", "frozen, random", "supervised, end to end")}
        accuracies = [float(row[3].split()[0]) for row in rows]
        assert accuracies == sorted(accuracies, reverse=True)
    assert "Lepage" not in text   # whose figures are not about a synthetic corpus
    by_share = [line for line in text.splitlines() if line.startswith(("| 50 |", "| 100 |"))]
    assert len(by_share) == 2 and "| librispeech | cpc_spk_4 | encoder | 1 |" in text
    for name in ("fewer_labels_cpc_spk_4.png", "cpc_spk_4_seed3/plot_encoder/embeddings.png"):
        assert (exps / name).read_bytes().startswith(b"\x89PNG") and (f"({name})" in text) == ("seed" not in name)
    lines = (exps / "cpc_spk_4_seed3/plot_encoder/embeddings.tsv").read_text().splitlines()
    assert lines[0].split("\t") == ["utt", "label", "pca_1", "pca_2", "tsne_1", "tsne_2"] and len(lines) == 41
    assert np.isfinite([[float(value) for value in line.split("\t")[2:]] for line in lines[1:]]).all()


@pytest.mark.slow
def test_wav2vec2_learns_real_speech(tmp_path, monkeypatch):
    """conf/wav2vec2_short.yaml on the corpus that SSLSPK_CORPORA names: below the loss by chance, with many code words in use."""
    corpus = Path(os.environ.get("SSLSPK_CORPORA") or "nowhere") / "LibriSpeech"
    if not corpus.is_dir():
        pytest.skip("SSLSPK_CORPORA names no folder with LibriSpeech")
    recipe = recipe_copy.make(tmp_path, "librispeech")
    monkeypatch.chdir(recipe)
    run(recipe, "./run.sh", "--librispeech", corpus, "--systems", "wav2vec2_short", "--stop-stage", "3", *overrides("train.epochs=2"))
    lines = [json.loads(line) for line in (recipe / "exp/wav2vec2_short/progress.jsonl").read_text().splitlines()]
    judged = next(line for line in reversed(lines) if "valid_loss_contrastive" in line)
    assert judged["valid_loss_contrastive"] < math.log(101) - 0.02, judged
    assert lines[-1]["loss_contrastive"] < math.log(101) - 0.1 and lines[-1]["perplexity"] > 50, lines[-1]


@pytest.mark.parametrize(("words", "named"), [
    (("--systems", "cpc_x"), ("there is no conf/cpc_x.yaml", "ls conf/*.yaml")),
    (("--mini", "true", "--systems", "cpc_fb_short"), ("conf/mini/cpc_fb_short.yaml", "ls conf/mini/*.yaml")),
    (("--seeds", "0 a"), ("--seeds", "'0 a'")),
    (("--heads", "linear mpl"), ("--heads takes", "not 'mpl'")),
    (("--heads", ""), ("--heads takes",)),
    (("--systems", " "), ("--systems names no system",)),
    (("--num-trials", "many"), ("--num-trials", "'many'")),
    (("--baselines", "cpc_spk_3"), ("--baselines names cpc_spk_3, which is not among --systems",)),
    (("--shares", "5 08"), ("--shares", "'08'")),
    (("--shares", "200"), ("--shares", "'200'")),
    (("cpc_spk_1",), ("'cpc_spk_1'", "--help")),
    ((), ("--librispeech", "--mini true")),
    (("--librispeech", "nowhere"), ("looked for in nowhere",)),
])
def test_what_cannot_be_meant_is_refused_in_one_sentence(tmp_path, words, named):
    recipe = recipe_copy.make(tmp_path, "librispeech")
    done = sh(recipe, "./run.sh", *words)
    assert done.returncode == 1 and done.stderr.count("\n") == 1 and "error:" in done.stderr, done.stderr
    assert all(part in done.stderr for part in named) and len(done.stderr) <= 160, done.stderr
    assert not (recipe / "exp").exists()


@pytest.mark.parametrize(("head", "hidden", "activation"), [("linear", (256,), "none"), ("mlp", (512, 512), "relu")])
def test_heads_are_those_of_the_report(head, hidden, activation):
    """Both on frozen embeddings and end to end; the numbers of parameters are tested in train/test_finetune.py."""
    from sslspk.backend.config_probe import ProbeConfig
    from sslspk.config import load
    from sslspk.train.config import SystemConfig
    conf = recipe_copy.ROOT / "egs/librispeech/conf"
    probe = load(ProbeConfig, conf / f"head/{head}.yaml")
    assert (probe.classifier, probe.hidden, probe.activation, probe.lr, probe.batch_size) == ("mlp", hidden, activation, 1e-3, 64)
    assert (probe.iterations, probe.patience, probe.standardise, probe.centre, probe.mlp_l2) == (50, 5, False, False, 0)
    for place, epochs in (("head", 50), ("mini/head", 8)):
        whole = load(SystemConfig, conf / f"{place}/supervised_{head}.yaml", under={"encoder": {"name": "cpc", "bidirectional": True}})
        assert (whole.method.hidden_dims, whole.method.hidden) == (hidden, {"none": "linear", "relu": "relu"}[activation])
        assert (whole.method.loss, whole.train.lr, whole.train.optimizer, whole.data.batch_size) == ("softmax", 1e-3, "adam", 64)
        assert whole.encoder.bidirectional and whole.train.epochs == epochs and whole.train.weight_decay == 0


def test_a_model_is_never_read_as_yaml():
    """final.pt is given to show_config as --encoder-of; --on and --conf take YAML. The recipes themselves are slow tests."""
    scripts = [path for folder in ("local", "steps", "utils") for path in (recipe_copy.ROOT / folder).glob("*.sh")]
    lines = [line for path in scripts for line in path.read_text().splitlines() if "sslspk.bin.show_config" in line]
    assert len(lines) > 5
    assert not [line for line in lines if re.search(r"--(on|conf) \S*(final\.pt|init_from)", line)]


def test_what_the_supervised_network_hears_is_in_the_stamp(tmp_path):
    """Other audio under the same names is another training."""
    recipe = recipe_copy.make(tmp_path, "librispeech")
    (recipe / "steps").unlink()
    for name in ("train", "classify", "probe", "score_classes"):
        path = recipe / f"steps/{name}.sh"
        path.parent.mkdir(exist_ok=True)
        path.write_text('#!/usr/bin/env bash\nmkdir -p "${!#}"; echo "{}" > "${!#}/result.json"\n')
        path.chmod(0o755)
    utts = [f"s{n % 2}-{n}" for n in range(8)]
    for part in ("train", "valid", "test"):
        datadir.write(str(recipe / f"split/{part}"), wav={f"{utt}-{part}": f"{utt}.wav" for utt in utts},
                      utt2spk={f"{utt}-{part}": utt[:2] for utt in utts})
    (recipe / "exp/a/emb_encoder/librispeech_first").mkdir(parents=True)
    for name in ("final.pt", "emb_encoder/librispeech_first/xvector.scp"):
        (recipe / f"exp/a/{name}").write_text("x\n")
    words = ("local/classify_speakers.sh", "--heads", "linear", "--variants", "encoder", "--labels", "split/train/utt2spk")
    assert "skipped" not in run(recipe, *words, "split", "exp/a")
    assert "exp/a/speakers/100 is up to date, skipped" in run(recipe, *words, "split", "exp/a")
    (recipe / "split/train/wav.scp").write_text((recipe / "split/train/wav.scp").read_text().replace("s0-0.wav", "s0-2.wav"))
    assert "skipped" not in run(recipe, *words, "split", "exp/a")
    done = sh(recipe, *words, "--share", "010", "split", "exp/a")
    assert done.returncode == 1 and "--share takes a whole percentage from 1 to 100, not '010'" in done.stderr
