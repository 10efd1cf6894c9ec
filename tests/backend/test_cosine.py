"""Cosine scores, against Kaldi's and against a slow version."""
import math
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from sslspk.backend import cosine
from sslspk.backend.cosine import Cosine
from sslspk.errors import InputError

GOLDEN = Path(__file__).parents[1] / "golden"


@pytest.mark.parametrize("utterances", [1, 3])
def test_kaldi_golden(utterances):
    data, scores = np.load(GOLDEN / "kaldi_cosine.npz"), np.load(GOLDEN / "kaldi_scores.npz")
    backend = Cosine().fit(data["mean"][None])  # centred on the mean of Kaldi's training set
    got = backend.score_trials(data[f"enrol{utterances}"], data["test"], data["model"], data["utterance"])
    np.testing.assert_allclose(got, scores[f"cosine_e{utterances}"], atol=7e-6)
    everything = backend.score(data[f"enrol{utterances}"], data["test"])
    assert everything.shape == (30, 240)
    np.testing.assert_allclose(everything[data["model"], data["utterance"]], got, atol=1e-12)


@given(st.integers(0, 2**32 - 1), st.booleans())
def test_equals_slow_version(seed, centred):
    rng = np.random.default_rng(seed)
    enrol, test, other = rng.normal(size=(3, 4)), rng.normal(size=(2, 4)), rng.normal(size=(5, 4))
    backend = Cosine().fit(other) if centred else Cosine()
    mean = [sum(column) / 5 for column in zip(*other.tolist(), strict=True)] if centred else [0.0] * 4
    got = backend.score(enrol, test)
    for i, e in enumerate(enrol.tolist()):
        for j, t in enumerate(test.tolist()):
            a, b = ([x - m for x, m in zip(v, mean, strict=True)] for v in (e, t))
            dot = sum(x * y for x, y in zip(a, b, strict=True))
            assert got[i, j] == pytest.approx(dot / math.hypot(*a) / math.hypot(*b), abs=1e-12)


def test_blocks_do_not_show():
    rng = np.random.default_rng(0)
    enrol, test = rng.normal(size=(50, 8)).astype(np.float32), rng.normal(size=(60, 8)).astype(np.float32)
    rows = rng.integers(50, size=2 * cosine.BLOCK + 17), rng.integers(60, size=2 * cosine.BLOCK + 17)
    got = Cosine().score_trials(enrol, test, *rows)
    assert got.dtype == np.float64
    np.testing.assert_allclose(got, Cosine().score(enrol, test)[rows], atol=1e-12)


def test_length_does_not_matter_and_bounds_hold():
    rng = np.random.default_rng(0)
    x = rng.normal(size=(20, 8))
    scores = Cosine().score(x, x * rng.uniform(0.1, 1000, size=(20, 1)))
    np.testing.assert_allclose(np.diag(scores), 1.0)
    assert np.abs(scores).max() <= 1 + 1e-12


def test_transform_centres_and_scales():
    backend = Cosine().fit(np.array([[1.0, 0.0], [3.0, 2.0]]))
    np.testing.assert_array_equal(backend.mean_, [2.0, 1.0])
    np.testing.assert_allclose(backend.transform([[5.0, 5.0]]), [[0.6, 0.8]])


def test_embeddings_that_have_no_direction_are_named():
    good = [1.0, 2.0]
    for bad in ([0.0, 0.0], [math.nan, 1.0], [math.inf, 1.0]):
        with pytest.raises(InputError, match="number 1 "):
            Cosine().score([good, bad], [good])
        with pytest.raises(InputError, match="of utt7 "):
            Cosine().check([good, bad], ["utt6", "utt7"])
    with pytest.raises(InputError, match="after the mean was subtracted"):
        Cosine().fit([good]).transform([good])
    with pytest.raises(InputError, match="NaN"):
        Cosine().fit([[math.nan, 1.0]])


def test_shapes():
    with pytest.raises(ValueError, match=r"\(N, D\)"):
        Cosine().transform(np.ones(3))
