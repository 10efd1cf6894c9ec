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


def unit_rows(weight: Tensor) -> Tensor:
    """The rows of a parameter (K, D) brought to length 1, in float32. No row may be 0.

    One pass forwards and one backwards; F.normalize makes several, which at K = 65536 cost more than the product with the batch.
    """
    weight = wide(weight)
    return torch._weight_norm(weight, weight.new_ones(len(weight), 1), 0)
