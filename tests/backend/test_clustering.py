"""Clustering for pseudo-labels, against naive versions, scikit-learn and planted clusters."""
import itertools
import os
import tracemalloc
from collections import Counter

import numpy as np
import pytest
from sklearn.cluster import AgglomerativeClustering
from sklearn.cluster import KMeans as SklearnKMeans
from sklearn.decomposition import PCA
from sklearn.metrics import adjusted_rand_score

from sslspk.backend import clustering, clustering_schemes
from sslspk.backend.base import Backend
from sslspk.backend.config_cluster import ClusterConfig
from sslspk.config import check
from sslspk.errors import InputError

CORNERS = np.array([[1.0, 0.0], [0.8, 0.6], [-0.6, 0.8], [-0.8, 0.6]])


def planted(speakers=12, each=20, dim=16, noise=0.1, seed=0):
    """Embeddings of speakers in random directions, of random lengths and in random order, their names and their speakers."""
    rng = np.random.default_rng(seed)
    centres = rng.normal(size=(speakers, dim))
    centres /= np.linalg.norm(centres, axis=1, keepdims=True)
    truth = rng.permutation(np.repeat(np.arange(speakers), each))
    x = (centres[truth] + noise * rng.normal(size=(len(truth), dim))) * rng.uniform(0.5, 20, size=(len(truth), 1))
    return x, [f"utt{row:04}" for row in rng.permutation(len(truth))], truth


def sklearn_kmeans(rows, k):
    return SklearnKMeans(k, init="random", n_init=1, random_state=0).fit_predict(rows)


def no_kmeans(rows, k):
    raise AssertionError("k-means was not asked for")


def run(config, x, names, kmeans=no_kmeans, **more):
    return clustering_schemes.cluster(x, names, ClusterConfig(**config), kmeans, **more)


def naive(similarity, keep_going):
    """Agglomeration, O(N^3): merge the two clusters of the highest mean similarity while keep_going(it, how many there are)."""
    groups = [[row] for row in range(len(similarity))]
    while len(groups) > 1:
        best, a, b = max((np.mean([similarity[i, j] for i in one for j in other]), -p, -q)
                         for (p, one), (q, other) in itertools.combinations(enumerate(groups), 2))
        if not keep_going(best, len(groups)):
            break
        groups[-a] += groups.pop(-b)
    found = np.empty(len(similarity), int)
    for number, members in enumerate(groups):
        found[members] = number
    return found


def same(a, b):
    return adjusted_rand_score(a, b) == 1.0


@pytest.mark.parametrize("seed", range(5))
@pytest.mark.parametrize("stop", [{"threshold": 0.3}, {"threshold": -0.1}, {"clusters": 5}])
def test_average_linkage_equals_naive_agglomeration(seed, stop):
    rng = np.random.default_rng(seed)
    x = rng.normal(size=(30, 4)) + 0.5
    unit = x / np.linalg.norm(x, axis=1, keepdims=True)
    expected = naive(unit @ unit.T, lambda best, count: best >= stop["threshold"] if "threshold" in stop else count > 5)
    got = run({"method": "cosine_ahc", **stop}, x, [f"u{n:02}" for n in range(30)])
    assert same(got.group, expected) and 2 <= expected.max() + 1 < 30


@pytest.mark.parametrize(("threshold", "expected"), [(0.97, None), (0.96 - 1e-9, [0, 1, 2, 2]), (0.8 + 1e-9, [0, 1, 2, 2]),
                                                     (0.8 - 1e-9, [0, 0, 1, 1]), (-0.42 + 1e-9, [0, 0, 1, 1]), (-0.42 - 1e-9, None)])
def test_threshold_is_the_lowest_mean_cosine_at_which_clusters_merge(threshold, expected):
    """The last two (0.96) merge first, then the first two (0.8); the cosines between them are -.6 -.8 0 -.28 on the mean -.42."""
    config = {"method": "cosine_ahc", "threshold": threshold}
    if expected is None:
        with pytest.raises(InputError, match="lower threshold" if threshold > 0 else "raise threshold"):
            run(config, CORNERS, list("abcd"))
    else:
        assert run(config, CORNERS, list("abcd")).group.tolist() == expected


