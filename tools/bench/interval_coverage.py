#!/usr/bin/env python3
"""Measures how often 95 % intervals of EER and minDCF on simulated short lists contain the true value, that of a very long list.

A speaker is a random direction with its own spread; a trial's score is the cosine of two embeddings. Seeds are fixed.
usage: interval_coverage.py [--lists N]
"""
import argparse
import os
import sys

sys.path.insert(0, os.path.dirname(os.path.dirname(os.path.dirname(os.path.realpath(__file__)))))   # this checkout comes first

import numpy as np

from sslspk.metrics import bootstrap, verification

P_TARGETS = (0.01, 0.05)
# speakers, utterances per speaker, dimensions, noise, target trials, non-target trials
LISTS = {"30 speakers, hard": (30, 10, 12, 1.1, 600, 900), "30 speakers, easy": (30, 10, 30, 0.8, 600, 900),
         "80 speakers, hard": (80, 10, 12, 1.1, 1500, 2500), "30 speakers, long": (30, 20, 20, 0.9, 4500, 9000),
         "12 speakers": (12, 10, 12, 1.0, 300, 600)}
TRUTH = (3000, 200_000, 1_500_000)   # speakers, target and non-target trials of the long list


def trial_list(rng, speakers, each, dim, noise, targets, nontargets):
    """Scores, labels and the speakers of both sides."""
    speaker = np.repeat(np.arange(speakers), each)
    spread = noise * rng.gamma(4, 0.25, size=speakers)
    x = rng.normal(size=(speakers, dim))[speaker] + spread[speaker, None] * rng.normal(size=(len(speaker), dim))
    x /= np.linalg.norm(x, axis=1, keepdims=True)
    first, other = rng.integers(len(x), size=(2, targets + 4 * nontargets))
    same = first[:targets]
    partner = speaker[same] * each + (same % each + rng.integers(1, each, size=targets)) % each
    enrol, test = first[targets:], other[targets:]
    apart = np.flatnonzero(speaker[enrol] != speaker[test])[:nontargets]
    enrol, test = np.append(same, enrol[apart]), np.append(partner, test[apart])
    return (x[enrol] * x[test]).sum(1), speaker[enrol] == speaker[test], speaker[enrol], speaker[test]


def measures(scores, target):
    """EER and minDCFs (3,)."""
    det = verification.det_curve(scores, target)
    return np.array([verification.eer(det), *(verification.min_dcf(det, p) for p in P_TARGETS)])


def coverage(name: str, lists: int, truth: tuple[int, int, int] = TRUTH, replicates: int = 200) -> dict[str, np.ndarray]:
    """By kind of interval, the shares (3,) of `lists` lists whose interval contains the truth: of EER, and of minDCF at each prior."""
    speakers, each, dim, noise, targets, nontargets = LISTS[name]
    right = measures(*trial_list(np.random.default_rng(12345), truth[0], each, dim, noise, *truth[1:])[:2])
    held = {"percentiles": np.zeros(3), "bias-corrected": np.zeros(3)}
    for seed in range(lists):
        trials = trial_list(np.random.default_rng(seed), speakers, each, dim, noise, targets, nontargets)
        drawn = bootstrap.speaker_bootstrap(*trials, p_targets=P_TARGETS, replicates=replicates, seed=seed)
        values = np.column_stack([drawn.eer, drawn.min_dcf])
        for i, value in enumerate(measures(*trials[:2])):
            ends = {"percentiles": bootstrap.interval(values[:, i]),
                    "bias-corrected": bootstrap.error_interval(value, values[:, i], speakers)}
            for kind, (low, high) in ends.items():
                held[kind][i] += low <= right[i] <= high
    return {kind: count / lists for kind, count in held.items()}


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--lists", type=int, default=100, help="simulated lists of each kind")
    args = parser.parse_args()
    for name in LISTS:
        for kind, shares in coverage(name, args.lists).items():
            eer, *costs = (f"{100 * share:.0f}" for share in shares)
            told = ", ".join(f"minDCF({p}) {cost} %" for p, cost in zip(P_TARGETS, costs, strict=True))
            print(f"{name}, {kind}: EER {eer} %, {told}", flush=True)
    return 0


if __name__ == "__main__":
    sys.exit(main())
