"""CPC, LIM and GIM as a user trains them: the bound rises, a run resumes, its model gives embeddings, bad input is one sentence."""
import json
import re

import numpy as np
import pytest
import recipe_copy
import torch
from recipe_copy import run, sh
from test_loop import CPU, final_weights, same, train_here
from tones import make_data, tiny

from sslspk.config import check, read_yaml
from sslspk.errors import InputError
from sslspk.io import ark, audio, clips, table
from sslspk.train import checkpoint, layers, model
from sslspk.train.config import SystemConfig
from sslspk.train.frontend import FrontEnd
from sslspk.train.job import prepare

ONE = [{"count": 1, "seconds": 0.4}]
ENCODER = {"name": "cpc", "channels": 20, "context_dim": 12}
VQ = {"name": "vq_wav2vec", "channels": 24, "kernels": [10, 8, 4, 1], "strides": [5, 8, 4, 1], "quantiser": {"name": "gumbel", "codes": 8},
      "aggregator": {"name": "convolutions", "dim": 24, "kernels": [2, 3]}}
RELATE = {"name": "transformer", "layers": 2, "dim": 16, "heads": 2, "ff_dim": 32, "position_kernel": 8, "position_groups": 2}
SYSTEMS = {
    "cpc": {"encoder": ENCODER, "method": {"name": "cpc", "crops": ONE, "steps": 4}},
    "sinc": {"encoder": {**ENCODER, "first": "sinc", "norm": "channel"}, "method": {"name": "cpc", "crops": ONE, "steps": 4}},
    "bidirectional": {"encoder": {**ENCODER, "bidirectional": True}, "method": {"name": "cpc", "crops": ONE, "steps": 4}},
    "cpc_fb": {"encoder": {**ENCODER, "channels": 32, "context_dim": 24, "norm": "channel", "context": "lstm", "peak": False},
               "method": {"name": "cpc", "crops": ONE, "steps": 4, "positions": "every", "negatives": "anywhere", "num_negatives": 8,
                          "score": "mean", "bias": False}},
    "transformer": {"encoder": {**ENCODER, "channels": 24, "context_dim": 24, "norm": "channel", "context": "lstm", "peak": False},
                    "method": {"name": "cpc", "crops": ONE, "steps": 4, "predictor": "transformer", "predictor_dim": 32,
                               "positions": "every", "negatives": "anywhere", "num_negatives": 8, "score": "mean"}},
    "augmented": {"encoder": {**ENCODER, "first": "sinc", "norm": "channel"}, "method": {"name": "cpc", "crops": ONE, "steps": 4},
                  "augment.degrade": {"band_prob": 0.5}},
    "vq": {"encoder": VQ, "method": {"name": "vq_wav2vec", "crops": ONE, "steps": 4}},
    "vq kmeans": {"encoder": {**VQ, "quantiser": {"name": "kmeans", "codes": 8}},
                  "method": {"name": "vq_wav2vec", "crops": ONE, "steps": 4}},
    "vq seed": {"encoder": {**VQ, "norm": "channel", "aggregator": RELATE, "pooling": "last"},
                "method": {"name": "vq_wav2vec", "seed": True, "crops": ONE, "steps": 4, "mask_span": 4}},
    "lim": {"encoder": {**ENCODER, "context": "none", "pooling": "mean"}, "method": {"name": "lim", "crops": ONE, "hidden_dim": 24}},
    "gim": {"encoder": {**ENCODER, "context": "none", "pooling": "mean"},
            "method": {"name": "lim", "crops": ONE, "hidden_dim": 24, "context_length": 20, "objective": "nce"}},
}
MASKED = {"encoder": {"name": "wav2vec2", "channels": 32, "kernels": [10, 8, 4], "strides": [5, 8, 4], "position_kernel": 8,
                      "position_groups": 2, "layers": 3, "dim": 24, "heads": 2, "ff_dim": 32, "layer_drop": 0.3},
          "method": {"name": "wav2vec2", "crops": ONE, "mask_span": 4, "num_negatives": 20, "codes": 8, "code_dim": 16, "out_dim": 16}}
