#!/usr/bin/env python3
"""Make the data directories DATA_DIR/voxceleb2_dev and, where that part is there, voxceleb2_test from VoxCeleb2.

VOXCELEB2_DIR holds vox2_meta.csv and {dev,test}/aac/idNNNNN/<video>/NNNNN.m4a (or wav or flac; or aac/idNNNNN/...
when both archives were unpacked in one place). AAC is decoded once, to 16 kHz mono files under --out-wav, as are
recordings of another rate or of several channels; wav and flac that need no change are pointed at. Bad recordings
(0 bytes, truncated, undecodable, nothing but zeros) are listed in bad_files.txt of their data directory and left out; over 5 % of them
are an error.
The program can be stopped and run again: what was decoded is kept.
"""
import os
import sys

sys.path.insert(0, os.path.dirname(os.path.dirname(os.path.realpath(__file__))))   # this checkout comes before any other sslspk
from sslspk.errors import entry
from sslspk.io import prepare, voxceleb
from sslspk.io.survey import Source


def main() -> None:
    parser = prepare.command_line(__doc__, "voxceleb2", voxceleb.SITE)
    parser.add_argument("--parts", help="dev, test or dev,test (default: dev, and test where it is there)")
    args = parser.parse_args()
    opts, names = prepare.options(args), prepare.parse_parts(args.parts or "dev,test", voxceleb.PARTS)
    meta = os.path.join(args.corpus, "vox2_meta.csv")
    speakers = voxceleb.read_metadata(meta, "VoxCeleb2")
    parts = {}
    for name in names:
        sources = voxceleb.scan(args.corpus, name, speakers, meta, args.nj)
        if sources:
            parts[f"voxceleb2_{name}"] = sources
        elif args.parts or name == "dev":
            raise voxceleb.missing_part(args.corpus, name, 2, meta)
        else:
            print(f"{args.corpus} has no {name} part; only dev is prepared")

    def tables(sources: list[Source]) -> dict[str, dict[str, str]]:
        return {"utt2session": voxceleb.sessions(sources), "spk2gender": voxceleb.spk2gender(sources, speakers, meta)}

    # A gap in the metadata shows here, before hours of work.
    tables([source for part in parts.values() for source in part])
    prepare.run(args.data, parts, opts, tables)


if __name__ == "__main__":
    entry(main)
