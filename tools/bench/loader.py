#!/usr/bin/env python3
"""Measures the loader: crops per second in one process, with and without noises and rooms, and through loader processes.

usage: loader.py [--conf YAML] [--set k=v] [--steps N] [--workers N ...] [--device D] [--seconds S] [PACKED_DATA]

Without PACKED_DATA the recordings are noise. --workers: batches come from N processes and are copied to the device. No measurement starts
after S seconds.
"""
import argparse
import tempfile
import time
from pathlib import Path

import made

from sslspk.errors import count, entry, real, whole

ROOT = Path(__file__).resolve().parents[2]


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("data", type=Path, nargs="?", metavar="PACKED_DATA", help="what steps/pack_audio.sh wrote")
    parser.add_argument("--conf", default=str(ROOT / "egs/voxceleb/conf/mini/dino_tdnn.yaml"))
    parser.add_argument("--set", action="append", default=[], metavar="KEY=VALUE", help="e.g. augment.dir=data_mini/augment")
    parser.add_argument("--steps", type=whole, default=50)
    parser.add_argument("--workers", type=count, nargs="*", default=[])
    parser.add_argument("--device", default="cpu")
    parser.add_argument("--seconds", type=real, help="time limit, from the start of this program")
    args = parser.parse_args()

    from sslspk.config import load
    from sslspk.data.index import UtteranceIndex
    from sslspk.train.batches import make_dataset
    from sslspk.train.config import SystemConfig
    config = load(SystemConfig, args.conf, args.set)
    with tempfile.TemporaryDirectory() as folder:
        index = UtteranceIndex(args.data or made.data(Path(folder) / "data", 4 * config.data.batch_size, 4.0), "wave")
        plain = config.model_copy(update={"augment": config.augment.model_copy(update={"dir": None})})
        views = config.data.batch_size * sum(crop.count for crop in config.method.crops)
        for name, each in (("crops alone", plain), ("with noises and rooms", config)):
            if name == "crops alone" or config.augment.dir:
                alone(name, make_dataset(each, index), views, args)
        for workers in args.workers:
            if made.over(args.seconds):
                print(f"{workers} processes: not reached")
            else:
                through(workers, make_dataset(config, index), views, args)
    return 0


def alone(name: str, dataset, views: int, args: argparse.Namespace) -> None:
    """Measure in this process, on one core."""
    dataset[0]
    begin = time.process_time()
    for step in range(args.steps):
        dataset[step % dataset.steps_per_epoch]
    seconds = time.process_time() - begin
    print(f"{name:<24}{args.steps * views / seconds:10.0f} crops per second and core, {1000 * seconds / args.steps:8.1f} ms a batch",
          flush=True)


def through(workers: int, dataset, views: int, args: argparse.Namespace) -> None:
    """Measure through loader processes, copying to the device; batches read ahead at the start do not count."""
    import torch

    from sslspk.data.loader import AHEAD, make_loader
    gpu, ahead = args.device.startswith("cuda"), AHEAD + 2 * workers
    batches = make_loader(dataset, 0, ahead + args.steps, workers, gpu)
    for step, batch in enumerate(batches):
        if step == ahead:
            begin = time.perf_counter()
        for crop in batch["crops"]:
            for value in crop.values():
                value.to(args.device, non_blocking=True)
    if gpu:
        torch.cuda.synchronize()
    seconds = time.perf_counter() - begin
    print(f"{f'{workers} processes':<24}{args.steps * views / seconds:10.0f} crops per second to {args.device}", flush=True)


if __name__ == "__main__":
    entry(main)
