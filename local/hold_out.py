#!/usr/bin/env python3
"""Hold recordings out for a calibration: divide the embeddings of EMB_DIR into OUT/{others,heldout}/NAME, NAME being that of EMB_DIR.

Each part has the lines of its utterances in xvector.scp, and provenance.json. With --utt2session, all utterances of a session (in VoxCeleb:
a video) are in one part. The division depends only on names and seed; speaker labels are not read. usage: hold_out.py [--utt2session FILE]
[--share 0.5] [--seed 0] EMB_DIR OUT
"""
import argparse
import os
import sys

sys.path.insert(0, os.path.dirname(os.path.dirname(os.path.realpath(__file__))))   # this checkout comes before any other sslspk
from sslspk.corpora import own
from sslspk.errors import InputError, count, counted, entry, real
from sslspk.io import ark, files, table


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("emb", metavar="EMB_DIR", help="embeddings of training data")
    parser.add_argument("out", metavar="OUT", help="folder that gets the parts")
    parser.add_argument("--utt2session", metavar="FILE", help="the recording session of each utterance")
    parser.add_argument("--share", type=real, default=0.5, help="share of the utterances that are held out (default: %(default)s)")
    parser.add_argument("--seed", type=count, default=0, help="seed of the draw (default: %(default)s)")
    args = parser.parse_args()
    if not 0 < args.share < 1:
        raise InputError(f"--share takes a number between 0 and 1, not {args.share:g}.")
    source = os.path.join(args.emb, "xvector.scp")
    specs = ark.read_scp(source)
    sessions = table.read(args.utt2session) if args.utt2session else {utt: utt for utt in specs}
    missing = [utt for utt in specs if utt not in sessions]
    if missing:
        raise InputError(f"{args.utt2session} lacks {table.named(missing[0])} of {source} ({len(missing)} such); complete it.")
    sessions = {utt: sessions[utt] for utt in specs}
    heldout, others = own.draw(sessions, round(args.share * len(specs)), len(specs), args.seed)
    if not others:
        raise InputError(f"{source} is of {counted(len(set(sessions.values())), 'session')}, too few to hold some out; give more.")
    write(args, specs, heldout=heldout, others=others)
    print(f"{args.out}/heldout: {len(heldout)} of {len(specs)} utterances, {len({sessions[utt] for utt in heldout})} of "
          f"{len(set(sessions.values()))} {'sessions' if args.utt2session else 'utterances'}")


def write(args: argparse.Namespace, specs: dict[str, str], **parts) -> None:
    """The parts; a file that is as it should be is left alone: by its time steps see whether their inputs have changed."""
    origin = os.path.join(args.emb, "provenance.json")
    for part, utts in parts.items():
        folder = os.path.join(args.out, part, os.path.basename(os.path.abspath(args.emb)))
        if os.path.exists(origin):
            content, copy = files.read_bytes(origin), os.path.join(folder, "provenance.json")
            if not os.path.exists(copy) or files.read_bytes(copy) != content:
                with files.atomic_write(copy, "wb") as file:
                    file.write(content)
        table.write(os.path.join(folder, "xvector.scp"), {utt: specs[utt] for utt in utts})


if __name__ == "__main__":
    entry(main)
