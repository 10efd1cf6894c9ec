"""Finds the recordings in tars of other toolkits: `python3 -m sslspk.bin.import_shards --jobs 4 --job 1 SHARDS OUT`, then `... --gather`.

Job J of N looks at its share of the shards and writes OUT/.part.J.jsonl; --gather makes the data directory OUT of all parts: wav.scp
("utt shard.tar:OFFSET"), utt2num_samples, utt2dur, utt2spk and spk2utt. Recordings that cannot be read are left out and listed in
OUT/bad_files.txt; more than 5 % are an error. --list prints the files of the shards.
"""
import argparse
import json
import os

from sslspk.errors import InputError, count, counted, entry, named, shown

PREFIXES = ("none", "speaker", "shard")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--speaker", default="auto", metavar="WHERE",
                        help="source of the speaker; auto: the cuts, or .spk, .json (speaker, speaker_id, spk, spk_id) or .cls beside the "
                        "audio; none: speakers are unknown; another ending, such as txt; json:KEY (default: auto)")
    parser.add_argument("--prefix", choices=PREFIXES, default="none", help="prefix of each id, joined by a hyphen (default: none)")
    parser.add_argument("--check", choices=("full", "header"), default="header",
                        help="full: decode every recording and look for samples that cannot be speech (default: header)")
    parser.add_argument("--jobs", type=count, default=1, metavar="N")
    what = parser.add_mutually_exclusive_group(required=True)
    what.add_argument("--list", action="store_true", help="print the files of the shards")
    what.add_argument("--job", type=count, metavar="J", help="write part J, counted from 1")
    what.add_argument("--gather", action="store_true", help="make OUT of parts 1 to N")
    parser.add_argument("shards", metavar="SHARDS", help="a folder of tars or a Shar, a list of tars, cuts.*.jsonl(.gz), or a tar")
    parser.add_argument("out", metavar="OUT", nargs="?", default="")
    args = parser.parse_args()
    if not args.list and not args.out:
        parser.error("OUT is missing")
    from sslspk.corpora import shards
    from sslspk.io import files
    found = shards.find(args.shards)
    if args.list:
        print("\n".join(path for shard in found for path in shard if path))
    elif args.gather:
        gather(args, len(found))
    else:
        look(args, files.share(found, args.job, args.jobs))


def part(args: argparse.Namespace, job: int) -> str:
    """Where a job writes what it found."""
    return os.path.join(args.out, f".part.{job}.jsonl")


def look(args: argparse.Namespace, mine: list) -> None:
    """Write a line for each recording of these shards: id, speaker, entry of wav.scp, and what `survey.Outcome` says of it."""
    from sslspk import progress
    from sslspk.corpora import shards
    from sslspk.io import files, table
    with files.atomic_write(part(args, args.job)) as file:
        for shard in progress.over(mine, "tars"):
            for sample in shards.samples(shard, args.speaker):
                before = {"none": "", "speaker": sample.speaker, "shard": os.path.basename(shard.path).split(".tar")[0]}[args.prefix]
                utt = f"{before}-{sample.name}" if before else sample.name
                table.check_key(utt, shard.path)
                file.write(json.dumps([utt, sample.speaker, sample.spec, *examine(sample.spec, args.check == "full")]) + "\n")


def examine(spec: str, full: bool) -> tuple[int, int, int, str, str]:
    """(samples, rate, channels, why it is bad, what is wrong with its speech) of a recording."""
    from sslspk.io import audio, survey
    if not spec:
        return 0, 0, 0, "no audio of a known format", ""
    try:
        samples, rate, channels = audio.info(spec)
        if not samples:
            return 0, 0, 0, "holds no samples", ""
        if full:
            return samples, rate, channels, "", survey.check(spec, True).note
        audio.read_segment(spec, samples - 1, 1)
    except InputError as err:
        return 0, 0, 0, str(err), ""
    return samples, rate, channels, "", ""


def gather(args: argparse.Namespace, tars: int) -> None:
    """The data directory of all parts, and what is to be known of it on stdout."""
    from sslspk.io import datadir, prepare
    from sslspk.io.survey import Outcome, Source
    good, bad = {}, []
    for job in range(1, args.jobs + 1):
        with open(part(args, job), encoding="utf-8") as file:
            for line in file:
                utt, speaker, spec, samples, rate, channels, reason, note = json.loads(line)
                pair = Source(utt, speaker, spec or utt, ""), Outcome(spec, samples, rate, channels, reason=reason, note=note)
                if reason:
                    bad.append(pair)
                elif utt in good:
                    raise InputError(f"{shown(utt, 60)} is in {named(good[utt][0].path, 60)} and {named(spec, 60)}; rename one, or put the "
                                     "shard's name before each id (--prefix shard).")
                else:
                    good[utt] = pair
    prepare.list_bad(os.path.join(args.out, prepare.BAD_LIST), [*bad, *good.values()])
    if len(bad) > prepare.MAX_BAD_SHARE * (len(bad) + len(good)):
        raise InputError(f"{len(bad)} of {len(bad) + len(good)} recordings cannot be used ({named(bad[0][0].path, 60)}: "
                         f"{bad[0][1].reason[:120]}); {args.out}/{prepare.BAD_LIST} says why of each.")
    speakers = {utt: source.spk for utt, (source, _) in good.items()}
    datadir.write(args.out, wav={utt: outcome.path for utt, (_, outcome) in good.items()},
                  utt2spk=None if args.speaker == "none" else speakers,
                  utt2num_samples={utt: outcome.samples for utt, (_, outcome) in good.items()},
                  utt2dur={utt: f"{outcome.samples / outcome.rate:.4f}" for utt, (_, outcome) in good.items()})
    report(args.out, tars, [pair[1] for pair in good.values()], set(speakers.values()) - {""}, len(bad))


def report(out: str, tars: int, good: list, speakers: set[str], bad: int) -> None:
    """Say what the directory holds, and what training cannot read as it is."""
    from collections import Counter

    from sslspk.io.prepare import BAD_LIST
    from sslspk.io.survey import RATE
    hours = sum(outcome.samples / outcome.rate for outcome in good) / 3600
    print(f"import_shards: {counted(len(good), 'utterance')} in {counted(tars, 'tar')}, "
          f"{counted(len(speakers), 'speaker') + ', ' if speakers else ''}{hours:.2f} hours")
    if bad:
        print(f"import_shards: left out {counted(bad, 'recording')}, listed in {out}/{BAD_LIST}")
    for rate, number in sorted(Counter(outcome.rate for outcome in good if outcome.rate != RATE).items()):
        print(f"import_shards: {number} have {rate} Hz; steps/pack_audio.sh resamples them to {RATE} Hz")
    several = sum(outcome.channels > 1 for outcome in good)
    if several:
        print(f"import_shards: {several} have several channels, of which the first is read; steps/pack_audio.sh --channel chooses another")


if __name__ == "__main__":
    entry(main)
