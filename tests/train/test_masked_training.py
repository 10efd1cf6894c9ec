"""Discrete units as a user trains them: losses fall below chance, a second round learns from the first, bad input is one sentence."""
import math

import numpy as np
import pytest
import torch
from test_frames_training import BESTRQ, LABELS, LEARN, MASKED, SYSTEMS, figures
from test_loop import CPU, final_weights, same, train_here
from tones import RATE, make_data, tiny

from sslspk.errors import InputError
from sslspk.io import audio, datadir, table
from sslspk.train import checkpoint, model
from sslspk.train.job import prepare
from sslspk.train.watch import Watch

STILL = {**MASKED["encoder"], "layer_drop": 0}   # as deep a network in each step


def test_masked_labels_are_told_better_than_by_how_often_they_come(data, tmp_path):
    method = {**LABELS, "feature_gradient": 1.0}
    train_here(tiny(**{"encoder": STILL, "method": method, **LEARN, "train.steps": 80, "train.lr": 0.003}), data, tmp_path / "exp")
    labels_are_told(tmp_path / "exp")


def labels_are_told(exp):
    """Better than by how often each comes, and more often than at first."""
    masked, chance, accuracy = figures(exp, "loss_masked"), np.log(figures(exp, "label_perplexity")), figures(exp, "accuracy")
    assert np.mean(masked[-3:]) < np.mean(chance[-3:]) - 0.15, (masked, chance)
    assert np.mean(accuracy[-3:]) > accuracy[0] + 0.1, accuracy


