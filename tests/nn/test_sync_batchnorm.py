"""BatchNorm over ranks: two gloo ranks equal one rank with both batches; one rank is torch's own layer, or ours in blocks."""
import copy
from datetime import timedelta

import pytest
import torch
import torch.multiprocessing as mp
from torch import distributed as dist
from torch import nn

from sslspk.nn import batch_norm, sync_batchnorm

CPU = torch.device("cpu")
SHAPES = {"vectors": (7, 5), "frames": (7, 5, 11), "images": (7, 5, 4, 6)}
CASES = [(SHAPES["vectors"], True, 0.1), (SHAPES["frames"], False, 0.1), (SHAPES["images"], True, None)]   # shape, affine, momentum
SPLIT = 3  # rank 0 has three of the seven rows: ranks need not hold equally many


def network(shape, affine=True, momentum=0.1):
    torch.manual_seed(3)
    first = nn.Linear(5, 5) if len(shape) == 2 else nn.Conv1d(5, 5, 3) if len(shape) == 3 else nn.Conv2d(5, 5, 3)
    kind = nn.BatchNorm2d if len(shape) == 4 else nn.BatchNorm1d
    layers = [kind(5, affine=affine, momentum=momentum) for _ in range(2)]
    if affine:
        for layer in layers:
            nn.init.normal_(layer.weight)
            nn.init.normal_(layer.bias)
    return nn.Sequential(first, layers[0], nn.Tanh(), layers[1])


def batches(shape):
    """Two steps of input, far from zero, so that a variance by difference of squares would suffer."""
    generator = torch.Generator().manual_seed(4)
    return [torch.randn(shape, generator=generator) * 3 + 20 for _ in range(2)]


def loss_of(y):
    return (y.tanh() * torch.linspace(-1, 1, y[0].numel()).view(y.shape[1:])).sum()


def run(net, inputs):
    """Outputs and input gradients of each step; parameter gradients add up over the steps."""
    out = []
    for x in inputs:
        x = x.clone().requires_grad_(True)
        y = net(x)
        loss_of(y).backward()
        out += [y.detach(), x.grad]
    return out


def worker(rank, folder):
    dist.init_process_group("gloo", init_method=f"file://{folder}/rendezvous", rank=rank, world_size=2,
                            timeout=timedelta(seconds=60))
    rows = slice(0, SPLIT) if rank == 0 else slice(SPLIT, None)
    for number, (shape, affine, momentum) in enumerate(CASES):
        net = sync_batchnorm.convert(network(shape, affine, momentum), CPU)
        tensors = run(net, [x[rows] for x in batches(shape)])
        gradients = [p.grad for p in net.parameters()]
        for gradient in gradients:
            dist.all_reduce(gradient)
        with torch.no_grad():
            alone = net.eval()(batches(shape)[0][:1])  # evaluation exchanges nothing: the ranks may do different things
        on_gpu = sync_batchnorm.convert(network(shape, affine, momentum), torch.device("cuda"))
        kinds = [type(on_gpu[i]).__mro__[1].__name__ for i in (1, 3)]
        on_gpu.load_state_dict(net.state_dict())
        with torch.no_grad():
            there = on_gpu.eval()(batches(shape)[0][:1])
        torch.save({"tensors": tensors, "gradients": gradients, "state": net.state_dict(), "eval": alone, "kinds": kinds, "there": there},
                   f"{folder}/{number}.{rank}.pt")
    dist.destroy_process_group()


def test_two_ranks_equal_one(tmp_path):
    mp.spawn(worker, (str(tmp_path),), nprocs=2)
    for number, case in enumerate(CASES):
        check_ranks([torch.load(tmp_path / f"{number}.{rank}.pt") for rank in range(2)], *case)


