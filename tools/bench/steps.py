#!/usr/bin/env python3
"""Seconds per optimizer step of every method on a device: float32, bf16, and bf16 with torch.compile, within a time limit.

usage: steps.py [--device cuda] [--batch N] [--steps N] [--small] [--seconds S]

One system per method at its full size (see made.py; --small: those of the synthetic corpus), one after the other, on random input in
memory. All run in float32 and in bf16 first, then compiled, because compiling takes long before the first step. "utilisation" is the
share of the device's peak, if that is known; sslspk/train/speed.py counts the FLOPs. After S seconds no further system starts, and
the last line says which are missing. Exit status 1 if one fails for a reason other than memory.
"""
import argparse
import gc
import itertools

import made
from methods import Run, seconds

from sslspk.errors import InputError, entry, real, whole

FAILED = "  FAILED"


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--device", default="cuda")
    parser.add_argument("--batch", type=whole, default=32, help="utterances per step")
    parser.add_argument("--steps", type=whole, default=5, help="timed steps, after two to warm up")
    parser.add_argument("--small", action="store_true")
    parser.add_argument("--only", nargs="+", choices=[*made.SYSTEMS], default=[*made.SYSTEMS], metavar="METHOD")
    parser.add_argument("--seconds", type=real, help="time limit, from the start of this program")
    args = parser.parse_args()
    configs = made.systems(args.small)
    print(f"{args.batch} utterances a step on {args.device}, {'small systems' if args.small else 'systems at their own size'}")
    print(f"{'system':<20}{'':<16}{'s a step':>10}{'recordings/s':>14}{'GFLOP':>10}{'TFLOP/s':>10}{'utilisation':>13}{'GB':>8}")
    wanted = [*itertools.product(args.only, (("float32", False), ("bf16", False))), *((name, ("bf16", True)) for name in args.only)]
    left, failed = [], 0
    for name, (precision, compiled) in wanted:
        title = f"{name:<20}{precision + ' compiled' * compiled:<16}"
        if made.over(args.seconds):
            left.append(" ".join(title.split()))
            continue
        row = measured(configs[name], argparse.Namespace(**vars(args), precision=precision), compiled)
        failed += row.startswith(FAILED)
        print(title + row, flush=True)
    print(f"{len(wanted) - len(left)} of {len(wanted)} reached" + (f"; not {', '.join(left)}" if left else ""))
    return int(failed > 0)


def measured(config, args: argparse.Namespace, compiled: bool) -> str:
    """The figures of one system, as a row of the table."""
    import torch

    from sslspk.train import speed
    from sslspk.train.compiled import compile_encoders
    gpu = args.device.startswith("cuda")
    if gpu:
        gc.collect()
        torch.cuda.empty_cache()
        torch.cuda.reset_peak_memory_stats()
    try:
        run = Run("", config, args)
        if compiled:
            compile_encoders(run.method, config.data, made.backend(args.device))
        run.step()
        with speed.Flops() as counted:
            run.step()
        took = seconds(run.step, args)
    except torch.OutOfMemoryError:
        return "  out of memory"
    except (RuntimeError, InputError) as err:
        return f"{FAILED} {str(err).splitlines()[0][:120]}"
    peak = speed.peak(torch.cuda.get_device_name(), args.precision) if gpu else None
    share = f"{100 * counted.total / took / peak:11.1f} %" if peak else f"{'':13}"
    return (f"{took:10.4f}{args.batch / took:14.1f}{counted.total / 1e9:10.1f}{counted.total / took / 1e12:10.2f}{share}"
            f"{speed.peak_memory(torch.device(args.device)) / 1e9:8.1f}")


if __name__ == "__main__":
    entry(main)
