"""egs/voxlingua107/run.sh as a user runs it, on a corpus of seconds: every stage, what the table says, what a rerun does."""
import json
import re

import numpy as np
import pytest
import recipe_copy
import torch
from recipe_copy import overrides, run, run_and_count, sh, snapshot

from sslspk.io import ark, datadir, predictions, table

SYNTH = ("--synth=--languages 3 --videos 4 --utts 2 --seconds 1.4 1.8 --speakers 2 --test-speakers 4 --sessions 2 --trials 60")
SMALL = overrides("train.steps=3", "data.batch_size=8", "data.workers=0", "train.log_every=1", "method.out_dim=64",
                  "encoder={name: tdnn, channels: 16, pooled_channels: 24, embed_dim: 12, segment_layers: 1}")
WORDS = ("./run.sh", "--mini", "true", "--nj", "1", SYNTH, "--probe-options=--set C=0.01", "--systems", "dino_across_language")
LANGUAGES = ["ar", "en", "es"]


def make(folder):
    """The recipe beside those whose configurations its own begin with."""
    for name in ("voxceleb", "librispeech"):
        recipe_copy.make(folder, name)
    return recipe_copy.make(folder, "voxlingua107")


def rows(recipe):
    """(system, weights) -> column -> cell of RESULTS.md."""
    lines = [[cell.strip() for cell in line.split("|")[1:-1]] for line in (recipe / "exp_mini/RESULTS.md").read_text().splitlines()
             if line.startswith("| ")]
    return {tuple(cells[:2]): dict(zip(lines[0], cells, strict=True)) for cells in lines[1:]}


@pytest.mark.slow
def test_all_stages(tmp_path, monkeypatch):
    recipe = make(tmp_path)
    monkeypatch.chdir(recipe)
    run(recipe, *WORDS, *SMALL)
    data, exp = recipe / "data_mini", recipe / "exp_mini/dino_across_language"
    whole = datadir.validate(str(data / "voxlingua107_all"), need=("wav.scp", "utt2lang", "feats.scp"), check_files=True)
    assert len(whole["utt2lang"]) == 3 * (2 + 1) * 2   # of four videos one is for valid, one for test; dev has one more
    asked = table.read(data / "voxlingua107_dev_packed/utt2lang")
    found = predictions.read(exp / "language_student/dev_logistic/predictions.tsv")
    assert found.columns == LANGUAGES and set(found.utts) == set(asked)
    row = json.loads((exp / "language_student/dev_logistic/result.json").read_text())
    right = np.mean([found.columns[value.argmax()] == asked[utt] for utt, value in zip(found.utts, found.values, strict=True)])
    assert row["wa_percent"] == pytest.approx(100 * right) and 0 <= row["cavg_percent"] <= 100
    assert (row["labels"], row["speakers"], row["steps"]) == ("lang (views)", 3, 3)
    assert (exp / "language_student/dev_logistic/confusion.png").read_bytes().startswith(b"\x89PNG")
    shown, eer = rows(recipe), json.loads((exp / "scores_student/result_trials_veri_test2.json").read_text())
    assert set(shown) == {("dino_across_language", "student"), ("dino_across_language", "untrained"), ("statistics", "raw"),
                          ("statistics", "deviation")}
    mine = shown["dino_across_language", "student"]
    assert mine["UA %"].startswith(f"{row['ua_percent']:.2f} (") and mine["Cavg %"].startswith(f"{row['cavg_percent']:.2f} (")
    assert mine["speaker EER % (veri_test2)"].startswith(f"{eer['eer_percent']:.2f} (")
    assert (mine["seeds"], mine["labels used"]) == ("1", "lang (views)") and float(mine["CPU minutes"]) > 0
    assert shown["dino_across_language", "untrained"]["labels used"] == "none"
    assert "always the most frequent one: WA 33.33 %" in (recipe / "exp_mini/RESULTS.md").read_text()
    before = snapshot(recipe)
    _, _, heavy = run_and_count(recipe, tmp_path / "witness", *WORDS, *SMALL)
    assert not heavy and snapshot(recipe) == before
    check_a_model_of_another_recipe(recipe)
    check_a_frame_level_system(recipe)


def check_a_frame_level_system(recipe):
    """cpc_lng_1 hears the valid part after each epoch, and is a row of the same table, with the mean of its contexts by another name."""
    small = overrides("train.steps=null", "train.epochs=2", "data.batch_size=4", "encoder.channels=32", "encoder.context_dim=8")
    words = (*WORDS[:-1], "cpc_lng_1", *small)
    run(recipe, *words)
    run(recipe, *words, "--tag", "mean", "--set", "encoder.pooling=mean", "--stage", "2")
    log = (recipe / "exp_mini/cpc_lng_1/log/train.log").read_text()
    assert log.count(" on data_mini/voxlingua107_valid_packed") == 2 and "bound " in log
    shown = rows(recipe)
    last, mean = shown["cpc_lng_1", "encoder"], shown["cpc_lng_1_mean", "encoder"]
    assert last["labels used"] == mean["labels used"] == "none" and float(last["CPU minutes"]) > 0
    last, mean = (ark.read_scp(recipe / f"exp_mini/cpc_lng_1{tag}/emb_encoder/voxlingua107_all/xvector.scp") for tag in ("", "_mean"))
    assert last.keys() == mean.keys() and len(last) == 18
    assert not any(np.allclose(ark.load(last[utt]), ark.load(mean[utt])) for utt in last)