SYSTEMS["wav2vec2"] = MASKED
PASE = {"name": "pase", "channels": [20, 20, 24], "kernels": [41, 20, 17], "strides": [5, 4, 8], "embed_dim": 12}
HEADS = [{"name": "cchunk", "channels": [16, 12], "kernels": [8, 20], "strides": [8, 20], "hidden_dim": 8},
         {"name": "lps", "bins": 257, "hidden_dim": 24}, {"name": "mfcc", "hidden_dim": 24}, {"name": "prosody", "hidden_dim": 24},
         {"name": "spc", "hidden_dim": 24, "length": 2, "gap": 4}, {"name": "mi", "hidden_dim": 24}, {"name": "cmi", "hidden_dim": 24},
         {"name": "cpc", "context_dim": 24, "steps": 4}]
TWIN = [{"count": 2, "seconds": 0.4, "layout": "twin"}, *ONE]
SYSTEMS["pase"] = {"encoder": PASE, "method": {"name": "pase", "crops": ONE * 2, "workers": HEADS, "statistics_batches": 3}}
SYSTEMS["pase_plus"] = {
    "encoder": {**PASE, "skips": True, "context": "qrnn", "context_dim": 10}, "augment.degrade": {"time_prob": 0.5, "time_count": 2},
    "method": {"name": "pase", "crops": TWIN, "statistics_batches": 3, "workers": [
        {**HEADS[0]}, *({**worker, "context": 3, "deltas": True} for worker in HEADS[1:4]), {"name": "gtn_long", "hidden_dim": 24},
        *({**worker, "symmetric": True} for worker in HEADS[5:7]), HEADS[7]]}}
LABELS = {"name": "masked_prediction", "crops": ONE, "mask_span": 4, "out_dim": 16,
          "targets": {"name": "mfcc", "clusters": 6, "points": 200}}
BESTRQ = {**LABELS, "fill": "noise", "head": "linear", "targets": {"name": "random_projection", "codes": 20}}
SYSTEMS.update({"hubert": {**MASKED, "method": LABELS}, "bestrq": {**MASKED, "method": BESTRQ}})
LEARN = {"data.batch_size": 12, "train.optimizer": "adam", "train.schedule": "constant", "train.log_every": 5, "train.save_every": 200}


def figures(exp, name):
    return [json.loads(line)[name] for line in (exp / "progress.jsonl").read_text().splitlines()]


@pytest.mark.parametrize(("name", "steps", "lr"), [("cpc", 60, 0.005), ("sinc", 120, 0.005), ("bidirectional", 60, 0.005),
                                                   ("cpc_fb", 120, 0.001), ("transformer", 100, 0.001), ("gim", 60, 0.005)])
def test_the_bound_rises(data, tmp_path, name, steps, lr):
    """From about 0, the bound by chance, to above it; at most ln 12 for twelve recordings, ln 9 for eight negatives."""
    train_here(tiny(**{**SYSTEMS[name], **LEARN, "train.steps": steps, "train.lr": lr}), data, tmp_path / "exp")
    bound = figures(tmp_path / "exp", "bound")
    assert abs(bound[0]) < 0.3 and np.mean(bound[-3:]) > bound[0] + 0.4, bound


@pytest.mark.parametrize("name", ["pase", "pase_plus"])
def test_every_worker_learns(data, tmp_path, name):
    """Regression from about the variance of its targets, 1; mi, cmi and spc from ln 2. There is nothing in a steady tone for spc."""
    train_here(tiny(**{**SYSTEMS[name], **LEARN, "train.steps": 60, "train.lr": 0.005}), data, tmp_path / "exp")
    for worker in SYSTEMS[name]["method"]["workers"]:
        losses = figures(tmp_path / "exp", f"loss_{worker['name']}")
        assert len(set(losses)) == len(losses) == 12, "it moves"
        if worker["name"] != "spc":
            assert np.mean(losses[-3:]) < losses[0] - 0.02, (worker["name"], losses)


