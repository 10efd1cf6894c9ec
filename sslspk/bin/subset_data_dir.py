"""Copies part of a Kaldi data directory."""
import argparse
import os
import random

from sslspk.errors import InputError, count, counted, entry, real, shown, whole


def options() -> argparse.ArgumentParser:
    """The command line: Kaldi's."""
    parser = argparse.ArgumentParser(
        description="Copies part of a Kaldi data directory. Without an option: N utterances at even distances.",
        usage="subset_data_dir.sh [--first | --last | --random | --speakers | --per-spk] DIR N OUT\n"
              "       subset_data_dir.sh (--num-speakers N | --hours H | --utt-list FILE | --spk-list FILE) DIR OUT")
    which = parser.add_mutually_exclusive_group()
    which.add_argument("--first", action="store_true", help="keep the first N utterances")
    which.add_argument("--last", action="store_true", help="keep the last N utterances")
    which.add_argument("--random", action="store_true",
                       help="keep N utterances at random (see --seed); a larger N with the same seed holds all of a smaller one")
    which.add_argument("--speakers", action="store_true", help="keep whole speakers in random order (see --seed) until they "
                                                               "have N utterances or more")
    which.add_argument("--per-spk", action="store_true", help="keep N utterances of each speaker, or all that it has")
    which.add_argument("--num-speakers", type=whole, metavar="N", help="keep N whole speakers at random (see --seed); a larger N with "
                                                                     "the same seed holds all of a smaller one")
    which.add_argument("--hours", type=real, metavar="H", help="keep random utterances (see --seed) until they last H hours, by utt2dur, "
                                                                "segments or utt2num_samples; a larger H holds all of a smaller one")
    which.add_argument("--utt-list", metavar="FILE", help="keep the utterances that begin the lines of FILE")
    which.add_argument("--spk-list", metavar="FILE", help="keep the speakers that begin the lines of FILE")
    parser.add_argument("--seed", type=count, default=777, help="seed of the draw (default: %(default)s)")
    parser.add_argument("args", nargs="+", metavar="DIR [N] OUT", help="source, number, destination")
    return parser


def spread(items: list[str], count: int) -> list[str]:
    """`count` of the items, at even distances from the first on; all of them when there are fewer."""
    count = min(count, len(items))
    return [items[i * len(items) // count] for i in range(count)]


def choose(args: argparse.Namespace, source: str, count: int) -> list[str]:
    """The utterances to keep (sorted or grouped by speaker)."""
    from sslspk.io import datadir
    utts, by_speaker = datadir.utterances(source), {}
    if args.per_spk or args.speakers:
        for utt, spk in datadir.read_table(source, "utt2spk").items():
            by_speaker.setdefault(spk, []).append(utt)
    if args.per_spk:
        return [utt for own in by_speaker.values() for utt in spread(own, count)]
    if count > len(utts):
        raise InputError(f"{source} has {counted(len(utts), 'utterance')}, fewer than {count}; give a smaller number.")
    if args.speakers:
        speakers, kept = list(by_speaker), []
        random.Random(args.seed).shuffle(speakers)
        while len(kept) < count:
            kept += by_speaker[speakers.pop()]
        return kept
    if args.random:
        random.Random(args.seed).shuffle(utts)
        return utts[:count]
    if args.first or args.last:
        return utts[:count] if args.first else utts[-count:]
    return [os.fsdecode(os.fsencode(utt)) for utt in spread(utts, count)]   # copies: the others can leave the memory


def random_speakers(source: str, utt2spk: dict[str, str], count: int, seed: int) -> list[str]:
    """The first `count` of the speakers in an order that depends on the seed alone."""
    speakers = sorted(set(utt2spk.values()))
    if not 0 < count <= len(speakers):
        raise InputError(f"{source} has {counted(len(speakers), 'speaker')} and --num-speakers is {count}; "
                         f"give a number from 1 to {len(speakers)}.")
    random.Random(seed).shuffle(speakers)
    return speakers[:count]


def random_hours(source: str, hours: float, seed: int) -> list[str]:
    """Utterances in an order that depends on the seed alone, up to the one with which they last `hours`."""
    seconds = durations(source)
    total = sum(seconds.values()) / 3600
    if not 0 < hours <= total:
        raise InputError(f"{source} lasts {total:.4g} hours and --hours is {hours:g}; give a number above 0 and up to that.")
    order, kept, had = list(seconds), [], 0.0
    random.Random(seed).shuffle(order)
    for utt in order:
        if had >= hours * 3600:
            break
        kept.append(utt)
        had += seconds[utt]
    return kept


def durations(source: str) -> dict[str, float]:
    """Seconds of each utterance: utt2dur, segments that all say their end, or utt2num_samples at the rate of the first recording."""
    from sslspk.io import audio, datadir, segments, table
    ends = f"{source}/{segments.NAME}"
    cut = segments.check(ends, table.read(ends)) if os.path.exists(ends) else {}
    for name in ("utt2dur", "utt2num_samples"):
        path = f"{source}/{name}"
        if not os.path.exists(path):
            if cut and all(part.end is not None for part in cut.values()):
                return {utt: part.end - part.start for utt, part in cut.items()}
            continue
        rate = 1 if name == "utt2dur" else audio.info(next(iter(table.read(f"{source}/wav.scp").values())))[1]
        found = {}
        for line, (utt, text) in enumerate(table.read(path).items(), 1):
            if not datadir.SECONDS.fullmatch(text):
                raise InputError(f"{path}:{line}: the value of {table.named(utt)} is {shown(text)}, not a length; make the table again.")
            found[utt] = float(text) / rate
        return found
    raise InputError(f"{source}/utt2dur is missing, and so is utt2num_samples, so --hours cannot be counted; run steps/pack_audio.sh.")


def read_list(path: str) -> list[str]:
    """First words of the lines of a list. Raises InputError when it cannot be read or has a blank line."""
    from sslspk.io import table
    lines = [table.words(line) for line in table.read_lines(path)]
    for number, words in enumerate(lines, 1):
        if not words:
            raise InputError(f"{path}:{number}: a blank line in a list; remove it.")
    return [words[0] for words in lines]


def main() -> None:
    """DIR N OUT, or DIR OUT where an option says which."""
    parser = options()
    args = parser.parse_args()
    told = args.utt_list or args.spk_list or args.num_speakers is not None or args.hours is not None
    if len(args.args) != (2 if told else 3):
        parser.error("DIR and OUT are needed with this option" if told else "DIR, N and OUT are needed")
    source, out = args.args[0], args.args[-1]
    if not told and not (args.args[1].isdecimal() and int(args.args[1]) > 0):
        raise InputError(f"the number of utterances must be a whole number from 1 on, not '{args.args[1]}'.")
    from sslspk.io import datadir, derive
    if args.spk_list:
        made = derive.subset(source, out, speakers=read_list(args.spk_list))
    elif args.utt_list:
        made = derive.subset(source, out, utts=read_list(args.utt_list))
    elif args.hours is not None:
        made = derive.subset(source, out, utts=random_hours(source, args.hours, args.seed))
    elif args.num_speakers is not None:
        utt2spk = datadir.read_table(source, "utt2spk")
        made = derive.subset(source, out, speakers=random_speakers(source, utt2spk, args.num_speakers, args.seed))
    else:
        made = derive.subset(source, out, utts=choose(args, source, int(args.args[1])))
    for note in made.notes:
        print(f"subset_data_dir.sh: {note}")
    print(f"subset_data_dir.sh: {out} has {counted(made.count, 'utterance')} of {source}")


if __name__ == "__main__":
    entry(main)
