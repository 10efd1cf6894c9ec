"""BatchNorm in training, for one rank: torch's forward pass on a CPU costs 2.5 times as much as ours; gradients are torch's own.

Channels are taken in blocks that fit a core's caches. Letters: B recordings, C channels, N values of a channel (frames, or bands x frames).
"""
import torch
from torch import Tensor
from torch.autograd.function import once_differentiable
from torch.nn import functional as F

from sslspk.nn.moments import eager_cpu

BLOCK = 1 << 20   # values: four megabytes in float32
LEAST = 16        # below so many values for each recording and channel torch's code is faster


def batch_norm(x: Tensor, running_mean: Tensor | None, running_var: Tensor | None, weight: Tensor | None, bias: Tensor | None,
               momentum: float, eps: float) -> Tensor:
    """F.batch_norm in training: normalises (B, C, ...) by the batch's own moments, and moves the running statistics in place.

    Where blocks are taken it has no second derivative.
    """
    ours = eager_cpu(x) and x.dtype in (torch.float32, torch.float64) and x.is_contiguous() and x.ndim > 2 and x.numel() > 0
    if not ours or x.shape[2:].numel() < LEAST:
        return F.batch_norm(x, running_mean, running_var, weight, bias, True, momentum, eps)
    y, mean, var = _InBlocks.apply(x, weight, bias, eps)
    move(running_mean, running_var, mean, var, x.numel() // x.shape[1], momentum)
    return y


def move(running_mean: Tensor | None, running_var: Tensor | None, mean: Tensor, var: Tensor, count: int | Tensor, momentum: float) -> None:
    """Move the running statistics, if there are any, towards mean and biased variance of `count` values, in place."""
    if running_mean is not None:
        running_mean.lerp_(mean, momentum)
        running_var.lerp_(var * (count / (count - 1)), momentum)   # torch keeps the unbiased estimate


class _InBlocks(torch.autograd.Function):
    @staticmethod
    def forward(ctx, x: Tensor, weight: Tensor | None, bias: Tensor | None, eps: float) -> tuple[Tensor, Tensor, Tensor]:
        maps, y = x.flatten(2), torch.empty_like(x)
        mean, var, scale = (x.new_empty(x.shape[1]) for _ in range(3))
        out, count = y.flatten(2), x.numel() // x.shape[1]
        step = max(1, BLOCK * x.shape[1] // x.numel())
        for first in range(0, x.shape[1], step):
            part = slice(first, first + step)
            middle = maps[:, part].mean(-1).mean(0)
            centred = maps[:, part] - middle[:, None]
            spread = torch.linalg.vector_norm(centred, dim=-1).square_().sum(0).div_(count)
            mean[part], var[part], scale[part] = middle, spread, torch.rsqrt(spread + eps)
            gain = scale[part] if weight is None else scale[part] * weight[part]
            if bias is None:
                torch.mul(centred, gain[:, None], out=out[:, part])
            else:
                torch.add(centred.mul_(gain[:, None]), bias[part, None], out=out[:, part])
        ctx.save_for_backward(x, weight, mean, scale)
        ctx.eps = eps
        ctx.mark_non_differentiable(mean, var)
        return y, mean, var

    @staticmethod
    @once_differentiable
    def backward(ctx, grad: Tensor, *_) -> tuple[Tensor | None, ...]:
        x, weight, mean, scale = ctx.saved_tensors
        need = list(ctx.needs_input_grad[:3])
        return *torch.ops.aten.native_batch_norm_backward(grad, x, weight, None, None, mean, scale, True, ctx.eps, need), None
