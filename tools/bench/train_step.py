#!/usr/bin/env python3
"""Compares training steps through the whole pipeline with steps on the same int16 crops in memory, in one run.

usage: train_step.py [--conf YAML] [--set k=v] [--steps N] PACKED_DATA

Both augment, compute features and train; the first reads its batches from disk through the loader's workers, the second
uses batches read before. Rounds of the two alternate, so that both have the same conditions. The figure is the pipeline's
speed as a share of the other, which shows what reading costs. Target: at least 90 %.
"""
import argparse
import tempfile
import time
from pathlib import Path

from sslspk.errors import entry


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("data", type=Path, metavar="PACKED_DATA", help="what steps/pack_audio.sh wrote")
    parser.add_argument("--conf", default="conf/mini/dino_tdnn.yaml")
    parser.add_argument("--set", action="append", default=[], metavar="KEY=VALUE")
    parser.add_argument("--steps", type=int, default=20, help="steps per round")
    parser.add_argument("--rounds", type=int, default=3)
    args = parser.parse_args()

    from sslspk.config import load
    from sslspk.data.loader import make_loader
    from sslspk.train import distributed
    from sslspk.train.config import SystemConfig
    from sslspk.train.job import prepare
    device = distributed.init(60)
    config = load(SystemConfig, args.conf, [*args.set, "train.steps=1000000"])
    with tempfile.TemporaryDirectory() as exp:
        job = prepare(config, args.data, Path(exp), device, print)
        held = [job.dataset[i] for i in range(4)]
        loader = iter(make_loader(job.dataset, 0, 1000000, config.data.workers, device.type == "cuda"))
        run(job, loader, 3)
        pipeline, memory = [], []
        for _ in range(args.rounds):
            run(job, loader, 4 * config.data.workers + 1)  # batches that were read ahead meanwhile
            pipeline.append(run(job, loader, args.steps))
            memory.append(run(job, (held[i % 4] for i in range(args.steps)), args.steps))
    size = config.data.batch_size
    a, b = min(pipeline), min(memory)
    print(f"{'pipeline':<12}{a:8.3f} s a step {size / a:8.1f} recordings/s")
    print(f"{'in memory':<12}{b:8.3f} s a step {size / b:8.1f} recordings/s")
    print(f"share of the in-memory speed: {100 * b / a:.1f} % (target 90 %), {config.data.workers} workers on {device.type}")
    return 0


def run(job, batches, steps: int) -> float:
    """Seconds per step, over `steps` steps by the training loop's own functions."""
    import torch

    from sslspk.methods.base import Progress
    from sslspk.train.loop import optimizer_step
    job.model.train()
    begin = time.perf_counter()
    batches = iter(batches)
    for _ in range(steps):
        optimizer_step(job, batches, Progress(job.step, job.total, job.dataset.steps_per_epoch))
    if job.device.type == "cuda":
        torch.cuda.synchronize()
    return (time.perf_counter() - begin) / steps


if __name__ == "__main__":
    entry(main)
