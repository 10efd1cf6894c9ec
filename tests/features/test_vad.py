"""Energy VAD: Kaldi's decisions, and a loop written from the definition."""
from pathlib import Path

import numpy as np
import pytest
import soundfile
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from sslspk.config import check, load
from sslspk.errors import InputError
from sslspk.features.config import FeatureOptions, VadOptions
from sslspk.features.fbank import Extractor
from sslspk.features.vad import compute_vad

ROOT = Path(__file__).resolve().parents[2]
GOLDEN, CONF = ROOT / "tests/golden/feats", ROOT / "egs/voxceleb/conf"
KALDI = np.load(GOLDEN / "kaldi.npz")


def options(**changes):
    return check(VadOptions, changes, "the test")


@pytest.mark.parametrize("utt", ["spk1-u1", "spk2-u2", "spk3-u3"])
def test_decisions_are_kaldis(utt):
    found = compute_vad(KALDI[f"c0/{utt}"], load(VadOptions, CONF / "vad.yaml"))
    assert found.dtype == np.float32
    np.testing.assert_array_equal(found, KALDI[f"vad_v2/{utt}"])


@pytest.mark.parametrize("name", ["spk2-u2.flac", "spk3-u3.wav"])
def test_decisions_from_the_audio_are_kaldis(name):
    wave = torch.from_numpy(soundfile.read(GOLDEN / name, dtype="int16")[0])
    energy = Extractor(load(FeatureOptions, CONF / "mfcc.yaml"))(wave[None])[0, :, 0].numpy()
    np.testing.assert_array_equal(compute_vad(energy, load(VadOptions, CONF / "vad.yaml")), KALDI[f"vad_v2/{name[:7]}"])


def slow(energy, o):
    """Frame by frame; energies and options of the tests are such that no sum is rounded."""
    threshold = o.vad_energy_threshold + o.vad_energy_mean_scale * sum(energy) / len(energy)
    decisions = []
    for t in range(len(energy)):
        near = [energy[u] for u in range(t - o.vad_frames_context, t + o.vad_frames_context + 1) if 0 <= u < len(energy)]
        loud = sum(value > threshold for value in near)
        decisions.append(float(loud >= np.float32(len(near)) * np.float32(o.vad_proportion_threshold)))
    return decisions


@settings(max_examples=400, deadline=None)
@given(quarters=st.lists(st.integers(0, 60), min_size=1, max_size=32), threshold=st.sampled_from([0, 2.5, 5, 5.5]),
       scale=st.sampled_from([0, 0.25, 0.5, 1]), context=st.integers(0, 6),
       proportion=st.sampled_from([0.12, 0.2, 1 / 3, 0.4, 0.5, 0.6, 0.8, 0.9]))
def test_every_option_against_a_loop(quarters, threshold, scale, context, proportion):
    size = 1 << (len(quarters).bit_length() - 1)  # a power of two: the mean is exact
    energy = [quarter / 4 for quarter in quarters[:size]]
    o = options(vad_energy_threshold=threshold, vad_energy_mean_scale=scale, vad_frames_context=context,
                vad_proportion_threshold=proportion)
    assert compute_vad(np.array(energy, np.float32), o).tolist() == slow(energy, o)


def test_by_hand():
    """Mean 3, threshold 1 + 0.5 * 3 = 2.5; equal to the threshold is not above it, equal to the share is enough."""
    o = options(vad_energy_threshold=1, vad_energy_mean_scale=0.5, vad_frames_context=1, vad_proportion_threshold=0.5)
    assert compute_vad(np.array([2.5, 9, 2.5, 2, 1, 1], np.float32), o).tolist() == [1, 0, 0, 0, 0, 0]
    assert compute_vad(np.array([2.5, 9, 2.5, 2, 1, 1], np.float32), o.model_copy(update={"vad_frames_context": 0})).tolist() == [
        0, 1, 0, 0, 0, 0]
    # A share of 3 in 5 is the default's 0.6.
    five = options(vad_energy_threshold=1, vad_energy_mean_scale=0, vad_frames_context=2)
    assert compute_vad(np.array([0, 2, 2, 2, 0], np.float32), five).tolist() == [1, 1, 1, 1, 1]


def test_no_frames_and_nothing_but_silence():
    assert compute_vad(np.zeros(0, np.float32), options()).shape == (0,)
    assert compute_vad(np.full(10, -15.9, np.float32), options()).tolist() == [0] * 10


@pytest.mark.parametrize("changes", [{"vad_proportion_threshold": 0}, {"vad_proportion_threshold": 1}, {"vad_frames_context": -1},
                                     {"vad_energy_mean_scale": -0.1}, {"energy_threshold": 5}], ids=str)
def test_impossible_options_are_named(changes):
    with pytest.raises(InputError, match=next(iter(changes))):
        options(**changes)
