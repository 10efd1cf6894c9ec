#!/usr/bin/env python3
"""Make a model of each checkpoint that a finished training kept, EXP_stepN/final.pt, and print their folders.

`--set train.save_every=N --set train.keep=M` of the training say which are kept: the last three by default. The step that EXP/final.pt is
of is left out.
usage: checkpoint_models.py EXP
"""
import argparse
import os
import sys
from pathlib import Path

sys.path.insert(0, os.path.dirname(os.path.dirname(os.path.realpath(__file__))))   # this checkout comes before any other sslspk
from sslspk.errors import entry


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("exp", type=Path, metavar="EXP")
    args = parser.parse_args()
    from sslspk.train import of_checkpoint
    print(*of_checkpoint.write_all(args.exp), sep="\n")


if __name__ == "__main__":
    entry(main)
