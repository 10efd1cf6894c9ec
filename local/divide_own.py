#!/usr/bin/env python3
"""Divide a data directory of one's own into DATA_DIR/own_train, own_heldout and, with --trials, own_test.

own_heldout has some of the recordings, drawn at random, to judge models without labels; its utt2recording names the recording of each
utterance. own_test has the utterances of the trial list, and the list as own_test/trials_own. The utterances are from OWN, and their
recordings are then not in own_train; or with --test from another directory. The list names utterances by their ids, or
recordings by their paths (utt2path).
usage: divide_own.py [--share 0.1] [--trials LIST [--test DIR]] OWN DATA_DIR
"""
import argparse
import os
import sys

sys.path.insert(0, os.path.dirname(os.path.dirname(os.path.realpath(__file__))))   # this checkout comes before any other sslspk
from sslspk.corpora import own
from sslspk.errors import InputError, count, counted, entry, real
from sslspk.io import derive, table

LEAST = 2   # recordings that are judged: no pair without a second one


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("own", metavar="OWN", help="data directory")
    parser.add_argument("data", metavar="DATA_DIR", help="folder that gets the parts")
    parser.add_argument("--trials", metavar="LIST", help='"enrol test target|nontarget" or "1|0 enrol test" lines')
    parser.add_argument("--test", metavar="DIR", help="data directory of the recordings that --trials names (default: OWN)")
    parser.add_argument("--share", type=real, default=0.1, help="share of the utterances that are held out, by whole recordings (default: "
                                                                "%(default)s; 1: all, for models that are trained already)")
    parser.add_argument("--most", type=count, default=500, help="most utterances that are held out (default: %(default)s)")
    parser.add_argument("--seed", type=count, default=777, help="seed of the draw (default: %(default)s)")
    args = parser.parse_args()
    recordings = own.recordings_of(args.own)
    if args.trials:
        listed = {recordings[utt] for utt in write_test(args)}
        if args.share < 1:   # with nothing to be trained they can be judged by as well
            recordings = {utt: recording for utt, recording in recordings.items() if recording not in listed}
    part, train = own.draw(recordings, round(args.share * len(recordings)), args.most, args.seed)
    if len(part) < LEAST or (args.share < 1 and not train):
        raise InputError(f"{args.own}: without those of the trials, {counted(len(set(recordings.values())), 'recording')} cannot be "
                         "divided to train on some and judge by others; give more.")
    for name, utts in (("heldout", part), *((("train", train),) if args.share < 1 else ())):
        made = derive.subset(args.own, f"{args.data}/own_{name}", utts=utts)
        print("\n".join([f"{args.data}/own_{name}: {counted(made.count, 'utterance')}", *made.notes]))
    table.write(f"{args.data}/own_heldout/{own.RECORDINGS}", {utt: recordings[utt] for utt in part})


def write_test(args: argparse.Namespace) -> list[str]:
    """own_test and its list; returns the utterances that training must do without."""
    source = args.test or args.own
    utts = own.write_test(source, own.read_trials(args.trials, source), f"{args.data}/own_test", "own")
    return [] if args.test else utts


if __name__ == "__main__":
    entry(main)
