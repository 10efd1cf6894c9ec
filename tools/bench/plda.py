#!/usr/bin/env python3
"""Compares PLDA training and scoring with straightforward loops over speakers and trials: same data, one run, CPU seconds.

usage: plda.py [--speakers N] [--utts N] [--dim D] [--trials N] [--sample N]

The loops use the same equations (Kaldi's), one speaker or one trial at a time; scoring loops run on --sample trials, and are scaled.
Targets: training of 1000 x 20 x 256 in 0.5 s, 500,000 scores in 0.1 s, on one thread.
"""
import argparse
import os
import time

from sslspk.errors import entry


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--speakers", type=int, default=1000)
    parser.add_argument("--utts", type=int, default=20)
    parser.add_argument("--dim", type=int, default=256)
    parser.add_argument("--iterations", type=int, default=10)
    parser.add_argument("--trials", type=int, default=500_000)
    parser.add_argument("--sample", type=int, default=5000, help="trials for the scoring loop")
    args = parser.parse_args()
    import numpy as np

    from sslspk.backend import plda_model as pm
    rng = np.random.default_rng(0)
    code = np.repeat(np.arange(args.speakers), args.utts)
    speakers = rng.normal(size=(args.speakers, args.dim)) @ rng.normal(size=(args.dim, args.dim)) / 8
    x = speakers[code] + rng.normal(size=(len(code), args.dim))
    print(f"{args.speakers} speakers x {args.utts} utterances x {args.dim}, {args.iterations} iterations; {args.trials:,} trials; "
          f"threads: {os.environ.get('OMP_NUM_THREADS', 'all')}")
    model, ours = timed(lambda: pm.train_two_covariance(pm.sums(x, code), args.iterations))
    reference, slow = timed(lambda: train_by_loops(x, code, args.iterations))
    gap = max(abs(a - b).max() for a, b in zip(model.covariances(), reference, strict=True)) / abs(reference[0]).max()
    print(f"training   {ours:8.3f} s CPU    loops {slow:8.3f} s    largest relative difference {gap:.1e}")
    u = model.project(x)
    rows, columns = rng.integers(len(x), size=(2, args.trials))
    scores, ours = timed(lambda: pm.score_pairs(model, u, u, rows, columns))
    some = slice(args.sample)
    want, slow = timed(lambda: [score_one(model.psi, u[i], u[j]) for i, j in zip(rows[some], columns[some], strict=True)])
    slow *= args.trials / args.sample
    print(f"scattered  {ours:8.3f} s CPU    loops {slow:8.3f} s    largest difference {abs(scores[some] - want).max():.1e}")
    side = int(args.trials ** 0.5) + 1
    _, ours = timed(lambda: pm.score_all(model, u[:side], u[-side:]))
    print(f"all pairs  {ours:8.3f} s CPU    loops {slow:8.3f} s    of {side} x {side}")
    return 0


def timed(work):
    """The result of work(), and its CPU seconds."""
    begin = time.process_time()
    found = work()
    return found, time.process_time() - begin


def train_by_loops(x, code, iterations: int):
    """Between- and within-class covariance, one speaker at a time."""
    import numpy as np
    dim, classes = x.shape[1], code.max() + 1
    own = [x[code == c] for c in range(classes)]
    means = np.array([part.mean(0) for part in own])
    centre, scatter = means.mean(0), sum((part - part.mean(0)).T @ (part - part.mean(0)) for part in own)
    between = within = np.eye(dim)
    for _ in range(iterations):
        inverse_b, inverse_w = np.linalg.inv(between), np.linalg.inv(within)
        new_b, new_w = np.zeros((dim, dim)), scatter.copy()
        for part, mean in zip(own, means, strict=True):
            n = len(part)
            posterior = np.linalg.inv(inverse_b + n * inverse_w)
            w = posterior @ (n * inverse_w @ (mean - centre))
            rest = mean - centre - w
            new_b += posterior + np.outer(w, w)
            new_w += n * (posterior + np.outer(rest, rest))
        between, within = new_b / classes, new_w / len(x)
    return between, within


def score_one(psi, m, u) -> float:
    """The log likelihood ratio of one trial with one enrolment utterance."""
    import numpy as np
    mean, given, alone = psi / (psi + 1) * m, 1 + psi / (psi + 1), 1 + psi
    return 0.5 * float(np.sum(np.log(alone) + u ** 2 / alone - np.log(given) - (u - mean) ** 2 / given))


if __name__ == "__main__":
    entry(main)
