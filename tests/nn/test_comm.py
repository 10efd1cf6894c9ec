"""What passes between ranks: two gloo ranks against the same thing worked out on one, and one rank against itself."""
from datetime import timedelta

import torch
import torch.multiprocessing as mp
from torch import distributed as dist

from sslspk.nn import comm, monitors


def whole():
    return torch.randn(4, 3, 5, generator=torch.Generator().manual_seed(0))


def loss(mine, everyone, rank):
    """A loss of a rank's rows against everybody's, other than the other rank's."""
    return ((mine.flatten(1) @ everyone.flatten(1).T).tanh() * (1 + rank)).mean()


def figures(rows):
    """What the monitors say of these rows of the batch; the last is of flags that few rows have."""
    x = torch.nn.functional.normalize(whole()[rows].flatten(1))
    flag, same = (torch.rand(4, 6, generator=torch.Generator().manual_seed(seed))[rows] < share for seed, share in ((1, 0.4), (2, 0.5)))
    return torch.stack([monitors.effective_rank(x), monitors.uniformity(x), *monitors.flag_quality(flag, same).values()])


def worker(rank, folder):
    torch.set_num_threads(1)
    dist.init_process_group("gloo", init_method=f"file://{folder}/rendezvous", rank=rank, world_size=2, timeout=timedelta(seconds=60))
    mine = whole()[comm.rows_of_this_rank(2)].clone().requires_grad_(True)
    loss(mine, comm.gather_with_gradient(mine), rank).backward()
    turned = whole()[comm.rows_of_this_rank(2)].transpose(1, 2)  # dense, but not in the order of its indices
    number = torch.tensor([1.0 + 2 * rank, 8.0 - rank])
    torch.save({"gather": comm.gather(turned), "rows": comm.gather_rows(torch.arange(3 * rank)), "grad": mine.grad,
                "sum": comm.sum_over_ranks(number), "mean": comm.mean_over_ranks(number), "max": comm.max_over_ranks(number),
                "figures": figures(comm.rows_of_this_rank(2)),
                "first": comm.from_first_rank(number), "union": sorted(comm.union_over_ranks({rank, 7})), "kept": number},
               f"{folder}/{rank}.pt")
    dist.destroy_process_group()


def test_two_ranks(tmp_path):
    mp.spawn(worker, (str(tmp_path),), nprocs=2)
    found = [torch.load(tmp_path / f"{rank}.pt") for rank in range(2)]
    x = whole().requires_grad_(True)
    (loss(x[:2], x, 0) + loss(x[2:], x, 1)).backward()  # DDP divides by the ranks, which makes it the mean of their losses
    for rank, out in enumerate(found):
        assert torch.equal(out["gather"], whole().transpose(1, 2)) and out["rows"].tolist() == [0, 1, 2]
        torch.testing.assert_close(out["grad"], x.grad[2 * rank:2 * rank + 2])
        assert (out["sum"].tolist(), out["mean"].tolist(), out["max"].tolist()) == ([4.0, 15.0], [2.0, 7.5], [3.0, 8.0])
        torch.testing.assert_close(out["figures"], figures(slice(None)))
        assert out["first"].tolist() == [1.0, 8.0] and out["union"] == [0, 1, 7] and out["kept"].tolist() == [1.0 + 2 * rank, 8.0 - rank]


def test_one_rank_gets_back_what_it_gave():
    x = torch.arange(6.0).view(3, 2)
    for function in (comm.gather, comm.gather_rows, comm.gather_with_gradient, comm.mean_over_ranks, comm.max_over_ranks,
                     comm.sum_over_ranks, comm.from_first_rank):
        assert torch.equal(function(x), x)
    assert comm.rows_of_this_rank(3) == slice(0, 3) and comm.union_over_ranks({1}) == {1} and comm.world_size() == 1