def melodies(folder):
    """12 recordings of 0.6 s, four tones one after the other: labels that change within a recording and show in their neighbours."""
    folder.mkdir()
    with audio.PackWriter(folder / "wav.ark", folder / "pack.scp") as pack:
        for i in range(12):
            pitch = 300.0 * 2 ** ((np.arange(9600) // 2400 + i) % 4)
            pack.write(f"u{i:02d}", (3000 * np.sin(2 * np.pi * np.cumsum(pitch) / RATE)).astype(np.int16), RATE)
    wav = table.read(folder / "pack.scp")
    datadir.write(folder, wav=wav, utt2spk={utt: utt for utt in wav}, utt2num_samples=dict.fromkeys(wav, 9600))
    return folder


def test_labels_of_a_random_projection_are_told_better_than_by_how_often_they_come(tmp_path):
    """BEST-RQ, whose log-mel features have no mean of the recording in them."""
    method = {**BESTRQ, "feature_gradient": 1.0, "feature_penalty": 0.001, "unmasked_weight": 1.0}
    config = tiny(**{"encoder": STILL, "method": method, **LEARN, "train.steps": 90, "train.lr": 0.004})
    train_here(config, melodies(tmp_path / "data"), tmp_path / "exp")
    labels_are_told(tmp_path / "exp")


def test_code_words_ahead_are_distinguished_from_others(data, tmp_path):
    """From 2 ln 2, the loss by chance."""
    train_here(tiny(**{**SYSTEMS["vq kmeans"], **LEARN, "train.steps": 80, "train.lr": 0.005}), data, tmp_path / "exp")
    prediction, taken = figures(tmp_path / "exp", "loss_prediction"), figures(tmp_path / "exp", "code_perplexity")
    assert abs(prediction[0] - 2 * math.log(2)) < 0.1 and np.mean(prediction[-3:]) < 2 * math.log(2) - 0.1, prediction
    assert taken[-1] > 3, "of two groups, more than one code word each"


def test_hidden_code_words_are_distinguished_from_others(data, tmp_path):
    """wav2vec 2.0, from about ln 21 for 20 negatives; less where the same code word is excluded."""
    method = {**MASKED["method"], "feature_gradient": 1.0, "feature_penalty": 0.001, "gumbel_decay": 0.97, "diversity": 0.05}
    train_here(tiny(**{"encoder": STILL, "method": method, **LEARN, "train.steps": 100, "train.lr": 0.003}), data, tmp_path / "exp")
    loss, taken = figures(tmp_path / "exp", "loss_contrastive"), figures(tmp_path / "exp", "perplexity")
    assert abs(loss[0] - math.log(21)) < 0.4 and np.mean(loss[-3:]) < loss[0] - 0.3, loss
    assert taken[-1] > 4, "of two groups, more than two code words each"


def test_drawn_code_words_ahead_are_distinguished_from_others(data, tmp_path):
    """The Gumbel quantiser; from 2 ln 2, the loss by chance."""
    method = {**SYSTEMS["vq"]["method"], "gumbel_decay": 0.97}
    train_here(tiny(**{**SYSTEMS["vq"], "method": method, **LEARN, "train.steps": 100, "train.lr": 0.005}), data, tmp_path / "exp")
    prediction, taken = figures(tmp_path / "exp", "loss_prediction"), figures(tmp_path / "exp", "code_perplexity")
    assert np.mean(prediction[-3:]) < min(prediction[0], 2 * math.log(2)) - 0.05, prediction
    assert taken[-1] > 3, "of two groups, more than one code word each"


def test_code_words_that_are_all_one_are_told_after_an_epoch(data, tmp_path, capsys):
    """With one code word nothing is left to tell apart: no negative differs from the target."""
    method = {**MASKED["method"], "codes": 1}
    train_here(tiny(**{"encoder": STILL, "method": method, **LEARN, "train.steps": 4, "train.log_every": 1}), data, tmp_path / "exp")
    told = [line for line in capsys.readouterr().out.splitlines() if "WARNING" in line]
    assert len(told) == 2 and "loss_contrastive has been 0 for a whole epoch: that part of the loss teaches nothing" in told[0], told
    assert "nearly all steps get the same code word (code_perplexity 2.00)" in told[1]


def second_round(path, **changes):
    targets = {"name": "layer", "model": str(path), "clusters": 5, "points": 200, **changes}
    return tiny(**{**MASKED, "method": {**LABELS, "targets": targets}, "train.steps": 5, "train.save_every": 1, "train.keep": 9})


def test_a_second_round_learns_from_a_layer_of_the_first_and_resumes(data, tmp_path):
    train_here(tiny(**SYSTEMS["hubert"]), data, tmp_path / "first")
    config = second_round(tmp_path / "first/final.pt", layer=1)
    job = train_here(config, data, tmp_path / "second")
    kept, held = checkpoint.load(tmp_path / "first/final.pt")["encoders"]["encoder"], job.method.targets.features.encoder.state_dict()
    assert same({"a": held}, {"a": kept}), "the model that labels is not trained"
    whole = final_weights(tmp_path / "second")
    for path in checkpoint.checkpoints(tmp_path / "second")[2:]:
        path.unlink()
    (tmp_path / "second/final.pt").unlink()
    train_here(config, data, tmp_path / "second")
    assert same(final_weights(tmp_path / "second"), whole)
    assert model.load(tmp_path / "second/final.pt").info["labels"] == "none"


def test_labels_that_the_labelling_model_has_seen_are_told(data, tmp_path):
    crops = [{"count": 1, "seconds": 0.4}]
    train_here(tiny(**{"encoder": SYSTEMS["cpc"]["encoder"], "method": {"name": "supervised", "crops": crops}}), data, tmp_path / "first")
    train_here(second_round(tmp_path / "first/final.pt"), data, tmp_path / "second")
    assert model.load(tmp_path / "second/final.pt").info["labels"] == "speaker"


def test_a_labelling_model_that_is_not_there_is_named(data, tmp_path):
    with pytest.raises(InputError, match=r"first/final.pt.*train it first, or check the name") as refused:
        prepare(second_round("first/final.pt"), data, tmp_path / "exp", CPU, print)
    assert len(str(refused.value)) <= 160


@pytest.mark.parametrize("name", ["wav2vec2", "vq"])
def test_an_epoch_whose_steps_all_have_one_code_word_is_warned_of_and_never_the_best(data, tmp_path, name):
    """wav2vec 2.0's contrast is 0 there, since no other candidate differs from the true one."""
    other = make_data(tmp_path / "valid", count=6)
    system = {"encoder": STILL, "method": MASKED["method"]} if name == "wav2vec2" else SYSTEMS["vq"]
    job = prepare(tiny(**{**system, "train.valid": str(other)}), data, tmp_path / "exp", CPU, print)
    before = job.validation.judge(job.method)
    watch = Watch(None, code_groups=job.method.code_groups)
    said = {key.removeprefix("valid_"): float(value) for key, value in before.figures.items()}
    assert job.method.code_groups == 2 and watch.collapse(said, 1.0) is None
    quantiser = job.method.quantiser if name == "wav2vec2" else job.method.encoder.quantiser
    with torch.no_grad():
        quantiser.weight_proj[-1].bias.view(2, -1)[:, 3] += 1000
    after = job.validation.judge(job.method)
    if name == "wav2vec2":
        assert float(after.figures["valid_loss"]) < float(before.figures["valid_loss"]) - 1
    assert after.score < before.score - 1000 and after.text.endswith("of a quantiser with one code word")
    figures = {"code_perplexity": float(after.figures["valid_code_perplexity"])}
    assert watch.collapse(figures, 0.5) is None
    assert "nearly all steps get the same code word (code_perplexity 2.00)" in watch.collapse(figures, 1.0)
