#!/usr/bin/env python3
"""Compares agglomerative clustering for pseudo-labels with scikit-learn's AgglomerativeClustering, on the same data, in one run.

usage: clustering.py [--points N] [--dim D] [--clusters K] [--centroids C] [--neighbours N] [--threads P] [--ours]
       [--only WAY ...]

Points are directions around planted centres, 20 per centre on average. Each way runs in its own process; CPU seconds are those of the
clustering alone. "stated MB" is the estimate before it starts (two float64 per pair of points: the distances, and the copy that scipy
works on), "of it MB" how much the clustering added to the memory of libraries and data at the peak. "k-means + Ward" first reduces the
points to C centroids; its estimate is for the tree, not for k-means. "neighbours": a point may only merge with its N nearest. "as
scikit-learn" is the adjusted Rand index with scikit-learn's clusters of the same linkage; "NMI" is with the planted centres.
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

import numpy as np

from sslspk.errors import entry

UNIT = 1 if sys.platform == "darwin" else 1024  # of ru_maxrss, bytes


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--points", type=int, default=20_000)
    parser.add_argument("--dim", type=int, default=192)
    parser.add_argument("--clusters", type=int, help="number of clusters (default: a twentieth of the points)")
    parser.add_argument("--centroids", type=int, help="number of k-means centroids (default: a tenth of the points)")
    parser.add_argument("--neighbours", type=int, default=30)
    parser.add_argument("--only", nargs="+", choices=WAYS, metavar="WAY", help=f"only these: {'; '.join(WAYS)}")
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--ours", action="store_true", help="skip scikit-learn, which halves the time")
    parser.add_argument("--child", choices=WAYS, help=argparse.SUPPRESS)
    parser.add_argument("--out", help=argparse.SUPPRESS)
    args = parser.parse_args()
    args.clusters, args.centroids = args.clusters or args.points // 20, args.centroids or args.points // 10
    if args.child:
        run_child(args)
        return
    from sklearn.metrics import adjusted_rand_score

    from sslspk.metrics.clustering import nmi
    truth, found = make(args)[1], {}
    print(f"{args.points:,} x {args.dim} to {args.clusters:,} clusters, {args.threads} thread(s)")
    print(f"{'':<28}{'CPU s':>10}{'stated MB':>11}{'of it MB':>10}{'peak MB':>10}{'NMI':>8}{'as scikit-learn':>17}")
    with tempfile.TemporaryDirectory() as folder:
        for name in (way for way in WAYS if (way in args.only if args.only else way.startswith("ours") or not args.ours)):
            row, found[name] = child(name, args, folder)
            other = found.get(f"scikit-learn, {name.split(', ')[1]}")
            alike = "" if other is None or other is found[name] else f"{adjusted_rand_score(other, found[name]):.6f}"
            stated = f"{row['stated']:.0f}" if "stated" in row else ""
            print(f"{name:<28}{row['seconds']:10.2f}{stated:>11}{row['raised']:10.0f}{row['peak']:10.0f}{nmi(found[name], truth):8.4f}"
                  f"{alike:>17}", flush=True)


def child(name: str, args: argparse.Namespace, folder: str) -> tuple[dict, np.ndarray]:
    """The figures of the process that clusters in the way `name`, and its clusters (N,)."""
    out = os.path.join(folder, "clusters.npy")
    words = [sys.executable, os.path.abspath(__file__), "--child", name, "--out", out]
    for option in ("points", "dim", "clusters", "centroids", "neighbours", "threads"):
        words += [f"--{option}", str(getattr(args, option))]
    threads = {f"{library}_NUM_THREADS": str(args.threads) for library in ("OMP", "MKL", "OPENBLAS")}
    path = os.pathsep.join([str(Path(__file__).resolve().parents[2]), *filter(None, [os.environ.get("PYTHONPATH")])])
    done = subprocess.run(words, env={**os.environ, **threads, "PYTHONPATH": path}, stdout=subprocess.PIPE, text=True)
    if done.returncode:
        sys.exit(f"{name} failed with status {done.returncode}")
    return json.loads(done.stdout), np.load(out)


def make(args: argparse.Namespace) -> tuple[np.ndarray, np.ndarray]:
    """Directions (N, D) float64 and the centre (N,) of each; the clusters of neighbouring centres overlap."""
    rng = np.random.default_rng(0)
    centres = rng.standard_normal((max(args.points // 20, 1), args.dim))
    truth = rng.integers(len(centres), size=args.points)
    x = centres[truth] + 1.5 * rng.standard_normal((args.points, args.dim))
    x /= np.linalg.norm(x, axis=1, keepdims=True)
    return x, truth


def run_child(args: argparse.Namespace) -> None:
    x, _ = make(args)
    cluster = WAYS[args.child]
    small = argparse.Namespace(**{**vars(args), "clusters": 2, "centroids": 4, "neighbours": 3})
    cluster(x[:50], small)  # libraries load on first use
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    start = time.process_time()
    stated, groups = cluster(x, args)
    seconds = time.process_time() - start
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    np.save(args.out, groups)
    print(json.dumps({"seconds": seconds, "peak": peak * UNIT / 1e6, "raised": (peak - before) * UNIT / 1e6,
                      **({} if stated is None else {"stated": stated / 1e6})}))


def ours(linkage: str, x: np.ndarray, k: int, neighbours: int | None = None) -> tuple[int | None, np.ndarray]:
    from sslspk.backend import clustering
    stated = None if neighbours else clustering.check_memory(len(x))
    tree = (clustering.ward if linkage == "ward" else clustering.cosine)(x, neighbours=neighbours)
    return stated, clustering.cut(tree, len(x) - k)


def kmeans_first(x: np.ndarray, args: argparse.Namespace) -> tuple[int, np.ndarray]:
    import torch

    from sslspk.backend import clustering
    from sslspk.nn.kmeans import kmeans
    torch.set_num_threads(args.threads)
    found = kmeans(torch.from_numpy(x).float(), args.centroids, iterations=20, init="random").assignment.numpy()
    point = clustering.numbered(found)
    stated, groups = ours("ward", clustering.means(x, point), args.clusters)
    return stated, groups[point]


def scikit_learn(linkage: str, x: np.ndarray, k: int) -> tuple[None, np.ndarray]:
    from sklearn.cluster import AgglomerativeClustering
    metric = "euclidean" if linkage == "ward" else "cosine"
    return None, AgglomerativeClustering(k, linkage=linkage, metric=metric).fit_predict(x)


WAYS = {"scikit-learn, Ward": lambda x, args: scikit_learn("ward", x, args.clusters),
        "ours, Ward": lambda x, args: ours("ward", x, args.clusters),
        "scikit-learn, cosine": lambda x, args: scikit_learn("average", x, args.clusters),
        "ours, cosine": lambda x, args: ours("cosine", x, args.clusters),
        "ours, Ward, neighbours": lambda x, args: ours("ward", x, args.clusters, args.neighbours),
        "ours, cosine, neighbours": lambda x, args: ours("cosine", x, args.clusters, args.neighbours),
        "ours, k-means + Ward": kmeans_first}

if __name__ == "__main__":
    entry(main)
