"""Gradient reversal: the encoder is trained to increase the loss that the adversary above it decreases."""
import torch
from torch import Tensor


def reverse_gradient(x: Tensor, weight: float) -> Tensor:
    """x itself; its gradient comes back times -weight (Ganin & Lempitsky 2015; Huh et al. 2020)."""
    return _Reverse.apply(x, weight)


class _Reverse(torch.autograd.Function):
    @staticmethod
    def forward(ctx, x: Tensor, weight: float) -> Tensor:
        ctx.weight = weight
        return x.view_as(x)

    @staticmethod
    def backward(ctx, grad: Tensor) -> tuple[Tensor, None]:
        return grad * -ctx.weight, None
