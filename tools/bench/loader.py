#!/usr/bin/env python3
"""Measures the loader: crops per second in one process and bytes of a batch, with and without noises and rooms, and through processes.

usage: loader.py [--conf YAML] [--set k=v] [--steps N] [--workers N ...] [--device D] [--seconds S] [PACKED_DATA]

Without PACKED_DATA the recordings are noise. --workers: batches come from N processes and are copied to the device. No measurement starts
after S seconds.
"""
import argparse
import resource
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

    import torch

    from sslspk.config import load
    from sslspk.data import resident
    from sslspk.data.index import UtteranceIndex
    from sslspk.train.batches import make_dataset
    from sslspk.train.config import SystemConfig
    config = load(SystemConfig, args.conf, args.set)
    with tempfile.TemporaryDirectory() as folder:
        index = UtteranceIndex(args.data or made.data(Path(folder) / "data", 4 * config.data.batch_size, 4.0), "wave")
        plain = config.model_copy(update={"augment": config.augment.model_copy(update={"dir": None})})
        noisy = make_dataset(config, index)
        if noisy.augment:
            resident.keep(noisy.augment, torch.device(args.device), print)
        views = config.data.batch_size * sum(crop.count for crop in config.method.crops)
        alone("crops alone", make_dataset(plain, index), views, args)
        if config.augment.dir:
            alone("with noises and rooms", noisy, views, args)
        for workers in args.workers:
            if made.over(args.seconds):
                print(f"{workers} processes: not reached")
            else:
                through(workers, noisy, views, args)
    return 0


def alone(name: str, dataset, views: int, args: argparse.Namespace) -> None:
    """Measure in this process, on one core."""
    size = sum(value.nbytes for crop in dataset[0]["crops"] for value in crop.values())
    begin = time.process_time()
    for step in range(args.steps):
        dataset[step % dataset.steps_per_epoch]
    seconds = time.process_time() - begin
    print(f"{name:<24}{args.steps * views / seconds:10.0f} crops per second and core, {1000 * seconds / args.steps:8.1f} ms and "
          f"{size / 1e6:.2f} MB a batch", flush=True)


def through(workers: int, dataset, views: int, args: argparse.Namespace) -> None:
    """Measure through loader processes, copying to the device; batches read ahead at the start do not count, but in the CPU time."""
    import torch

    from sslspk.data.loader import AHEAD, make_loader
    gpu, ahead = args.device.startswith("cuda"), AHEAD + 2 * workers
    batches = make_loader(dataset, 0, ahead + args.steps, workers, gpu)
    used = children()
    for step, batch in enumerate(batches):   # whose end the processes do not outlive
        if step == ahead:
            begin = time.perf_counter()
        for crop in batch["crops"]:
            for value in crop.values():
                value.to(args.device, non_blocking=True)
    if gpu:
        torch.cuda.synchronize()
    seconds = time.perf_counter() - begin
    print(f"{f'{workers} processes':<24}{args.steps * views / seconds:10.0f} crops per second to {args.device}, "
          f"{1000 * (children() - used) / (ahead + args.steps):8.1f} ms of CPU time a batch", flush=True)


def children() -> float:
    """CPU seconds of all child processes that have ended."""
    return sum(resource.getrusage(resource.RUSAGE_CHILDREN)[:2])


if __name__ == "__main__":
    entry(main)