def check_a_model_of_another_recipe(recipe):
    """--models embeds what was trained elsewhere, under the name of its folder; a seed is a row's second result."""
    exps = recipe / "exp_mini"
    for name in ("elsewhere/dino_x", "elsewhere/dino_x_seed1"):
        (recipe / name).mkdir(parents=True)
        for file in ("final.pt", "config.yaml"):
            (recipe / name / file).write_bytes((exps / f"dino_across_language/{file}").read_bytes())
    models = ("--models", "elsewhere/dino_x/final.pt", "--models", "elsewhere/dino_x_seed1/final.pt")
    run(recipe, *WORDS[:-2], "--systems", "", *models, "--stage", "3", "--untrained", "true")
    shown = rows(recipe)
    assert all(shown["dino_x", "untrained"][key].startswith(shown["dino_across_language", "untrained"][key]) for key in ("UA %", "Cavg %"))
    assert shown["dino_x", "student"]["seeds"] == "2" and shown["dino_x", "student"]["UA %"].endswith(" +-0.00")
    same = "speaker EER % (veri_test2)"
    assert shown["dino_x", "student"][same].startswith(shown["dino_across_language", "student"][same])
    assert not (exps / "dino_x/final.pt").exists()


NOTE = r"""#!/usr/bin/env bash
printf '%s\t' "${0##*/}" "$@" >> calls; echo >> calls
"""


def noted(recipe):
    """What the recipe calls from stage 2 on is only noted; returns a function that runs it and gives the calls of one program."""
    for folder, names in {"local": ("train_system.sh", "extract_system.sh", "probe_languages.sh", "score_system.sh", "show_languages.py"),
                          "steps": ("train.sh", "make_feats.sh", "extract_statistics.sh")}.items():
        (recipe / folder).unlink()
        (recipe / folder).mkdir()
        for name in names:
            (recipe / folder / name).write_text(NOTE if name.endswith(".sh") else "")
            (recipe / folder / name).chmod(0o755)

    def call(program, *words):
        (recipe / "calls").write_text("")
        run(recipe, "./run.sh", *words)
        lines = [line.split("\t")[:-1] for line in (recipe / "calls").read_text().splitlines()]
        return [rest for name, *rest in lines if name == program]
    return call


def test_models_lie_in_folders_of_any_name(tmp_path):
    recipe = make(tmp_path)
    call = noted(recipe)
    folder = recipe / "my models & others/dino_x"
    folder.mkdir(parents=True)
    (folder / "final.pt").write_text("weights")
    (folder / "config.yaml").write_text("encoder: {name: tdnn}\nmethod: {name: simclr}\n")
    words = ("--systems", "", "--models", f"{folder.relative_to(recipe)}/final.pt", "--stage", "3")
    found = call("extract_system.sh", *words)
    assert [(one[one.index("--from") + 1], one[-2:]) for one in found] == [(str(folder), ["exp/dino_x", "data/voxlingua107_all"])]
    assert [one[-1] for one in call("probe_languages.sh", *words)] == ["exp/dino_x", "exp/statistics"]
    (recipe / "exp/dino_x").mkdir(parents=True)
    (recipe / "exp/dino_x/final.pt").write_text("another one")   # trained here; its figures must not be mixed with the other's
    done = sh(recipe, "./run.sh", *words)
    assert done.returncode == 1 and "exp/dino_x is another model than" in done.stderr and done.stderr.count("\n") == 1
    assert f'--models "NAME {folder.relative_to(recipe)}/final.pt"' in done.stderr
    found = call("extract_system.sh", *words[:2], "--models", f"mine {folder.relative_to(recipe)}", *words[4:])
    assert [(one[one.index("--from") + 1], one[-2]) for one in found] == [(str(folder), "exp/mine")]


def test_trainings_start_where_the_user_says(tmp_path):
    """--init-from gives the experiment its name and the training its encoder; what a system follows is trained before it, seed by seed."""
    recipe = make(tmp_path)
    call = noted(recipe)
    folder = recipe / "other/lim"
    folder.mkdir(parents=True)
    torch.save({"format": 1, "config": {"features": {}, "cmvn": {}, "encoder": {"name": "tdnn"}}, "num_features": 80, "info": {},
                "encoders": {"encoder": {"a": torch.ones(1)}}, "evaluate": "encoder"}, folder / "final.pt")
    words = ("--systems", "../voxceleb/conf/c3moco_short.yaml", "--seeds", "0 4", "--tag", "x", "--stage", "2", "--stop-stage", "2")

    def of(call):
        options = dict(zip(call[:-2:2], call[1:-2:2], strict=True))
        return call[-1], options["--part"], options["--init-from"], options["--common"]

    assert list(map(of, call("train_system.sh", *words))) == [
        ("exp/c3moco_short_x", "", "", "seed=0"), ("exp/c3moco_short_x_seed4", "_seed4", "", "seed=4")]
    assert list(map(of, call("train_system.sh", *words, "--init-from", "other/lim/final.pt"))) == [
        ("exp/c3moco_short_from_lim_x", "_from_lim", "other/lim/final.pt", "seed=0"),
        ("exp/c3moco_short_from_lim_x_seed4", "_from_lim_seed4", "other/lim/final.pt", "seed=4")]


