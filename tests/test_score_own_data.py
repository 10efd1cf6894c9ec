"""egs/voxceleb/run.sh --test and run_ivector.sh --test: a trained system scored on a data directory of one's own, without any corpus."""
import json
import re
import sys

import pytest
import recipe_copy
import torch
from recipe_copy import ROOT, VOXCELEB, run, run_and_count, sh, snapshot
from tones import make_data, tiny

from sslspk.config import to_yaml
from sslspk.corpora import own
from sslspk.errors import InputError
from sslspk.io import table
from sslspk.io import trials as trial_list
from sslspk.train import model as models

INFO = {"labels": "none", "trained_on": "toy", "data": "0123456789ab", "step": 3, "commit": "abc"}
METHOD = {"name": "simclr", "crops": [{"count": 2, "seconds": 0.3}]}


def write_model(folder):
    """folder/{final.pt,config.yaml} of a tiny SimCLR with random weights."""
    config = tiny(method=METHOD)
    torch.manual_seed(0)
    encoder = models.build_encoder(config.encoder, config.num_features)
    folder.mkdir(parents=True)
    models.write(folder / "final.pt", config, config.num_features, {"encoder": encoder.state_dict()}, "encoder", INFO)
    (folder / "config.yaml").write_text(to_yaml(config))


def test_a_trained_system_on_data_of_ones_own(tmp_path):
    """What is given is only read; a list is drawn where none is given; a rerun does nothing but print the table."""
    recipe = recipe_copy.make(tmp_path)
    mine = make_data(tmp_path / "my data")
    write_model(recipe / "exp/simclr_short_x")
    before = snapshot(tmp_path / "my data")
    words = ("./run.sh", "--system", "simclr_short", "--tag", "x", "--nj", "1", "--test", mine)
    said = run(recipe, *words)
    row = json.loads((recipe / "exp/simclr_short_x/scores_encoder/result_trials_own_my_data.json").read_text())
    assert (row["targets"], row["nontargets"], row["backend"], row["system"]) == (6, 60, "cosine", "simclr_short_x")
    assert f"| simclr_short_x | encoder | cosine | toy | none | {row['eer_percent']:.2f}" in said
    assert snapshot(tmp_path / "my data") == before and not [path for path in tmp_path.rglob("split*") if path.is_dir()]
    made = snapshot(recipe)
    again, _, heavy = run_and_count(recipe, tmp_path / "witness", *words)
    assert again.count("up to date") == 3 and not heavy and snapshot(recipe) == made


def test_a_list_of_ones_own(tmp_path):
    """Of a data directory only what the list names is taken."""
    mine = make_data(tmp_path / "mine")
    (tmp_path / "few.txt").write_text("1 s00-u00 s00-u01\n0 s00-u00 s01-u02\n")
    words = [sys.executable, ROOT / "local/make_own_test.py", "--trials", tmp_path / "few.txt", mine, tmp_path / "data/own_few"]
    run(tmp_path, *words)
    assert list(table.read(tmp_path / "data/own_few/wav.scp")) == ["s00-u00", "s00-u01", "s01-u02"]
    assert (tmp_path / "data/own_few/trials_own_few").read_text() == "s00-u00 s00-u01 target\ns00-u00 s01-u02 nontarget\n"
    (tmp_path / "few.txt").write_text("1 s00-u00 nobody\n")
    done = sh(tmp_path, *words)
    assert done.returncode == 1 and done.stderr.count("\n") == 1 and "few.txt names nobody, which is no utterance of" in done.stderr


@pytest.mark.parametrize("script", ["run.sh", "run_ivector.sh"])
@pytest.mark.parametrize(("words", "said"), [
    (("--trials", "list"), "--trials is the list of --test DIR; give both"), (("--test", "nowhere"), "--test 'nowhere' holds no wav.scp"),
    (("--test", "mine", "--trials", "nowhere"), "there is no list nowhere"),
    (("--test", "mine"), "train it first: the same command without --test")])
def test_what_it_refuses(tmp_path, script, words, said):
    recipe = recipe_copy.make(tmp_path)
    (recipe / "mine").mkdir()
    (recipe / "mine/wav.scp").write_text("a a.wav\n")
    done = sh(recipe, f"./{script}", *words)
    assert done.returncode == 1 and said in done.stderr and done.stderr.count("\n") == 1, done.stderr


@pytest.mark.parametrize(("utt2spk", "said"), [
    (None, "has no utt2spk to draw trials from; give a list with --trials"),
    ({"a": "s1", "b": "s2"}, "no speaker with two utterances among 2 utterances.*; give a list with --trials"),
    ({"a": "s1", "b": "s1"}, "no second speaker among 2 utterances.*; give a list with --trials")])
def test_no_trials_can_be_drawn(tmp_path, utt2spk, said):
    table.write(tmp_path / "wav.scp", {"a": "a.wav", "b": "b.wav"})
    if utt2spk:
        table.write(tmp_path / "utt2spk", utt2spk)
    with pytest.raises(InputError, match=said):
        own.draw_trials(str(tmp_path), 20)


def test_trials_of_one_session_are_no_targets(tmp_path):
    table.write(tmp_path / "utt2spk", {"a": "s1", "b": "s1", "c": "s1", "d": "s2"})
    table.write(tmp_path / "utt2session", {"a": "x", "b": "x", "c": "y", "d": "z"})
    drawn: trial_list.Trials = own.draw_trials(str(tmp_path), 20)
    pairs = {frozenset(pair) for *pair, target in zip(*drawn, strict=True) if target}
    assert pairs == {frozenset("ac"), frozenset("bc")}


def test_every_option_of_the_recipe_is_taken_or_refused_in_a_sentence(tmp_path):
    """run_ivector.sh knows no option of run.sh by half."""
    known = {script: set(re.findall(r"^(\w+)=", (VOXCELEB / script).read_text().partition("help_message")[0], re.MULTILINE))
             for script in ("run.sh", "run_ivector.sh")}
    refused = known["run.sh"] - known["run_ivector.sh"]
    assert refused == {"nodes", "requeue", "input", "init_from", "rounds", "bootstrap", "round_options"}   # of networks alone
    assert not known["run_ivector.sh"] - known["run.sh"]
    recipe = recipe_copy.make(tmp_path)
    for option in sorted(refused):
        done = sh(recipe, "./run_ivector.sh", f"--{option.replace('_', '-')}=1")
        assert done.returncode == 1 and "there is no option --" in done.stderr and done.stderr.count("\n") == 1
