#!/usr/bin/env python3
"""Seconds per optimizer step of several systems, compared in one run: only encoder and method, on random features in memory.

usage: methods.py [--conf YAML ...] [--set k=v ...] [--batch N] [--rounds N] [--device cuda] [--precision bf16]

Without --conf: DINO, MoCo, symmetric MoCo, SimCLR, and MoCo and DINO together, with the same small TDNN and two crops. Rounds of all
systems alternate, so that all have the same conditions; the best round counts. A step is forward, backward, the optimizer and what the
method does after it, without logging. Next to it are the time of the bare encoder (forward and backward of the views that the
method embeds with a gradient), and what the step takes in addition: momentum encoders, heads, queue, loss and optimizer.
"""
import argparse
import time

from sslspk.errors import InputError, entry

CROPS = [{"count": 2, "seconds": 2.0}]
MOCO = {"name": "moco", "crops": CROPS, "projection": {"hidden_dim": 256, "out_dim": 128}, "queue_size": 10000, "batch_norm_group": 16}
DINO = {"name": "dino", "crops": CROPS, "out_dim": 10000, "hidden_dim": 256, "bottleneck_dim": 128}
METHODS = {
    "dino": DINO,
    "moco": MOCO,
    "moco symmetric": {**MOCO, "symmetric": True},
    "simclr": {"name": "simclr", "crops": CROPS, "projection": {"hidden_dim": 256, "out_dim": 128}},
    "moco+dino": {"name": "moco+dino", "moco": MOCO, "dino": DINO},
}
ENCODER = {"name": "tdnn", "channels": 64, "pooled_channels": 192, "embed_dim": 128, "segment_layers": 1}
RECORDINGS, SPEAKERS = 20_000, 1000  # size of the training set that the methods are given


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--conf", action="append", default=[], metavar="YAML", help="a system (repeatable); default: five small ones")
    parser.add_argument("--set", action="append", default=[], metavar="KEY=VALUE", help="override in every --conf (repeatable)")
    parser.add_argument("--batch", type=int, default=32, help="utterances per step")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--steps", type=int, default=2, help="steps per round")
    parser.add_argument("--device", default="cpu")
    parser.add_argument("--precision", choices=("float32", "bf16"), default="float32")
    args = parser.parse_args()
    if min(args.batch, args.rounds, args.steps) < 1:
        raise InputError("--batch, --rounds and --steps are at least 1.")

    runs = [Run(name, config, args) for name, config in systems(args).items()]
    for run in runs:
        run.step(), run.bare()
    whole, bare = ([[] for _ in runs] for _ in range(2))
    for _ in range(args.rounds):
        for i, run in enumerate(runs):
            whole[i].append(seconds(run.step, args))
            bare[i].append(seconds(run.bare, args))
    print(f"{args.batch} utterances a step on {args.device}, {args.precision}, best of {args.rounds} rounds of {args.steps} steps")
    print(f"{'system':<32}{'s a step':>10}{'bare encoder s':>16}{'over it':>10}{'recordings/s':>14}")
    for run, a, b in zip(runs, map(min, whole), map(min, bare), strict=True):
        print(f"{run.name:<32}{a:10.4f}{b:16.4f}{100 * (a / b - 1):+8.0f} %{args.batch / a:14.1f}")
    return 0


def systems(args: argparse.Namespace) -> dict:
    """The configurations to compare, by name."""
    from sslspk.config import check, load
    from sslspk.train.config import SystemConfig
    if args.conf:
        return {conf: load(SystemConfig, conf, args.set) for conf in args.conf}
    train = {"optimizer": "adamw", "lr": 0.001}
    return {name: check(SystemConfig, {"encoder": ENCODER, "method": method, "train": train}, name) for name, method in METHODS.items()}


def inputs(config, batch: int, device: str = "cpu") -> list:
    """Random features (V, B, T, F), or waveforms (V, B, S), of each crop."""
    import torch
    rate = config.features.sample_frequency if config.waveform else 1000 / config.features.frame_shift
    bins = () if config.waveform else (config.num_features,)
    return [torch.randn(crop.count, batch, round(crop.seconds * rate), *bins, device=device) for crop in config.method.crops]


class Run:
    """One system, and a batch that it uses in every step."""

    def __init__(self, name: str, config, args: argparse.Namespace):
        import torch

        from sslspk.methods import build
        from sslspk.methods.base import Batch, Corpus
        from sslspk.nn import sync_batchnorm
        from sslspk.train.optim import build_optimizer
        torch.manual_seed(0)
        self.name, self.args, self.steps = name, args, 0
        method, device = build(config.method, config.encoder, config.num_features, Corpus(RECORDINGS, SPEAKERS)), torch.device(args.device)
        self.method = sync_batchnorm.convert(method, device).to(device)   # as training does
        self.optimizer = build_optimizer(self.method, config)
        views = inputs(config, args.batch, args.device)
        units = torch.arange(args.batch, device=args.device)
        self.batch = Batch(views, units % SPEAKERS, units)
        one_sided = config.method.name == "moco" and not config.method.symmetric
        self.embedded = [(views[0][:1] if one_sided else view).flatten(0, 1) for view in views]

    def step(self) -> None:
        import torch

        from sslspk.methods.base import Progress
        progress = Progress(self.steps, 1_000_000, 1000)
        with torch.autocast(self.args.device.partition(":")[0], torch.bfloat16, enabled=self.args.precision == "bf16"):
            loss = self.method(self.batch, progress)["loss"]
        loss.backward()
        self.method.after_backward(progress)
        self.optimizer.step()
        self.optimizer.zero_grad(set_to_none=True)
        self.method.after_step(progress)
        self.steps += 1

    def bare(self) -> None:
        """Forward and backward of the trained encoder alone, with its own BatchNorm and a gradient from every output."""
        import torch
        encoder = next(one for one in self.method.backbones() if next(one.parameters()).requires_grad)
        with torch.autocast(self.args.device.partition(":")[0], torch.bfloat16, enabled=self.args.precision == "bf16"):
            loss = sum(encoder(view).float().square().sum() for view in self.embedded)
        loss.backward()
        self.optimizer.zero_grad(set_to_none=True)


def seconds(work, args: argparse.Namespace) -> float:
    """Seconds per call of `work`, averaged over a round."""
    import torch
    begin = time.perf_counter()
    for _ in range(args.steps):
        work()
    if args.device.startswith("cuda"):
        torch.cuda.synchronize()
    return (time.perf_counter() - begin) / args.steps


if __name__ == "__main__":
    entry(main)
