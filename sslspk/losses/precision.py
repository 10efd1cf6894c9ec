"""What number format a loss is computed in."""
import torch
from torch import Tensor


def wide(x: Tensor) -> Tensor:
    """x in float32, or in float64 where it comes so: a half-precision logit divided by 0.07 would be too coarse."""
    return x.to(torch.promote_types(x.dtype, torch.float32))


def dots(a: Tensor, b: Tensor) -> Tensor:
    """The products of all pairs of rows of a (N, D) and b (M, D), as `wide` says, under autocast too: (N, M)."""
    with torch.autocast(a.device.type, enabled=False):
        return wide(a) @ wide(b).T
