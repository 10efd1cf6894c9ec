#!/usr/bin/env python3
"""Test whether one experiment classifies better than another: the difference of their mean recall (UA) with a paired interval.

A and B are folders EXPS/NAME of fine-tunings (every seed counts; the UA of an experiment is the mean over its seeds) or EXPS/NAME/PROBE.
Whether utterances or participants are decided is read from their result.json. The bootstrap draws the same speakers, with all their
utterances, for both. Run it in the recipe's folder. usage: compare_classes.py exp/A exp/B
"""
import argparse
import os
import sys
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

sys.path.insert(0, os.path.dirname(os.path.dirname(os.path.realpath(__file__))))   # this checkout comes before any other sslspk
from sslspk.errors import InputError, count, entry, shown
from sslspk.io import predictions, results, table

if TYPE_CHECKING:
    import numpy as np


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("a", type=Path, metavar="A")
    parser.add_argument("b", type=Path, metavar="B")
    parser.add_argument("--utt2spk", metavar="FILE", help="table of each utterance's speaker; needed where utterances decide, "
                                                          "if an id's part before the first hyphen is not the speaker")
    parser.add_argument("--bootstrap", type=count, default=10000, metavar="N", help="replicates of the bootstrap (default: %(default)s)")
    args = parser.parse_args()
    one, other = (recall(folder, args.utt2spk, args.bootstrap) for folder in (args.a, args.b))
    if one.items != other.items:
        raise InputError(f"{args.a} and {args.b} are about different items ({len(one.items)} and {len(other.items)}); compare what was "
                         "tested on the same data in the same way.")
    import numpy as np
    one, other = one.recall, other.recall
    low, high = np.percentile(one[1:] - other[1:], [2.5, 97.5])
    said = f"{args.a} is better" if low > 0 else f"{args.b} is better" if high < 0 else "no significant difference"
    print(f"{args.a} {one[0]:.2f}, {args.b} {other[0]:.2f}: difference {one[0] - other[0]:+.2f} ({low:+.2f} to {high:+.2f}), {said}")
    return 0


class Told(NamedTuple):
    """items: what was decided about, with its true class; recall (1 + R,): UA in % of all of them, then of each replicate."""

    items: dict[str, str]
    recall: "np.ndarray"


def recall(folder: Path, utt2spk: str | None, replicates: int) -> Told:
    """Means over the seeds. Raises InputError where a result is missing or an utterance was tested twice."""
    import numpy as np

    from sslspk.metrics import classification
    found, items = [], {}
    for seed in sorted(path for path in folder.glob("seed*") if path.name[4:].isdigit()) or [folder]:
        result = results.of_classes(seed / "result.json", need=("labels_from", "folds", "classes", "pool"))
        labels = {utt: one for path in result["labels_from"] for utt, one in table.read(path).items()}
        groups = table.read(result["groups"]) if result["pool"] != "none" else table.read(utt2spk) if utt2spk else {}
        utts, values = [], []
        for fold in result["folds"]:
            read = predictions.read(fold["predictions"])
            utts, values = utts + read.utts, [*values, read.values]
        if len(set(utts)) < len(utts) or set(utts) != set(labels):
            raise InputError(f"{seed}: its predictions are not of each of {' and '.join(result['labels_from'])} once; score it again "
                             "(run.sh).")
        who = [groups.get(utt, utt.partition("-")[0]) for utt in utts]
        names, classes = sorted(set(who)), result["classes"]
        odd = next((utt for utt in utts if labels[utt] not in classes), None)
        if odd is not None:
            raise InputError(f"{seed}/result.json knows no class {shown(labels[odd], 40)}, which {odd} has now; score it again (run.sh).")
        truth = np.array([classes.index(labels[utt]) for utt in utts])
        speaker, said = np.array([names.index(one) for one in who]), np.concatenate(values).argmax(1)
        if result["pool"] != "none":
            truth = np.array([truth[speaker == i][0] for i in range(len(names))])
            said, speaker = classification.decide(np.concatenate(values), speaker, result["pool"]), np.arange(len(names))
        items = dict(zip(names if result["pool"] != "none" else utts, (classes[i] for i in truth), strict=True))
        whole = classification.unweighted_accuracy(classification.confusion(truth, said, len(classes)))
        drawn = classification.speaker_bootstrap(truth, said, speaker, len(classes), replicates=replicates).ua
        found.append(100 * np.append(whole, drawn))
    return Told(dict(sorted(items.items())), np.mean(found, 0))


if __name__ == "__main__":
    entry(main)
