"""What number format a loss is computed in."""
import torch
from torch import Tensor


def wide(x: Tensor) -> Tensor:
    """x in float32, or in float64 where it comes so: a half-precision logit divided by 0.07 would be too coarse."""
    return x.to(torch.promote_types(x.dtype, torch.float32))