def check_ranks(ranks, shape, affine, momentum):
    single = network(shape, affine, momentum)
    expected = run(single, batches(shape))
    for one, a, b in zip(expected, ranks[0]["tensors"], ranks[1]["tensors"], strict=True):
        torch.testing.assert_close(torch.cat([a, b]), one, rtol=1e-5, atol=1e-5)
    for parameter, gradient in zip(single.parameters(), ranks[0]["gradients"], strict=True):
        torch.testing.assert_close(gradient, parameter.grad, rtol=1e-5, atol=1e-4)
    for rank in ranks:
        assert list(rank["state"]) == list(single.state_dict())
        for key, value in single.state_dict().items():
            torch.testing.assert_close(rank["state"][key], value, rtol=1e-5, atol=1e-5)
    for rank in ranks:   # of several ranks on GPUs the layers are torch's own, with the same parameters and buffers
        assert rank["kinds"] == ["SyncBatchNorm"] * 2 and torch.equal(rank["there"], rank["eval"])
    torch.testing.assert_close(ranks[0]["eval"], single.eval()(batches(shape)[0][:1]), rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize("name", SHAPES)
def test_one_rank_is_torch_bit_for_bit(name):
    shape = SHAPES[name]
    plain = network(shape)
    ours = sync_batchnorm.convert(copy.deepcopy(plain), CPU)
    assert type(ours[1]) in sync_batchnorm.SYNCHRONISED.values()
    for a, b in zip(run(plain, batches(shape)), run(ours, batches(shape)), strict=True):
        assert torch.equal(a, b)
    for a, b in zip(plain.parameters(), ours.parameters(), strict=True):
        assert torch.equal(a.grad, b.grad)
    assert torch.equal(plain.eval()(batches(shape)[1]), ours.eval()(batches(shape)[1]))
    assert plain.state_dict().keys() == ours.state_dict().keys()
    assert all(torch.equal(a, b) for a, b in zip(plain.state_dict().values(), ours.state_dict().values(), strict=True))


@pytest.mark.parametrize("shape", [(7, 5, 40), (7, 5, 8, 9)])
def test_one_rank_with_many_values_takes_blocks(monkeypatch, shape):
    plain = network(shape).double()
    ours = sync_batchnorm.convert(copy.deepcopy(plain), CPU)
    given = [x.double() for x in batches(shape)]
    wanted = run(plain, given)
    monkeypatch.setattr(batch_norm.F, "batch_norm", None)   # torch's forward pass is not called
    for a, b in zip(run(ours, given), wanted, strict=True):
        torch.testing.assert_close(a, b)
    for a, b in zip([*ours.parameters(), *ours.buffers()], [*plain.parameters(), *plain.buffers()], strict=True):
        torch.testing.assert_close(a, b)
        torch.testing.assert_close(a.grad, b.grad)


def test_convert_keeps_parameters_mode_and_sharing():
    shared = nn.BatchNorm1d(4)
    net = nn.ModuleDict({"a": nn.Sequential(nn.Linear(4, 4), shared), "b": shared, "c": nn.BatchNorm2d(2, affine=False)}).eval()
    parameters, keys = list(net.parameters()), list(net.state_dict())
    converted = sync_batchnorm.convert(net, CPU)
    assert converted is net and converted["a"][1] is converted["b"]
    assert type(converted["b"]) is sync_batchnorm.SyncBatchNorm1d and not converted["b"].training
    assert all(a is b for a, b in zip(parameters, converted.parameters(), strict=True))
    assert list(converted.state_dict()) == keys
    assert sync_batchnorm.convert(converted, CPU) is converted and type(converted["c"]) is sync_batchnorm.SyncBatchNorm2d


def test_convert_of_a_bare_layer():
    layer = nn.BatchNorm1d(4, eps=0.1, momentum=0.3)
    ours = sync_batchnorm.convert(layer, CPU)
    assert ours.weight is layer.weight and ours.running_mean is layer.running_mean and (ours.eps, ours.momentum) == (0.1, 0.3)
