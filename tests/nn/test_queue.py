"""MoCo's ring buffer against a list from whose front the oldest keys fall."""
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch.nn import functional as F

from sslspk.nn.queue import KeyQueue


def keys(n, seed, dim=3):
    return F.normalize(torch.randn(n, dim, generator=torch.Generator().manual_seed(seed)))


def ids(first, n):
    unit = torch.arange(first, first + n)
    return unit, unit + 1000, unit + 2000


@settings(max_examples=40, deadline=None)
@given(st.integers(1, 9), st.lists(st.integers(1, 12), min_size=1, max_size=8))
def test_holds_the_last_keys_in_whatever_portions_they_come(size, portions):
    queue, seen = KeyQueue(size, 3), []
    for step, n in enumerate(portions):
        new, first = keys(n, step), len(seen)
        queue.push(new, *ids(first, n), step)
        seen += [(first + i, step, new[i]) for i in range(n)]
    held = sorted((u, s, tuple(k)) for u, s, k in zip(queue.unit.tolist(), queue.step.tolist(), queue.keys.tolist(), strict=True) if u >= 0)
    assert held == [(u, s, tuple(k.tolist())) for u, s, k in seen[-size:]]
    assert all(k == u + 1000 for u, k in zip(queue.unit.tolist(), queue.known.tolist(), strict=True) if u >= 0)
    assert all(w == u + 2000 for u, w in zip(queue.unit.tolist(), queue.watched.tolist(), strict=True) if u >= 0)


def test_the_place_of_a_key_depends_on_its_number_alone():
    """Portions of another size (another batch, other ranks) leave the same array."""
    whole, parts, new = KeyQueue(7, 3), KeyQueue(7, 3), keys(10, 0)
    whole.push(new, *ids(0, 10), 0)
    for first in range(0, 10, 2):
        parts.push(new[first:first + 2], *ids(first, 2), 0)
    assert torch.equal(whole.keys, parts.keys) and torch.equal(whole.unit, parts.unit)


def test_starts_with_random_directions_and_no_one():
    torch.manual_seed(0)
    queue = KeyQueue(50, 16)
    assert torch.allclose(queue.keys.norm(dim=1), torch.ones(50)) and (queue.unit == -1).all()
    assert queue.keys.mean(0).norm() < 0.5


def test_goes_on_where_it_was_saved():
    a, b = KeyQueue(5, 3), KeyQueue(5, 3)
    a.push(keys(3, 0), *ids(0, 3), 0)
    b.load_state_dict(a.state_dict())
    for queue in (a, b):
        queue.push(keys(4, 1), *ids(3, 4), 1)
    assert torch.equal(a.keys, b.keys) and torch.equal(a.step, b.step) and a.position == b.position == 2


def test_age_by_hand():
    queue = KeyQueue(4, 3)
    queue.push(keys(3, 0), *ids(0, 3), 2)
    assert queue.age(10).item() == pytest.approx((3 * 8 + 10) / 4)
