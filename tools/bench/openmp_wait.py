#!/usr/bin/env python3
"""Finds how OpenMP's threads should wait for each other: times a training on this machine's CPU under several settings.

usage: openmp_wait.py [--conf YAML] [--set k=v] [--steps N] PACKED_DATA

Each setting trains in its own process, once on an idle machine and once while another process keeps one core busy. A thread that
waits by spinning takes the core that the other thread needs; one that sleeps at once wakes late after each small kernel.
Four steps of conf/mini/dino_tdnn.yaml on two cores, sometimes with other programs running: wall seconds / CPU seconds

                                        idle              busy
    as libgomp does              30.2 / 16.6       24.1 / 12.3
    GOMP_SPINCOUNT=100000          6.9 / 8.0        10.8 / 9.5
    GOMP_SPINCOUNT=10000           4.2 / 4.7         6.6 / 4.7
    GOMP_SPINCOUNT=1000            8.3 / 4.3         8.9 / 4.2
"""
import argparse
import json
import os
import resource
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from sslspk.errors import entry

SETTINGS = ("", "GOMP_SPINCOUNT=100000", "GOMP_SPINCOUNT=10000", "GOMP_SPINCOUNT=1000", "GOMP_SPINCOUNT=100", "OMP_WAIT_POLICY=passive",
            "OMP_NUM_THREADS=1")


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("data", type=Path, metavar="PACKED_DATA", help="what steps/pack_audio.sh wrote")
    parser.add_argument("--conf", default="conf/mini/dino_tdnn.yaml")
    parser.add_argument("--set", action="append", default=[], metavar="KEY=VALUE")
    parser.add_argument("--steps", type=int, default=8, help="measured steps (default %(default)s), after two to warm up")
    parser.add_argument("--situations", nargs="+", choices=("idle", "busy"), default=("idle", "busy"))
    parser.add_argument("--settings", nargs="+", default=SETTINGS, help="environment variables; default: those above")
    parser.add_argument("--one", action="store_true", help=argparse.SUPPRESS)
    args = parser.parse_args()
    if args.one:
        print(json.dumps(measure(args)))
        return 0
    print(f"{args.steps} steps of {args.conf} on {len(os.sched_getaffinity(0))} cores: wall seconds / CPU seconds")
    print(f"{'':<26}" + "".join(f"{situation:>18}" for situation in args.situations))
    for setting in args.settings:
        print(f"{setting or 'as libgomp does':<26}", end="", flush=True)
        for situation in args.situations:
            wall, cpu = run(setting, situation == "busy")
            print(f"{f'{wall:.1f} / {cpu:.1f}':>18}", end="", flush=True)
        print()
    return 0


def run(setting: str, busy: bool) -> tuple[float, float]:
    """(wall, CPU) seconds of the measured steps under a setting; busy: while another process uses the last core."""
    variables = {key: value for key, value in os.environ.items() if key not in ("GOMP_SPINCOUNT", "OMP_WAIT_POLICY", "OMP_NUM_THREADS")}
    variables["GOMP_SPINCOUNT" if not setting else setting.partition("=")[0]] = setting.partition("=")[2] or "300000"
    other = None
    if busy:
        core = max(os.sched_getaffinity(0))
        other = subprocess.Popen([sys.executable, "-c", f"import os\nos.sched_setaffinity(0, {{{core}}})\nwhile True: pass"])
    try:
        done = subprocess.run([sys.executable, __file__, "--one", *sys.argv[1:]], env=variables, stdout=subprocess.PIPE, check=True)
    finally:
        if other:
            other.kill()
            other.wait()
    return tuple(json.loads(done.stdout.splitlines()[-1]))


def measure(args: argparse.Namespace) -> tuple[float, float]:
    """(wall, CPU) seconds of the steps in this process."""
    from sslspk.config import load
    from sslspk.data.loader import make_loader
    from sslspk.methods.base import Progress
    from sslspk.train import distributed
    from sslspk.train.config import SystemConfig
    from sslspk.train.job import prepare
    from sslspk.train.loop import optimizer_step
    device = distributed.init(60)
    config = load(SystemConfig, args.conf, [*args.set, "train.steps=1000000"])
    with tempfile.TemporaryDirectory() as exp:
        job = prepare(config, args.data, Path(exp), device, lambda text: None)
        batches = iter(make_loader(job.dataset, 0, 1000000, config.data.workers, False))
        job.model.train()
        for step in range(args.steps + 2):
            if step == 2:
                begin, before = time.perf_counter(), resource.getrusage(resource.RUSAGE_SELF)
            optimizer_step(job, batches, Progress(job.step, job.total, job.dataset.steps_per_epoch))
        after = resource.getrusage(resource.RUSAGE_SELF)
        return time.perf_counter() - begin, after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime


if __name__ == "__main__":
    entry(main)
