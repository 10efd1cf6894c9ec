"""What every back-end keeps to."""
import numpy as np
import pytest

from sslspk.backend import NAMES, build, load
from sslspk.backend.config import BackendConfig
from sslspk.config import check
from sslspk.errors import InputError

CONFIGS = {
    "cosine": {}, "lda": {"lda_dim": 4}, "plda": {"lda_dim": 4},
    "plda simplified": {"lda": "classical", "lda_dim": 4, "plda": "simplified", "plda_dim": 2, "plda_smoothing": 0.1},
    "plda alone": {"lda": "none", "whiten": True, "length_norm": "none"},
    "plda pca": {"pca": 0.99, "lda_dim": 3, "length_norm": "unit"},
    "lda pca": {"lda": "none", "plda": "none", "pca": 3},
    "lda kaldi total": {"total_covariance_factor": 0.2, "lda_dim": 3, "plda": "none"},
}
each = pytest.mark.parametrize("name", CONFIGS)


def data(seed=0, speakers=10, utts=5, dim=6):
    rng = np.random.default_rng(seed)
    code = np.repeat(np.arange(speakers), utts)
    return 3 + 2 * rng.normal(size=(speakers, dim))[code] + rng.normal(size=(len(code), dim)), [f"s{c}" for c in code]


def fitted(name, order=None):
    x, labels = data()
    order = np.arange(len(x)) if order is None else order
    config = check(BackendConfig, CONFIGS[name], "the test")
    backend = build(name.split()[0], config if name != "cosine" else None)
    return backend.fit(x[order], [labels[i] for i in order])


def test_every_back_end_is_tested():
    assert {name.split()[0] for name in CONFIGS} == set(NAMES)


@each
def test_it_tells_speakers_apart(name):
    x, labels = data(1)
    scores = fitted(name).score(x[::2], x[1::2])
    same = np.equal.outer(np.array(labels)[::2], np.array(labels)[1::2])
    assert scores.dtype == np.float64 and scores.shape == (25, 25) and scores[same].mean() > scores[~same].mean() + scores.std() / 2


@each
def test_pairs_are_all_pairs_and_either_side_may_enrol(name):
    backend, (x, _) = fitted(name), data(2)
    enrol, test, rows, columns = x[:7], x[7:20], np.array([0, 6, 3, 3]), np.array([12, 0, 5, 6])
    whole = backend.score(enrol, test)
    np.testing.assert_allclose(backend.score_trials(enrol, test, rows, columns), whole[rows, columns], atol=1e-10)
    np.testing.assert_allclose(backend.score(test, enrol).T, whole, atol=1e-9)
    for counts in (np.ones(7), np.ones(7, np.int64)):
        np.testing.assert_allclose(backend.score(enrol, test, counts), whole, atol=1e-10)
        np.testing.assert_allclose(backend.score_trials(enrol, test, rows, columns, counts), whole[rows, columns], atol=1e-10)


@each
def test_several_enrolment_utterances(name):
    """Rows with other counts do not disturb each other; only PLDA looks at counts."""
    backend, (x, _) = fitted(name), data(3)
    counts = np.array([1, 3, 2, 3])
    whole = backend.score(x[:4], x[4:9], counts)
    for i, n in enumerate(counts):
        np.testing.assert_allclose(backend.score(x[i:i + 1], x[4:9], np.array([n]))[0], whole[i], atol=1e-10)
    assert np.allclose(whole, backend.score(x[:4], x[4:9])) == (not name.startswith("plda"))


@each
def test_the_order_of_the_training_data_does_not_matter(name):
    x, _ = data(4)
    order = np.random.default_rng(0).permutation(50)
    np.testing.assert_allclose(fitted(name, order).score(x[:5], x[5:9]), fitted(name).score(x[:5], x[5:9]), atol=1e-6)


@each
def test_bad_embeddings_are_named(name):
    backend, (x, labels) = fitted(name), data(5)
    names = [f"utt{i}" for i in range(len(x))]
    x[7, 2] = np.nan
    with pytest.raises(InputError, match="utt7 holds NaN"):
        backend.check(x, names)
    with pytest.raises(InputError, match="NaN"):
        backend.score(x, x)
    with pytest.raises(InputError, match="NaN"):
        build(name.split()[0]).fit(x, labels)


@pytest.mark.parametrize("name", [name for name in CONFIGS if name != "cosine"])
def test_what_is_saved_scores_alike(name, tmp_path):
    backend, (x, _) = fitted(name), data(6)
    backend.save(tmp_path)
    again = load(str(tmp_path), name.split()[0])
    np.testing.assert_array_equal(again.score(x[:5], x[5:9]), backend.score(x[:5], x[5:9]))
    assert again.config == backend.config
    with pytest.raises(InputError, match="3 dimensions"):
        again.check(x[:, :3])
    (tmp_path / "backend.yaml").unlink()   # what Kaldi wrote has none: its defaults hold
    assert load(str(tmp_path), name.split()[0]).config == BackendConfig()


@pytest.mark.parametrize("name", ["lda", "plda"])
def test_labels_that_teach_nothing(name):
    x, labels = data(7)
    for wrong, said in ((None, "labels"), (["one"] * 50, "one speaker"), ([f"u{i}" for i in range(50)], "one utterance")):
        with pytest.raises(InputError, match=said):
            build(name).fit(x, wrong)
    with pytest.raises(InputError, match="all embeddings are the same"):
        build(name).fit(np.ones((50, 6)), labels)
    some = labels[:20] + [f"u{i}" for i in range(30)]   # most of them alone: fine
    assert np.isfinite(build(name).fit(x, some).score(x[:3], x[3:5])).all()


@pytest.mark.parametrize("name", ["lda", "plda"])
def test_fewer_speakers_than_dimensions(name):
    """LDA keeps as many dimensions as there are speakers, less one."""
    x, labels = data(8, speakers=4)
    backend = build(name).fit(x, labels)
    assert len(backend.front_.affine) == 3 and np.isfinite(backend.score(x, x)).all()


def test_no_back_end_of_that_name():
    with pytest.raises(InputError, match="cosine, lda, plda"):
        build("svm")


@pytest.mark.parametrize(("options", "said"), [({"pca": 2.5}, "pca 2.5"), ({"min_utterances": 5, "max_utterances": 3}, "max_utterances 3"),
                                               ({"total_covariance_factor": 2}, "total_covariance_factor")])
def test_options_that_make_no_sense(options, said):
    with pytest.raises(InputError, match=said):
        check(BackendConfig, options, "the test")
