"""A training in float64, where what two ways of computing a step round apart stays far below what a wrong step would differ by."""
import contextlib
from collections.abc import Iterator

import torch

from sslspk.features.targets import Target
from sslspk.train.frontend import FrontEnd


@contextlib.contextmanager
def precision() -> Iterator[None]:
    """Trainings prepared inside have weights and encoder inputs in float64; features and targets are computed in float32, as always."""
    forward, whole, target = FrontEnd.forward, FrontEnd.whole, Target.forward
    FrontEnd.forward = lambda self, crop: forward(self, crop).double()
    FrontEnd.whole = lambda self, wave: whole(self, wave).double()
    Target.forward = lambda self, wave: target(self, wave).double()
    torch.set_default_dtype(torch.float64)
    try:
        yield
    finally:
        torch.set_default_dtype(torch.float32)
        FrontEnd.forward, FrontEnd.whole, Target.forward = forward, whole, target
