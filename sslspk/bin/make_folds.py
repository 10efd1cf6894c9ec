"""Cuts a Kaldi data directory into the folds of a cross-validation."""
import argparse
import os
import random
import shutil
import sys
from collections import Counter
from collections.abc import Mapping
from contextlib import suppress
from typing import NamedTuple

from sslspk.errors import InputError, count, counted, entry, real, whole

PARTS = ("train", "valid", "test")


class Fold(NamedTuple):
    """Sorted utterances of one fold, and the values of --by that its test part holds."""

    train: list[str]
    valid: list[str]
    test: list[str]
    held: list[str]


def options() -> argparse.ArgumentParser:
    """The command line."""
    parser = argparse.ArgumentParser(
        description="Cuts a Kaldi data directory into the folds of a cross-validation: OUT/{1..N}/{train,test}, OUT/{1..N}/valid with "
                    "--valid-share, and OUT/num_folds, which is written last. No speaker is in two parts of a fold. A TABLE is keyed by "
                    "utterance; it is a file of DATA, or a path.",
        usage="make_folds.sh [--by TABLE] [--num-folds N] [--labels TABLE] [--valid-share X] [--seed S] DATA OUT")
    parser.add_argument("--by", default="utt2spk", metavar="TABLE", help="what is held out: each value of utt2spk (default), utt2session, "
                                                                         "... in turn, in the order of their names")
    parser.add_argument("--num-folds", type=whole, metavar="N", help="deal the values into N folds: stratified by the label that is "
                                                                   "most frequent in each, of nearly equal size, at random (see --seed)")
    parser.add_argument("--labels", metavar="TABLE", help="classes (utt2emotion); each has to occur in every training part")
    parser.add_argument("--valid-share", type=real, default=0.0, metavar="X",
                        help="share of the training speakers that become the valid part (default 0: none), stratified where every speaker "
                             "has one label")
    parser.add_argument("--seed", type=count, default=777, help="seed of --num-folds and --valid-share (default: %(default)s)")
    parser.add_argument("data", metavar="DATA")
    parser.add_argument("out", metavar="OUT")
    return parser


def column(data: str, name: str, utt2spk: Mapping[str, str], option: str) -> dict[str, str]:
    """What a table says of each utterance of the directory. Raises InputError naming an utterance that it lacks."""
    from sslspk.io import table
    path = os.path.join(data, name)
    path = path if os.path.exists(path) or os.sep not in name else name
    if not os.path.exists(path):
        raise InputError(f"there is no {path}; give {option} a table of {data}, or a path.")
    found = table.read(path)
    missing = min(utt2spk.keys() - found.keys(), default=None)
    if missing is not None:
        raise InputError(f"{path} lacks {missing}, which {data}/utt2spk has; complete the table, or leave the utterance out of {data}.")
    return {utt: found[utt] for utt in utt2spk}


def majority(group: Mapping[str, str], labels: Mapping[str, str]) -> dict[str, str]:
    """The most frequent label of each group (the first by name of several), from utterance -> group and utterance -> label."""
    counts: dict[str, Counter] = {}
    for utt, name in group.items():
        counts.setdefault(name, Counter())[labels[utt]] += 1
    return {name: min(count, key=lambda label: (-count[label], label)) for name, count in counts.items()}


def deal(group: Mapping[str, str], labels: Mapping[str, str], count: int, seed: int) -> list[list[str]]:
    """The groups (utterance -> group) in `count` hands: each hand has as many groups of each label, give or take one, and nearly as many
    utterances. The largest groups are dealt first, each to the smallest of the hands that have fewest of its label."""
    sizes, label = Counter(group.values()), majority(group, labels)
    names = sorted(sizes)
    random.Random(seed).shuffle(names)
    names.sort(key=lambda name: -sizes[name])
    hands: list[list[str]] = [[] for _ in range(count)]
    of_label, utterances = [Counter() for _ in hands], [0] * count
    for kind in sorted(set(label.values()), key=lambda kind: (-sum(sizes[name] for name in names if label[name] == kind), kind)):
        for name in (name for name in names if label[name] == kind):
            hand = min(range(count), key=lambda i: (of_label[i][kind], utterances[i], i))
            hands[hand].append(name)
            of_label[hand][kind] += 1
            utterances[hand] += sizes[name]
    return [sorted(hand) for hand in hands]


def draw_valid(utt2spk: Mapping[str, str], labels: Mapping[str, str], share: float, rng: random.Random) -> set[str]:
    """A share of the speakers, one at least; of each label alike where every speaker has one label only."""
    kinds: dict[str, set[str]] = {}
    for utt, spk in utt2spk.items():
        kinds.setdefault(spk, set()).add(labels[utt])
    by_label: dict[str, list[str]] = {}
    for spk in sorted(kinds):
        by_label.setdefault(min(kinds[spk]) if max(map(len, kinds.values())) == 1 else "", []).append(spk)
    wanted = max(1, round(share * len(kinds)))
    quota = {label: share * len(speakers) for label, speakers in by_label.items()}
    number = {label: int(value) for label, value in quota.items()}
    for label in sorted(quota, key=lambda label: (number[label] - quota[label], label))[:max(0, wanted - sum(number.values()))]:
        number[label] += 1
    return {spk for label in sorted(by_label) for spk in rng.sample(by_label[label], number[label])}


