"""K-means: hand-worked and slow versions, scikit-learn's objective, hard cases, and two gloo ranks that equal one."""
import math
from datetime import timedelta

import numpy as np
import pytest
import torch
import torch.multiprocessing as mp
from torch import distributed as dist

from sslspk.errors import InputError
from sslspk.nn.kmeans import _Shard, kmeans
from sslspk.nn.seeding import FLOATS, grid_step, plus_plus, rows_per_block

DEVICES = ["cpu", *(["cuda"] if torch.cuda.is_available() else [])]


def draw(shape, seed=0):
    return torch.randn(shape, generator=torch.Generator().manual_seed(seed))


def blobs(n=2000, k=20, dim=16, spread=0.25, seed=0):
    generator = torch.Generator().manual_seed(seed)
    centres = torch.randn(k, dim, generator=generator)
    return centres[torch.randint(0, k, (n,), generator=generator)] + spread * torch.randn(n, dim, generator=generator)


def check_against_float64(points, found, spherical=False):
    """What is returned belongs together: assignments are nearest, and distances, counts and objective are those of the members."""
    x = np.asarray(points, dtype=np.float64)
    if spherical:
        x = x / np.linalg.norm(x, axis=1, keepdims=True)
    centroids, own = found.centroids.double().numpy(), found.assignment.numpy()
    distance = np.sqrt(((x[:, None] - centroids) ** 2).sum(-1))
    mine = distance[np.arange(len(x)), own]
    np.testing.assert_allclose(mine, distance.min(1), atol=1e-5)  # the nearest, but for ties of float32
    assert (own == distance.argmin(1)).mean() > 0.99
    np.testing.assert_allclose(found.distance_sum, np.bincount(own, mine, len(centroids)), rtol=1e-5, atol=1e-5)
    np.testing.assert_array_equal(found.count, np.bincount(own, minlength=len(centroids)))
    assert found.objective == pytest.approx((mine**2).sum(), rel=1e-5, abs=1e-6)
    assert (found.centroids.dtype, found.distance_sum.dtype, found.count.dtype) == (torch.float32, torch.float64, torch.int64)


def means(x, own, k):
    return torch.stack([x[own == c].double().mean(0) for c in range(k)])


@pytest.mark.parametrize("init", ["kmeans++", "random"])
@pytest.mark.parametrize("device", DEVICES)
def test_hand_worked(device, init):
    points = torch.tensor([[0.0, 0.0], [10.0, 2.0], [0.0, 2.0], [10.0, 0.0], [10.0, 1.0]], device=device)
    found = kmeans(points, 2, init=init, restarts=4)
    left = int(found.assignment[0])
    assert found.assignment.tolist() == [left, 1 - left, left, 1 - left, 1 - left]
    assert found.centroids[[left, 1 - left]].tolist() == [[0, 1], [10, 1]]
    assert found.distance_sum[[left, 1 - left]].tolist() == [2, 2] and found.count[[left, 1 - left]].tolist() == [2, 3]
    assert found.objective == 4


@pytest.mark.parametrize("points, k", [(blobs(), 20), (torch.rand(3000, 8, generator=torch.Generator().manual_seed(1)), 50)],
                         ids=["blobs", "uniform"])
@pytest.mark.parametrize("init", ["kmeans++", "random"])
def test_objective_is_scikit_learns(points, k, init):
    """Random starts on blobs land in local minima, on either side as it falls: there more of them are needed."""
    from sklearn.cluster import KMeans  # not at the top: the ranks of the last test import this file

    starts = 40 if init == "random" and k == 20 else 5
    reference = KMeans(k, init=init.replace("kmeans", "k-means"), n_init=starts, max_iter=50, tol=0, random_state=0).fit(points.numpy())
    found = kmeans(points, k, init=init, restarts=starts, iterations=50, tolerance=0)
    check_against_float64(points, found)
    assert found.objective <= 1.01 * reference.inertia_


def test_an_iteration_moves_centroids_to_the_means_of_their_members():
    points = draw((400, 5))
    for iterations in range(1, 6):
        before, after = (kmeans(points, 7, iterations=i, tolerance=0) for i in (iterations, iterations + 1))
        torch.testing.assert_close(after.centroids.double(), means(points, before.assignment, 7), rtol=1e-6, atol=1e-6)
        assert after.objective < before.objective and after.iterations == iterations + 1
        check_against_float64(points, after)


def test_it_ends_where_nothing_moves_and_sooner_by_tolerance():
    points = blobs(300, 6)
    settled = kmeans(points, 6, iterations=100, tolerance=0)
    assert settled.iterations < 100
    torch.testing.assert_close(settled.centroids.double(), means(points, settled.assignment, 6), rtol=1e-6, atol=1e-6)
    assert kmeans(points, 6, iterations=100, tolerance=0.5, init="random").iterations < \
        kmeans(points, 6, iterations=100, tolerance=0, init="random").iterations


