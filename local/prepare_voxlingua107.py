#!/usr/bin/env python3
"""Make the data directories DATA_DIR/voxlingua107_{train,valid,test} and voxlingua107_dev from VoxLingua107.

VOXLINGUA107_DIR holds a folder for each language (en, fr, ...) with VIDEO__U__SN---START-END.wav, and dev/ with such folders: the
official evaluation part, which is taken whole. Of the other recordings --utts-per-language are drawn at random and shared out to
train, valid and test; no video is in two parts, and none of dev in the others. Written besides Kaldi's tables: utt2lang.
Nobody knows who speaks: utt2spk holds LANGUAGE-VIDEO, the video in place of the speaker.

Bad recordings are listed in bad_files.txt of their data directory and left out; over 5 % of them are an error.
The program can be stopped and run again.
"""
import argparse
import collections
import os
import sys

sys.path.insert(0, os.path.dirname(os.path.dirname(os.path.realpath(__file__))))   # this checkout comes before any other sslspk
from sslspk.corpora import voxlingua107
from sslspk.errors import InputError, count, counted, entry, real
from sslspk.io import prepare


def main() -> None:
    args = command_line().parse_args()
    opts, names = prepare.options(args), prepare.parse_parts(args.parts, voxlingua107.PARTS)
    check_shares(args)
    lists = [tuple(dict.fromkeys(text.split())) for text in (args.languages, args.without)]
    found = {name: voxlingua107.scan(args.corpus, name, *lists) for name in names}
    dev, parts = found.get(voxlingua107.DEV, {}), {}
    if "languages" in found:
        unknown = min(dev.keys() - found["languages"].keys(), default=None)
        if unknown:
            raise InputError(f"{args.corpus}/dev has the language {unknown}, of which there is no folder {args.corpus}/{unknown}; unpack "
                             f"{unknown}.zip, or leave it out with --without {unknown}.")
        own = voxlingua107.without_videos(found["languages"], dev)
        gone = sum(map(len, found["languages"].values())) - sum(map(len, own.values()))
        if gone:
            print(f"{gone} recordings of the languages' folders are of videos that dev has, and are left out")
        drawn = voxlingua107.draw(own, args.utts_per_language, args.seed)
        parts = voxlingua107.split(drawn, args.valid_share, args.test_share, args.seed)
    if dev:
        parts[voxlingua107.DEV] = [source for own in dev.values() for source in own]
    good = prepare.run(args.data, {f"voxlingua107_{name}": part for name, part in parts.items()}, opts, voxlingua107.tables, "video")
    for name, pairs in good.items():
        counts = collections.Counter(source.utt.partition("-")[0] for source, _ in pairs)
        few, many = min(counts.values(), default=0), max(counts.values(), default=0)
        print(f"  {name}: {counted(len(counts), 'language')}, {few} to {many} utterances of each; the speakers are not known, "
              "utt2spk holds videos")


def command_line() -> argparse.ArgumentParser:
    parser = prepare.command_line(__doc__, "voxlingua107", voxlingua107.SITE)
    parser.add_argument("--parts", default="languages,dev", help="languages (train, valid, test), dev or languages,dev (default)")
    parser.add_argument("--languages", default="", metavar='"L ..."',
                        help="use only these languages, such as \"en fr\" (default: all that are there)")
    parser.add_argument("--without", default="", metavar='"L ..."',
                        help="leave these languages out, such as \"de\" (default: none is left out)")
    parser.add_argument("--utts-per-language", type=count, default=1000, metavar="N",
                        help="recordings drawn of each language for train, valid and test; 0: all (default: %(default)s)")
    parser.add_argument("--valid-share", type=real, default=0.2, metavar="X",
                        help="share of the recordings for validation; 0: none (default: %(default)s)")
    parser.add_argument("--test-share", type=real, default=0.1, metavar="X",
                        help="share of the recordings for test; 0: none (default: %(default)s)")
    parser.add_argument("--seed", type=count, default=0, help="seed of the draw and the split (default: %(default)s)")
    return parser


def check_shares(args: argparse.Namespace) -> None:
    """Raises InputError for shares that leave nothing to train on."""
    if not (args.valid_share >= 0 and args.test_share >= 0 and args.valid_share + args.test_share < 1):
        raise InputError(f"--valid-share {args.valid_share:g} and --test-share {args.test_share:g} must be 0 or more and leave something "
                         "to train on; give smaller shares.")


if __name__ == "__main__":
    entry(main)
