"""Deltas, sliding mean and voiced frames: against loops, Kaldi's own numbers, and the batched CMN of the features."""
from pathlib import Path

import numpy as np
import pytest
import torch

from sslspk.errors import InputError
from sslspk.features import cmvn
from sslspk.io import ark
from sslspk.ivector import frames
from sslspk.ivector.config import IvectorConfig

KALDI = np.load(Path(__file__).resolve().parents[1] / "golden/feats/kaldi.npz")
rng = np.random.default_rng(0)


def slopes(x, window):
    """Kaldi's delta of one order, frame by frame; frames beyond an end are the last one."""
    norm = sum(j * j for j in range(-window, window + 1))
    at = lambda t: x[min(max(t, 0), len(x) - 1)]  # noqa: E731
    return np.array([sum(j * at(t + j) for j in range(-window, window + 1)) / norm for t in range(len(x))])


@pytest.mark.parametrize(("length", "window"), [(1, 3), (4, 3), (30, 2), (30, 3)])
def test_deltas(length, window):
    x = rng.standard_normal((length, 5))
    found = frames.deltas(x, window, 2)
    assert found.shape == (length, 15)
    np.testing.assert_array_equal(found[:, :5], x)
    np.testing.assert_allclose(found[:, 5:10], slopes(x, window), atol=1e-12)
    # The second order reads the repeated frames, not repeated slopes: longer by its window, the slope of the slope agrees.
    wide = np.pad(x, ((2 * window, 2 * window), (0, 0)), mode="edge")
    np.testing.assert_allclose(found[:, 10:], slopes(slopes(wide, window), window)[2 * window:-2 * window], atol=1e-12)
    np.testing.assert_array_equal(frames.deltas(x, window, 0), x)


def test_a_ramp_has_slope_one():
    x = np.arange(20.0)[:, None]
    np.testing.assert_allclose(frames.deltas(x, 3, 2)[6:-6], np.hstack([x, np.ones((20, 1)), np.zeros((20, 1))])[6:-6], atol=1e-12)


def test_sliding_mean_is_kaldis():
    """137 frames are fewer than the window, 666 more."""
    found = frames.subtract_sliding_mean(KALDI["mfcc30/spk3-u3"], 300)
    np.testing.assert_allclose(found, KALDI["mfcc30_cmn300/spk3-u3"], atol=2e-5)
    found = frames.subtract_sliding_mean(KALDI["mfcc30_first6/spk2-u2"], 300)
    np.testing.assert_allclose(found, KALDI["mfcc30_cmn300_first6/spk2-u2"], atol=2e-5)


@pytest.mark.parametrize(("length", "window"), [(1, 300), (7, 8), (9, 8), (40, 7), (50, 1)])
def test_sliding_mean_is_that_of_the_features(length, window):
    x = rng.standard_normal((length, 3)).astype(np.float32)
    np.testing.assert_allclose(frames.subtract_sliding_mean(x, window), cmvn.sliding(torch.from_numpy(x)[None], window)[0], atol=1e-6)


CONFIG = IvectorConfig(delta_order=1, delta_window=2, cmn_window=10, num_gaussians=4, ubm_frames=100, frames_per_utterance=15)


def make_data(folder, lengths, dim=3, voiced=None):
    """feats.scp and vad.scp of random utterances; three frames of four are voiced."""
    with ark.Writer(folder / "f.ark", folder / "feats.scp") as feats, ark.Writer(folder / "v.ark", folder / "vad.scp") as vad:
        for utt, length in lengths.items():
            feats.write(utt, rng.standard_normal((length, dim)))
            vad.write(utt, np.arange(length) % 4 > 0 if voiced is None else np.full(length, voiced))
    return folder


def test_voiced_frames_are_taken_after_deltas_and_mean(tmp_path):
    specs = frames.read_specs(make_data(tmp_path, {"a": 40, "b": 30}))
    x = ark.load(specs["a"][0])
    expected = frames.subtract_sliding_mean(frames.deltas(x, 2, 1), 10)[np.arange(40) % 4 > 0]
    np.testing.assert_array_equal(frames.voiced("a", specs["a"], CONFIG), expected)
    assert [[utt for utt, _ in block] for block in frames.blocks(specs, CONFIG, 6, "m")] == [["a", "b"]]


def test_drawn_frames_are_frames_of_the_utterances_once_each(tmp_path):
    specs = frames.read_specs(make_data(tmp_path, {f"u{i:02}": 12 + 4 * i for i in range(12)}))
    drawn = frames.draw(specs, CONFIG)
    everything = {utt: frames.voiced(utt, spec, CONFIG).astype(np.float32) for utt, spec in specs.items()}
    owner = [utt for row in drawn for utt, x in everything.items() if (x == row).all(1).any()]
    assert drawn.shape == (100, 6) and len(owner) == 100 == len(np.unique(drawn, axis=0))
    assert max(owner.count(utt) for utt in everything) <= 15
    np.testing.assert_array_equal(drawn, frames.draw(specs, CONFIG))
    assert not np.array_equal(drawn, frames.draw(specs, CONFIG.model_copy(update={"seed": 1})))


def test_a_block_ends_when_it_is_full(tmp_path, monkeypatch):
    monkeypatch.setattr(frames, "BLOCK", 50)
    specs = frames.read_specs(make_data(tmp_path, {f"u{i}": 40 for i in range(5)}))
    assert [[utt for utt, _ in block] for block in frames.blocks(specs, CONFIG, 6, "m")] == [["u0", "u1"], ["u2", "u3"], ["u4"]]


def test_bad_input_is_named(tmp_path):
    for name in ("good", "silent", "short"):
        (tmp_path / name).mkdir()
    good, silent = make_data(tmp_path / "good", {"a": 40, "b": 30}), make_data(tmp_path / "silent", {"a": 40}, voiced=0)
    specs = frames.read_specs(good)
    with pytest.raises(InputError, match=r"^a: none of its 40 frames is voiced; leave it out"):
        frames.draw(frames.read_specs(silent), CONFIG)
    with pytest.raises(InputError, match=r"^a: features of shape \(40, 3\) do not match VAD of shape \(30,\)"):
        frames.voiced("a", (specs["a"][0], specs["b"][1]), CONFIG)
    with pytest.raises(InputError, match=r"^a: its frames have 6 dimensions, those of exp/x 72"):
        list(frames.blocks(specs, CONFIG, 72, "exp/x"))
    with pytest.raises(InputError, match=r"^30 voiced frames were drawn, fewer than the 64 Gaussians"):
        frames.draw(specs, CONFIG.model_copy(update={"num_gaussians": 64}))
    other = frames.read_specs(make_data(tmp_path / "short", {"c": 20}, dim=2))
    with pytest.raises(InputError, match=r"its frames have [46] dimensions, those of [abc] [46]"):
        frames.draw(specs | other, CONFIG)
    (good / "vad.scp").write_text((good / "vad.scp").read_text().split("\n")[0] + "\n")
    with pytest.raises(InputError, match=r"b is only in one of feats.scp and vad.scp"):
        frames.read_specs(good)
    (good / "feats.scp").unlink()
    with pytest.raises(InputError, match=r"feats\.scp cannot be read"):
        frames.read_specs(good)
