#!/usr/bin/env python3
"""Compares k-means with scikit-learn's (Lloyd): same data, starts, iterations and threads, in one run, each in its own process.

usage: kmeans.py [--points N] [--dim D] [--clusters K] [--iterations I] [--init random|kmeans++ ...] [--device cuda] [--ours]

Points are a noisy mixture of twice as many centres as there are clusters. Seconds are those of the clustering alone. Memory is the
peak of the process, and how much the clustering added to libraries and data; on a GPU, the memory allocated there. Target: a
million points of 192 dimensions and 5000 clusters in a few minutes on a GPU (--device cuda --points 1000000 --clusters 5000
--iterations 20 --ours), and in bounded memory everywhere.
"""
import argparse
import json
import os
import resource
import subprocess
import sys
import time
from pathlib import Path

from sslspk.errors import entry

UNIT = 1 if sys.platform == "darwin" else 1024  # of ru_maxrss, bytes


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--points", type=int, default=100_000)
    parser.add_argument("--dim", type=int, default=192)
    parser.add_argument("--clusters", type=int, default=500)
    parser.add_argument("--iterations", type=int, default=5)
    parser.add_argument("--init", nargs="+", choices=("random", "kmeans++"), default=["random", "kmeans++"])
    parser.add_argument("--threads", type=int, default=os.cpu_count())
    parser.add_argument("--device", default="cpu", help="device of our k-means; scikit-learn always uses the CPU")
    parser.add_argument("--ours", action="store_true", help="skip scikit-learn, which would take hours for a million points")
    parser.add_argument("--child", choices=CHILDREN, help=argparse.SUPPRESS)
    args = parser.parse_args()
    if args.child:
        print(json.dumps(CHILDREN[args.child](args)))
        return 0
    print(f"{args.points:,} x {args.dim}, {args.clusters} clusters, {args.iterations} iterations, {args.threads} threads")
    print(f"{'':<40}{'seconds':>9}{'objective':>14}{'peak MB':>10}{'of it MB':>10}{'on GPU MB':>11}")
    for init in args.init:
        for name in ("ours",) if args.ours else CHILDREN:
            title = f"{name}, {init}{f', {args.device}' if name == 'ours' else ''}"
            found = child(name, init, args)
            print(f"{title:<40}{found['seconds']:9.2f}{found['objective']:14.6g}{found['peak']:10.0f}{found['raised']:10.0f}"
                  f"{found.get('device', 0):11.0f}", flush=True)
    return 0


def child(name: str, init: str, args: argparse.Namespace) -> dict:
    """The figures printed by the process that clusters with `name`."""
    words = [sys.executable, os.path.abspath(__file__), "--child", name, "--init", init]
    for option in ("points", "dim", "clusters", "iterations", "threads", "device"):
        words += [f"--{option}", str(getattr(args, option))]
    threads = {f"{library}_NUM_THREADS": str(args.threads) for library in ("OMP", "MKL", "OPENBLAS")}
    path = os.pathsep.join([str(Path(__file__).resolve().parents[2]), *filter(None, [os.environ.get("PYTHONPATH")])])
    done = subprocess.run(words, env={**os.environ, **threads, "PYTHONPATH": path}, stdout=subprocess.PIPE, text=True)
    if done.returncode:
        sys.exit(f"{name} failed with status {done.returncode}")
    return json.loads(done.stdout)


def make_points(args: argparse.Namespace):
    """Points (N, D) float32, made in pieces, so that making them takes no extra memory."""
    import numpy as np
    rng = np.random.default_rng(0)
    centres = rng.standard_normal((2 * args.clusters, args.dim), dtype=np.float32)
    points = np.empty((args.points, args.dim), np.float32)
    for start in range(0, args.points, 10_000):
        piece = points[start:start + 10_000]
        rng.standard_normal(out=piece, dtype=np.float32)
        piece += centres[rng.integers(len(centres), size=len(piece))]
    return points


def measure(points, cluster) -> dict:
    """Seconds, objective, and memory in 10^6 bytes of cluster(points)."""
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    start = time.perf_counter()
    objective = cluster(points)
    seconds = time.perf_counter() - start
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return {"seconds": seconds, "objective": objective, "peak": peak * UNIT / 1e6, "raised": (peak - before) * UNIT / 1e6}


def ours(args: argparse.Namespace) -> dict:
    import torch

    from sslspk.nn.kmeans import kmeans
    torch.set_num_threads(args.threads)
    points = torch.from_numpy(make_points(args)).to(args.device)
    kmeans(points[:1000], 2, iterations=1)  # libraries load on first use
    found = measure(points, lambda x: kmeans(x, args.clusters, iterations=args.iterations, init=args.init[0], tolerance=0).objective)
    return {**found, "device": torch.cuda.max_memory_allocated() / 1e6 if points.is_cuda else 0}


def scikit_learn(args: argparse.Namespace) -> dict:
    from sklearn.cluster import KMeans
    points = make_points(args)
    model = KMeans(args.clusters, init=args.init[0].replace("kmeans", "k-means"), n_init=1, max_iter=args.iterations, tol=0, random_state=0)
    model.fit(points[:args.clusters])
    return measure(points, lambda x: float(model.fit(x).inertia_))


CHILDREN = {"ours": ours, "scikit-learn": scikit_learn}

if __name__ == "__main__":
    entry(main)