def plan(args: argparse.Namespace, utt2spk: Mapping[str, str]) -> tuple[list[Fold], dict[str, str] | None]:
    """The folds, and the label of each utterance. Raises InputError where they cannot be made."""
    group = column(args.data, args.by, utt2spk, "--by")
    labels = column(args.data, args.labels, utt2spk, "--labels") if args.labels else None
    names = sorted(set(group.values()))
    count = len(names) if args.num_folds is None else args.num_folds
    if not 2 <= count <= len(names):
        raise InputError(f"{args.by} of {args.data} has {counted(len(names), 'value')}, which cannot make {counted(count, 'fold')}; "
                         "hold out another table with --by, or give --num-folds from 2 to the number of values.")
    alike = labels or dict.fromkeys(utt2spk, "")
    hands = [[name] for name in names] if args.num_folds is None else deal(group, alike, count, args.seed)
    folds = []
    for number, hand in enumerate(hands, 1):
        held = set(hand)
        test, rest = [], []
        for utt in sorted(utt2spk):
            (test if group[utt] in held else rest).append(utt)
        chosen = set()
        if args.valid_share > 0:
            chosen = draw_valid({utt: utt2spk[utt] for utt in rest}, alike, args.valid_share, random.Random(f"{args.seed} {number}"))
        folds.append(Fold([utt for utt in rest if utt2spk[utt] not in chosen], [utt for utt in rest if utt2spk[utt] in chosen], test, hand))
    return folds, labels


def check(args: argparse.Namespace, folds: list[Fold], utt2spk: Mapping[str, str], labels: Mapping[str, str] | None) -> list[str]:
    """Warnings. Raises InputError: a speaker in two parts of a fold, an empty training part, one that lacks a class."""
    warnings, classes = [], sorted(set(labels.values())) if labels else []
    for number, fold in enumerate(folds, 1):
        tested = {utt2spk[utt] for utt in fold.test}
        both = min(tested & {utt2spk[utt] for utt in (*fold.train, *fold.valid)}, default=None)
        if both is not None:
            raise InputError(f"fold {number}: speaker {both} would be in both parts, since {args.by} parts the utterances of one speaker; "
                             "give --by a table in which each speaker has one value.")
        if not fold.train:
            raise InputError(f"fold {number}: --valid-share {args.valid_share:g} leaves no speaker to train on; give a smaller share.")
        for kind in classes:
            if all(labels[utt] != kind for utt in fold.train):
                remedy = ("give a smaller --valid-share, or another --seed" if any(labels[utt] == kind for utt in fold.valid)
                          else f"give fewer --num-folds or another --by, or leave {kind} out of the data")
                raise InputError(f"fold {number}: no utterance of class {kind} is in the training part; {remedy}.")
            if all(labels[utt] != kind for utt in fold.test):
                warnings.append(f"fold {number}: the test part has no utterance of class {kind}")
    return warnings


def write(args: argparse.Namespace, folds: list[Fold]) -> list[str]:
    """Write the parts, then num_folds, and remove what folds of an earlier time have left; what is as it should be is not touched.

    Returns notes about files of DATA that did not go along.
    """
    from sslspk.io import derive, files
    done, text = os.path.join(args.out, "num_folds"), f"{len(folds)}\n"
    parts = {os.path.join(args.out, str(number), part): utts for number, fold in enumerate(folds, 1)
             for part, utts in zip(PARTS, (fold.train, fold.valid, fold.test), strict=True) if utts}
    stale = [path for path in _written(args.out) if path not in parts]
    if stale or any(_utterances(path) != utts for path, utts in parts.items()):
        with suppress(FileNotFoundError):
            os.unlink(done)   # until all is there
    for path in stale:
        shutil.rmtree(path)
        with suppress(OSError):
            os.rmdir(os.path.dirname(path))   # a folder that holds anything else stays
    notes = [note for path, utts in parts.items() for note in derive.subset(args.data, path, utts=utts).notes]
    if not os.path.exists(done) or files.read_bytes(done) != text.encode():
        with files.atomic_write(done) as file:
            file.write(text)
    return sorted(set(notes))


def _written(out: str) -> list[str]:
    """Parts of folds below a directory."""
    numbers = os.listdir(out) if os.path.isdir(out) else []
    paths = [os.path.join(out, number, part) for number in sorted(numbers) if number.isdecimal() for part in PARTS]
    return [path for path in paths if os.path.isdir(path)]


def _utterances(path: str) -> list[str] | None:
    """The utterances of a part as it stands on disk."""
    from sslspk.io import table
    try:
        return sorted(table.read(os.path.join(path, "utt2spk")))
    except InputError:   # not there, or not whole
        return None


def main() -> None:
    """DATA OUT."""
    args = options().parse_args()
    if not 0 <= args.valid_share < 1:
        raise InputError(f"--valid-share is {args.valid_share:g}; give a share from 0 (no valid part) to below 1.")
    from sslspk.io import datadir
    utt2spk = datadir.validate(args.data, need=("utt2spk",), allow_pipes=True)["utt2spk"]
    folds, labels = plan(args, utt2spk)
    warnings = check(args, folds, utt2spk, labels)
    for note in write(args, folds):
        print(f"make_folds.sh: {note}")
    for number, fold in enumerate(folds, 1):
        valid = f", valid {len(fold.valid)}" if fold.valid else ""
        held = " ".join(fold.held[:4]) + (f" and {len(fold.held) - 4} more" if len(fold.held) > 4 else "")
        print(f"fold {number}: train {len(fold.train)}{valid}, test {len(fold.test)} utterances ({held})")
    for warning in warnings:
        print(f"make_folds.sh: warning: {warning}", file=sys.stderr)
    print(f"make_folds.sh: {args.out} has {counted(len(folds), 'fold')} of {len(utt2spk)} utterances of {args.data}")


if __name__ == "__main__":
    entry(main)
