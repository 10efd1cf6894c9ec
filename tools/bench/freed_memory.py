#!/usr/bin/env python3
"""Measures the gain and the cost of keeping freed memory (sslspk/launch/memory.py): a training on the CPU with and without it, in turn.

usage: freed_memory.py [--conf YAML] [--steps N] [--rounds N] PACKED_DATA

Prints user and system CPU seconds, including the start, and peak memory. 12 steps of conf/simclr_short.yaml (64 recordings per step),
one thread, while other programs used the machine; the losses are the same:

    kept    16.5 + 1.0 s   1.46 GB        17.2 + 1.1 s   1.47 GB
    given   17.1 + 3.8 s   1.17 GB        16.9 + 3.6 s   1.16 GB
"""
import argparse
import os
import subprocess
import sys
import tempfile
from pathlib import Path

from sslspk.errors import count, entry


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("data", type=Path, metavar="PACKED_DATA", help="what steps/pack_audio.sh wrote")
    parser.add_argument("--conf", default="egs/voxceleb/conf/simclr_short.yaml")
    parser.add_argument("--steps", type=count, default=12)
    parser.add_argument("--rounds", type=count, default=2)
    args = parser.parse_args()
    plain = {key: value for key, value in os.environ.items() if not key.startswith("MALLOC_")}
    for _ in range(args.rounds):
        # any MALLOC_X variable leaves the decision to the user; this one has glibc's default value
        for name, more in (("kept", {}), ("given", {"MALLOC_TOP_PAD_": str(128 << 10)})):
            with tempfile.TemporaryDirectory() as exp:
                run = subprocess.Popen([sys.executable, "-m", "sslspk.bin.train", "--conf", args.conf, "--set", f"train.steps={args.steps}",
                                        args.data, exp], env={**plain, "OMP_NUM_THREADS": "1", **more}, stdout=subprocess.DEVNULL)
                _, status, used = os.wait4(run.pid, 0)
            if status:
                sys.exit(f"the training failed with status {os.waitstatus_to_exitcode(status)}")
            print(f"{name:6} {used.ru_utime:6.1f} + {used.ru_stime:.1f} s {used.ru_maxrss / 1e6:6.2f} GB", flush=True)


if __name__ == "__main__":
    entry(main)
