"""A step whose FLOPs are counted for the log is the step that it would have been, in every method."""
import pytest
import torch
from test_method_contract import METHODS, batch, embed_all, make
from torch.utils.flop_counter import FlopCounterMode

from sslspk.methods.base import Progress
from sslspk.train import speed


@pytest.mark.parametrize("name", METHODS)
def test_a_counted_step_is_the_same_step(name):
    """Loss and gradients to the bit; the count is that of torch's counter."""
    found = []
    for counter in (None, speed.Flops(), FlopCounterMode(display=False)):
        method = make(name)
        method.before_epoch(embed_all, Progress(0, 10, 2))
        torch.manual_seed(0)
        if counter is not None:
            counter.__enter__()
        loss = method(batch(method, 0), Progress(0, 10, 2, log=True))["loss"]
        loss.backward()
        if counter is not None:
            counter.__exit__(None, None, None)
        found.append(([loss.detach(), *(p.grad for p in method.parameters() if p.grad is not None)], counter))
    (plain, _), (counted, ours), (_, theirs) = found
    assert all(torch.equal(a, b) for a, b in zip(plain, counted, strict=True))
    assert ours.total >= theirs.get_total_flops() > 0   # which knows no attention of a CPU
