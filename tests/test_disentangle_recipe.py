"""egs/disentangle/run.sh as a user runs it, on a corpus of seconds: every stage once, and what is refused."""
import json
from itertools import groupby

import pytest
import recipe_copy
import soundfile
from recipe_copy import SYNTH, overrides, run, run_and_count, sh, snapshot

from sslspk.config import read_yaml
from sslspk.io import table
from sslspk.io.alignments import Alignments, read_about

TINY = overrides("train.steps=3", "train.log_every=1", "data.batch_size=4", "encoder.channels=8", "encoder.hidden_dim=6",
                 "encoder.decoder_channels=6", "encoder.decoder_hidden=6")
MINI = ("./run.sh", "--mini", "true", f"--synth={SYNTH}", "--nj", "1", "--systems", "dsvae cdsvae_mel cdsvae_align", "--num-pairs", "4",
        "--classes", "5", "--judge-set", "train.steps=2", "--judge-set", "data.batch_size=4", *TINY)


@pytest.mark.slow
def test_all_stages(tmp_path, monkeypatch):
    recipe = recipe_copy.make(tmp_path, "disentangle")
    monkeypatch.chdir(recipe)
    run(recipe, *MINI)
    exps = recipe / "exp_mini"
    for system in ("dsvae", "cdsvae_mel", "cdsvae_align"):
        exp = exps / system
        row = json.loads((exp / "conversion/result.json").read_text())
        assert row["pairs"] == 4 and 0 <= row["converted"]["accepted_as_target"] <= 100 and "plain" in row
        converted = table.read(exp / "converted/wav.scp")
        assert len(converted) == 4 and all(soundfile.info(path).frames > 4000 for path in converted.values())
        assert (exp / "conversion/examples.png").stat().st_size > 1000
        assert json.loads((exp / "phonemes/result.json").read_text())["features"] == 16
        labels = {name: json.loads((exp / f"scores_{name}/result_trials_veri_test2.json").read_text())["labels"]
                  for name in ("speaker", "content", "untrained")}
        told = "phones" if system == "cdsvae_align" else "none"
        assert labels == {"speaker": told, "content": told, "untrained": "none"}
    of_training = table.read(recipe / "data_mini/voxceleb1_dev_packed/utt2spk").keys()
    assert table.read(exps / "labels/mel/ali.scp").keys() == table.read(exps / "dsvae/frames/train/feats.scp").keys() == of_training
    text = (exps / "RESULTS.md").read_text()
    rows = {line.split("|")[1].strip(): line for line in text.splitlines() if line.startswith("| ")}
    assert set(rows) == {"system", "dsvae", "cdsvae_mel", "cdsvae_align", "raw log-mel"}
    assert "(30.2)" in rows["dsvae"] and "(44.1)" in rows["raw log-mel"] and " - " not in rows["cdsvae_align"]
    before = snapshot(recipe)
    _, _, heavy = run_and_count(recipe, tmp_path / "witness", *MINI)
    assert not heavy and snapshot(recipe) == before, heavy


@pytest.mark.slow
def test_transcripts_are_aligned_by_what_the_training_speakers_say(tmp_path, monkeypatch):
    """A recording that is too short for its transcript is named, and left out of what needs its phones."""
    recipe = recipe_copy.make(tmp_path, "disentangle")
    monkeypatch.chdir(recipe)
    run(recipe, *MINI, "--stop-stage", "0")
    known, data, labels = Alignments(recipe / "data_mini/corpora/VoxCeleb1/phones"), recipe / "data_mini", recipe / "exp_mini/labels"
    said = {utt: [known.about.names[i] for i, _ in groupby(known.of(utt))] for utt in table.read(f"{known.folder}/ali.scp")}
    said = {utt: [phone for phone in phones if phone != "sil"] for utt, phones in said.items()}
    train, test = (table.read(data / f"voxceleb1_{part}/utt2spk").keys() for part in ("dev", "test"))
    odd = {min(train), min(test)}
    table.write(recipe / "phones", {utt: " ".join(phones * 9 if utt in odd else phones) for utt, phones in said.items()})
    words = (*MINI, "--systems", "cdsvae_align", "--phones", "phones", "--num-pairs", "0")
    done = sh(recipe, *words)
    assert done.returncode == 0, done.stderr
    assert all(f"warning: {utt} has " in done.stderr for utt in odd) and "held-out: phone error rate " in done.stdout
    assert table.read(labels / "align/ali.scp").keys() == train - odd and table.read(labels / "align_test/ali.scp").keys() == test - odd
    assert read_about(labels / "align").digest == read_about(labels / "align_test").digest
    figures = json.loads((labels / "align/phone_errors.json").read_text())
    assert figures["utterances"] == len(test) and figures["phone_error_percent"] > 0
    found = json.loads((recipe / "exp_mini/cdsvae_align/phonemes/result.json").read_text())
    assert found["labels_from"] == ["exp_mini/labels/align_test"] and found["labels_kind"] == "align"
    before = snapshot(recipe)
    _, _, heavy = run_and_count(recipe, tmp_path / "witness", *words)
    assert not heavy and snapshot(recipe) == before, heavy