def test_restarts_keep_the_best():
    points = blobs(spread=0.1)
    single = kmeans(points, 20, init="random").objective
    several = [kmeans(points, 20, init="random", restarts=r).objective for r in (1, 3, 9)]
    assert several[0] == single and several == sorted(several, reverse=True) and several[2] < single


def test_seed_alone_decides():
    points = draw((500, 6))
    torch.manual_seed(1)
    first = kmeans(points, 9, seed=5, iterations=2)
    torch.manual_seed(2)
    again = kmeans(points, 9, seed=5, iterations=2)
    assert torch.equal(first.centroids, again.centroids) and torch.equal(first.assignment, again.assignment)
    assert torch.equal(first.distance_sum, again.distance_sum) and first.objective == again.objective
    assert not torch.equal(first.centroids, kmeans(points, 9, seed=6, iterations=2).centroids)


def agree(a, b):
    """Two clusterings that may differ by rounding only."""
    assert torch.equal(a.assignment, b.assignment) and torch.equal(a.count, b.count) and a.iterations == b.iterations
    torch.testing.assert_close(a.centroids, b.centroids, rtol=1e-6, atol=1e-6)
    torch.testing.assert_close(a.distance_sum, b.distance_sum, rtol=1e-6, atol=1e-6)
    assert a.objective == pytest.approx(b.objective, rel=1e-6)


@pytest.mark.parametrize("block", [1, 7, 64, 100])
def test_the_block_does_not_matter(block):
    points = draw((300, 6))
    agree(kmeans(points, 11, block=block), kmeans(points, 11))


@pytest.mark.parametrize("k", [1, 10, 5000, 2**21, 2**27])
@pytest.mark.parametrize("device", ["cpu", "cuda", "xpu"])
def test_memory_of_a_block_is_bounded(k, device):
    rows = rows_per_block(k, 65536, device)
    assert 1 <= rows <= 65536 and (rows == 1 or rows * k <= FLOATS.get(device, 2**20) <= 64 * 2**20)
    assert rows_per_block(k, 5, device) <= 5


def test_points_are_taken_in_blocks():
    points = draw((50, 3)).double()
    shard = _Shard.of(points, None, 8, False)
    taken = list(shard.blocks())
    assert [len(x) for _, x in taken] == [8] * 6 + [2]
    torch.testing.assert_close(torch.cat([x for _, x in taken]) + shard.shift, points.float())


def test_sums_on_the_grid_are_exact_in_any_order():
    for largest, n in ((1.0, 100_000), (3e9, 1000), (1e-12, 1), (2.0**-60, 5)):
        step = grid_step(largest, n)
        assert math.log2(step).is_integer() and 2**51 <= n * largest / step <= 2**52  # and no coarser than need be
    assert 0 < grid_step(0.0, 5) < 1e-30
    values = draw(100_000)
    step = grid_step(float(values.abs().max()), len(values))
    snapped = (values / step).round().double()
    total = snapped.sum()
    assert float((snapped * step - values).abs().max()) <= step / 2
    assert float(total) * step == pytest.approx(math.fsum(values.tolist()), abs=1e-4)
    for seed in range(3):
        order = torch.randperm(len(values), generator=torch.Generator().manual_seed(seed))
        assert torch.zeros(1, dtype=torch.float64).index_add_(0, torch.zeros_like(order), snapped[order]) == total


def test_points_go_by_their_number():
    points = draw((200, 4))
    names = torch.arange(200) * 3 + 17
    order = torch.randperm(200, generator=torch.Generator().manual_seed(0))
    for init in ("kmeans++", "random"):
        plain = kmeans(points, 8, init=init)
        agree(plain, kmeans(points, 8, init=init, index=names))
        moved = kmeans(points[order], 8, init=init, index=names[order])
        agree(plain._replace(assignment=plain.assignment[order]), moved)


def test_plus_plus_against_the_definition():
    points, draws = draw((60, 3)), torch.rand(10, 4, generator=torch.Generator().manual_seed(1), dtype=torch.float64)
    x = points.double().numpy()
    chosen = [int(draws[0, 0] * 60)]
    nearest = ((x - x[chosen[0]]) ** 2).sum(1)
    for row in draws[1:].numpy():
        limits = np.cumsum(nearest) / nearest.sum()
        candidates = [int((limits <= u).sum()) for u in row]
        trials = [np.minimum(nearest, ((x - x[c]) ** 2).sum(1)) for c in candidates]
        best = int(np.argmin([trial.sum() for trial in trials]))
        chosen.append(candidates[best])
        nearest = trials[best]
    assert plus_plus(points, draws).tolist() == chosen


