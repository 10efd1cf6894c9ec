#!/usr/bin/env python3
"""The loader alone, in the process that asks (one core): crops per second, with and without noises and rooms.

usage: loader.py [--conf YAML] [--set k=v] [--steps N] PACKED_DATA
"""
import argparse
import time
from pathlib import Path

from sslspk.errors import entry


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("data", type=Path, metavar="PACKED_DATA", help="what steps/pack_audio.sh wrote")
    parser.add_argument("--conf", default="conf/mini/dino_tdnn.yaml")
    parser.add_argument("--set", action="append", default=[], metavar="KEY=VALUE", help="e.g. augment.dir=data_mini/augment")
    parser.add_argument("--steps", type=int, default=50)
    args = parser.parse_args()

    from sslspk.config import load
    from sslspk.data.index import UtteranceIndex
    from sslspk.train.batches import make_dataset
    from sslspk.train.config import SystemConfig
    config = load(SystemConfig, args.conf, args.set)
    index = UtteranceIndex(args.data, "wave")
    plain = config.model_copy(update={"augment": config.augment.model_copy(update={"dir": None})})
    views = config.data.batch_size * sum(crop.count for crop in config.method.crops)
    for name, each in (("crops alone", plain), ("with noises and rooms", config)):
        if name != "crops alone" and not config.augment.dir:
            continue
        dataset = make_dataset(each, index)
        dataset[0]
        begin = time.process_time()
        for step in range(args.steps):
            dataset[step % dataset.steps_per_epoch]
        seconds = time.process_time() - begin
        print(f"{name:<24}{args.steps * views / seconds:10.0f} crops per second and core, {1000 * seconds / args.steps:8.1f} ms a batch")
    return 0


if __name__ == "__main__":
    entry(main)
