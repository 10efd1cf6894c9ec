#!/usr/bin/env python3
"""Make the data directories DATA_DIR/adress_train and adress_test, descriptions of a picture by people with and without
dementia, from the ADReSS challenge of Interspeech 2020.

ADRESS_DIR holds train/ and test/, each with Normalised_audio-chunks, Full_wave_enhanced_audio and transcription (in
train/ with folders cc, control, and cd, dementia), train/{cc,cd}_meta_data.txt, test/meta_data.txt and
test/test_results.txt. The speaker is the participant; an utterance is called after its start and end in ms
("S001-0000500-0002100", or "S001-full"). Written besides Kaldi's tables: utt2diagnosis (cc or cd), spk2age, spk2gender,
spk2mmse (NA where it is not known).

Turns are cut into files of --out-wav, once. Bad recordings are listed in bad_files.txt of their data directory and left
out; over 5 % of them are an error. The program can be stopped and run again.
"""
import argparse
import collections
import os
import sys

sys.path.insert(0, os.path.dirname(os.path.dirname(os.path.realpath(__file__))))   # this checkout comes before any other sslspk
from sslspk.errors import InputError, entry
from sslspk.io import adress, prepare

MIN_SECONDS = 0.3


def seconds(text: str) -> float:
    """A length on the command line."""
    number = float(text)
    if not 0 <= number < float("inf"):
        raise ValueError(text)
    return number


def main() -> None:
    args = command_line().parse_args()
    opts, names = prepare.options(args), prepare.parse_parts(args.parts, adress.PARTS)
    if args.min_seconds is not None and args.speech != "participant":
        raise InputError(f"--min-seconds is about turns that are cut out, but --speech {args.speech} cuts none; leave it out.")
    min_ms = round(1000 * (MIN_SECONDS if args.min_seconds is None else args.min_seconds))
    people = {name: adress.read_people(args.corpus, name) for name in names}
    if len(people) == 2:
        adress.refuse_shared(people["train"], people["test"])
    parts, left_out = {}, {}
    for name in names:
        parts[f"adress_{name}"], left_out[name] = adress.scan(args.corpus, name, people[name], args.speech, min_ms)
    everyone = {name: person for part in people.values() for name, person in part.items()}
    good = prepare.run(args.data, parts, opts, lambda sources: adress.tables(everyone, sources), "participant")
    for name in names:
        report(f"{args.data}/adress_{name}", {source.spk for source, _ in good[f"adress_{name}"]}, people[name], left_out[name])


def command_line() -> argparse.ArgumentParser:
    parser = prepare.command_line(__doc__, "adress", adress.SITE)
    parser.add_argument("--parts", default="train,test", help="train, test or train,test (default)")
    parser.add_argument("--speech", choices=adress.SPEECH, default="chunks",
                        help="chunks: the participant's speech as the organisers cut it; participant: the turns that the "
                        "transcripts give the participant; all: full recordings with both speakers (default: chunks)")
    parser.add_argument("--min-seconds", type=seconds, metavar="S",
                        help=f"with --speech participant: shorter turns are left out (default: {MIN_SECONDS})")
    return parser


def report(folder: str, speakers: set[str], people: dict[str, adress.Person], left_out: dict[str, int]) -> None:
    """Say how many participants of each diagnosis there are, and what was left out."""
    counts = collections.Counter(people[speaker].diagnosis for speaker in speakers)
    print(f"{folder}: {counts['cc']} participants without dementia (cc) and {counts['cd']} with (cd)")
    for reason, count in left_out.items():
        if count:
            print(f"  {count} of the participants' turns are {reason} and left out")
    gone = sorted(people.keys() - speakers)
    if gone:
        print(f"  nothing is left of {', '.join(gone)}, all of whose recordings are bad")


if __name__ == "__main__":
    entry(main)
