#!/usr/bin/env python3
"""Make the data directory DATA_DIR/iemocap, speech with emotion labels, from IEMOCAP.

IEMOCAP_DIR holds Session1 to Session5, each with sentences/wav/<dialog>/<turn>.wav and dialog/EmoEvaluation/<dialog>.txt
(the annotators' own files in the folders below are not read). An utterance is a turn, called speaker-turn
("Ses01M-Ses01F_impro01_M003"). Written besides Kaldi's tables: utt2emotion, utt2session (to hold one session out),
utt2kind (improvised or scripted), spk2gender. Turns with other labels, and recordings without one, are left out and
counted.

Bad recordings are listed in bad_files.txt of the data directory and left out; over 5 % of them are an error.
The program can be stopped and run again.
"""
import collections
import os
import sys

sys.path.insert(0, os.path.dirname(os.path.dirname(os.path.realpath(__file__))))   # this checkout comes before any other sslspk
from sslspk.errors import entry
from sslspk.io import iemocap, prepare


def main() -> None:
    parser = prepare.command_line(__doc__, "iemocap", iemocap.SITE)
    parser.add_argument("--classes", default=" ".join(iemocap.CLASSES), metavar='"A B ..."',
                        help=f"emotions to keep, of {' '.join(iemocap.EMOTIONS.values())} (default: \"%(default)s\")")
    parser.add_argument("--merge-excited", choices=("true", "false"), default="false",
                        help="true: excited counts as happy (5531 turns of four classes); "
                        "false: it is left out unless --classes names it (4490; default)")
    parser.add_argument("--kind", choices=("all", *iemocap.KINDS.values()), default="all", help="which dialogs (default: all)")
    args = parser.parse_args()
    opts, merge = prepare.options(args), args.merge_excited == "true"
    classes = iemocap.parse_classes(args.classes, merge)
    labelled = iemocap.read_labels(args.corpus)
    kept, others = iemocap.choose(labelled, classes, args.kind, merge)
    turns = {turn.utt: turn for turn in kept}
    good = prepare.run(args.data, {"iemocap": iemocap.sources(kept)}, opts, lambda sources: iemocap.tables(turns, sources))
    counts = collections.Counter(turns[source.utt].emotion for source, _ in good["iemocap"])
    print("  " + ", ".join(f"{counts[name]} {name}" for name in classes))
    if others:
        print(f"  {sum(others.values())} turns with other labels left out: "
              + ", ".join(f"{count} {name}" for name, count in others.items()))
    if args.kind != "all":
        print(f"  {sum(turn.kind != args.kind for turn in labelled)} turns that are not {args.kind} left out")
    without = iemocap.unlabelled(args.corpus, labelled)
    if without:
        print(f"  {len(without)} recordings without a label line left out, such as {without[0]}")


if __name__ == "__main__":
    entry(main)
