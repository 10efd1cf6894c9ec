"""Density and ProtoNCE against loops in Python floats, written from the equations, and cases worked by hand."""
import math

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from sslspk.losses.prototypes import density, proto_nce


def percentile(values, share):
    """Linear between the order statistics, as PCL's numpy does."""
    values = sorted(values)
    place = share * (len(values) - 1)
    low = math.floor(place)
    high = min(low + 1, len(values) - 1)
    return values[low] + (place - low) * (values[high] - values[low])


def slow_density(distance_sum, count, temperature, epsilon=10.0):
    phi = [d / (z * math.log(z + epsilon)) if z > 1 and d > 0 else None for d, z in zip(distance_sum, count, strict=True)]
    largest = max((x for x in phi if x is not None), default=1.0)
    phi = [largest if x is None else x for x in phi]
    low, high = percentile(phi, 0.1), percentile(phi, 0.9)
    phi = [min(max(x, low), high) for x in phi]
    return [temperature * x / (sum(phi) / len(phi)) for x in phi]


def slow_proto_nce(query, centroids, phi, assignment):
    losses = []
    for v, own in zip(query, assignment, strict=True):
        terms = [math.exp(sum(a * b for a, b in zip(v, c, strict=True)) / p) for c, p in zip(centroids, phi, strict=True)]
        losses.append(-math.log(terms[own] / sum(terms)) if own >= 0 else 0.0)
    return losses


def unit(rng, n, d):
    x = rng.normal(size=(n, d))
    return x / np.linalg.norm(x, axis=1, keepdims=True)


@settings(max_examples=25, deadline=None)
@given(st.integers(1, 30), st.integers(0, 10 ** 6))
def test_density_equals_the_slow_version(k, seed):
    rng = np.random.default_rng(seed)
    count = rng.integers(0, 6, k)
    distance_sum = rng.uniform(0, 1.4, k) * count
    phi = density(torch.tensor(distance_sum), torch.tensor(count), 0.07)
    assert phi.tolist() == pytest.approx(slow_density(distance_sum, count, 0.07), rel=1e-12)
    assert phi.mean().item() == pytest.approx(0.07)
    in_float32 = density(torch.tensor(distance_sum, dtype=torch.float32), torch.tensor(count), 0.07)
    assert in_float32.tolist() == pytest.approx(phi.tolist(), rel=1e-5)


def test_density_hand_worked():
    """Eleven clusters of two members, phi before clipping 1 .. 11 times the same: clipped to 2 .. 10, whose mean is 6."""
    phi = density(torch.arange(1, 12, dtype=torch.float64), torch.full((11,), 2), 0.3)
    assert phi.tolist() == pytest.approx([0.05 * x for x in (2, 2, 3, 4, 5, 6, 7, 8, 9, 10, 10)])


def test_density_is_the_mean_distance_over_a_logarithm():
    """Two members at 1 each and six at 1 each: 1 / ln 12 and 1 / ln 16, in that ratio but for the clipping."""
    phi = density(torch.tensor([2.0] * 5 + [6.0] * 5, dtype=torch.float64), torch.tensor([2] * 5 + [6] * 5), 1.0)
    assert (phi[0] / phi[-1]).item() == pytest.approx(math.log(16) / math.log(12))


def test_clusters_without_spread_are_as_loose_as_the_loosest():
    """No member, one member, and three in one point, among twenty of which ten are twice as loose as the others."""
    distance_sum = torch.tensor([0.0, 0.0, 0.0] + [0.5, 1.0] * 10)
    phi = density(distance_sum, torch.tensor([0, 1, 3] + [2] * 20), 0.1)
    assert phi[:3].tolist() == [phi[4].item()] * 3
    assert (phi[4] / phi[3]).item() == pytest.approx(2.0)


@pytest.mark.parametrize("count", [[1, 1, 1], [0, 0, 0], [0, 1, 0], [1], [4, 3, 2]])
def test_where_no_cluster_has_a_spread_phi_is_the_temperature(count):
    assert density(torch.zeros(len(count)), torch.tensor(count), 0.07).tolist() == pytest.approx([0.07] * len(count))


def test_counts_of_a_million_are_sound():
    phi = density(torch.tensor([3e5, 1.0, 2e5]), torch.tensor([1_000_000, 2, 900_000]), 0.07)
    assert phi.tolist() == pytest.approx(slow_density([3e5, 1.0, 2e5], [1_000_000, 2, 900_000], 0.07), rel=1e-5)


@settings(max_examples=20, deadline=None)
@given(st.integers(1, 5), st.integers(1, 6), st.integers(2, 4), st.integers(0, 10 ** 6))
def test_proto_nce_equals_the_slow_version(batch, k, d, seed):
    rng = np.random.default_rng(seed)
    query, centroids, phi, assignment = unit(rng, batch, d), unit(rng, k, d), rng.uniform(0.05, 0.5, k), rng.integers(-1, k, batch)
    wanted = slow_proto_nce(query, centroids, phi, assignment)
    arguments = [torch.tensor(x) for x in (query, centroids, phi)]
    own = torch.tensor(assignment)
    assert proto_nce(*arguments, own).tolist() == pytest.approx(wanted, rel=1e-9, abs=1e-12)
    assert proto_nce(*(x.float() for x in arguments), own).tolist() == pytest.approx(wanted, rel=1e-4, abs=2e-5)


