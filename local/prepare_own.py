#!/usr/bin/env python3
"""Make the data directory DATA_DIR/NAME of recordings of your own.

OWN_DIR is a folder or a table. In a folder, every recording below it is an utterance, named after its path. A table is a CSV file: a line
with the names of the columns, then a line for each recording. The column path is required; utterance (an id), speaker, start and end
(seconds) are optional; other columns are not read. Besides Kaldi's tables, utt2path is written, with your name of each recording. utt2spk
is written only if the speakers are known.

Bad recordings are listed in bad_files.txt of the data directory and left out; over 5 % of them are an error.
The program can be stopped and run again.
"""
import os
import sys

sys.path.insert(0, os.path.dirname(os.path.dirname(os.path.realpath(__file__))))   # this checkout comes before any other sslspk
from sslspk.corpora import own
from sslspk.errors import entry
from sslspk.io import prepare


def main() -> None:
    parser = prepare.command_line(__doc__, "own", "your own disk")
    parser.add_argument("--name", default="own", help="name of the data directory (default: %(default)s)")
    parser.add_argument("--speakers", choices=("none", "folder"), default="none",
                        help="folder: the folders right below OWN_DIR are the speakers (default: none)")
    args = parser.parse_args()
    args.corpus_name = args.name   # of the folder of converted recordings
    table = os.path.isfile(args.corpus) or args.corpus.endswith(".csv")
    found = own.read_table(args.corpus) if table else own.scan(args.corpus, args.speakers)
    recordings = {one.source.utt: one for one in found}
    prepare.run(args.data, {args.name: [one.source for one in found]}, prepare.settings(args), lambda good: own.tables(recordings, good))


if __name__ == "__main__":
    entry(main)
