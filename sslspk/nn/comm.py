"""Communication between ranks. On a single rank every function is the identity, so callers need not know the number of ranks."""
import torch
from torch import Tensor
from torch import distributed as dist


def world_size() -> int:
    return dist.get_world_size() if dist.is_available() and dist.is_initialized() else 1


def rank() -> int:
    return dist.get_rank() if world_size() > 1 else 0


def mean_over_ranks(x: Tensor) -> Tensor:
    """The mean of x over ranks (no gradient)."""
    if world_size() == 1:
        return x
    x = x.clone()
    dist.all_reduce(x)
    return x / world_size()


def max_over_ranks(x: Tensor) -> Tensor:
    """The elementwise maximum over ranks."""
    if world_size() == 1:
        return x
    x = x.clone()
    dist.all_reduce(x, dist.ReduceOp.MAX)
    return x


def union_over_ranks(items: set) -> set:
    """The union of all ranks' sets (waits for all ranks)."""
    if world_size() == 1:
        return items
    parts: list[set] = [set()] * world_size()
    dist.all_gather_object(parts, items)
    return set().union(*parts)


def barrier() -> None:
    if world_size() > 1:
        dist.barrier()


def gather(x: Tensor) -> Tensor:
    """Every rank's x (n, ...) in rank order, (W n, ...), without gradient; all ranks hold the same number of rows."""
    if world_size() == 1:
        return x.detach()
    x = x.detach().contiguous()
    parts = [torch.empty_like(x) for _ in range(world_size())]
    dist.all_gather(parts, x)
    return torch.cat(parts)


def gather_with_gradient(x: Tensor) -> Tensor:
    """`gather` with gradients, which flow back to the rank that x came from: each rank's loss may depend on all rows."""
    return x if world_size() == 1 else _Gather.apply(x)


def rows_of_this_rank(n: int) -> slice:
    """The places of this rank's n rows in the result of `gather`."""
    return slice(rank() * n, (rank() + 1) * n)


class _Gather(torch.autograd.Function):
    """Backward: the sum over ranks of the gradients with respect to this rank's rows. DDP then divides by the number of ranks, which
    gives the gradient of the mean of the ranks' losses."""

    @staticmethod
    def forward(ctx, x: Tensor) -> Tensor:
        ctx.n = x.shape[0]
        return gather(x)

    @staticmethod
    def backward(ctx, grad: Tensor) -> Tensor:
        grad = grad.contiguous()
        dist.all_reduce(grad)
        return grad[rows_of_this_rank(ctx.n)]


def sum_over_ranks(x: Tensor) -> Tensor:
    """The sum of x over ranks (no gradient)."""
    if world_size() == 1:
        return x
    x = x.clone()
    dist.all_reduce(x)
    return x


def from_first_rank(x: Tensor) -> Tensor:
    """The first rank's x, on every rank; shapes must agree."""
    if world_size() == 1:
        return x
    x = x.clone()
    dist.broadcast(x, 0)
    return x


def gather_rows(x: Tensor) -> Tensor:
    """`gather` for ranks that may hold different numbers of rows, or none."""
    if world_size() == 1:
        return x.detach()
    counts = gather(torch.tensor([len(x)], device=x.device)).tolist()
    padded = x.new_zeros(max(*counts, 1), *x.shape[1:])
    padded[:len(x)] = x.detach()
    parts = gather(padded).split(len(padded))
    return torch.cat([part[:n] for part, n in zip(parts, counts, strict=True)])
