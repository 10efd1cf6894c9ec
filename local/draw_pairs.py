#!/usr/bin/env python3
"""Draw recordings and other speakers to convert them to: `local/draw_pairs.py [--num-pairs N] [--seed S] UTT2SPK OUT`.

Writes lines `ID SOURCE TARGET`, as steps/convert.sh takes them; each utterance is drawn once before any is drawn twice. Speakers with one
utterance alone are no source, since the judge compares with others of theirs. An OUT that says the same already stays as it is.
"""
import argparse
import random
import sys
from collections import Counter
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))   # this checkout comes before any other sslspk
from sslspk.errors import InputError, count, entry, named, whole


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--num-pairs", type=count, default=200, metavar="N")
    parser.add_argument("--seed", type=whole, default=0, metavar="S")
    parser.add_argument("utt2spk", metavar="UTT2SPK")
    parser.add_argument("out", type=Path, metavar="OUT")
    args = parser.parse_args()
    from sslspk.io import files, table
    utt2spk, draw = table.read(args.utt2spk), random.Random(args.seed)
    many = Counter(utt2spk.values())
    speakers, sources = sorted(many), sorted(utt for utt, speaker in utt2spk.items() if many[speaker] > 1)
    if len(speakers) < 2 or not sources:
        raise InputError(f"{named(args.utt2spk)}: conversion needs two speakers, one of them with two utterances; give more data.")
    pairs, pool = {}, []
    for _ in range(args.num_pairs):
        pool = pool or draw.sample(sources, len(sources))
        source = pool.pop()
        target = draw.choice([speaker for speaker in speakers if speaker != utt2spk[source]])
        pairs[f"{target}-{source}"] = f"{source} {target}"
    text = "".join(f"{key} {pairs[key]}\n" for key in sorted(pairs, key=str.encode))
    if not args.out.exists() or args.out.read_text(encoding="utf-8") != text:
        with files.atomic_write(args.out) as file:
            file.write(text)
    return 0


if __name__ == "__main__":
    entry(main)