def test_ward_equals_scikit_learn():
    x = np.random.default_rng(0).normal(size=(200, 6))
    tree = clustering.ward(x)
    for k in (2, 17, 120):
        assert same(clustering.cut(tree, 200 - k), AgglomerativeClustering(k).fit_predict(x))
    middle = (tree[99, 2] + tree[100, 2]) / 2
    assert same(clustering.cut(tree, 100), AgglomerativeClustering(None, distance_threshold=middle).fit_predict(x))


def test_ward_threshold_is_the_documented_distance():
    """Three points on a line: 0 and 1 merge at 1, then their mean with 5 at sqrt(2 2 1 / 3) 4.5."""
    tree = clustering.ward(np.array([[0.0], [1.0], [5.0]]))
    np.testing.assert_allclose(tree[:, 2], [1, np.sqrt(4 / 3) * 4.5])


def test_blocks_do_not_show(monkeypatch):
    x = np.random.default_rng(0).normal(size=(50, 5))
    whole = clustering.cosine(x), clustering.ward(x)
    monkeypatch.setattr(clustering, "BLOCK_NUMBERS", 350)
    np.testing.assert_allclose(clustering.cosine(x), whole[0], atol=1e-12)
    np.testing.assert_allclose(clustering.ward(x), whole[1], atol=1e-12)


KMEANS_AHC = {"method": "kmeans_ahc", "kmeans_clusters": 80, "clusters": 12}
SCHEMES = [KMEANS_AHC, {"method": "kmeans_ahc", "kmeans_share": 0.4, "threshold": 1.0, "pca_share": 0.99},
           {"method": "cosine_ahc", "threshold": 0.6}, {"method": "cosine_ahc", "clusters": 12, "pca_share": 0.95},
           {"method": "cosine_ahc", "kmeans_share": 0.25, "threshold": 0.6}]


@pytest.mark.parametrize("config", SCHEMES)
def test_planted_clusters_are_found_in_any_order_of_utterances(config):
    x, names, truth = planted()
    found = run(config, x, names, sklearn_kmeans)
    assert same(found.group, truth) and found[1:] == (0, 0, ())
    turned = np.random.default_rng(1).permutation(len(x))
    again = run(config, x[turned], [names[row] for row in turned], sklearn_kmeans)
    np.testing.assert_array_equal(again.group, found.group[turned])
    first = [group for _, group in sorted(zip(names, found.group.tolist(), strict=True))]
    assert list(dict.fromkeys(first)) == list(range(12)), "numbered in the order of the ids"


def test_kmeans_may_leave_numbers_out():
    x, names, truth = planted(noise=0.02)
    found = run(KMEANS_AHC, x, names, lambda rows, k: 3 * sklearn_kmeans(rows, k))
    assert same(found.group, truth)
    with pytest.raises(InputError, match="k-means left 10 centroids"):
        run(KMEANS_AHC, x, names, lambda rows, k: np.arange(len(rows)) % 10)


def test_kmeans_alone_and_centroids_that_end_up_empty():
    x, names, truth = planted(noise=0.02)
    config = {"method": "kmeans", "clusters": 12}
    found = run(config, x, names, lambda rows, k: truth[np.argsort(names)] - k)
    assert same(found.group, truth) and found.group.min() == 0 and found[1:] == (0, 0, ())
    found = run({**config, "clusters": 20}, x, names, lambda rows, k: 3 * truth[np.argsort(names)])
    assert same(found.group, truth) and found.notes == ("12 of 20 clusters are left; k-means gave the others no utterance",)
    found = run({**config, "min_size": 20, "max_size": 20}, x, names, lambda rows, k: truth[np.argsort(names)])
    assert found[1:3] == (0, 0)
    with pytest.raises(InputError, match="clusters is 300, but there are only 240 utterances"):
        run({**config, "clusters": 300}, x, names, sklearn_kmeans)
    with pytest.raises(InputError, match="fewer than two clusters"):
        run(config, x, names, lambda rows, k: np.zeros(len(rows), int))
    assert clustering_schemes.check(ClusterConfig(**config), 10**6, max_gb=0.1) == 10**6, "no tree, no memory for one"


