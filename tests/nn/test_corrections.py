"""Room for corrected labels, against a loop that admits one recording after the other."""
import pytest
import torch

from sslspk.nn.corrections import Corrections


def slowly(own, given, growth, units, classes, wanted):
    """The same, one recording of the batch after the other; `given` is changed."""
    for unit in units:
        given.pop(unit, None)
    admitted = []
    for unit, wish, wants in zip(units, classes, wanted, strict=True):
        room = growth * sum(label == wish for label in own.values()) - sum(label == wish for label in given.values())
        admitted.append(wants and room > 0)
        if admitted[-1]:
            given[unit] = wish
    return admitted


@pytest.mark.parametrize("growth", [0.3, 1.0, 2.5])
def test_against_one_after_the_other(growth):
    generator = torch.Generator().manual_seed(0)
    labels = torch.randint(4, (30,), generator=generator)
    found, given = Corrections(30, 4, growth), {}
    for first in (0, 15):
        found.see(torch.arange(first, first + 15), labels[first:first + 15])
    own = dict(enumerate(labels.tolist()))
    for _ in range(40):
        units = torch.randperm(30, generator=generator)[:10]
        classes = torch.randint(2, (10,), generator=generator)   # the other two are wanted by none
        wanted = torch.rand(10, generator=generator) < 0.8
        admitted = found.admit(units, classes, wanted)
        assert admitted.tolist() == slowly(own, given, growth, units.tolist(), classes.tolist(), wanted.tolist())
        assert {unit: label for unit, label in enumerate(found.given.tolist()) if label >= 0} == given
    assert not found.admit(torch.arange(5), torch.zeros(5, dtype=torch.int64), torch.zeros(5, dtype=torch.bool)).any()


def test_a_label_that_nobody_was_seen_with_takes_none():
    found = Corrections(6, 3, 5.0)
    found.see(torch.arange(3), torch.tensor([0, 0, 1]))
    assert found.admit(torch.tensor([3, 4]), torch.tensor([2, 1]), torch.tensor([True, True])).tolist() == [False, True]
