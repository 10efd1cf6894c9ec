#!/usr/bin/env python3
"""Are a step's loss and gradients on a device those of the CPU? The systems of methods.py, the same weights and batch on both.

usage: on_device.py [--device cuda] [--batch N] [--compile] [--precision bf16]

Printed for each system: the loss here and there, their relative difference, and the largest difference of a gradient over the largest one.
Products are float32, without TF32. Exit status 1 where the loss is off by more than 1e-4 or a gradient by more than 1e-2 (bf16: 0.03 and
0.5). --compile: the encoders as torch.compile makes them, which costs minutes.
"""
import argparse
import copy

from methods import METHODS, systems

from sslspk.errors import entry, whole

LIMITS = {"float32": (1e-4, 1e-2), "bf16": (0.03, 0.5)}


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--device", default="cuda")
    parser.add_argument("--batch", type=whole, default=32)
    parser.add_argument("--compile", action="store_true")
    parser.add_argument("--precision", choices=[*LIMITS], default="float32")
    args = parser.parse_args()
    import torch
    torch.backends.cuda.matmul.allow_tf32 = torch.backends.cudnn.allow_tf32 = False
    print(f"{args.batch} recordings on {args.device} beside the CPU, {args.precision}{', compiled' * args.compile}")
    print(f"{'system':<20}{'CPU':>12}{args.device:>12}{'loss off by':>13}{'gradient':>11}")
    wrong = 0
    for name, config in systems(argparse.Namespace(conf=[], set=[])).items():
        here, there, loss, gradient = compared(config, args)
        bad = not (loss <= LIMITS[args.precision][0] and gradient <= LIMITS[args.precision][1])
        wrong += bad
        print(f"{name:<20}{here:12.6f}{there:12.6f}{loss:13.1e}{gradient:11.1e}{'  WRONG' * bad}", flush=True)
    print(f"{len(METHODS) - wrong} of {len(METHODS)} agree")
    return 1 if wrong else 0


def compared(config, args: argparse.Namespace) -> tuple[float, float, float, float]:
    """(loss on the CPU, loss on the device, relative difference, largest difference of a gradient over the largest gradient)."""
    import torch

    from sslspk.methods import build
    from sslspk.methods.base import Batch, Corpus, Progress
    torch.manual_seed(0)
    here = build(config.method, config.encoder, config.num_features, Corpus(20_000, 1000))
    there = copy.deepcopy(here).to(args.device)
    if args.compile:
        for encoder in there.backbones():
            encoder.compile()
    rate = 1000 / config.features.frame_shift
    views = [torch.randn(crop.count, args.batch, round(crop.seconds * rate), config.num_features) for crop in config.method.crops]
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
    return *losses, abs(losses[1] / losses[0] - 1), off.item()


if __name__ == "__main__":
    entry(main)