def test_pca_keeps_the_share_of_scikit_learn():
    x = np.random.default_rng(0).normal(size=(100, 10)) * np.arange(1, 11) + 3
    x /= np.linalg.norm(x, axis=1, keepdims=True)
    for share in (0.5, 0.9, 0.99, 1.0):
        model = PCA(share if share < 1 else None, svd_solver="full").fit(x)
        expected = model.transform(x)
        expected /= np.linalg.norm(expected, axis=1, keepdims=True)
        got = clustering.directions(7 * x, pca_share=share)
        assert got.shape == expected.shape
        np.testing.assert_allclose(np.abs(got), np.abs(expected), atol=1e-9)


class Fake(Backend):
    """Scores that are minus the squared distance of the embeddings; remembers what it was trained on."""

    def fit(self, x, labels=None):
        self.labels = Counter(labels)
        return self

    def transform(self, x):
        return x

    def score(self, enrol, test, counts=None):
        return -np.square(enrol[:, None] - test).sum(2)

    def score_trials(self, enrol, test, enrol_row, test_row, counts=None):
        raise AssertionError("all pairs are asked for")

    def check(self, x, names=None):
        pass


@pytest.mark.parametrize("stop", [{"plda_clusters": 6}, {"plda_threshold": -4.0}])
def test_second_stage_of_plda_ahc_equals_naive_agglomeration(stop):
    x = np.random.default_rng(0).normal(size=(30, 3))
    config = {"method": "plda_ahc", "clusters": 3, **stop}
    got = run(config, x, [f"u{n:02}" for n in range(30)], plda=Fake())
    expected = naive(Fake().score(x, x), lambda best, count: best >= -4.0 if "plda_threshold" in stop else count > 6)
    assert same(got.group, expected) and 2 < expected.max() + 1 < 30


def test_plda_learns_from_clusters_that_are_large_enough_and_not_from_all_of_the_largest(monkeypatch):
    monkeypatch.setattr("sslspk.backend.build", lambda name, settings: Fake())
    x, group = np.random.default_rng(0).normal(size=(100, 2)), np.repeat([0, 1, 2, 3], [7, 60, 25, 8])
    config = ClusterConfig(method="plda_ahc", clusters=4, plda_clusters=4)
    assert clustering_schemes.train_plda(x, group, config).labels == {"1": 50, "2": 25, "3": 8}
    with pytest.raises(InputError, match=r"fewer than two of 2 clusters have plda_min_size 8 .*the largest has 9"):
        clustering_schemes.train_plda(x[:13], np.repeat([0, 1], [9, 4]), config)


@pytest.mark.parametrize("more", [{}, {"kmeans_share": 0.5}])
def test_plda_ahc_finds_what_cosines_do_not(more):
    """Sessions move the embeddings far along a few directions that tell nothing of the speaker; PLDA learns to look past them."""
    rng = np.random.default_rng(0)
    truth = np.repeat(np.arange(30), 12)
    session = rng.normal(size=(len(truth), 2)) @ rng.normal(size=(2, 10))
    x = 3 * rng.normal(size=(30, 10))[truth] + session + 0.5 * rng.normal(size=(len(truth), 10))
    names = [f"u{n:03}" for n in range(len(truth))]
    first = run({"method": "cosine_ahc", "clusters": 30, **more}, x, names, sklearn_kmeans)
    second = run({"method": "plda_ahc", "clusters": 30, "plda_clusters": 30, **more}, x, names, sklearn_kmeans)
    before, after = (adjusted_rand_score(found.group, truth) for found in (first, second))
    assert after > before + 0.1 and after > 0.85


def test_filters_hand_worked():
    """A group of 1, one of 3 that is capped at 2: the one farthest in angle from the mean goes, and of equals the last."""
    angles = np.radians([0, 10, 40, 180, 90, 90, 90])
    x, groups = np.stack([np.cos(angles), np.sin(angles)], 1), np.array([0, 0, 0, 1, 2, 2, 2])
    small, capped = clustering.sized(x, groups, 2, 2)
    assert small.tolist() == [False] * 3 + [True] + [False] * 3
    assert capped.tolist() == [False, False, True, False, False, False, True]
    assert not np.any(clustering.sized(x, groups))
    found = run({"method": "cosine_ahc", "clusters": 3, "min_size": 2, "max_size": 2}, x, list("abcdefg"))
    assert found.group.tolist() == [0, 0, -1, -1, 1, 1, -1] and found[1:3] == (1, 2)