def test_proto_nce_of_known_clusters_hand_worked():
    """Clusters on the axes. On its centroid, phi 0.5: e^2 against 1 (right angle) and e^-1 (opposite, phi 1).
    A query between two clusters of phi 1 and 0.5 goes to the denser by e^(sqrt 0.5) : e^(2 sqrt 0.5)."""
    centroids = torch.tensor([[1.0, 0.0], [0.0, 1.0], [-1.0, 0.0]], dtype=torch.float64)
    phi = torch.tensor([0.5, 2.0, 1.0], dtype=torch.float64)
    query = torch.tensor([[1.0, 0.0], [1.0, 0.0], [0.0, -1.0], [0.0, -1.0]], dtype=torch.float64)
    loss = proto_nce(query, centroids, phi, torch.tensor([0, 2, 1, -1]))
    total = math.exp(2) + 1 + math.exp(-1)
    below = 2 + math.exp(-0.5)
    assert loss.tolist() == pytest.approx([math.log(total) - 2, math.log(total) + 1, math.log(below) + 0.5, 0.0])
    half = math.sqrt(0.5)
    between = proto_nce(torch.tensor([[half, half]]), centroids[:2].float(), torch.tensor([1.0, 0.5]), torch.tensor([0]))
    assert between.item() == pytest.approx(math.log(1 + math.exp(half)), rel=1e-6)


def test_anchors_without_prototype_push_nothing():
    query = torch.tensor(unit(np.random.default_rng(0), 3, 4)).requires_grad_()
    loss = proto_nce(query, query.detach().flip(0), torch.full((3,), 0.1), torch.tensor([-1, 1, -1]))
    loss.sum().backward()
    assert (loss != 0).tolist() == [False, True, False]
    assert query.grad.abs().sum(1).gt(0).tolist() == [False, True, False]
    alone = proto_nce(query, query.detach(), torch.full((3,), 0.1), torch.full((3,), -1))
    assert alone.tolist() == [0, 0, 0]


def test_absent_prototypes_are_as_if_they_were_not_there():
    """Places 1 and 4 of the bank hold none: the loss and the gradients of a bank of the other three."""
    rng = np.random.default_rng(0)
    query, centroids, phi = torch.tensor(unit(rng, 3, 4)), torch.tensor(unit(rng, 5, 4)), torch.tensor(rng.uniform(0.1, 0.5, 5))
    absent = torch.tensor([False, True, False, False, True])
    with_gaps, without = (query.clone().requires_grad_() for _ in range(2))
    loss = proto_nce(with_gaps, centroids, phi, torch.tensor([0, 3, -1]), absent)
    wanted = proto_nce(without, centroids[~absent], phi[~absent], torch.tensor([0, 2, -1]))
    loss.sum().backward()
    wanted.sum().backward()
    assert loss.tolist() == pytest.approx(wanted.tolist(), rel=1e-12)
    assert torch.allclose(with_gaps.grad, without.grad, rtol=1e-12)
    nothing = proto_nce(query, centroids, phi, torch.full((3,), -1), torch.ones(5, dtype=torch.bool))
    assert nothing.tolist() == [0, 0, 0]


def test_gradient_matches_finite_differences():
    rng = np.random.default_rng(0)
    query, centroids = (torch.tensor(unit(rng, n, 3)).requires_grad_() for n in (4, 5))
    phi, own = torch.tensor(rng.uniform(0.1, 0.5, 5)).requires_grad_(), torch.tensor([3, -1, 0, 3])
    assert torch.autograd.gradcheck(lambda q, c, p: proto_nce(q, c, p, own), (query, centroids, phi))


def test_tiny_phi_stays_finite():
    query = torch.eye(2).requires_grad_()
    loss = proto_nce(query, torch.eye(2), torch.full((2,), 1e-6), torch.tensor([0, 0]))
    loss.sum().backward()
    assert loss.tolist() == pytest.approx([0, 1e6])
    assert torch.isfinite(query.grad).all()


@pytest.mark.parametrize(("given_type", "type_inside"), [(torch.bfloat16, torch.float32), (torch.float64, torch.float64)])
def test_computed_in_float32_at_least(given_type, type_inside):
    """The same under autocast, bit for bit; float64 stays float64."""
    x = torch.tensor(unit(np.random.default_rng(0), 6, 8)).to(given_type)
    own = torch.tensor([0, 1, 2, 3, -1, 5])

    def both():
        return proto_nce(x, x.flip(0), torch.full((6,), 0.1, dtype=given_type), own), density(x[:, 0].abs(), own + 2, 0.07)

    plain = both()
    with torch.autocast("cpu", dtype=torch.bfloat16):
        autocast = both()
    assert [y.dtype for y in plain] == [type_inside] * 2
    assert all(torch.equal(a, b) for a, b in zip(plain, autocast, strict=True))
