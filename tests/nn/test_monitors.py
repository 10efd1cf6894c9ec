"""The monitors against loops in Python floats and cases worked by hand."""
import math
from collections import Counter

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from sslspk.nn.monitors import alignment, effective_rank, flag_quality, purity, uniformity


def unit(n, d, seed=0):
    x = np.random.default_rng(seed).normal(size=(n, d))
    return torch.tensor(x / np.linalg.norm(x, axis=1, keepdims=True), dtype=torch.float32)


def squared_distance(a, b):
    return sum((x - y) ** 2 for x, y in zip(a, b, strict=True))


def test_effective_rank():
    g = torch.Generator().manual_seed(0)
    line = torch.randn(50, 1, generator=g) @ torch.randn(1, 8, generator=g)
    ball = torch.linalg.qr(torch.randn(50, 8, generator=g))[0]
    assert effective_rank(line).item() == pytest.approx(1.0, abs=1e-3)
    assert 7 < effective_rank(ball).item() <= 8


def test_effective_rank_hand_worked():
    """Centred points on two axes, singular values 3 : 1, shares 0.75 and 0.25; moving them all changes nothing."""
    x = torch.tensor([[3.0, 0.0], [-3.0, 0.0], [0.0, 1.0], [0.0, -1.0]])
    wanted = math.exp(-0.75 * math.log(0.75) - 0.25 * math.log(0.25))
    assert effective_rank(x).item() == pytest.approx(wanted, rel=1e-5)
    assert effective_rank(x + 7).item() == pytest.approx(wanted, rel=1e-5)


def test_effective_rank_is_that_of_the_singular_values_in_every_bit():
    """Centred embeddings have a singular value of 0. Its eigenvalue is a rounding error, which must not decide the last digits: a resumed
    training has other ones."""
    g = torch.Generator().manual_seed(0)
    for rows in (8, 16, 40):
        x = torch.randn(rows, 32, generator=g) * torch.rand(32, generator=g) ** 8
        values = torch.linalg.svdvals(x.double() - x.double().mean(0))[:rows - 1]
        share = values / values.sum()
        wanted = torch.exp(torch.special.entr(share).sum()).float()
        assert {effective_rank(x[torch.randperm(rows, generator=g)]).item() for _ in range(20)} == {wanted.item()}


def test_alignment_and_uniformity_equal_the_slow_version():
    a, b = unit(9, 4), unit(9, 4, seed=1)
    wanted = sum(squared_distance(x, y) for x, y in zip(a.tolist(), b.tolist(), strict=True)) / 9
    assert alignment(a, b).item() == pytest.approx(wanted, rel=1e-5)
    rows = a.tolist()
    terms = [math.exp(-2 * squared_distance(rows[i], rows[j])) for i in range(9) for j in range(9) if i != j]
    assert uniformity(a).item() == pytest.approx(math.log(sum(terms) / len(terms)), rel=1e-5)


def test_alignment_and_uniformity_hand_worked():
    """Same, opposite and square to each other: 0, 4, 2. Collapse is 0; two opposite vectors e^-8; three axes e^-4 each."""
    axis = torch.tensor([[1.0, 0.0]])
    for other, wanted in (([[1.0, 0.0]], 0), ([[-1.0, 0.0]], 4), ([[0.0, 1.0]], 2)):
        assert alignment(axis, torch.tensor(other)).item() == wanted
    assert uniformity(axis.repeat(5, 1)).item() == 0
    assert uniformity(torch.cat([axis, -axis])).item() == pytest.approx(-8)
    assert uniformity(torch.eye(3)).item() == pytest.approx(-4)
    assert uniformity(axis).item() == 0  # no pair at all
    assert uniformity(axis.bfloat16()).dtype == uniformity(axis.bfloat16().repeat(2, 1)).dtype == torch.float32


def test_flag_quality_hand_worked():
    """Three flags of which two are right, four to be found."""
    flag = torch.tensor([[True, True, False], [False, True, False]])
    same = torch.tensor([[True, False, True], [True, True, False]])
    quality = flag_quality(flag, same)
    assert quality["precision"].item() == pytest.approx(2 / 3)
    assert quality["recall"].item() == pytest.approx(0.5)


def test_flag_quality_is_zero_where_undefined():
    none, all_ = torch.zeros(2, 3, dtype=torch.bool), torch.ones(2, 3, dtype=torch.bool)
    for flag, same in ((none, all_), (all_, none), (none, none)):
        assert [x.item() for x in flag_quality(flag, same).values()] == [0, 0]


def slow_purity(assignment, labels):
    groups = {}
    for c, y in zip(assignment, labels, strict=True):
        if c >= 0 and y >= 0:
            groups.setdefault(c, Counter())[y] += 1
    total = sum(sum(x.values()) for x in groups.values())
    return sum(max(x.values()) for x in groups.values()) / total if total else 0.0


@settings(max_examples=50, deadline=None)
@given(st.integers(1, 40), st.integers(1, 6), st.integers(1, 6), st.integers(0, 10 ** 6))
def test_purity_equals_the_slow_version(n, clusters, speakers, seed):
    rng = np.random.default_rng(seed)
    assignment, labels = rng.integers(-1, clusters, n), rng.integers(-1, speakers, n)
    assert purity(torch.tensor(assignment), torch.tensor(labels)).item() == pytest.approx(slow_purity(assignment, labels), rel=1e-6)


def test_purity_hand_worked():
    """Cluster 0 holds a a b, cluster 7 b, cluster 2 only a point without label: 3 of 4."""
    assert purity(torch.tensor([0, 7, 0, 2, 0]), torch.tensor([5, 9, 5, -1, 9])).item() == 0.75
    assert purity(torch.tensor([0, 1]), torch.tensor([-1, -1])).item() == 0  # nothing known
    assert purity(torch.tensor([3, 3, 4]), torch.tensor([0, 0, 0])).item() == 1
    large = 10 ** 6
    assert purity(torch.tensor([large, large, 0], dtype=torch.int32), torch.tensor([large, 0, large])).item() == pytest.approx(2 / 3)


def test_no_figure_waits_for_the_device():
    """A meta tensor has a shape and no values: reading one, or a shape that depends on them, raises."""
    x, whole, flag = (torch.empty(6, 8, device="meta", dtype=t) for t in (torch.float32, torch.int64, torch.bool))
    figures = [effective_rank(x), alignment(x, x), uniformity(x), purity(whole[:, 0], whole[:, 1]), *flag_quality(flag, flag).values()]
    assert [tuple(figure.shape) for figure in figures] == [()] * 6
    with pytest.raises(RuntimeError, match="meta"):
        x.sum().item()
