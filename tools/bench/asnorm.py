#!/usr/bin/env python3
"""Compares AS-norm, with statistics once per utterance and in blocks, with a straightforward version, in one run.

usage: asnorm.py [--utterances N ...] [--trials T] [--cohort C] [--dim D] [--top-n N] [--sample S] [--threads P]

The straightforward version scores both sides of every trial against the cohort and sorts; it is timed on a sample of the trials, and
the time is scaled to all trials. Both normalise cosine scores, each in its own process; "difference" is the largest between their
scores on the sample. Memory is the peak of the process, and how much scoring added to libraries and embeddings; the last column is the
size of the full table of cohort scores. The default numbers of utterances are those of VoxCeleb1-O and -E.
"""
import argparse
import json
import os
import resource
import subprocess
import sys
import time
from pathlib import Path

import numpy as np

from sslspk.errors import entry

UNIT = 1 if sys.platform == "darwin" else 1024  # of ru_maxrss, bytes


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--utterances", type=int, nargs="+", default=[4_708, 145_160])
    parser.add_argument("--trials", type=int, default=580_000)
    parser.add_argument("--cohort", type=int, default=6_000)
    parser.add_argument("--dim", type=int, default=192)
    parser.add_argument("--top-n", type=int, default=300)
    parser.add_argument("--sample", type=int, default=1_000, help="trials for the straightforward version")
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--child", choices=CHILDREN, help=argparse.SUPPRESS)
    args = parser.parse_args()
    if args.child:
        print(json.dumps(CHILDREN[args.child](args)))
        return
    print(f"{args.trials:,} trials, a cohort of {args.cohort:,} x {args.dim}, top {args.top_n}, {args.threads} thread(s)")
    print(f"{'':<46}{'seconds':>10}{'CPU':>10}{'peak MB':>10}{'of it MB':>10}{'difference':>12}{'table MB':>10}")
    for utterances in args.utterances:
        found = {name: child(name, utterances, args) for name in CHILDREN}
        apart = np.abs(np.subtract(found["ours"]["sample"], found["straightforward"]["sample"])).max()
        for name, row in found.items():
            scaled = f" (x {args.trials / args.sample:.0f})" if name == "straightforward" else ""
            print(f"{f'{utterances:,} utterances, {name}{scaled}':<46}{row['seconds']:10.2f}{row['cpu']:10.2f}{row['peak']:10.0f}"
                  f"{row['raised']:10.0f}{apart:12.1g}{8e-6 * utterances * args.cohort:10.0f}", flush=True)


def child(name: str, utterances: int, args: argparse.Namespace) -> dict:
    """The figures printed by the process that normalises with `name`."""
    words = [sys.executable, os.path.abspath(__file__), "--child", name, "--utterances", str(utterances)]
    for option in ("trials", "cohort", "dim", "top_n", "sample", "threads"):
        words += [f"--{option.replace('_', '-')}", str(getattr(args, option))]
    threads = {f"{library}_NUM_THREADS": str(args.threads) for library in ("OMP", "MKL", "OPENBLAS")}
    path = os.pathsep.join([str(Path(__file__).resolve().parents[2]), *filter(None, [os.environ.get("PYTHONPATH")])])
    done = subprocess.run(words, env={**os.environ, **threads, "PYTHONPATH": path}, stdout=subprocess.PIPE, text=True)
    if done.returncode:
        sys.exit(f"{name} failed with status {done.returncode}")
    return json.loads(done.stdout)


def make(args: argparse.Namespace):
    """Embeddings (N, D), cohort (C, D), and the rows (T,) of each trial's two sides."""
    rng = np.random.default_rng(0)
    x, cohort = (rng.standard_normal((n, args.dim)) for n in (args.utterances[0], args.cohort))
    return x, cohort, rng.integers(len(x), size=args.trials), rng.integers(len(x), size=args.trials)


def measure(run, scale: float = 1.0) -> dict:
    """Wall and CPU seconds (times scale), memory in 10^6 bytes, and the result of run()."""
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    start, cpu = time.perf_counter(), time.process_time()
    sample = run()
    seconds, cpu = time.perf_counter() - start, time.process_time() - cpu
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return {"seconds": seconds * scale, "cpu": cpu * scale, "peak": peak * UNIT / 1e6, "raised": (peak - before) * UNIT / 1e6,
            "sample": sample}


def ours(args: argparse.Namespace) -> dict:
    from sslspk.backend.cosine import Cosine
    from sslspk.backend.snorm import normalise, statistics
    x, cohort, *rows = make(args)

    def run():
        backend = Cosine()
        known = statistics(backend, x, cohort, args.top_n)
        return normalise(backend.score_trials(x, x, *rows), *rows, enrol=known, test=known)[:args.sample].tolist()
    return measure(run)


def straightforward(args: argparse.Namespace) -> dict:
    x, cohort, enrol_row, test_row = make(args)
    cohort /= np.linalg.norm(cohort, axis=1, keepdims=True)

    def run():
        out = []
        for i, j in zip(enrol_row[:args.sample], test_row[:args.sample], strict=True):
            enrol, test = x[i] / np.linalg.norm(x[i]), x[j] / np.linalg.norm(x[j])
            tops = [np.sort(cohort @ side)[-args.top_n:] for side in (enrol, test)]
            out.append(sum((enrol @ test - top.mean()) / top.std() for top in tops) / 2)
        return list(map(float, out))
    return measure(run, args.trials / args.sample)


CHILDREN = {"ours": ours, "straightforward": straightforward}

if __name__ == "__main__":
    entry(main)
