#!/usr/bin/env python3
"""Plots how CPU time grows: of tables with recordings, of a DINO step with crop length, prototypes and the encoder's channels.

usage: growth.py [--recordings N ...] [--seconds S ...] [--prototypes K ...] [--channels C ...] [--batch N] [--out growth.png]

A step is forward, backward, update and moving average of a small TDNN on two crops in memory (tools/bench/methods.py), without reading and
features. Unless varied, a crop has 2 s, K is 10,000 and the encoder has 64 channels. After one step to warm up, the fastest of three
counts, in CPU seconds of one thread. Tables: `utils/validate_data_dir.sh`, and the index of a training (tools/bench/scale.py). The exponent
is the slope between the last two points on logarithmic axes: 1 is proportional.
"""
import argparse
import math
import os
import tempfile
import time

import scale
from methods import DINO, ENCODER, Run

from sslspk.errors import entry

STEPS = 3


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--recordings", type=int, nargs="*", default=[10_000, 100_000, 1_000_000])
    parser.add_argument("--seconds", type=float, nargs="*", default=[1, 2, 4, 8])
    parser.add_argument("--prototypes", type=int, nargs="*", default=[1024, 4096, 16384, 65536])
    parser.add_argument("--channels", type=int, nargs="*", default=[64, 128, 256, 512])
    parser.add_argument("--batch", type=int, default=8)
    parser.add_argument("--out", default="growth.png")
    args = parser.parse_args()
    args.device, args.precision = "cpu", "float32"   # needed by methods.Run
    panels = {"recordings": tables(args.recordings),
              "crop, seconds": {"step": [(x, step(args, seconds=x)) for x in args.seconds]},
              "prototypes K": {"step": [(x, step(args, out_dim=x)) for x in args.prototypes]},
              "channels of the encoder": {"step": [(x, step(args, channels=x)) for x in args.channels]}}
    for name, curves in panels.items():
        for curve, points in curves.items():
            print(f"{name + ', ' + curve:<34}" + "  ".join(f"{x:g}: {y:.3f} s" for x, y in points) + f"   exponent {exponent(points):.2f}")
    draw(panels, args.out)


def tables(recordings: list[int]) -> dict[str, list[tuple[int, float]]]:
    """CPU seconds to read tables of each number of lines."""
    found: dict[str, list[tuple[int, float]]] = {"validate": [], "index": []}
    for lines in recordings:
        with tempfile.TemporaryDirectory() as place:
            data = os.path.join(place, "data")
            scale.make(data, lines)
            for name, points in found.items():
                points.append((lines, scale.measure(scale.programs(data, place, lines, 1)[name])[0]))
    return found


def step(args: argparse.Namespace, seconds: float = 2.0, out_dim: int = 10_000, channels: int = 64) -> float:
    """CPU seconds of a step."""
    import torch

    from sslspk.config import check
    from sslspk.train.config import SystemConfig
    torch.set_num_threads(1)
    method = {**DINO, "crops": [{"count": 2, "seconds": seconds}], "out_dim": out_dim}
    tree = {"encoder": {**ENCODER, "channels": channels}, "method": method, "train": {"optimizer": "adamw", "lr": 0.001}}
    run, times = Run("dino", check(SystemConfig, tree, "growth.py"), args), []
    for _ in range(1 + STEPS):
        begin = time.process_time()
        run.step()
        times.append(time.process_time() - begin)
    return min(times[1:])


def exponent(points: list[tuple[float, float]]) -> float:
    """The exponent from the last two points (x, y): y grows as x to this power; NaN for fewer points."""
    if len(points) < 2:
        return math.nan
    (a, b), (c, d) = points[-2:]
    return math.log(d / b) / math.log(c / a)


def draw(panels: dict[str, dict[str, list[tuple[float, float]]]], path: str) -> None:
    """The curves of each panel, on logarithmic axes."""
    import matplotlib
    matplotlib.use("Agg")
    from matplotlib import pyplot
    figure, axes = pyplot.subplots(1, len(panels), figsize=(13, 3.2), layout="constrained")
    for axis, (name, curves) in zip(axes, panels.items(), strict=True):
        for curve, points in curves.items():
            if points:
                axis.plot(*zip(*points, strict=True), marker="o", label=f"{curve}, exponent {exponent(points):.2f}")
                axis.legend(fontsize=8)
        axis.set(xscale="log", yscale="log", xlabel=name)
        marks = [x for x, _ in next(iter(curves.values()))]
        axis.set_xticks(marks, [f"{x:g}" for x in marks])
        axis.tick_params(axis="x", which="minor", bottom=False, labelbottom=False)
        axis.grid(True, alpha=0.3)
    axes[0].set_ylabel("CPU seconds")
    figure.savefig(path, dpi=100)


if __name__ == "__main__":
    entry(main)
