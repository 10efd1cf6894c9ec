"""Divides a Kaldi data directory at random into parts of given shares."""
import argparse
import os
import random
import re
from collections.abc import Sequence

from sslspk.errors import InputError, count, counted, entry, shown

NAME = re.compile(r"[A-Za-z0-9_-]{1,60}")


def options() -> argparse.ArgumentParser:
    """The command line."""
    parser = argparse.ArgumentParser(
        description="Divides the utterances of DATA at random: for each NAME=SHARE, writes a data directory OUT/NAME with this share of "
                    "them. No utterance is in two parts, but a speaker may be; to keep speakers apart, use utils/make_folds.sh.",
        usage='divide_data_dir.sh [--seed S] "train=0.7 valid=0.2 test=0.1" DATA OUT')
    parser.add_argument("--seed", type=count, default=777, help="seed of the draw (default: %(default)s)")
    parser.add_argument("shares", metavar="SHARES")
    parser.add_argument("data", metavar="DATA")
    parser.add_argument("out", metavar="OUT")
    return parser


def parse(text: str) -> dict[str, float]:
    """Name -> share, of "train=0.7 valid=0.2". Raises InputError: another form, a name twice, shares above 1 together."""
    found: dict[str, float] = {}
    for word in text.split():
        name, _, number = word.partition("=")
        share = float(number) if re.fullmatch(r"[0-9]?\.?[0-9]{1,9}", number) else 0.0
        if not NAME.fullmatch(name) or not 0 < share <= 1 or name in found:
            raise InputError(f"{shown(word, 40)} is not NAME=SHARE with a name of its own and a share from 0 to 1; write "
                             "\"train=0.8 test=0.2\".")
        found[name] = share
    if not found or sum(found.values()) > 1 + 1e-9:
        raise InputError(f"the shares of {shown(text, 60)} are {sum(found.values()):g} together; give one at least, and 1 at most.")
    return found


def divide(utts: Sequence[str], shares: dict[str, float], seed: int) -> dict[str, list[str]]:
    """The utterances of each part, sorted; parts end at the rounded sums of the shares, so that shares of 1 leave nothing over.

    Raises InputError for a part without an utterance.
    """
    order = sorted(utts)
    random.Random(seed).shuffle(order)
    parts, end, total = {}, 0, 0.0
    for name, share in shares.items():
        begin, total = end, total + share
        end = round(total * len(order))
        if begin == end:
            raise InputError(f"{name}={share:g} is no utterance of {len(order)}; give a larger share.")
        parts[name] = sorted(order[begin:end])
    return parts


def main() -> None:
    """SHARES DATA OUT."""
    args = options().parse_args()
    shares = parse(args.shares)
    from sslspk.io import datadir, derive
    parts = divide(datadir.utterances(args.data), shares, args.seed)
    notes = {}
    for name, utts in parts.items():
        made = derive.subset(args.data, os.path.join(args.out, name), utts=utts)
        notes |= dict.fromkeys(made.notes)
        print(f"divide_data_dir.sh: {args.out}/{name} has {counted(made.count, 'utterance')} of {args.data}")
    for note in notes:
        print(f"divide_data_dir.sh: {note}")


if __name__ == "__main__":
    entry(main)
