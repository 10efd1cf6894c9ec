"""Accuracy of a linear softmax on labels of frames: `python3 -m sslspk.bin.probe_frames --labels L --train DATA --test DATA FEATS OUT`.

FEATS/feats.scp holds the frames of the utterances of both data directories (of --test, those of TEST_FEATS where that is given too):
log-mel by steps/make_feats.sh or a model's frames by steps/extract_frames.sh. Writes OUT/result.json: the share of the frames of the test
speakers that get their own label, with an interval over speakers, and of each class; and that of the most frequent label in training.
"""
import argparse
from pathlib import Path
from typing import NamedTuple

import numpy as np

from sslspk.errors import InputError, count, entry, named, real


class Side(NamedTuple):
    """Frames (N, F), their labels (N,), and who speaks, (N,) numbers of `speakers`."""

    x: np.ndarray
    labels: np.ndarray
    speaker: np.ndarray
    speakers: list[str]


def options() -> argparse.ArgumentParser:
    """The command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--labels", required=True, metavar="DIR", help="labels of the frames (ali.scp, ali.json)")
    parser.add_argument("--test-labels", metavar="DIR", help="labels of --test, if they are in another folder; made in the same way")
    parser.add_argument("--train", required=True, metavar="DATA", help="data directory to train on")
    parser.add_argument("--test", required=True, metavar="DATA", help="data directory of other speakers to test on")
    parser.add_argument("--frames", type=count, default=100_000, metavar="N", help="train on at most so many frames, evenly spread over "
                                                                                   "the utterances; they are held in memory as 64-bit "
                                                                                   "numbers (default 100000)")
    parser.add_argument("--test-frames", type=count, default=1_000_000, metavar="N", help="test on at most so many frames, evenly spread "
                                                                                          "(default 1000000)")
    parser.add_argument("--ignore", default="", metavar="WORDS", help="names or numbers of classes whose frames are left out, such as sil")
    parser.add_argument("--weight", type=real, default=1.0, metavar="W", help="weight of the data against the penalty (default 1)")
    parser.add_argument("--bootstrap", type=count, default=1000, metavar="N",
                        help="replicates of the bootstrap over speakers (default 1000)")
    parser.add_argument("feats", metavar="FEATS")
    parser.add_argument("test_feats", nargs="?", metavar="TEST_FEATS")
    parser.add_argument("out", type=Path, metavar="OUT")
    return parser


def main() -> None:
    args = options().parse_args()

    from sslspk.bin.metrics import save_json
    from sslspk.io.alignments import Alignments
    known = Alignments(args.labels)
    other = Alignments(args.test_labels, kind=known.about.kind, digest=known.about.digest) if args.test_labels else known
    skip = ignored(args.ignore, known.about)
    train = frames_of(args.train, args.feats, known, args.frames, skip)
    test = frames_of(args.test, args.test_feats or args.feats, other, args.test_frames, skip)
    both = min(set(train.speakers) & set(test.speakers), default=None)
    if both is not None:
        raise InputError(f"{both} speaks in {args.train} and in {args.test}; test other speakers than those of the training part.")
    figures = measured(train, test, known.about, args)
    save_json(figures, str(args.out / "result.json"))
    print(f"accuracy {figures['wa_percent']:.2f} % ({figures['wa_percent_low']:.2f} to {figures['wa_percent_high']:.2f}) of "
          f"{figures['items']} frames of {figures['speakers']} speakers, {figures['majority_percent']:.2f} % by the most frequent label")


def ignored(words: str, about) -> np.ndarray:
    """bool (classes,): those that are left out. Raises InputError for a name that is none of the classes'."""
    names = list(about.names) or [str(i) for i in range(about.classes)]
    skip = np.zeros(about.classes, bool)
    for word in words.split():
        if word not in names:
            raise InputError(f"--ignore: {named(word, 60)} is none of the {about.classes} classes of the labels; see ali.json.")
        skip[names.index(word)] = True
    return skip


def frames_of(data: str, feats: str, known, most: int, skip: np.ndarray) -> Side:
    """Frames of a data directory, at most `most`, as many of each utterance and evenly spread.

    Raises InputError naming an utterance without frames or labels, or with labels of another length.
    """
    from sslspk.io import alignments, ark, table, timing
    utt2spk, specs, when = table.read(f"{data}/utt2spk"), ark.read_scp(f"{feats}/feats.scp"), timing.of(feats)
    missing = min(utt2spk.keys() - specs.keys(), default=None)
    if missing is not None:
        raise InputError(f"{table.named(missing)} of {data} has no frames in {feats}/feats.scp; extract those of this data directory.")
    known.require(utt2spk)
    speakers = sorted(set(utt2spk.values()))
    number = {name: i for i, name in enumerate(speakers)}
    utts = list(utt2spk)[::-(-len(utt2spk) // most)]
    xs, labels, owners, each = [], [], [], max(1, most // len(utts))
    for utt in utts:
        x = ark.load(specs[utt])
        own = known.at(utt, len(x), when.shift, when.window)
        kept = np.flatnonzero(~skip[own])
        rows = kept[alignments.spread(len(kept), each)]
        xs.append(x[rows].astype(np.float32))
        labels.append(own[rows])
        owners.append(np.full(len(rows), number[utt2spk[utt]]))
    return Side(np.concatenate(xs), np.concatenate(labels), np.concatenate(owners), speakers)


def measured(train: Side, test: Side, about, args: argparse.Namespace) -> dict:
    """The figures of result.json."""
    from sslspk.backend.config_probe import ProbeConfig
    from sslspk.backend.probes import Probe
    from sslspk.io import provenance, results
    from sslspk.metrics import class_report
    names = list(about.names) or [str(i) for i in range(about.classes)]
    probe = Probe(ProbeConfig(balanced=False, C=args.weight)).fit(train.x, [str(i) for i in train.labels], train.speaker)
    code = np.array([int(name) for name in probe.classes_])
    said = np.concatenate([code[probe.predict(part).argmax(1)] for part in np.array_split(test.x, -(-len(test.x) // 50_000))])
    figures = class_report.classes([class_report.Fold(test.labels, said, test.speaker)], names, replicates=max(args.bootstrap, 2))
    majority = float((test.labels == np.bincount(train.labels).argmax()).mean())
    source = Path(args.feats) / "provenance.json"
    return {**(results.origin(source) if source.exists() else {}), **figures, "majority_percent": 100 * majority,
            "labels_kind": about.kind, "labels_digest": about.digest, "labels_from": [args.test_labels or args.labels],
            "ignored": args.ignore.split(), "probe_frames": len(train.x), "probe_speakers": len(train.speakers), "probe_C": args.weight,
            "probe_trained_on": args.train, "frames": args.feats, "features": train.x.shape[1], "probe_commit": provenance.git_commit()}


if __name__ == "__main__":
    entry(main)
