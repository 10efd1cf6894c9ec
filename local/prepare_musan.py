#!/usr/bin/env python3
"""Make the data directories DATA_DIR/musan_noise, musan_music and musan_speech from MUSAN.

MUSAN_DIR holds {noise,music,speech}/<class>/*.wav. An utterance is called as its file, after kind and class where
the name does not begin with them, and its "speaker" is kind and class ("noise-free-sound").
Bad recordings are listed in bad_files.txt of their data directory and left out; over 5 % of them are an error.
"""
import os
import sys

sys.path.insert(0, os.path.dirname(os.path.dirname(os.path.realpath(__file__))))   # this checkout comes before any other sslspk
from sslspk.errors import InputError, entry
from sslspk.io import prepare
from sslspk.io.survey import Source

SITE = "OpenSLR (resource 17)"
KINDS = ("noise", "music", "speech")


def main() -> None:
    parser = prepare.command_line(__doc__, "musan", SITE)
    parser.add_argument("--parts", default=",".join(KINDS), help="some of noise,music,speech (default: all)")
    args = parser.parse_args()
    opts = prepare.options(args)
    parts = {f"musan_{kind}": scan(args.corpus, kind) for kind in prepare.parse_parts(args.parts, KINDS)}
    prepare.run(args.data, parts, opts, lambda sources: {}, "class")


def scan(corpus: str, kind: str) -> list[Source]:
    """The recordings of a kind, whatever folders its classes have."""
    root = os.path.abspath(os.path.join(corpus, kind))
    found = []
    for path in prepare.find_audio(root):
        place, stem = os.path.split(os.path.splitext(os.path.relpath(path, root))[0])
        kind_and_class = "-".join([kind, *filter(None, place.split(os.sep))])
        utt = stem if stem.startswith(f"{kind_and_class}-") else f"{kind_and_class}-{stem}"
        found.append(Source(utt, kind_and_class, path, os.path.join(kind, place, stem)))
    if not found:
        raise InputError(f"MUSAN's {kind} was looked for in {root}/<class>/*.wav, and no recording was found; get "
                         f"musan.tar.gz from {SITE} and unpack it there, or choose other --parts.")
    return found


if __name__ == "__main__":
    entry(main)
