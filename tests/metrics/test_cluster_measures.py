"""Measures of clusters, against hand-worked cases and slow versions."""
import math
from collections import Counter

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from sslspk.metrics import clustering

pairs = st.lists(st.tuples(st.sampled_from("abcd"), st.sampled_from("xyz")), min_size=1, max_size=30)


def test_hand_worked():
    """Cluster a holds x x x y, cluster b holds y y z: 3 + 2 of 7 are of the main label; of the labels 3 + 2 + 1 in one cluster."""
    clusters, labels = "aaaabbb", "xxxyyyz"
    assert clustering.purity(clusters, labels) == pytest.approx(5 / 7)
    assert clustering.inverse_purity(clusters, labels) == pytest.approx(6 / 7)


def test_nmi_hand_worked():
    """Two clusters of 2 and two labels of 3 and 1: H(C) = ln 2, H(L) = ln 4 - 3/4 ln 3; I = H(L) - 1/2 ln 2."""
    of_clusters, of_labels = math.log(2), math.log(4) - 0.75 * math.log(3)
    assert clustering.nmi("aabb", "xxxy") == pytest.approx((of_labels - 0.5 * math.log(2)) / ((of_clusters + of_labels) / 2))
    assert clustering.nmi("aabb", "xyxy") == pytest.approx(0, abs=1e-12)
    assert clustering.nmi(["c7", "c7", "c1"], [4, 4, 2]) == pytest.approx(1)
    assert clustering.nmi("aa", "xx") == 1.0


@given(pairs)
def test_slow_version(items):
    clusters, labels = zip(*items, strict=True)
    n, both = len(items), Counter(items)
    of_cluster, of_label = Counter(clusters), Counter(labels)
    best = sum(max(both[c, s] for s in of_label) for c in of_cluster)
    assert clustering.purity(clusters, labels) == pytest.approx(best / n)
    best = sum(max(both[c, s] for c in of_cluster) for s in of_label)
    assert clustering.inverse_purity(clusters, labels) == pytest.approx(best / n)
    shared = sum(k / n * math.log(k * n / of_cluster[c] / of_label[s]) for (c, s), k in both.items())
    entropy = sum(-k / n * math.log(k / n) for count in (of_cluster, of_label) for k in count.values()) / 2
    expected = shared / entropy if len(of_cluster) > 1 or len(of_label) > 1 else 1.0
    assert clustering.nmi(clusters, labels) == pytest.approx(expected, abs=1e-12)


def test_purity_is_that_of_the_monitors():
    torch = pytest.importorskip("torch")
    from sslspk.nn import monitors
    rng = np.random.default_rng(0)
    clusters, labels = rng.integers(20, size=500), rng.integers(9, size=500)
    assert clustering.purity(clusters, labels) == pytest.approx(float(monitors.purity(*map(torch.from_numpy, (clusters, labels)))))


def test_many_clusters_are_measured_as_scikit_learn_does():
    from sklearn.metrics import normalized_mutual_info_score
    from sklearn.metrics.cluster import contingency_matrix
    rng = np.random.default_rng(1)
    labels = rng.integers(300, size=5000)
    clusters = np.where(rng.random(5000) < 0.4, labels, rng.integers(700, size=5000))
    assert clustering.nmi(clusters, labels) == pytest.approx(normalized_mutual_info_score(labels, clusters), abs=1e-12)
    table = contingency_matrix(clusters, labels)
    assert clustering.purity(clusters, labels) == table.max(1).sum() / 5000
    assert clustering.inverse_purity(clusters, labels) == table.max(0).sum() / 5000


def test_sizes_hand_worked():
    got = clustering.sizes("abbbccccc")
    assert got == {"min": 1, "q10": pytest.approx(1.4), "q25": 2, "median": 3, "q75": 4, "q90": pytest.approx(4.6), "max": 5,
                   "mean": 3, "single": 1}


def test_report():
    got = clustering.report("aaaabbb", "xxxyyyz")
    assert {key: got[key] for key in ("utterances", "clusters", "speakers")} == {"utterances": 7, "clusters": 2, "speakers": 3}
    assert got["purity"] == clustering.purity("aaaabbb", "xxxyyyz") and got["sizes"]["max"] == 4
    for wrong in (("", ""), ("ab", "x")):
        with pytest.raises(ValueError, match="as many labels"):
            clustering.purity(*wrong)
