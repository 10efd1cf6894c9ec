#!/usr/bin/env python3
"""Make the data directories DATA_DIR/librispeech_train, librispeech_dev and librispeech_test from LibriSpeech.

LIBRISPEECH_DIR holds SPEAKERS.TXT and subsets (train-clean-100, ..., dev-clean, ..., test-other), each with
SPEAKER/CHAPTER/SPEAKER-CHAPTER-NUMBER.flac; it may be the folder in which LibriSpeech/ lies. The train-* subsets together become
librispeech_train, and so on. Written besides Kaldi's tables: utt2session (the chapter), spk2gender.

Recordings of another rate or of several channels are converted (16 kHz, one channel). Bad ones are listed in bad_files.txt of their
data directory and left out; over 5 % of them are an error. The program can be stopped and run again.
"""
import os
import sys

sys.path.insert(0, os.path.dirname(os.path.dirname(os.path.realpath(__file__))))   # this checkout comes before any other sslspk
from sslspk.corpora import librispeech
from sslspk.errors import entry
from sslspk.io import prepare


def main() -> None:
    parser = prepare.command_line(__doc__, "librispeech", librispeech.SITE)
    parser.add_argument("--subsets", default="", metavar='"A B ..."', help="subsets to use, or train, dev, test for all that are "
                                                                           "there of a kind (default: all, and one of each kind at least)")
    args = parser.parse_args()
    opts, corpus = prepare.options(args), librispeech.home(args.corpus)
    table = os.path.join(corpus, librispeech.TABLE)
    speakers, chosen = librispeech.read_speakers(table), librispeech.choose(corpus, args.subsets)
    parts = {f"librispeech_{role}": librispeech.scan(corpus, subsets, speakers, table, args.nj) for role, subsets in chosen.items()}
    prepare.run(args.data, parts, opts, lambda sources: librispeech.tables(sources, speakers))


if __name__ == "__main__":
    entry(main)
