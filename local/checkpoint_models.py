#!/usr/bin/env python3
"""Make models of a training's checkpoints, EXP_stepN/final.pt, and print their folders: of each one that a finished training kept or, with
--step, of one of a training that may still run.

`--set train.save_every=N --set train.keep=M` of the training say which are kept: the last three by default. The step that EXP/final.pt is
of is left out.
usage: checkpoint_models.py [--step N|newest|best] EXP
"""
import argparse
import os
import sys
from pathlib import Path

sys.path.insert(0, os.path.dirname(os.path.dirname(os.path.realpath(__file__))))   # this checkout comes before any other sslspk
from sslspk.errors import InputError, entry, shown


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("exp", type=Path, metavar="EXP")
    parser.add_argument("--step", metavar="N", help="the checkpoint of this step, newest, or best (train.eval_data); EXP may still run")
    args = parser.parse_args()
    from sslspk.train import of_checkpoint
    if args.step is None:
        print(*of_checkpoint.write_all(args.exp), sep="\n")
        return
    if args.step not in ("newest", "best") and not (args.step.isascii() and args.step.isdecimal() and len(args.step) <= 18):
        raise InputError(f"--step takes the number of a step, newest or best, not {shown(args.step)}.")
    print(of_checkpoint.write(args.exp, args.step))


if __name__ == "__main__":
    entry(main)
