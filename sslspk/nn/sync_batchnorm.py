"""BatchNorm over the batches of all ranks: on GPUs (nccl) torch's own SyncBatchNorm, which refuses CPU tensors; on CPUs (gloo) ours.

    model = sync_batchnorm.convert(model, device)

In training with several ranks, the mean and variance are those of all ranks' batches together, and gradients flow through them:
two ranks equal one rank with the whole batch. On one rank they are BatchNorm (`batch_norm`), and in evaluation torch's own code.
Ranks may hold batches of different sizes. Names of parameters and buffers do not change.
"""
import torch
from torch import Tensor, nn
from torch import distributed as dist
from torch.autograd.function import once_differentiable

from sslspk.losses.precision import wide
from sslspk.nn import comm
from sslspk.nn.batch_norm import batch_norm, move


class SyncBatchNorm1d(nn.BatchNorm1d):
    def forward(self, x: Tensor) -> Tensor:
        self._check_input_dim(x)
        return _train_forward(self, x) if self.training else super().forward(x)


class SyncBatchNorm2d(nn.BatchNorm2d):
    def forward(self, x: Tensor) -> Tensor:
        self._check_input_dim(x)
        return _train_forward(self, x) if self.training else super().forward(x)


class DeviceSyncBatchNorm(nn.SyncBatchNorm):
    """torch's own layer, which torch.compile must not trace (nor ours): ranks communicate inside it."""

    @torch.compiler.disable
    def forward(self, x: Tensor) -> Tensor:
        return super().forward(x)


SYNCHRONISED = {nn.BatchNorm1d: SyncBatchNorm1d, nn.BatchNorm2d: SyncBatchNorm2d}
ON_DEVICES = dict.fromkeys(SYNCHRONISED, DeviceSyncBatchNorm)


def convert(module: nn.Module, device: torch.device) -> nn.Module:
    """Replace every BatchNorm1d and BatchNorm2d below `module` (in place; parameters and buffers are the same objects).

    Returns the module, or its replacement when it is itself a BatchNorm.
    """
    return replace_norms(module, ON_DEVICES if device.type == "cuda" and comm.world_size() > 1 else SYNCHRONISED)


def replace_norms(module: nn.Module, kinds: dict[type, type]) -> nn.Module:
    """`convert` for any table of layer types and their replacements."""
    done: dict[nn.Module, nn.Module] = {}
    for parent in list(module.modules()):
        for name, child in parent.named_children():
            if type(child) in kinds:
                if child not in done:
                    done[child] = _replacement(child, kinds)
                setattr(parent, name, done[child])
    return _replacement(module, kinds) if type(module) in kinds else module


def _replacement(old: nn.BatchNorm1d | nn.BatchNorm2d, kinds: dict[type, type]) -> nn.Module:
    new = kinds[type(old)](old.num_features, old.eps, old.momentum, old.affine, old.track_running_stats)
    new.weight, new.bias = old.weight, old.bias
    for name, buffer in old.named_buffers():
        setattr(new, name, buffer)
    return new.train(old.training)


def _train_forward(layer: nn.BatchNorm1d | nn.BatchNorm2d, x: Tensor) -> Tensor:
    share = layer.momentum
    if layer.track_running_stats:
        layer.num_batches_tracked.add_(1)
        share = 1.0 / float(layer.num_batches_tracked) if share is None else share
    ranks = _over_ranks if comm.world_size() > 1 else batch_norm
    return ranks(x, layer.running_mean, layer.running_var, layer.weight, layer.bias, share or 0.0, layer.eps)


@torch.compiler.disable
def _over_ranks(x: Tensor, running_mean: Tensor | None, running_var: Tensor | None, weight: Tensor | None, bias: Tensor | None,
                momentum: float, eps: float) -> Tensor:
    """`batch_norm` by the moments of all ranks' batches."""
    y, mean, var, count = _Normalise.apply(x, weight, bias, eps)
    move(running_mean, running_var, mean, var, count, momentum)
    return y


def _moments_of_all_ranks(x: Tensor, dims: list[int]) -> tuple[Tensor, Tensor, Tensor]:
    """Mean (C,), biased variance (C,) and number of values per channel () over all ranks; one exchange.

    Each rank sends its mean and its sum of squared deviations M_r from that mean. They combine without cancellation
    (Chan, Golub and LeVeque 1979): M = sum_r M_r + n_r (mean_r - mean)^2.
    """
    mean = x.mean(dims, keepdim=True)
    squares = (x - mean).square().sum(dims).double()
    count = torch.full_like(squares[:1], x.numel() // x.shape[1])
    mine = torch.cat([mean.flatten().double(), squares, count])
    ranks = [torch.empty_like(mine) for _ in range(comm.world_size())]
    dist.all_gather(ranks, mine)
    means, squares, counts = torch.stack(ranks).split([x.shape[1], x.shape[1], 1], dim=1)
    total = counts.sum()
    mean = (counts * means).sum(0) / total
    var = (squares + counts * (means - mean).square()).sum(0) / total
    return mean.to(x.dtype), var.to(x.dtype), total


class _Normalise(torch.autograd.Function):
    """y = (x - mean) / sqrt(var + eps) * weight + bias over all ranks (Ioffe and Szegedy 2015, algorithm 1 and its gradient)."""

    @staticmethod
    def forward(ctx, x: Tensor, weight: Tensor | None, bias: Tensor | None, eps: float) -> tuple[Tensor, ...]:
        dims = [d for d in range(x.ndim) if d != 1]
        exact = wide(x)
        mean, var, count = _moments_of_all_ranks(exact, dims)
        scale = torch.rsqrt(var + eps)
        ctx.save_for_backward(x, weight, mean, scale, count)
        ctx.dims = dims
        gain = scale if weight is None else scale * weight
        offset = -mean * gain if bias is None else bias - mean * gain
        y = torch.addcmul(_channel(offset, x), exact, _channel(gain, x)).to(x.dtype)
        ctx.mark_non_differentiable(mean, var, count)
        return y, mean, var, count

    @staticmethod
    @once_differentiable
    def backward(ctx, grad_y: Tensor, *_) -> tuple[Tensor | None, ...]:
        x, weight, mean, scale, count = ctx.saved_tensors
        grad, exact = wide(grad_y), wide(x)
        product = (exact - _channel(mean, x)).mul_(grad)
        grad_bias, grad_weight = grad.sum(ctx.dims), product.sum(ctx.dims) * scale
        sums = torch.stack([grad_bias, grad_weight])
        dist.all_reduce(sums)  # every rank's loss depends on every rank's input through mean and var
        mean_grad, mean_product = (sums / count).to(exact.dtype)
        # grad_x = gain * (grad - mean_grad - normalised x * mean_product), as offset + x * slope + grad * gain
        gain = scale if weight is None else scale * weight
        slope = -gain * scale * mean_product
        offset = -gain * mean_grad - slope * mean
        grad_x = torch.addcmul(_channel(offset, x), exact, _channel(slope, x), out=product)
        grad_x = grad_x.addcmul_(grad, _channel(gain, x)).to(x.dtype)
        return grad_x, None if weight is None else grad_weight, None if weight is None else grad_bias, None


def _channel(values: Tensor, x: Tensor) -> Tensor:
    """Values (C,), shaped to broadcast along dimension 1 of x."""
    return values.view(1, -1, *[1] * (x.ndim - 2))
