"""The number of clusters by the spectrum of the affinity: planted clusters, graphs worked by hand, and degenerate input."""
import math

import pytest
import torch

from sslspk.errors import InputError
from sslspk.nn.spectrum import affinity, count_clusters, laplacian


def blobs(k, each, noise, seed, dim=64):
    """Directions of k speakers, `each` recordings of each in random order, noise of length about `noise` beside each of length 1."""
    generator = torch.Generator().manual_seed(seed)
    centres = torch.nn.functional.normalize(torch.randn(k, dim, generator=generator), dim=1)
    label = torch.arange(k).repeat(each)[torch.randperm(k * each, generator=generator)]
    x = centres[label] + noise * torch.randn(k * each, dim, generator=generator) / dim**0.5
    return torch.nn.functional.normalize(x, dim=1)


@pytest.mark.parametrize("noise", [0.3, 1.0, 1.3])
@pytest.mark.parametrize("k", [1, 2, 5, 12, 30])
def test_planted_clusters_are_counted(k, noise):
    for seed in range(3):
        assert count_clusters(blobs(k, 25, noise, seed), maximum=100) == k


def test_clusters_of_unequal_size_are_counted():
    x = blobs(5, 100, 0.6, 4)
    own = (x @ x[:1].T)[:, 0] > 0.4  # one of the five: of it only a few stay
    few = own.nonzero()[:, 0]
    assert 90 < len(few) < 110
    keep = torch.ones(len(x), dtype=torch.bool)
    keep[few[12:]] = False
    assert count_clusters(x[keep]) == 5


def test_neither_order_nor_length_matters():
    x = blobs(7, 20, 0.8, 1)
    order = torch.randperm(len(x), generator=torch.Generator().manual_seed(0))
    assert count_clusters(x[order] * torch.linspace(0.1, 9, len(x))[:, None]) == 7


def test_bounds_hold():
    x = blobs(12, 20, 0.5, 2)
    assert count_clusters(x, maximum=12) == count_clusters(x, minimum=12) == 12
    assert count_clusters(x, maximum=8) <= 8 and count_clusters(x, minimum=20) >= 20
    assert count_clusters(x, minimum=9, maximum=9) == 9
    assert count_clusters(x[:3], minimum=5, maximum=9) == 3


def test_degenerate_points():
    one = torch.tensor([[0.6, 0.8]])
    assert count_clusters(one) == count_clusters(one.expand(2, 2)) == count_clusters(one.expand(50, 2)) == 1
    assert count_clusters(torch.cat([one, -one])) == 2
    assert count_clusters(torch.cat([one.expand(20, 2), -one.expand(30, 2)])) == 2
    rotation = torch.linalg.qr(torch.randn(9, 9, generator=torch.Generator().manual_seed(0)))[0]
    assert count_clusters(rotation) == 9  # nothing in common but rounding
    assert count_clusters(torch.zeros(4, 3)) == 4


def test_affinity_by_hand():
    angles = torch.tensor([0.0, 10.0, 30.0, 100.0]) * math.pi / 180
    x = torch.stack([angles.cos(), angles.sin()], 1)
    a, b, c = (math.cos(math.radians(t)) for t in (10, 20, 70))
    # the nearest of 0 is 10, of 10 is 0, of 30 is 10, of 100 is 30
    expected = torch.tensor([[0, a, 0, 0], [a, 0, b / 2, 0], [0, b / 2, 0, c / 2], [0, 0, c / 2, 0]], dtype=torch.float64)
    torch.testing.assert_close(affinity(x, 1), expected, rtol=1e-6, atol=1e-6)
    # two neighbours: 100 is near 30 and not near 10 (its cosine is 0), 0 and 30 find each other
    d = math.cos(math.radians(30))
    expected = torch.tensor([[0, a, d, 0], [a, 0, b, 0], [d, b, 0, c / 2], [0, 0, c / 2, 0]], dtype=torch.float64)
    torch.testing.assert_close(affinity(x, 2), expected, rtol=1e-6, atol=1e-6)


def test_laplacian_by_hand():
    path = torch.tensor([[0, 1, 0, 0], [1, 0, 1, 0], [0, 1, 0, 0], [0, 0, 0, 0]], dtype=torch.float64)
    h = 0.5**0.5
    expected = torch.tensor([[1, -h, 0, 0], [-h, 1, -h, 0], [0, -h, 1, 0], [0, 0, 0, 0]], dtype=torch.float64)
    torch.testing.assert_close(laplacian(path), expected)
    # a path of three has eigenvalues 0, 1, 2; the lone point adds a 0
    torch.testing.assert_close(torch.linalg.eigvalsh(laplacian(path)), torch.tensor([0, 0, 1, 2.0], dtype=torch.float64))


@pytest.mark.parametrize("shape, options", [((0, 3), {}), ((3,), {}), ((3, 2), {"neighbours": 0}), ((3, 2), {"minimum": 0}),
                                            ((3, 2), {"minimum": 3, "maximum": 2}), ((3, 2), {"maximum": 0})])
def test_impossible_questions_are_refused(shape, options):
    with pytest.raises(InputError, match="minimum"):
        count_clusters(torch.ones(shape), **options)


def test_what_is_not_finite_is_refused():
    with pytest.raises(InputError, match="not finite"):
        count_clusters(torch.tensor([[1.0, 0.0], [math.nan, 0.0]]))
