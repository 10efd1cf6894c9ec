#!/usr/bin/env python3
"""Tell whether one experiment classifies better than another: the difference of their mean recall (UA) with a paired interval.

A and B are folders EXPS/NAME of fine-tunings (every seed counts; the UA of an experiment is the mean over its seeds) or
EXPS/NAME/PROBE. The same speakers are drawn with replacement for both, with all that they said.
usage: compare_classes.py --labels data/iemocap/utt2emotion --utt2spk data/iemocap/utt2spk A B
"""
import argparse
from pathlib import Path

import numpy as np

from sslspk.errors import InputError, entry
from sslspk.io import predictions, table
from sslspk.metrics import classification


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("a", type=Path, metavar="A")
    parser.add_argument("b", type=Path, metavar="B")
    parser.add_argument("--labels", required=True, metavar="TABLE", help="utterance -> true class")
    parser.add_argument("--utt2spk", required=True, metavar="FILE", help="utterance -> speaker")
    parser.add_argument("--bootstrap", type=int, default=10000, metavar="N", help="replicates (default: %(default)s)")
    args = parser.parse_args()
    labels, speakers = table.read(args.labels), table.read(args.utt2spk)
    one, other = (recall(folder, labels, speakers, args.bootstrap) for folder in (args.a, args.b))
    low, high = np.percentile(one[1:] - other[1:], [2.5, 97.5])
    said = f"{args.a} is better" if low > 0 else f"{args.b} is better" if high < 0 else "cannot be told"
    print(f"{args.a} {one[0]:.2f}, {args.b} {other[0]:.2f}: difference {one[0] - other[0]:+.2f} ({low:+.2f} to {high:+.2f}), {said}")
    return 0


def recall(folder: Path, labels: dict, speakers: dict, replicates: int) -> np.ndarray:
    """(1 + R,) UA in %: of all utterances, then of each replicate; means over the seeds."""
    names = sorted(set(labels.values()))
    class_of, speaker_of = {name: i for i, name in enumerate(names)}, {name: i for i, name in enumerate(sorted(set(speakers.values())))}
    found = []
    for seed in sorted(path for path in folder.glob("seed*") if path.name[4:].isdigit()) or [folder]:
        paths = sorted(seed.glob("fold_*/test/predictions.tsv")) or sorted(seed.glob("fold_*/predictions.tsv"))
        if not paths:
            raise InputError(f"{seed}: holds no fold_*/predictions.tsv; give the folder of an experiment.")
        told = {}
        for path in paths:
            read = predictions.read(path)
            told |= {utt: class_of[read.columns[i]] for utt, i in zip(read.utts, read.values.argmax(1), strict=True)}
        if told.keys() != labels.keys():
            raise InputError(f"{seed}: {len(told)} utterances were classified and {len(labels)} have a label; run its stages again.")
        truth = np.array([class_of[labels[utt]] for utt in told])
        said, who = np.array(list(told.values())), np.array([speaker_of[speakers[utt]] for utt in told])
        tables = np.concatenate([classification.confusion(truth, said, len(names))[None],
                                 classification.speaker_bootstrap(truth, said, who, len(names), replicates=replicates)])
        found.append(100 * classification.unweighted_accuracy(tables))
    return np.mean(found, 0)


if __name__ == "__main__":
    entry(main)
