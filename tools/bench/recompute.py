#!/usr/bin/env python3
"""What train.recompute saves and costs: memory of a whole step, computed, and seconds of a smaller one on this CPU.

usage: recompute.py [--set k=v ...] [--batch N] [--rounds N] CONF...

GB: the most that tensors take at one time in a forward and a backward pass over the system's own batch (a micro-batch of train.accumulate),
without weights and optimizer. It is computed on tensors without values, so it needs neither the memory nor the time; of a step that depends
on values with --batch recordings, in reality. Seconds: CPU time of a step with --batch recordings; rounds without and with train.recompute
alternate, and the best one counts.
"""
import argparse
import contextlib
import time
import weakref
from pathlib import Path

import torch
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves

from sslspk.errors import entry, whole

RECORDINGS, CLASSES = 20_000, 1000   # of the training set that the methods are given


class Live(TorchDispatchMode):
    """Counts the bytes of the tensors that are made inside it: `now`, and `most` at one time."""

    def __init__(self):
        super().__init__()
        self.held, self.now, self.most = {}, 0, 0

    def __torch_dispatch__(self, func, types, args=(), kwargs=None):
        out = func(*args, **(kwargs or {}))
        given = {x.untyped_storage()._cdata for x in tree_leaves((args, kwargs)) if isinstance(x, torch.Tensor)}
        for storage in [x.untyped_storage() for x in tree_leaves(out) if isinstance(x, torch.Tensor)]:
            if storage._cdata not in self.held and storage._cdata not in given:
                self.held[storage._cdata] = storage.nbytes()
                self.now += storage.nbytes()
                weakref.finalize(storage, self._free, storage._cdata)
        self.most = max(self.most, self.now)
        return out

    def _free(self, key: int) -> None:
        self.now -= self.held.pop(key)


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("confs", nargs="+", metavar="CONF", help="configurations of systems")
    parser.add_argument("--set", action="append", default=[], metavar="KEY=VALUE", help="override in every CONF (repeatable)")
    parser.add_argument("--batch", type=whole, default=8, help="recordings of a timed step (default: %(default)s)")
    parser.add_argument("--rounds", type=whole, default=3)
    args = parser.parse_args()

    from sslspk.config import load
    from sslspk.launch import memory
    from sslspk.train.config import SystemConfig
    torch.set_num_threads(1)
    memory.keep_freed()
    print("| system | recordings | GB | with train.recompute | seconds | with train.recompute |\n" + "|---" * 6 + "|")
    for conf in args.confs:
        pair = [load(SystemConfig, conf, [*args.set, "train.init_from=null", f"train.recompute={on}"]) for on in ("false", "true")]
        batch, needed = memory_of(pair, args.batch)
        took = seconds(pair, args.batch, args.rounds)
        print(f"| {Path(conf).stem} | {batch} | " + " | ".join(f"{size / 1e9:.1f}" for size in needed) + " | "
              + " | ".join(f"{best:.2f}" for best in took) + " |", flush=True)
    return 0


def memory_of(configs: list, few: int) -> tuple[int, list[int]]:
    """(Recordings, the most bytes of tensors at one time in a step of each configuration), of `few` where a step depends on values."""
    from torch._subclasses import fake_tensor
    batch = configs[0].data.batch_size // configs[0].train.accumulate
    try:
        return batch, [most(config, batch, fake_tensor.FakeTensorMode(allow_non_fake_inputs=True)) for config in configs]
    except (fake_tensor.DataDependentOutputException, fake_tensor.DynamicOutputShapeException):
        return few, [most(config, few) for config in configs]


def most(config, batch: int, mode=None) -> int:
    """The most bytes of tensors at one time in a step. mode: a FakeTensorMode, in which they have no values."""
    import cost
    method = cost.built(config, RECORDINGS, CLASSES, mode)
    with mode or contextlib.nullcontext():
        work = step(config, method, batch)
        with Live() as live:
            work()
    return live.most


def step(config, method, batch: int):
    """A function that makes a forward and a backward pass over one and the same batch of random numbers."""
    from methods import inputs

    from sslspk.methods.base import Batch, Progress
    from sslspk.train.recomputed import recompute_blocks
    if config.train.recompute:
        recompute_blocks(method)
    views, units = inputs(config, batch), torch.arange(batch)
    given = Batch(views, units % CLASSES, units, frame_labels=torch.zeros(batch, views[0].shape[2], dtype=torch.int64))

    def work() -> None:
        with torch.autocast("cpu", torch.bfloat16, enabled=config.train.precision == "bf16"):
            loss = method(given, Progress(1, 10 ** 6, 1000))["loss"]
        loss.backward()
        method.zero_grad(set_to_none=True)
    return work


def seconds(configs: list, batch: int, rounds: int) -> list[float]:
    """CPU seconds of a step of each configuration, the best of the rounds, which alternate."""
    import cost
    steps = [step(config, cost.built(config, RECORDINGS, CLASSES), batch) for config in configs]
    took: list[list[float]] = [[] for _ in steps]
    for work in steps:
        work()
    for _ in range(rounds):
        for work, found in zip(steps, took, strict=True):
            begin = time.process_time()
            work()
            found.append(time.process_time() - begin)
    return [min(found) for found in took]


if __name__ == "__main__":
    entry(main)
