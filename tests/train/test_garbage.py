"""The garbage collector by hand: circles are collected when their step comes, and not before; a training leaves it as it was."""
import gc
import weakref

import pytest
import torch
from tones import tiny

from sslspk.train import garbage, loop
from sslspk.train.job import prepare


class Circle:
    def __init__(self):
        self.itself, self.tensor = self, torch.ones(3)


def test_circles_are_collected_every_so_many_steps():
    with garbage.by_hand():
        assert not gc.isenabled()
        circle = weakref.ref(Circle())
        garbage.collect(garbage.EVERY + 1)
        assert circle() is not None
        garbage.collect(2 * garbage.EVERY)
        assert circle() is None
    assert gc.isenabled() and not gc.get_freeze_count()


def test_the_collector_is_as_before_when_something_fails():
    with pytest.raises(KeyError), garbage.by_hand():
        raise KeyError
    assert gc.isenabled()


def test_steps_leave_hardly_a_circle(data, tmp_path):
    """Of 40 steps without a collection: fewer than one object a step, so that memory does not grow between two collections."""
    job, found = prepare(tiny(**{"train.steps": 40, "train.log_every": 100, "train.save_every": 100}), data, tmp_path / "exp",
                         torch.device("cpu"), print), []
    job.method.register_forward_pre_hook(lambda method, args: found.append(gc.collect() if args[1].step == 39 else 0))
    assert loop.train(job) == 0 and gc.isenabled()
    assert len(found) == 40 and found[-1] < 40
