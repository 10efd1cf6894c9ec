"""What passes between ranks. Every function is the identity on a single rank, so no caller asks how many there are."""
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


def max_over_ranks(x: float, device: torch.device) -> float:
    """The largest of the ranks' numbers (waits for all of them)."""
    if world_size() == 1:
        return x
    t = torch.tensor(x, device=device)
    dist.all_reduce(t, dist.ReduceOp.MAX)
    return float(t)


def union_over_ranks(items: set) -> set:
    """All that any rank has in its set (waits for all of them)."""
    if world_size() == 1:
        return items
    parts: list[set] = [set()] * world_size()
    dist.all_gather_object(parts, items)
    return set().union(*parts)


def barrier() -> None:
    if world_size() > 1:
        dist.barrier()
