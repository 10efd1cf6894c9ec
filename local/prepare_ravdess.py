#!/usr/bin/env python3
"""Make the data directory DATA_DIR/ravdess, acted speech with emotion labels, from RAVDESS.

RAVDESS_DIR holds Actor_01 to Actor_24, or folders that hold these (Audio_Speech_Actors_01-24), each with recordings named
MODALITY-CHANNEL-EMOTION-INTENSITY-STATEMENT-REPETITION-ACTOR.wav ("03-01-05-01-02-01-12.wav"). The sound of films (modality 01) is not
used, since it repeats the other recordings. Written besides Kaldi's tables: utt2emotion, utt2group (two men and two women each, to hold a
group out), utt2kind (speech or song), utt2intensity, utt2statement, spk2gender.

Bad recordings are listed in bad_files.txt of the data directory and left out; over 5 % of them are an error.
The program can be stopped and run again.
"""
import collections
import os
import sys

sys.path.insert(0, os.path.dirname(os.path.dirname(os.path.realpath(__file__))))   # this checkout comes before any other sslspk
from sslspk.corpora import ravdess
from sslspk.errors import entry
from sslspk.io import prepare


def main() -> None:
    parser = prepare.command_line(__doc__, "ravdess", ravdess.SITE)
    parser.add_argument("--classes", default=" ".join(ravdess.EMOTIONS.values()), metavar='"A B ..."',
                        help="emotions to keep (default: \"%(default)s\")")
    parser.add_argument("--kind", choices=("speech", "song", "all"), default="speech", help="kind of recordings (default: speech)")
    args = parser.parse_args()
    opts, classes = prepare.options(args), ravdess.parse_classes(args.classes)
    kept, others = ravdess.choose(ravdess.scan(args.corpus), classes, args.kind)
    recordings = {one.utt: one for one in kept}
    good = prepare.run(args.data, {"ravdess": ravdess.sources(kept)}, opts, lambda sources: ravdess.tables(recordings, sources), "actor")
    counts = collections.Counter(recordings[source.utt].emotion for source, _ in good["ravdess"])
    print("  " + ", ".join(f"{counts[name]} {name}" for name in classes))
    if others:
        print(f"  {sum(others.values())} of other emotions left out: " + ", ".join(f"{count} {name}" for name, count in others.items()))


if __name__ == "__main__":
    entry(main)
