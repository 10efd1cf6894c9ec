"""Mean and variance normalisation: Kaldi's sliding window by golden numbers and by a loop, and the utterance's by numpy."""
from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from sslspk.config import check
from sslspk.errors import InputError
from sslspk.features import cmvn
from sslspk.features.config import CmvnOptions

KALDI = np.load(Path(__file__).resolve().parents[1] / "golden/feats/kaldi.npz")


def noise(*shape, seed=0):
    return torch.from_numpy(np.random.default_rng(seed).normal(5, 3, shape).astype(np.float32))


def apply(x, **options):
    return cmvn.apply(x, check(CmvnOptions, options, "the test"))


@pytest.mark.parametrize("before, after", [
    ("fbank80/spk3-u3", "fbank80_cmn300/spk3-u3"), ("mfcc30/spk3-u3", "mfcc30_cmn300/spk3-u3"),
    ("mfcc30_first6/spk2-u2", "mfcc30_cmn300_first6/spk2-u2"),  # 666 frames: the window slides
])
def test_sliding_mean_is_kaldis(before, after):
    found = apply(torch.from_numpy(KALDI[before])[None], cmn="sliding", cmn_window=300)[0].numpy()
    assert found.dtype == np.float32
    np.testing.assert_allclose(found, KALDI[after], rtol=0, atol=2e-5)


def slow_sliding(x, window, center, norm_vars, min_window):
    """(T, F) float64, frame by frame: choose the window, then normalise with what numpy finds in it."""
    out = np.zeros_like(x, dtype=np.float64)
    for t in range(len(x)):
        first, end = (t - window // 2, t - window // 2 + window) if center else (t - window, t + 1)
        if first < 0:
            first, end = 0, end - first
        if not center and end > t:
            end = max(t + 1, min_window)
        if end > len(x):
            first, end = max(first - (end - len(x)), 0), len(x)
        part = x[first:end].astype(np.float64)
        out[t] = x[t] - part.mean(0)
        if norm_vars:
            out[t] = out[t] / np.sqrt(np.maximum(part.var(0), 1e-10)) if len(part) > 1 else 0
    return out


@settings(max_examples=300, deadline=None)
@given(frames=st.integers(1, 40), window=st.integers(1, 60), center=st.booleans(), norm_vars=st.booleans(),
       min_window=st.integers(1, 50))
def test_every_window_against_a_loop(frames, window, center, norm_vars, min_window):
    x = noise(2, frames, 3, seed=frames)
    found = apply(x, cmn="sliding", cmn_window=window, center=center, norm_vars=norm_vars, min_cmn_window=min_window)
    for row, expected in zip(found.numpy(), x.numpy(), strict=True):
        np.testing.assert_allclose(row, slow_sliding(expected, window, center, norm_vars, min_window), rtol=0, atol=1e-5)


def test_first_frames_without_centring_by_hand():
    """Values 0, 1, 2 ...: the first frames look ahead to min_window, later ones back over window and themselves."""
    x = torch.arange(8.0)[None, :, None]
    found = apply(x, cmn="sliding", center=False, cmn_window=3, min_cmn_window=4)[0, :, 0]
    assert found.tolist() == [-1.5, -0.5, 0.5, 1.5, 1.5, 1.5, 1.5, 1.5]


def test_an_hour_loses_no_precision():
    x = noise(1, 200_000, 1) * 1e-2 + 1000
    found = apply(x, cmn="sliding", norm_vars=True)[0, -500:, 0].numpy()
    expected = slow_sliding(x[0, -900:].numpy(), 300, True, True, 100)[-500:, 0]
    np.testing.assert_allclose(found, expected, rtol=0, atol=1e-3)


@pytest.mark.parametrize("norm_vars", [False, True])
def test_utterance_against_numpy(norm_vars):
    x = noise(4, 50, 6)
    found, plain = apply(x, cmn="utterance", norm_vars=norm_vars).numpy(), x.numpy().astype(np.float64)
    expected = plain - plain.mean(1, keepdims=True)
    np.testing.assert_allclose(found, expected / plain.std(1, keepdims=True) if norm_vars else expected, rtol=0, atol=1e-5)


@pytest.mark.parametrize("cmn", ["none", "utterance", "sliding"])
@pytest.mark.parametrize("norm_vars", [False, True])
def test_edges(cmn, norm_vars):
    """No frames, one frame, and a constant: always finite, and of the same shape."""
    for shape in ((2, 0, 3), (0, 5, 3), (2, 1, 3)):
        assert apply(noise(*shape), cmn=cmn, norm_vars=norm_vars).shape == shape
    constant = apply(torch.full((1, 400, 2), 7.0), cmn=cmn, norm_vars=norm_vars)
    assert torch.equal(constant, torch.full((1, 400, 2), 7.0 if cmn == "none" else 0.0))


@pytest.mark.parametrize("cmn", ["none", "utterance", "sliding"])
def test_rows_of_a_batch_do_not_meet_and_the_input_stays(cmn):
    x = noise(3, 400, 2)
    kept = x.clone()
    found = apply(x, cmn=cmn)
    assert torch.equal(x, kept) and found.dtype == torch.float32
    for row, alone in zip(found, x, strict=True):
        assert torch.equal(row, apply(alone[None], cmn=cmn)[0])


def test_an_unknown_kind_is_named():
    with pytest.raises(InputError, match="cmn"):
        check(CmvnOptions, {"cmn": "cepstral"}, "the test")