def test_memory_is_refused_before_anything_is_computed(monkeypatch):
    assert clustering.tree_bytes(50_000) == pytest.approx(20e9, rel=0.01)
    with pytest.raises(InputError, match=r"1,000,000 points needs 8,\d{3},\d{3},\d{3},\d{3} bytes .* run k-means first"):
        clustering.check_memory(1_000_000, 1.0)
    with pytest.raises(InputError, match=r"50,000 points needs 20,\d{3},\d{3},\d{3} bytes .* run k-means first"):
        clustering_schemes.check(ClusterConfig(method="cosine_ahc", threshold=0.5), 50_000, max_gb=1.0)
    monkeypatch.setattr(clustering, "free_bytes", lambda: 10**6)
    with pytest.raises(InputError, match="GB are free"):
        run({"method": "cosine_ahc", "threshold": 0.5}, np.ones((500, 2)), [str(n) for n in range(500)])
    for fits in (0.001, 0.1, 7.5):
        with pytest.raises(InputError, match="up to") as refusal:
            clustering.check_memory(10**6, fits)
        offered = int(str(refusal.value).split("up to ")[1].rstrip(".").replace(",", ""))
        assert clustering.check_memory(offered, fits) <= fits * 1e9 < clustering.tree_bytes(offered + 1)


def test_memory_bound_holds(monkeypatch):
    """numpy's allocations, scipy's copy among them, stay below what is stated and take most of it."""
    monkeypatch.setattr(clustering, "BLOCK_NUMBERS", 2**14)
    x = np.random.default_rng(0).normal(size=(1500, 8))
    for tree in (clustering.ward, clustering.cosine):
        tree(x[:10])
        tracemalloc.start()
        tree(x)
        peak = tracemalloc.get_traced_memory()[1]
        tracemalloc.stop()
        assert 0.45 * clustering.tree_bytes(1500) < peak < 1.05 * clustering.tree_bytes(1500)


def test_free_memory_is_between_nothing_and_all():
    assert 2**20 < clustering.free_bytes() <= os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")


def group(folder, limit, used, cached, v1=False):
    """The files of a control group."""
    folder.mkdir(parents=True, exist_ok=True)
    names, total = (("limit_in_bytes", "usage_in_bytes"), "total_") if v1 else (("max", "current"), "")
    for name, value in zip(names, (limit, used), strict=True):
        (folder / f"memory.{name}").write_text(f"{value}\n")
    (folder / "memory.stat").write_text(f"anon 5\n{total}inactive_file {cached}\n{total}active_file 1\n")


def test_control_groups_limit_what_is_free(tmp_path, monkeypatch):
    """The process's own group and those above it, less what they use; of version 2 and 1."""
    own, root = tmp_path / "cgroup", tmp_path / "fs"
    assert clustering.control_group_bytes(str(own), str(root)) == np.inf
    own.write_text("4:memory:/none\n0::/user/job 7\n")
    assert clustering.control_group_bytes(str(own), str(root)) == np.inf
    group(root / "user/job 7", "max", 10, 0)
    assert clustering.control_group_bytes(str(own), str(root)) == np.inf
    group(root / "user", 1000, 700, 99)
    assert clustering.control_group_bytes(str(own), str(root)) == 400
    group(root / "user/job 7", 500, 300, 0)
    assert clustering.control_group_bytes(str(own), str(root)) == 201
    own.write_text("4:cpu,memory:/user/job\n1:name=systemd:/user/job 7\n")
    group(root / "memory/user", 2**63 - 4096, 700, 99, v1=True)
    group(root / "memory", 900, 300, 49, v1=True)
    assert clustering.control_group_bytes(str(own), str(root)) == 650, "a group that is not to be seen from here is passed over"
    monkeypatch.setattr(clustering, "control_group_bytes", lambda: 123)
    assert clustering.free_bytes() == 123


