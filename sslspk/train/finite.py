"""A loss that is not finite ends a training before anything of it reaches the disk.

On a CPU the loss is looked at before the weights move. On a GPU the host would have to wait for it in each step; it looks one step later,
when the number has long come. The weights in memory are spoilt by then, but nothing is made of them, neither a checkpoint nor a
validation, and the same command goes on from the last checkpoint.
"""
import math
from typing import TYPE_CHECKING, NamedTuple

import torch

from sslspk.errors import InputError, shown

if TYPE_CHECKING:
    from sslspk.train.job import Job


class Unread(NamedTuple):
    """A loss that nobody has looked at: on the host once `event` has come (None: now), of these recordings in this step."""

    loss: torch.Tensor
    event: torch.cuda.Event | None
    step: int
    units: torch.Tensor


def note(job: "Job", loss: torch.Tensor, units: torch.Tensor) -> None:
    """Start copying the loss of a batch, (), to the host. units: int (B,), on the host, its recordings."""
    job.unread.append(Unread(*_to_host(loss.detach()), job.step, units))


def check(job: "Job") -> None:
    """Look at every loss of the steps before job.step, and at those of this step that are on the host. Raises InputError."""
    while job.unread and (job.unread[0].event is None or job.unread[0].step < job.step):
        loss, event, step, units = job.unread.popleft()
        if event is not None:
            event.synchronize()
        if not math.isfinite(float(loss)):
            index = job.dataset.index
            names = [shown(index.keys[int(index.unit(unit)[0])]) for unit in units.tolist()[:3]]
            raise InputError(f"{job.exp}: the loss is {float(loss)} at step {step} ({', '.join(names)}, ...); lower train.lr, set "
                             "train.clip_norm, or check these utterances.")


def _to_host(loss: torch.Tensor) -> tuple[torch.Tensor, torch.cuda.Event | None]:
    if not loss.is_cuda:
        return loss, None
    copy = torch.empty((), dtype=loss.dtype, pin_memory=True).copy_(loss, non_blocking=True)
    event = torch.cuda.Event()
    event.record()
    return copy, event