def neighbours_of_the_same_pitch(exp, data, untrained):
    """The share of whole recordings whose nearest other one, by cosine less the mean, has the same pitch; 1 in 11 by chance."""
    loaded = model.load(exp / "final.pt", untrained=untrained)
    with torch.inference_mode():
        found = torch.stack([loaded.encoder(loaded.features(utt, clip))[0] for utt, clip in clips.read(data).items()])
    found = torch.nn.functional.normalize(found - found.mean(0))
    nearest = (found @ found.T).fill_diagonal_(-2).argmax(1)
    return float((nearest // 2 == torch.arange(12) // 2).float().mean())


@pytest.mark.parametrize("name", ["bidirectional", "gim"])
def test_embeddings_of_whole_recordings_learn_the_pitch(data, tmp_path, name):
    train_here(tiny(**{**SYSTEMS[name], **LEARN, "train.steps": 60, "train.lr": 0.002}), data, tmp_path / "exp")
    before, after = (neighbours_of_the_same_pitch(tmp_path / "exp", data, untrained) for untrained in (True, False))
    assert after >= 0.5 > before


@pytest.mark.parametrize("objective", ["bce", "nce", "mine"])
def test_lim_learns_to_tell_recordings_apart(data, tmp_path, objective):
    system = {**SYSTEMS["lim"], "method": {**SYSTEMS["lim"]["method"], "objective": objective}}
    train_here(tiny(**{**system, **LEARN, "train.steps": 100, "train.lr": 0.02}), data, tmp_path / "exp")
    assert np.mean(figures(tmp_path / "exp", "loss")[-3:]) < figures(tmp_path / "exp", "loss")[0] - 0.3
    assert np.mean(figures(tmp_path / "exp", "accuracy")[-3:]) > 0.7


@pytest.mark.parametrize("name", SYSTEMS)
def test_a_resumed_run_ends_with_the_same_bits(data, tmp_path, name):
    config = tiny(**{**SYSTEMS[name], "train.steps": 5, "train.save_every": 1, "train.keep": 9})
    train_here(config, data, tmp_path / "exp")
    whole = final_weights(tmp_path / "exp")
    for path in checkpoint.checkpoints(tmp_path / "exp")[2:]:
        path.unlink()
    (tmp_path / "exp/final.pt").unlink()
    train_here(config, data, tmp_path / "exp")
    assert same(final_weights(tmp_path / "exp"), whole)


def test_the_front_end_hands_on_waveforms(tmp_path):
    config = tiny(**SYSTEMS["cpc"])
    front_end = FrontEnd(config.features, config.cmvn, waveform=config.waveform)
    wave = torch.tensor([[[0, 16384, -32768, 32767]]], dtype=torch.int16)
    assert torch.equal(front_end({"wave": wave}), wave.float() / 32768)
    assert torch.equal(front_end.whole(wave[0, 0]), wave[0].float() / 32768)


def test_the_log_says_that_waveforms_are_degraded(data, tmp_path):
    said = []
    prepare(tiny(**SYSTEMS["augmented"]), data, tmp_path / "exp", CPU, said.append)
    assert said[0].endswith("augmentation: none; waveforms are degraded")


def test_chances_of_noise_without_noises_are_told(data, tmp_path):
    """In the log, in config.yaml and in every result; not where none is asked for."""
    config, said = tiny(**SYSTEMS["cpc"], **{"augment.reverb_prob": 0.5, "augment.noise_prob": 0.25, "augment.speech_prob": 0.1,
                                             "train.steps": 2}), []
    prepare(config, data, tmp_path / "exp", CPU, said.append)
    told = "warning: augment.dir is null, so these have no effect: noise_prob 0.25, reverb_prob 0.5, speech_prob 0.1; give --musan"
    assert said[1].startswith(told) and len(said[1]) <= 160
    text = (tmp_path / "exp/config.yaml").read_text()
    assert f"\n# {said[1]}\n" in text and check(SystemConfig, read_yaml(tmp_path / "exp/config.yaml"), "it") == config
    train_here(config, data, tmp_path / "exp")
    assert model.provenance(tmp_path / "exp/final.pt")["augmentation"].startswith("without noise_prob 0.25, reverb_prob 0.5")
    quiet, said = tiny(**SYSTEMS["cpc"], **{"augment.reverb_prob": 0, "augment.noise_prob": 0}), []
    prepare(quiet, data, tmp_path / "quiet", CPU, said.append)
    assert len(said) == 1 and "warning" not in (tmp_path / "quiet/config.yaml").read_text()


def test_the_front_end_degrades_after_noise_and_room():
    config = tiny(**{**SYSTEMS["cpc"], "augment.degrade": {}})
    front_end = FrontEnd(config.features, config.cmvn, waveform=config.waveform)
    wave, shares = torch.arange(1, 101, dtype=torch.int16).view(1, 1, 100), torch.tensor([[[0, 0, 0, 0, 0, 0.5, 1]]])
    y = front_end({"wave": wave, "degrade": shares})
    assert torch.equal(y[0, 0, :50], wave[0, 0, :50] / 32768) and (y[0, 0, 50:] == 0).all()


@pytest.mark.parametrize("name", ["bidirectional", "lim"])
def test_embeddings_are_extracted_from_waveforms(data, tmp_path, monkeypatch, name):
    """steps/extract_embeddings.sh gives what the encoder says of the samples; --layer and --untrained work as for features."""
    recipe = recipe_copy.make(tmp_path)
    monkeypatch.chdir(recipe)   # scp files name archives relative to the recipe
    job = train_here(tiny(**SYSTEMS[name]), data, recipe / "exp/one")
    found = {}
    for out, options in (("emb", ()), ("layer", ("--layer", "layers.4")), ("fresh", ("--untrained", "true")),
                         *((("newest", ("--checkpoint", "newest")),) if name == "lim" else ())):
        run(recipe, "steps/extract_embeddings.sh", "--nj", "1" if options else "2", *options, data, "exp/one", f"exp/one/{out}")
        found[out] = {utt: ark.load(spec) for utt, spec in table.read(recipe / f"exp/one/{out}/xvector.scp").items()}
    logs = [path.read_bytes() for path in recipe.glob("exp/one/*/log/extract.*.log")]
    assert len(logs) > 3 and not any(b"\r" in log or b"%|" in log for log in logs)   # a bar is for a terminal
    assert all(np.array_equal(value, found["emb"][utt]) for utt, value in found.get("newest", {}).items())   # of the last step
    assert name != "lim" or found["newest"].keys() == found["emb"].keys()
    encoder = job.method.encoders()["encoder"].eval()
    for utt, spec in list(table.read(data / "wav.scp").items())[:3]:
        samples, rate = audio.read(spec)
        x = torch.from_numpy(samples.astype(np.float32))[None] / 32768
        with torch.no_grad():
            np.testing.assert_allclose(found["emb"][utt], encoder(x)[0], rtol=1e-4, atol=1e-5)
        np.testing.assert_allclose(found["layer"][utt], layers.at_layer(encoder, "layers.4", x)[0], rtol=1e-4, atol=1e-5)
        assert rate == 16000 and not np.allclose(found["fresh"][utt], found["emb"][utt], atol=1e-3)
    origin = json.loads((recipe / "exp/one/emb/provenance.json").read_text())
    assert (origin["encoder"], origin["input"], origin["labels"]) == ("cpc", "wave", "none")


def test_features_are_no_waveforms(data, tmp_path):
    """A data directory with feats.scp alone: one sentence, which names the utterance."""
    recipe = recipe_copy.make(tmp_path)
    train_here(tiny(**{**SYSTEMS["cpc"], "train.steps": 2}), data, recipe / "exp/one")
    folder = recipe / "data/feats"
    folder.mkdir(parents=True)
    with ark.Writer(folder / "feats.ark", folder / "feats.scp") as writer:
        writer.write("s00-u00", np.zeros((30, 20), np.float32))
    table.write(folder / "utt2spk", {"s00-u00": "s00"})
    table.write(folder / "spk2utt", {"s00": "s00-u00"})
    done = sh(recipe, "steps/extract_embeddings.sh", "--nj", "1", "data/feats", "exp/one", "exp/one/emb")
    assert done.returncode == 1 and not (recipe / "exp/one/emb/xvector.scp").exists()
    log = (recipe / "exp/one/emb/log/extract.1.log").read_text()
    assert "s00-u00: this model reads waveforms, and the data directory has none; give one with wav.scp." in log


def test_a_layer_of_a_long_recording_is_the_mean_over_windows(data, tmp_path):
    job = prepare(tiny(**{**SYSTEMS["bidirectional"], "encoder.window_seconds": 0.1}), data, tmp_path / "exp", CPU, print)
    encoder, x = job.method.encoder.eval(), torch.randn(2, 40 * 1600)
    alone = [layers.at_layer(encoder, "layers.4", x[:, start:start + 1600]) for start in range(0, 40 * 1600, 1600)]
    torch.testing.assert_close(layers.at_layer(encoder, "layers.4", x), torch.stack(alone).mean(0))
    with pytest.raises(InputError, match=r"layer contexts\.0: this layer does not give one vector or map"):
        layers.at_layer(encoder, "contexts.0", x)


def test_short_recordings_are_left_out_and_too_many_of_them_are_named(data, tmp_path):
    """The tones have 0.5 to 0.9 s. Crops of 0.7 s drop the shorter ones, and 0.6 s one; of 1.28 s there is none left."""
    sizes, said = table.read(data / "utt2num_samples"), []
    short = [utt for utt, n in sizes.items() if int(n) < 11200]
    config = tiny(**{**SYSTEMS["cpc"], "method.crops": [{"count": 1, "seconds": 0.7}], "data.short": "drop", "data.batch_size": 4,
                     "train.valid": str(data)})
    job = prepare(config, data, tmp_path / "some", CPU, said.append)
    assert len(job.dataset.units) == 12 - len(short) and said[0].startswith(f"{12 - len(short)} utterances; augmentation")
    line = (f"WARNING: {len(short)} of 12 utterances of data (first: {short[0]}) are shorter than 0.7 s and left out; shorten method.crops "
            "or set data.short=repeat.")
    assert said.count(line) == 2 and len(line) <= 160, "of the training set, and of train.valid"
    prepare(tiny(**{**SYSTEMS["cpc"], "data.min_seconds": 0.6}), data, tmp_path / "most", CPU, said.append)
    first, = [utt for utt, n in sizes.items() if int(n) < 9600]
    assert said[-1] == f"1 of 12 utterances of data (first: {first}) is shorter than 0.6 s and left out; lower data.min_seconds."
    said.clear()
    prepare(tiny(**SYSTEMS["cpc"]), data, tmp_path / "all", CPU, said.append)
    assert not any("left out" in text for text in said)
    config = tiny(**{**SYSTEMS["cpc"], "method.crops": [{"count": 1, "seconds": 1.28}], "data.short": "drop"})
    with pytest.raises(InputError, match=r"data: 0 of 12 utterances last 1.28 s.*shorten method.crops or set data.short=rep") as refused:
        prepare(config, data, tmp_path / "none", CPU, print)
    assert len(str(refused.value)) <= 160
    config = tiny(**{**SYSTEMS["cpc"], "data.min_seconds": 3.0})
    with pytest.raises(InputError, match=r"data: 0 of 12 utterances last 3 s.*lower data.min_seconds"):
        prepare(config, data, tmp_path / "none", CPU, print)


def test_crops_cut_to_too_short_a_recording_are_named(tmp_path):
    """data.short: whole cuts a batch's crops to its shortest recording, here to fewer steps than are predicted; the remedy is one."""
    data = make_data(tmp_path / "data", count=12)
    config = {**SYSTEMS["cpc"], "method.crops": [{"count": 1, "seconds": 1.28}], "method.steps": 55, "data.short": "whole",
              "train.steps": 2}
    shortest = min((int(size), utt) for utt, size in table.read(data / "utt2num_samples").items())[1]
    with pytest.raises(InputError, match=rf"'{shortest}' has \d\d steps, method.steps needs 56, and data.short=whole cuts") as refused:
        train_here(tiny(**config), data, tmp_path / "exp")
    assert len(str(refused.value)) <= 160
    remedy = float(re.search(r"data.min_seconds=([0-9.]+[0-9])\.$", str(refused.value))[1])
    job = train_here(tiny(**config, **{"data.min_seconds": remedy}), data, tmp_path / "mended")
    assert 0 < job.dataset.dropped < 12


def test_a_classifier_goes_on_from_a_frozen_cpc(data, tmp_path):
    """What the report's linear evaluation does: method supervised from final.pt, only the layers above the context trained."""
    train_here(tiny(**SYSTEMS["cpc"]), data, tmp_path / "cpc")
    config = tiny(**{"encoder": ENCODER, "method": {"name": "supervised", "crops": ONE, "loss": "softmax", "hidden_dims": [8]},
                     "train.init_from": str(tmp_path / "cpc/final.pt"), "train.trainable": "head"})
    job = train_here(config, data, tmp_path / "linear")
    kept = checkpoint.load(tmp_path / "cpc/final.pt")["encoders"]["encoder"]
    assert all(torch.equal(value, kept[key]) for key, value in job.method.encoder.state_dict().items())
    assert model.load(tmp_path / "linear/final.pt").classifier is not None


def test_the_best_epoch_by_the_loss_on_other_recordings_is_kept(data, tmp_path, capsys):
    """Too high a rate: the loss on other recordings rises again, patience ends the training, final.pt is the best epoch's.

    Judging draws neither noise nor degradation, and always the same crops: the same weights have the same loss.
    """
    other = make_data(tmp_path / "valid", count=7)
    config = tiny(**{**SYSTEMS["cpc"], **LEARN, "data.batch_size": 4, "train.save_every": 3, "train.lr": 0.02, "train.steps": 200,
                     "augment.degrade": {"band_prob": 1.0}, "train.valid": str(other), "train.patience": 2})
    job = train_here(config, data, tmp_path / "exp")
    losses = [float(one) for one in re.findall(r"step \d+: loss ([\d.]+) on", capsys.readouterr().out)]
    best = min(range(len(losses)), key=losses.__getitem__)
    assert job.step == 3 * len(losses) == 3 * (best + 3) < 200
    assert len(set(losses)) >= 3 and losses[best] == round(-job.best["score"], 4)
    assert "valid_accuracy" in figures_of(tmp_path / "exp")
    content = checkpoint.load(tmp_path / "exp/final.pt")
    assert content["info"]["step"] == job.best["step"] == 3 * (best + 1)
    job.method.load_state_dict(checkpoint.load(checkpoint.at(tmp_path / "exp", job.best["step"]))["method"])
    assert [job.validation.judge(job.method).score for _ in range(2)] == [job.best["score"]] * 2 and job.method.training


def figures_of(exp):
    return {key for line in (exp / "progress.jsonl").read_text().splitlines() for key in json.loads(line)}


@pytest.mark.parametrize(("count", "changes", "sentence"), [
    (1, {}, r"valid: too few of its recordings are long enough to judge the training by .1, and 2 are needed.; add"),
    (4, {"data.min_seconds": 0.85, "data.batch_size": 2}, r"valid: too few of its .*1, and 2 are needed"),
])
def test_too_little_to_judge_by(tmp_path, count, changes, sentence):
    data, other = make_data(tmp_path / "data", count=40), make_data(tmp_path / "valid", count=count)
    with pytest.raises(InputError, match=sentence):
        prepare(tiny(**{**SYSTEMS["cpc"], "train.valid": str(other), **changes}), data, tmp_path / "exp", CPU, print)


@pytest.mark.parametrize(("count", "steps"), [(2, 1), (3, 1), (5, 2)])
def test_judged_in_batches_of_two(tmp_path, count, steps):
    """An odd recording is left over, as in training."""
    data, other = make_data(tmp_path / "data", count=6), make_data(tmp_path / "valid", count=count)
    job = prepare(tiny(**{**SYSTEMS["cpc"], "data.batch_size": 2, "train.valid": str(other)}), data, tmp_path / "exp", CPU, print)
    assert job.validation.dataset.steps_per_epoch == steps and np.isfinite(job.validation.judge(job.method).score)


def test_a_recording_to_judge_by_that_cannot_be_read(data, tmp_path):
    other = make_data(tmp_path / "valid", count=6)
    job = prepare(tiny(**{**SYSTEMS["cpc"], "train.valid": str(other)}), data, tmp_path / "exp", CPU, print)
    (other / "wav.ark").write_bytes((other / "wav.ark").read_bytes()[:-2000])
    with pytest.raises(InputError, match=r"valid: a recording to judge the training by cannot be read \(.*; repair it, or leave it out"):
        job.validation.judge(job.method)
