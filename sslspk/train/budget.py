"""A training that ends when its CPU time is used up (train.cpu_minutes): how many steps fit.

Schedules need the number of the last step. So the number of steps that fit is estimated at each logged step from the speed of this start.
Schedules then follow the share of the time that is used, and end at their final values.
"""
import contextlib
from collections.abc import Callable

import torch

from sslspk.nn import comm
from sslspk.train import cpu_time
from sslspk.train.config import TrainConfig


class Budget:
    """`minutes` of CPU time of rank 0, over all starts. device: over which ranks exchange tensors; clock: seconds of this start."""

    def __init__(self, minutes: float, device: torch.device, clock: Callable[[], float] = cpu_time.used):
        self.seconds, self.before, self.device, self.clock = 60 * minutes, 0.0, device, clock
        self.begun = (0.0, 0)

    def used(self) -> float:
        """Seconds that led to the present weights: of this start (imports and preparation among them), and `before` it. Of rank 0."""
        return self.before + self.clock()

    def begin(self, step: int) -> None:
        """The steps of this start begin with `step`."""
        self.begun = (self._agreed(), step)

    def steps(self, step: int) -> int:
        """How many steps fit in all, when `step` of them are done: `step` where no whole one fits any more (all ranks must call it)."""
        used, (begin, first) = self._agreed(), self.begun
        pace = max(used - begin, 1e-6) / (step - first)
        return step + int(max(self.seconds - used, 0.0) / pace)

    @contextlib.contextmanager
    def paused(self):
        """CPU time used inside does not count: for work that changes no weight."""
        began = self.clock()
        yield
        self.before -= self.clock() - began

    def _agreed(self) -> float:
        """What rank 0 used, the same number on all ranks."""
        return float(comm.from_first_rank(torch.tensor(self.used(), dtype=torch.float64, device=self.device)))


def of(config: TrainConfig, device: torch.device) -> Budget | None:
    """The budget of a training; None if it has no CPU-time limit."""
    return Budget(config.cpu_minutes, device) if config.cpu_minutes else None