@pytest.mark.slow
def test_table_5_and_the_curve_on_the_synthetic_corpus(tmp_path, monkeypatch):
    """With all that run_table5.sh can add; the model of frames is the DSVAE that was trained before."""
    recipe = recipe_copy.make(tmp_path, "disentangle")
    monkeypatch.chdir(recipe)
    words = ("--mini", "true", *MINI[3:5], MINI[5], "--num-pairs", "0", "--classes", "5", *TINY)
    curve = run(recipe, "./run_curve.sh", "--betas", "0.01 10", *words)
    lines = [line.split("|")[1:5] for line in curve.splitlines() if line.startswith("| dsvae_beta")]
    assert [[cell.strip() for cell in line[:3]] for line in lines] == [["dsvae_beta0.01", "0.01", "1"], ["dsvae_beta10", "10", "1000"]]
    assert all(0 < float(line[3]) < 100 for line in lines)
    assert curve.endswith(f"{(recipe / 'exp_mini/CURVE_dsvae.md').read_text()}wrote exp_mini/CURVE_dsvae.md\n")
    table_5 = ("./run_table5.sh", "--mp", "true", "--frame-model", "exp_mini/dsvae_beta10/final.pt", *words, "--stop-stage", "3")
    run(recipe, *table_5)
    systems = ("cdsvae_align_mp", "cdsvae_frames", "cdsvae_bestrq", "dsvae")
    configs = {name: read_yaml(recipe / f"exp_mini/{name}/config.yaml") for name in systems}
    assert configs["cdsvae_align_mp"]["method"]["masked_prediction"]["weight"] == 20
    assert configs["cdsvae_frames"]["data"]["frame_labels"] == "exp_mini/labels/frames"
    about = read_about(recipe / "exp_mini/labels/frames")
    assert about.kind == "frames" and about.made_by.startswith("frames of dsvae_beta10, speaker, ") and about.classes == 5
    trained = "of 24 utterances"   # those of the training speakers
    assert trained in (recipe / "exp_mini/labels/frames/log/train.log").read_text()


@pytest.mark.parametrize(("words", "said"), [
    (("--systems", "dsvae_x"), "there is no conf/dsvae_x.yaml"), (("--seeds", "x"), "--seeds takes whole numbers"),
    (("--num-pairs", "many"), "--num-pairs takes a whole number"), (("--stage", "0"), "--voxceleb1 names no folder"),
    *(((f"--{name}", "gone/x", "--mini", "true"), f"there is no 'gone/x'; check --{name}")
      for name in ("voxceleb1", "musan", "rirs", "phones")),
    (("--phones", "conf", "--mini", "true"), "conf has no ali.json; --phones takes labels of frames, or a table"),
    (("--frame-model", "gone.pt", "--mini", "true"), "there is no model 'gone.pt'; check --frame-model"),
    (("--judge", "conf", "--mini", "true"), "there is no model 'conf/final.pt'; check --judge"),
    (("--mini", "true", "--systems", "cdsvae_frames"), "cdsvae_frames needs a model of frames; give --frame-model")])
def test_what_is_refused(tmp_path, words, said):
    """Before anything is made."""
    recipe = recipe_copy.make(tmp_path, "disentangle")
    done = sh(recipe, "./run.sh", *words)
    sentence = done.stderr.strip().removeprefix("./run.sh: ")
    assert done.returncode and said in sentence and len(sentence.splitlines()) == 1 and len(sentence) <= 160
    assert not done.stdout.count("stage 1") and not any((recipe / name).exists() for name in ("exp", "exp_mini", "data_mini"))


@pytest.mark.parametrize(("words", "said"), [
    (("./run_table5.sh", "--mini", "true", "--short", "true"), "--mini has small systems of its own; leave --short out"),
    (("./run_table5.sh", "--frame-model", "gone.pt"), "there is no model 'gone.pt'; check --frame-model"),
    (("./run_curve.sh", "--betas", "3 many"), "--betas takes numbers such as"),
    (("./run_curve.sh", "--mini", "true", "--system", "x"), "there is no conf/mini/x.yaml")])
def test_what_tables_and_curves_refuse(tmp_path, words, said):
    recipe = recipe_copy.make(tmp_path, "disentangle")
    done = sh(recipe, *words)
    assert done.returncode and said in done.stderr and len(done.stderr.splitlines()) == 1
    assert not any((recipe / name).exists() for name in ("exp", "exp_mini", "data_mini"))
