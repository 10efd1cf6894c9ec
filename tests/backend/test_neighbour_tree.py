"""Trees among neighbours: those of all pairs where all are neighbours, and nearly those where few are, in memory that grows with n."""
import tracemalloc

import numpy as np
import pytest
from sklearn.metrics import adjusted_rand_score

from sslspk.backend import build, clustering, clustering_schemes, neighbour_tree
from sslspk.backend.config import BackendConfig
from sslspk.backend.config_cluster import ClusterConfig
from sslspk.metrics.clustering import nmi


def planted(points, speakers, dim=32, noise=0.2, seed=0):
    """Directions around random centres, and whose each is."""
    rng = np.random.default_rng(seed)
    centres = rng.normal(size=(speakers, dim))
    centres /= np.linalg.norm(centres, axis=1, keepdims=True)
    truth = rng.integers(0, speakers, points)
    x = centres[truth] + noise * rng.normal(size=(points, dim))
    return x / np.linalg.norm(x, axis=1, keepdims=True), truth


@pytest.mark.parametrize("make", [clustering.ward, clustering.cosine])
def test_with_all_as_neighbours_it_is_the_tree_of_all_pairs(make):
    x, _ = planted(300, 20)
    exact, found = make(x), make(x, neighbours=299)
    np.testing.assert_allclose(found[:, 2:], exact[:, 2:], rtol=1e-6, atol=1e-9)
    for merges in (1, 150, 280, 298):
        assert adjusted_rand_score(clustering.cut(exact, merges), clustering.cut(found, merges)) == 1


@pytest.mark.parametrize("make", [clustering.ward, clustering.cosine])
def test_with_30_neighbours_it_is_nearly_that(make):
    """Harder data than what any of the ways finds whole: the neighbours lose no more than a hundredth of the NMI."""
    x, truth = planted(3000, 150, noise=0.25)
    exact, found = (clustering.cut(tree, 3000 - 150) for tree in (make(x), make(x, neighbours=clustering.NEIGHBOURS)))
    assert nmi(exact, truth) < 0.97 and nmi(found, truth) > nmi(exact, truth) - 0.01
    assert adjusted_rand_score(exact, found) > 0.9


def test_a_tree_has_the_form_of_scipys():
    """Numbers, sizes and order, where the neighbours of the first round leave the points in pieces."""
    x, _ = planted(2500, 500, noise=0.01)
    found = clustering.ward(x, neighbours=2)
    assert found.shape == (2499, 4) and (np.diff(found[:, 2]) >= 0).all() and (found[:, 0] < found[:, 1]).all()
    assert sorted(found[:, :2].ravel()) == list(range(2 * 2500 - 2)) and found[-1, 3] == 2500
    sizes = np.append(np.ones(2500), found[:, 3])
    assert (sizes[found[:, 0].astype(int)] + sizes[found[:, 1].astype(int)] == found[:, 3]).all()
    assert (found[:, :2].max(1) < 2500 + np.arange(2499)).all()


def test_the_least_values_of_a_row():
    rng = np.random.default_rng(0)
    for rows, columns, k in ((5, 20, 3), (4, 1000, 2), (3, 1037, 7), (2, 640, 5)):
        values = rng.normal(size=(rows, columns)).astype(np.float32)
        found = neighbour_tree.least(values, k)
        assert (np.sort(found, 1) == np.sort(np.argsort(values, 1)[:, :k], 1)).all()


def test_memory_grows_with_the_points_and_not_with_their_pairs():
    def peak(points):
        x, _ = planted(points, points // 20)
        tracemalloc.start()
        clustering.ward(x, neighbours=10)
        found = tracemalloc.get_traced_memory()[1]
        tracemalloc.stop()
        return found
    blocks = 4 * 12 * neighbour_tree.BLOCK_NUMBERS   # of linkages and of what is chosen from them, whatever the number of points
    assert peak(4000) < blocks + 4000 * 4000 and peak(4000) < clustering.tree_bytes(4000) + blocks


def test_plda_and_cosine_of_the_scheme_by_neighbours():
    """plda_ahc with neighbours finds what it finds with all pairs; the products are the scores."""
    x, truth = planted(800, 20, noise=0.15)
    labels = truth.astype(str).tolist()
    plda = build("plda", BackendConfig(plda="simplified", lda="none", plda_dim=16)).fit(x, labels)
    left, right = plda.products(x)
    np.testing.assert_allclose(left[:50] @ right.T, plda.score(x[:50], x), rtol=1e-9, atol=1e-9)
    names, found = [f"u{n:04}" for n in range(800)], []
    for neighbours in (None, 799, 40):
        config = ClusterConfig(method="plda_ahc", clusters=40, plda_clusters=20, neighbours=neighbours)
        found.append(clustering_schemes.cluster(x, names, config, None, plda=plda).group)
    assert adjusted_rand_score(found[0], found[1]) == 1 and adjusted_rand_score(found[0], found[2]) > 0.95
    assert nmi(found[2], truth) > 0.9


def test_above_50000_points_neighbours_are_taken_without_being_asked_for():
    assert clustering.nearest_of(50_000, None) is None and clustering.nearest_of(50_001, None) == 30
    assert clustering.nearest_of(100, 7) == 7
    config = ClusterConfig(method="cosine_ahc", threshold=0.5)
    assert clustering_schemes.check(config, 10**7, max_gb=0.001) == 10**7   # no memory for pairs is asked for