def test_plus_plus_chooses_no_point_twice_while_others_are_left():
    points = torch.cat([draw((12, 4)) + 50] * 5)
    draws = torch.rand(14, 3, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    chosen = plus_plus(points - points.mean(0), draws) % 12
    assert sorted(chosen[:12].tolist()) == list(range(12)) and all(0 <= c < 12 for c in chosen.tolist())


@pytest.mark.parametrize("spherical", [False, True])
def test_empty_clusters_move_to_the_farthest_points(spherical):
    """Sixty points in one place: nearly every random start has several centroids there, of which all but one are empty."""
    apart = torch.tensor([[0.0, 1.0], [-1.0, 0.0], [0.0, -1.0], [0.6, -0.8]])
    points = torch.cat([torch.tensor([[1.0, 0.0]]).expand(60, 2), apart])
    for seed in range(5):
        once = kmeans(points, 3, init="random", seed=seed, iterations=1, spherical=spherical)
        assert (once.count > 0).all()
        found = kmeans(points, 5, init="random", seed=seed, spherical=spherical)
        assert found.objective < 1e-12 and sorted(found.count.tolist()) == [1, 1, 1, 1, 60] and found.distance_sum.max() < 1e-6


def test_the_farthest_point_is_taken_first():
    """Both centroids start in the crowd at 0: the empty one goes to 7, the farthest from the crowd's point, at once."""
    points = torch.tensor([[0.0]] * 50 + [[7.0], [6.9], [-3.0]])
    starts = [kmeans(points, 2, init="random", seed=seed, iterations=1) for seed in range(20)]
    crowd = [found for found in starts if 7.0 in found.centroids]
    assert len(crowd) >= 10
    for found in crowd:
        other = found.centroids[found.centroids != 7.0]
        assert float(other) == pytest.approx((7 + 6.9 - 3) / 53)  # the mean of its members before


@pytest.mark.parametrize("spherical", [False, True])
@pytest.mark.parametrize("init", ["kmeans++", "random"])
def test_fewer_places_than_clusters(init, spherical):
    places = torch.tensor([[1.0, 0.0, 0.0], [0.0, 1.0, 0.0], [0.0, 0.6, 0.8]])
    points = places.repeat(10, 1)
    found = kmeans(points, 5, init=init, spherical=spherical)
    assert found.objective < 1e-12 and sorted(found.count.tolist()) == [0, 0, 10, 10, 10] and found.iterations < 20
    assert torch.cdist(found.centroids, places).min(1).values.max() < 1e-6  # an empty one keeps its place, at one of the points
    same = kmeans(places[:1].expand(6, 3), 4, init=init, spherical=spherical)
    assert sorted(same.count.tolist()) == [0, 0, 0, 6] and same.centroids.isfinite().all()


@pytest.mark.parametrize("init", ["kmeans++", "random"])
def test_as_many_clusters_as_points(init):
    points = draw((40, 7))
    found = kmeans(points, 40, init=init)
    assert found.count.tolist() == [1] * 40 and found.objective == 0 and (found.distance_sum == 0).all()
    assert torch.equal(found.centroids[found.assignment], points) or (found.centroids[found.assignment] - points).abs().max() < 1e-6


def test_one_cluster_is_the_mean():
    points = draw((100, 7)) + 5
    found = kmeans(points, 1)
    torch.testing.assert_close(found.centroids[0].double(), points.double().mean(0), rtol=1e-6, atol=1e-6)
    check_against_float64(points, found)
    assert kmeans(points[:1], 1).objective == 0


def test_spherical():
    points = blobs(600, 12) * torch.linspace(0.1, 5, 600)[:, None]
    found = kmeans(points, 12, spherical=True, iterations=60, tolerance=0)
    check_against_float64(points, found, spherical=True)
    torch.testing.assert_close(found.centroids.norm(dim=1), torch.ones(12))
    unit = torch.nn.functional.normalize(points, dim=1)
    torch.testing.assert_close(found.centroids.double(), torch.nn.functional.normalize(means(unit, found.assignment, 12), dim=1),
                               rtol=1e-5, atol=1e-6)
    agree(found, kmeans(unit * 3, 12, spherical=True, iterations=60, tolerance=0))


def test_directions_that_cancel_have_no_mean():
    points = torch.tensor([[1.0, 0.0], [-1.0, 0.0]])
    found = kmeans(points, 1, spherical=True)
    assert found.centroids[0].tolist() in points.tolist() and found.objective == 4 and found.distance_sum.tolist() == [2]


def test_a_common_offset_costs_no_digits():
    points = (draw((400, 6)) * 64).round() / 64  # exact in float32 also far from 0
    here, far = kmeans(points, 9), kmeans(points + 4096, 9)
    agree(here._replace(centroids=far.centroids), far)
    torch.testing.assert_close(far.centroids - 4096, here.centroids, rtol=0, atol=5e-4)


def test_number_formats():
    points = draw((300, 6)).bfloat16()
    expected = kmeans(points.float(), 5)
    agree(kmeans(points, 5), expected)
    agree(kmeans(points.double(), 5), expected)
    with torch.autocast("cpu", torch.bfloat16):
        agree(kmeans(points.float(), 5), expected)
    agree(kmeans(points.float().requires_grad_(), 5), expected)
    agree(kmeans(points.float().T.contiguous().T, 5), expected)  # another layout in memory


@pytest.mark.parametrize("value", [math.nan, math.inf, -math.inf, 1e20])
def test_points_without_a_place_are_refused(value):
    points = draw((20, 3))
    points[[3, 11], 1] = value
    with pytest.raises(InputError, match="2 of 20 points"):
        kmeans(points, 2)


def test_bad_requests_are_refused():
    points = draw((20, 3))
    with pytest.raises(InputError, match="k = 21 clusters are more than there are points, 20"):
        kmeans(points, 21)
    with pytest.raises(InputError, match="k = 1 "):
        kmeans(points[:0], 1)
    with pytest.raises(InputError, match="direction"):
        kmeans(torch.cat([points, torch.zeros(1, 3)]), 2, spherical=True)
    for index in (torch.zeros(20, dtype=torch.int64), torch.arange(19)):
        with pytest.raises(InputError, match="number"):
            kmeans(points, 2, index=index)
    for options in ({"k": 0}, {"k": 2, "iterations": 0}, {"k": 2, "restarts": 0}, {"k": 2, "block": 0}, {"k": 2, "init": "best"}):
        with pytest.raises(InputError, match="k-means takes"):
            kmeans(points, **options)
    with pytest.raises(InputError, match="k-means takes"):
        kmeans(points[0], 1)


CROWD = torch.cat([torch.zeros(60, 3), torch.eye(3), -torch.eye(3)])  # random starts leave clusters empty
CASES = {"uneven": (blobs(500, 8), 8, {}, lambda n, rank: slice(0, 137) if rank == 0 else slice(137, n)),
         "one has none": (blobs(300, 8), 5, {"init": "random"}, lambda n, rank: slice(0, n) if rank == 1 else slice(0, 0)),
         "in turn": (draw((301, 6)), 9, {"index": torch.arange(301), "restarts": 2}, lambda n, rank: slice(rank, n, 2)),
         "spherical": (draw((300, 6)), 7, {"spherical": True, "block": 50}, lambda n, rank: slice(0, 200) if rank == 0 else slice(200, n)),
         "empty clusters": (CROWD, 7, {"init": "random"}, lambda n, rank: slice(0, 63) if rank == 0 else slice(63, n)),
         "one each": (draw((30, 4)), 30, {"init": "random"}, lambda n, rank: slice(0, 10) if rank == 0 else slice(10, n))}


def shard_of(name, rank):
    points, k, options, rows = CASES[name]
    rows = rows(len(points), rank)
    return points[rows], k, {key: value[rows] if key == "index" else value for key, value in options.items()}


def worker(rank, folder):
    dist.init_process_group("gloo", init_method=f"file://{folder}/rendezvous", rank=rank, world_size=2, timeout=timedelta(seconds=60))
    found = {}
    for name in CASES:
        points, k, options = shard_of(name, rank)
        found[name] = tuple(kmeans(points, k, **options))
    broken = draw((10, 3))
    if rank == 1:
        broken[4] = math.nan
    errors = []
    for points, k in ((broken, 3), (draw((4, 3)), 9)):
        with pytest.raises(InputError) as caught:  # on both ranks: else one would wait for the other
            kmeans(points, k)
        errors.append(str(caught.value))
    torch.save({"found": found, "errors": errors}, f"{folder}/{rank}.pt")
    dist.destroy_process_group()


def test_two_ranks_equal_one(tmp_path):
    mp.spawn(worker, (str(tmp_path),), nprocs=2)
    ranks = [torch.load(tmp_path / f"{rank}.pt") for rank in range(2)]
    for name, (points, k, options, rows) in CASES.items():
        expected = kmeans(points, k, **options)
        first, second = (type(expected)(*rank["found"][name]) for rank in ranks)
        assert torch.equal(first.centroids, second.centroids) and torch.equal(first.distance_sum, second.distance_sum), name
        assert first.objective == second.objective and torch.equal(first.count, second.count), name
        assignment = torch.full((len(points),), -1)
        for rank, found in enumerate((first, second)):
            assignment[rows(len(points), rank)] = found.assignment
        agree(expected, first._replace(assignment=assignment))
    assert ranks[0]["errors"] == ranks[1]["errors"]
    assert "1 of 20 points" in ranks[0]["errors"][0] and "k = 9 clusters are more than there are points, 8" in ranks[0]["errors"][1]
