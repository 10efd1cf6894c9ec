"""Linear transforms against Kaldi's numbers and scikit-learn."""
from pathlib import Path

import numpy as np
import pytest

from sslspk.backend import transforms as tr

KALDI = np.load(Path(__file__).parents[1] / "golden/kaldi_backend.npz")


def data(seed=0, speakers=8, each=6, dim=5):
    rng = np.random.default_rng(seed)
    code = np.repeat(np.arange(speakers), each)
    x = rng.normal(size=(speakers, dim))[code] + rng.normal(size=(len(code), dim)) @ rng.normal(size=(dim, dim))
    return x - x.mean(0), code


def signed(a, b):
    return a * np.sign((a * b).sum(1, keepdims=True))


@pytest.mark.parametrize("lda", [tr.kaldi_lda, tr.classical_lda])
def test_lda_is_kaldis(lda):
    """With factor 0 the within-class covariance is whitened: then Fisher's discriminants are the same."""
    x = KALDI["train"].astype(np.float64)
    got = lda(x - x.mean(0), KALDI["speaker"], 32)
    np.testing.assert_allclose(signed(got, KALDI["lda"][:, :-1]), KALDI["lda"][:, :-1], atol=2.4e-5)


def test_classical_lda_is_scikit_learns():
    from sklearn.discriminant_analysis import LinearDiscriminantAnalysis
    x, code = data()
    code = np.repeat(np.arange(8), [2, 3, 4, 5, 6, 8, 9, 11])   # unequal counts
    got = tr.classical_lda(x, code, 4)
    want = LinearDiscriminantAnalysis(solver="eigen").fit(x, code).scalings_[:, :4].T
    np.testing.assert_allclose(signed(got, want), want, rtol=1e-6, atol=1e-9)


def slow_scatters(x, code):
    total = sum(np.outer(row, row) for row in x) / len(x)
    between = sum((code == c).sum() * np.outer(x[code == c].mean(0), x[code == c].mean(0)) for c in set(code)) / len(x)
    return total, between


def test_scatters_against_loops():
    x, code = data(1)
    for got, want in zip(tr.scatters(x, code), slow_scatters(x, code), strict=True):
        np.testing.assert_allclose(got, want, atol=1e-12)


@pytest.mark.parametrize("factor", [0.0, 0.3, 1.0])
def test_kaldi_lda_whitens_what_it_says(factor):
    x, code = data(2)
    total, between = slow_scatters(x, code)
    m = tr.kaldi_lda(x, code, 5, factor)
    np.testing.assert_allclose(m @ (factor * total + (1 - factor) * (total - between)) @ m.T, np.eye(5), atol=1e-10)
    spread = m @ between @ m.T
    np.testing.assert_allclose(spread, np.diag(np.sort(np.diag(spread))[::-1]), atol=1e-10)


def test_whitening_and_pca():
    x, _ = data(3, dim=4)
    x = x * [10, 3, 1, 0.1]
    w = tr.whitening(x)
    np.testing.assert_allclose(np.cov((x @ w.T).T, bias=True), np.eye(4), atol=1e-9)
    np.testing.assert_allclose(w, w.T, atol=1e-12)   # of all whitenings the one that turns nothing
    from sklearn.decomposition import PCA
    for keep in (2, 0.9, 0.99, 1.0):
        want = PCA(n_components=None if keep == 1.0 else keep).fit(x).components_
        got = tr.pca(x, keep)
        assert got.shape == want.shape
        np.testing.assert_allclose(signed(got, want), want, atol=1e-6)


def test_length_norms():
    x = np.array([[3.0, 4], [0, 2]])
    np.testing.assert_allclose(tr.length_norm(x, "unit"), [[0.6, 0.8], [0, 1]])
    np.testing.assert_allclose(tr.length_norm(x, "kaldi"), np.sqrt(2) * np.array([[0.6, 0.8], [0, 1]]))
    assert tr.length_norm(x, "none") is x


def test_directions_without_variance_do_not_blow_up():
    x, code = data(4)
    x = np.hstack([x, x[:, :1]])   # the last dimension repeats the first
    for m in (tr.whitening(x), tr.kaldi_lda(x, code, 4), tr.classical_lda(x, code, 4)):
        assert np.isfinite(m).all() and np.abs(x @ m.T).max() < 1e3


@pytest.mark.parametrize("lda", [tr.kaldi_lda, tr.classical_lda])
def test_lda_of_speakers_whose_embeddings_are_copies(lda):
    """A direction is blown up by no more than the floor allows, a thousandfold of a unit variance."""
    rng = np.random.default_rng(0)
    x = np.repeat(rng.normal(size=(20, 8)), 4, 0)
    x -= x.mean(0)
    assert np.abs(lda(x, np.repeat(np.arange(20), 4), 5)).max() <= tr.FLOOR ** -0.5
