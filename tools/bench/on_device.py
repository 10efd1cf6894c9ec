#!/usr/bin/env python3
"""Checks that a step's loss and gradients on a device equal those on the CPU, for small systems with the same weights and batch.

usage: on_device.py [--device cuda] [--batch N] [--compile] [--precision bf16] [--only METHOD ...] [--seconds S]

There is one system per method (see made.py), except for methods that draw random numbers on the device, where they differ. After S
seconds no further system starts, and the last lines say which are missing.

Printed for each system: the loss on both, their difference (relative for a loss above 1), and the largest difference of a gradient
divided by the largest gradient. Products are float32, without TF32. Exit status 1 if a loss differs by more than 1e-4 or a gradient by
more than 1e-2 (bf16: 0.03 and 0.5). --compile: with torch.compile, which takes minutes; on a CPU with its back end aot_eager, which
traces but does not compile.
"""
import argparse
import copy

import made
from methods import inputs

from sslspk.errors import entry, real, whole

LIMITS = {"float32": (1e-4, 1e-2), "bf16": (0.03, 0.5)}
DRAW = ("wav2vec2", "masked_prediction", "cpc", "vq_wav2vec", "dsvae")   # draw random numbers on the device


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--device", default="cuda")
    parser.add_argument("--batch", type=whole, default=32)
    parser.add_argument("--compile", action="store_true")
    parser.add_argument("--precision", choices=[*LIMITS], default="float32")
    parser.add_argument("--only", nargs="+", choices=[*made.SYSTEMS], default=[*made.SYSTEMS], metavar="METHOD")
    parser.add_argument("--seconds", type=real, help="time limit, from the start of this program")
    args = parser.parse_args()
    import torch
    torch.backends.cuda.matmul.allow_tf32 = torch.backends.cudnn.allow_tf32 = False
    print(f"{args.batch} recordings on {args.device} beside the CPU, {args.precision}{', compiled' * args.compile}")
    print(f"{'system':<20}{'CPU':>12}{args.device:>12}{'loss off by':>13}{'gradient':>11}")
    wrong, left = 0, []
    wanted = {name: config for name, config in made.systems(small=True).items() if name in args.only and name not in DRAW}
    for name, config in wanted.items():
        if made.over(args.seconds):
            left.append(name)
            continue
        here, there, loss, gradient = compared(config, args)
        bad = not (loss <= LIMITS[args.precision][0] and gradient <= LIMITS[args.precision][1])
        wrong += bad
        print(f"{name:<20}{here:12.6f}{there:12.6f}{loss:13.1e}{gradient:11.1e}{'  WRONG' * bad}", flush=True)
    print(f"{len(wanted) - len(left) - wrong} of {len(wanted)} agree" + (f"; not reached: {', '.join(left)}" if left else ""))
    return 1 if wrong else 0


def compared(config, args: argparse.Namespace) -> tuple[float, float, float, float]:
    """(loss on the CPU, loss on the device, relative difference, largest difference of a gradient over the largest gradient)."""
    import torch

    from sslspk.methods import build
    from sslspk.methods.base import Batch, Corpus, Progress
    from sslspk.nn import sync_batchnorm
    from sslspk.train.compiled import compile_encoders
    torch.manual_seed(0)
    here = build(config.method, config.encoder, config.num_features, Corpus(20_000, 1000))
    there = sync_batchnorm.convert(copy.deepcopy(here), torch.device(args.device)).to(args.device)   # as training does
    if args.compile:
        compile_encoders(there, config.data, made.backend(args.device))
    views = inputs(config, args.batch)
    units = torch.arange(args.batch)
    losses, gradients = [], []
    for method, device in ((here, "cpu"), (there, args.device)):
        batch = Batch([view.to(device) for view in views], units.to(device), units.to(device))
        half = args.precision == "bf16" and method is there
        with torch.autocast(device.partition(":")[0], torch.bfloat16, enabled=half):
            loss = method(batch, Progress(0, 1000, 100))["loss"]
        loss.backward()
        losses.append(loss.item())
        gradients.append(torch.cat([p.grad.flatten().cpu() for p in method.parameters() if p.grad is not None]))
    off = (gradients[0] - gradients[1]).abs().max() / gradients[0].abs().max()
    return *losses, abs(losses[1] - losses[0]) / max(abs(losses[0]), 1.0), off.item()


if __name__ == "__main__":
    entry(main)
