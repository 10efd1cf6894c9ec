#!/usr/bin/env python3
"""Make OUT, the part of a data directory that a trial list is about, with the list as OUT/trials_NAME; NAME is that of OUT.

The list names utterances by their ids, or recordings by their paths (utt2path). Without --trials one is drawn at random from DIR/utt2spk,
half targets, half non-targets; where there is a utt2session no target is of one session. DIR itself is only read.
usage: make_own_test.py [--trials LIST] DIR OUT
"""
import argparse
import os
import sys

sys.path.insert(0, os.path.dirname(os.path.dirname(os.path.realpath(__file__))))   # this checkout comes before any other sslspk
from sslspk.corpora import own
from sslspk.errors import entry


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("dir", metavar="DIR", help="data directory")
    parser.add_argument("out", metavar="OUT", help="data directory that is made")
    parser.add_argument("--trials", metavar="LIST", help='"enrol test target|nontarget" or "1|0 enrol test" lines')
    args = parser.parse_args()
    trials = own.read_trials(args.trials, args.dir) if args.trials else own.draw_trials(args.dir, 20_000)
    own.write_test(args.dir, trials, args.out, os.path.basename(os.path.abspath(args.out)))


if __name__ == "__main__":
    entry(main)
