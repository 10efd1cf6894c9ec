"""K-means' start for many centroids: candidates of k-means||, of which a weighted k-means++ chooses."""
import numpy as np
import pytest
import torch

from sslspk.nn import kmeans
from sslspk.nn.seeding import _nearer, draws_of, oversampled, plus_plus


def generator(seed=0):
    return torch.Generator().manual_seed(seed)


def blobs(count, each, dim=8, spread=0.01):
    centres = torch.randn(count, dim, generator=generator(1))
    return centres.repeat(each, 1) + spread * torch.randn(count * each, dim, generator=generator(2))


def objective(points, rows):
    return torch.cdist(points, points[rows]).min(1).values.square().sum().item()


def test_weighted_plus_plus_against_the_definition():
    points, weights = torch.randn(40, 3, generator=generator()), torch.randint(1, 9, (40,), generator=generator()).float()
    draws = torch.rand(8, 4, generator=generator(1), dtype=torch.float64)
    x, w = points.double().numpy(), weights.double().numpy()
    chosen = [int(draws[0, 0] * 40)]
    nearest = ((x - x[chosen[0]]) ** 2).sum(1)
    for row in draws[1:].numpy():
        limits = np.cumsum(w * nearest) / (w * nearest).sum()
        candidates = [int((limits <= u).sum()) for u in row]
        trials = [np.minimum(nearest, ((x - x[c]) ** 2).sum(1)) for c in candidates]
        best = int(np.argmin([(w * trial).sum() for trial in trials]))
        chosen.append(candidates[best])
        nearest = trials[best]
    assert plus_plus(points, draws, weights).tolist() == chosen


def test_nearest_candidates_in_blocks_are_those_of_the_distances(monkeypatch):
    monkeypatch.setattr("sslspk.nn.seeding.FLOATS", {"cpu": 70})   # blocks of ten points
    points, rows = torch.randn(45, 3, generator=generator()), torch.tensor([3, 9, 30, 31, 32, 40, 44])
    nearest, owner = torch.full((45,), torch.inf), torch.zeros(45, dtype=torch.int64)
    for first in (0, 4):
        _nearer(points, points.square().sum(1), rows[first:first + 4], first, nearest, owner)
    wanted = torch.cdist(points, points[rows]).square().min(1)
    assert torch.equal(owner, wanted.indices) and torch.allclose(nearest, wanted.values, atol=1e-5)


def test_every_blob_gets_a_point_or_nearly():
    """As k-means++ has it, and far from a random choice, which leaves a third of the blobs without one."""
    points = blobs(200, 10)
    ours, full = oversampled(points, 200, generator()), plus_plus(points, draws_of(200, generator(), points.device))
    assert len(ours.unique()) == 200 and torch.equal(ours, oversampled(points, 200, generator()))
    drawn = torch.randperm(2000, generator=generator())[:200]
    assert objective(points, ours) < 0.05 * objective(points, drawn)
    assert len((ours % 200).unique()) >= len((full % 200).unique()) - 4


def test_few_distinct_points_are_all_taken():
    rows = oversampled(torch.randn(12, 4, generator=generator()).repeat(5, 1), 14, generator()) % 12
    assert sorted(set(rows.tolist())) == list(range(12)) and len(rows) == 14


@pytest.mark.parametrize("spherical", [False, True])
def test_kmeans_starts_so_from_a_thousand_centroids_on(spherical):
    points = blobs(1000, 3)
    found, random = (kmeans.kmeans(points, kmeans.OVERSAMPLED_FROM, init=init, iterations=3, spherical=spherical)
                     for init in ("kmeans++", "random"))
    assert found.objective < 0.2 * random.objective
