"""Drawing substitutes of positives from a queue, against loops over anchors and entries."""
import random

import pytest
import torch

from sslspk.nn.substitutes import draw


def slow(wanted, unit, group_of, unit_of, uniform):
    """Of each anchor the entry: those of its group that are of another recording, ordered by recording and age, at its random place."""
    for group, own, u in zip(wanted, unit, uniform, strict=True):
        fit = [i for i in range(len(group_of)) if group >= 0 and unit_of[i] >= 0 and group_of[i] == group and unit_of[i] != own]
        fit.sort(key=lambda i: (unit_of[i], i))
        yield fit[int(u * len(fit))] if fit else None


@pytest.mark.parametrize("seed", range(20))
def test_entries_are_those_of_a_loop(seed):
    rng = random.Random(seed)
    entries, anchors, units, groups = rng.randint(1, 40), 30, rng.randint(1, 12), rng.randint(1, 5)
    unit_of = [rng.randint(-1, units - 1) for _ in range(entries)]
    group_of = [rng.randint(-1, groups - 1) for _ in range(entries)]
    wanted = [rng.randint(-1, groups - 1) for _ in range(anchors)]
    unit = [rng.randint(0, units - 1) for _ in range(anchors)]
    uniform = [rng.choice((rng.random(), 0.0, 1 - 2.0 ** -53)) for _ in range(anchors)]
    entry, found = draw(*map(torch.tensor, (wanted, unit, group_of, unit_of)), torch.tensor(uniform, dtype=torch.float64), units)
    expected = [*slow(wanted, unit, group_of, unit_of, uniform)]
    assert [e if f else None for e, f in zip(entry.tolist(), found.tolist(), strict=True)] == expected


def test_all_others_of_the_group_are_equally_likely():
    """Recording 4 has entries 0, 2 and 5 in the group, which are no substitutes of its own; the others come equally often."""
    group_of, unit_of = torch.tensor([1, 1, 1, 0, 1, 1, 1]), torch.tensor([4, 7, 4, 2, 3, 4, 9])
    n = 3000
    entry, found = draw(torch.ones(n, dtype=torch.int64), torch.full((n,), 4), group_of, unit_of,
                        torch.arange(n, dtype=torch.float64) / n, 10)
    assert found.all() and torch.bincount(entry, minlength=7).tolist() == [0, n / 3, 0, 0, n / 3, 0, n / 3]