def test_frame_level_trainings_stop_early(tmp_path):
    """Whatever the system's conf says of it; DINO has no loss that could be judged. An empty --patience trains all epochs."""
    recipe = make(tmp_path)
    call = noted(recipe)
    words = ("--systems", "cpc_lng_1_short ../librispeech/conf/lim_short.yaml dino_across_language", "--stage", "2", "--stop-stage", "2")
    for patience, options in (((), ["train.valid=data/voxlingua107_valid_packed", "train.patience=5"]), (("--patience", ""), [])):
        found = [[word for word in one if word.startswith("train.")] for one in call("train_system.sh", *words, *patience)]
        assert found == [options, options, []]


def test_parts_are_combined_again_when_their_labels_change(tmp_path):
    recipe = make(tmp_path)
    for part in ("a", "b"):
        datadir.write(str(recipe / f"data/{part}"), wav={f"en-{part}": "x.wav"}, utt2spk={f"en-{part}": f"en-{part}"},
                      utt2lang={f"en-{part}": "en"})
    words = ("local/combine_once.sh", "data/all", "data/a", "data/b")
    run(recipe, *words)
    assert "is up to date, skipped" in run(recipe, *words)
    table.write(recipe / "data/a/utt2lang", {"en-a": "fr"})
    assert "skipped" not in run(recipe, *words) and table.read(recipe / "data/all/utt2lang") == {"en-a": "fr", "en-b": "en"}


@pytest.mark.parametrize(("words", "named"), [
    (("--systems", "cpc_x"), ("there is no conf/cpc_x.yaml", "ls conf/*.yaml")),
    (("--systems", "nowhere/x.yaml"), ("there is no nowhere/x.yaml",)),
    (("--systems", ""), ("--systems and --models are both empty",)),
    (("--models", "nowhere/final.pt"), ("there is no model nowhere/final.pt",)),
    (("--init-from", "nowhere/final.pt"), ("there is no model nowhere/final.pt",)),
    (("--init-from", "hubert_base nowhere.pth"), ("there is no checkpoint 'nowhere.pth'",)),
    (("--models", "conf/fbank.yaml"), ("--models takes a training's final.pt",)),
    (("--systems", "cpc_lng_1 cpc_lng_1"), ("two experiments would both be exp/cpc_lng_1",)),
    (("--seeds", "a"), ("--seeds", "'a'")),
    (("--probes", "logistic svm"), ("there is no probe 'svm'",)),
    (("--tests", "train"), ("--tests takes dev, test or both, not 'train'",)),
    (("dino",), ("'dino'", "--help")),
    ((), ("--voxlingua107", "--mini true")),
    (("--voxlingua107", "nowhere"), ("looked for in nowhere",)),
])
def test_what_cannot_be_meant_is_refused_in_one_sentence(tmp_path, words, named):
    recipe = make(tmp_path)
    done = sh(recipe, "./run.sh", *words)
    assert done.returncode == 1 and done.stderr.count("\n") == 1 and "error:" in done.stderr, done.stderr
    assert all(part in done.stderr for part in named) and len(done.stderr) <= 160, done.stderr
    assert not (recipe / "exp").exists()


def test_the_table_needs_the_cost_and_something_to_show(tmp_path):
    recipe = make(tmp_path)
    show = ("bash", "-c", ". ./path.sh; exec python3 local/show_languages.py --out r.md exp")
    empty = sh(recipe, *show)
    assert empty.returncode == 1 and "run the stages before" in empty.stderr and empty.stderr.count("\n") == 1
    folder = recipe / "exp/a/language_encoder/dev_logistic"
    folder.mkdir(parents=True)
    row = {"task": "classification", "pool": "none", "classes": ["a", "b"], "wa_percent": 50.0, "ua_percent": 50.0, "folds": [{}],
           "items": 2, "per_class": {"a": {"count": 1}, "b": {"count": 1}}, "system": "a", "weights": "encoder", "labels": "none",
           "commit": "x"}
    (folder / "result.json").write_text(json.dumps(row))
    lacks = sh(recipe, *show)
    assert lacks.returncode == 1 and "has no cavg_percent" in lacks.stderr and "--cavg true" in lacks.stderr
    (folder / "result.json").write_text(json.dumps(row | {"cavg_percent": 12.5}))
    run(recipe, *show)
    assert "![" not in (recipe / "r.md").read_text()
    assert re.search(r"\| a \| encoder \| 1 \| none \| 50.00 \| 50.00 \| 12.50 \|  \| x \|", (recipe / "r.md").read_text())
