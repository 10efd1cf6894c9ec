#!/usr/bin/env python3
"""Measures the memory of a training's index on one machine, where all ranks and their loader workers map one file.

usage: index_memory.py [--lines N] [--ranks R] [--workers W]

Every process makes the order of an epoch and looks up --looks utterances. Prints the proportional set size (Pss) of all processes
together, in MB: a page that several share counts once. "before" is that of the same processes with torch and the package loaded, but
no data.
"""
import argparse
import os
import tempfile

from scale import make

from sslspk.data.config import Crop, DataConfig
from sslspk.data.dataset import BatchDataset
from sslspk.data.index import UtteranceIndex
from sslspk.errors import entry


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--lines", type=int, default=1_000_000)
    parser.add_argument("--ranks", type=int, default=2)
    parser.add_argument("--workers", type=int, default=8)
    parser.add_argument("--looks", type=int, default=20_000)
    args = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        make(folder, args.lines)
        if not os.fork():   # a separate process makes it, as the first run does
            UtteranceIndex(folder, "wave")
            os._exit(0)
        os.wait()
        before, after = (family(args, data) for data in (None, folder))
    print(f"{args.lines:,} utterances, {args.ranks} ranks of {args.workers} workers: {before:.0f} MB before, {after:.0f} MB with the "
          f"data's tables, {after - before:.0f} MB more")


def family(args: argparse.Namespace, data: str | None) -> float:
    """MB of all ranks and workers while all of them run."""
    told, go = os.pipe(), os.pipe()
    for _ in range(args.ranks):
        if not os.fork():
            crops, config = (Crop(count=2, seconds=2.0),), DataConfig()
            batches = BatchDataset(UtteranceIndex(data, "wave"), config, crops, seed=0, rate=16000, world=args.ranks) if data else None
            for _ in range(args.workers):
                if not os.fork():
                    break
            look_up(args, batches)
            os.write(told[1], os.getpid().to_bytes(8, "little"))
            os.read(go[0], 1)   # wait until all have been measured
            os._exit(0)
    pids = [int.from_bytes(os.read(told[0], 8), "little") for _ in range(args.ranks * (args.workers + 1))]
    total = sum(pss(pid) for pid in pids)
    os.write(go[1], bytes(len(pids)))
    for _ in range(args.ranks):
        os.wait()
    return total / 1e3


def look_up(args: argparse.Namespace, batches: BatchDataset | None) -> None:
    """Make the order of an epoch, as every worker does, and look up its recordings in the index."""
    if batches is not None:
        for i in batches.order(0)[:args.looks].tolist():
            _ = batches.index.spec(i), batches.index.length[i], batches.index.unit(i)


def pss(pid: int) -> int:
    """Pss of a process in kB."""
    with open(f"/proc/{pid}/smaps_rollup", encoding="ascii") as file:
        return next(int(line.split()[1]) for line in file if line.startswith("Pss:"))


if __name__ == "__main__":
    entry(main)