@pytest.mark.parametrize(("value", "words"), [(np.nan, "u2 holds NaN"), (0.0, "u2 has length zero")])
def test_bad_embeddings_are_named(value, words):
    x = np.random.default_rng(0).normal(size=(4, 3))
    x[2] = value
    with pytest.raises(InputError, match=words):
        run({"method": "cosine_ahc", "clusters": 2}, x, ["u0", "u1", "u2", "u3"])


def test_duplicates_are_one_cluster():
    x = np.repeat(np.eye(3), 5, axis=0)
    names = [f"u{n:02}" for n in range(15)]
    for config in ({"method": "cosine_ahc", "clusters": 3}, {"method": "cosine_ahc", "threshold": 0.5},
                   {"method": "kmeans_ahc", "kmeans_clusters": 15, "clusters": 3}):
        assert run(config, x, names, lambda rows, k: np.arange(len(rows))).group.tolist() == [0] * 5 + [1] * 5 + [2] * 5
    assert run({"method": "cosine_ahc", "clusters": 5}, x, names).group.max() == 4, "as many as asked for, even of equal ones"
    with pytest.raises(InputError, match="all 15 embeddings have one direction"):
        run({"method": "cosine_ahc", "clusters": 2, "pca_share": 0.99}, np.full((15, 3), 0.1), names)


def test_what_cannot_be_is_refused_in_a_sentence():
    x, names, _ = planted(speakers=3, each=4)
    for config, words in (
            ({"method": "cosine_ahc", "clusters": 13}, "clusters is 13, but there are only 12 utterances"),
            ({"method": "kmeans_ahc", "kmeans_clusters": 40, "clusters": 3}, "kmeans_clusters is 40, but there are only 12 utterances"),
            ({"method": "kmeans_ahc", "kmeans_share": 0.5, "clusters": 7}, "clusters is 7, but there are only 6 centroids"),
            ({"method": "cosine_ahc", "threshold": -1}, "threshold -1.0 puts all 12 utterances into one cluster.*raise threshold"),
            ({"method": "cosine_ahc", "threshold": 1.1}, "leaves each of 12 utterances alone.*lower threshold"),
            ({"method": "kmeans_ahc", "kmeans_share": 0.5, "threshold": 100}, "into one cluster.*lower threshold"),
            ({"method": "cosine_ahc", "clusters": 3, "min_size": 5}, "the largest of 3 has 4; lower min_size")):
        with pytest.raises(InputError, match=words):
            run(config, x, names, sklearn_kmeans)
    with pytest.raises(InputError, match="one direction"):
        run({"method": "kmeans_ahc", "kmeans_share": 0.5, "threshold": 1}, np.ones((4, 2)), list("abcd"), lambda rows, k: np.zeros(4, int))
    note, = run({"method": "kmeans_ahc", "kmeans_share": 0.5, "threshold": 1e-9}, x, names, sklearn_kmeans).notes
    assert "merges none of the 6 centroids" in note and "raise threshold" in note


@pytest.mark.parametrize(("tree", "words"), [
    ({}, "either clusters or threshold"), ({"clusters": 3, "threshold": 0.1}, "either clusters or threshold"),
    ({"clusters": 3}, "needs kmeans_clusters"), ({"method": "kmeans", "threshold": 0.1}, "kmeans takes clusters"),
    ({"method": "kmeans", "clusters": 3, "kmeans_clusters": 9}, "kmeans takes clusters, and neither"),
    ({"method": "cosine_ahc", "clusters": 1}, "greater than or equal to 2"),
    ({"clusters": 9, "kmeans_clusters": 8}, "more than kmeans_clusters"), ({"method": "plda_ahc", "clusters": 3}, "plda_clusters or"),
    ({"method": "cosine_ahc", "clusters": 3, "plda_threshold": 0}, "not for cosine_ahc"),
    ({"clusters": 3, "kmeans_clusters": 8, "kmeans_share": 0.5}, "not both"),
    ({"method": "cosine_ahc", "clusters": 3, "min_size": 9, "max_size": 8}, "max_size must not be below"),
    ({"method": "cosine_ahc", "clusters": 3, "linkag": "ward"}, "unknown key linkag")])
def test_configurations_that_cannot_be(tree, words):
    with pytest.raises(InputError, match=words):
        check(ClusterConfig, tree, "x.yaml")
