"""Copies part of a Kaldi data directory."""
import argparse
import random

from sslspk.errors import InputError, entry


def options() -> argparse.ArgumentParser:
    """The command line: Kaldi's."""
    parser = argparse.ArgumentParser(
        description="Copies part of a Kaldi data directory. Without an option: N utterances at even distances.",
        usage="subset_data_dir.sh [--first | --last | --speakers | --per-spk] DIR N OUT\n"
              "       subset_data_dir.sh (--utt-list FILE | --spk-list FILE) DIR OUT")
    which = parser.add_mutually_exclusive_group()
    which.add_argument("--first", action="store_true", help="the first N utterances")
    which.add_argument("--last", action="store_true", help="the last N utterances")
    which.add_argument("--speakers", action="store_true", help="whole speakers in random order (see --seed) until they "
                                                               "have N utterances or more")
    which.add_argument("--per-spk", action="store_true", help="N utterances of each speaker, or all that it has")
    which.add_argument("--utt-list", metavar="FILE", help="the utterances that begin the lines of FILE")
    which.add_argument("--spk-list", metavar="FILE", help="the speakers that begin the lines of FILE")
    parser.add_argument("--seed", type=int, default=777, help="of --speakers (default: %(default)s)")
    parser.add_argument("args", nargs="+", metavar="DIR [N] OUT", help="source, number, destination")
    return parser


def spread(items: list[str], count: int) -> list[str]:
    """`count` of the items, at even distances from the first on; all of them when there are fewer."""
    count = min(count, len(items))
    return [items[i * len(items) // count] for i in range(count)]


def choose(args: argparse.Namespace, utt2spk: dict[str, str], count: int) -> list[str]:
    """The utterances to keep (sorted ids in, sorted or grouped by speaker out)."""
    utts = list(utt2spk)
    by_speaker: dict[str, list[str]] = {}
    for utt, spk in utt2spk.items():
        by_speaker.setdefault(spk, []).append(utt)
    if args.per_spk:
        return [utt for own in by_speaker.values() for utt in spread(own, count)]
    if count > len(utts):
        raise InputError(f"{args.args[0]} has {len(utts)} utterances, fewer than {count}; give a smaller number.")
    if args.speakers:
        speakers, kept = list(by_speaker), []
        random.Random(args.seed).shuffle(speakers)
        while len(kept) < count:
            kept += by_speaker[speakers.pop()]
        return kept
    if args.first or args.last:
        return utts[:count] if args.first else utts[-count:]
    return spread(utts, count)


def read_list(path: str) -> list[str]:
    """First words of the lines of a list. Raises InputError when it cannot be read or has a blank line."""
    try:
        with open(path, encoding="utf-8") as file:
            lines = file.read().splitlines()
    except OSError as err:
        raise InputError(f"the list {path} cannot be read ({err.strerror}); check its name.") from err
    for number, line in enumerate(lines, 1):
        if not line.strip():
            raise InputError(f"{path}:{number}: a blank line in a list; remove it.")
    return [line.split()[0] for line in lines]


def main() -> None:
    """DIR N OUT, or a list and DIR OUT."""
    parser = options()
    args = parser.parse_args()
    listed = args.utt_list or args.spk_list
    if len(args.args) != (2 if listed else 3):
        parser.error("DIR and OUT are needed with a list" if listed else "DIR, N and OUT are needed")
    source, out = args.args[0], args.args[-1]
    if not listed and not (args.args[1].isdecimal() and int(args.args[1]) > 0):
        raise InputError(f"the number of utterances must be a whole number from 1 on, not '{args.args[1]}'.")
    from sslspk.io import datadir, table
    if args.spk_list:
        count = datadir.subset(source, out, speakers=read_list(args.spk_list))
    elif args.utt_list:
        count = datadir.subset(source, out, utts=read_list(args.utt_list))
    else:
        utts = choose(args, table.read(f"{source}/utt2spk"), int(args.args[1]))
        count = datadir.subset(source, out, utts=utts)
    print(f"subset_data_dir.sh: {out} has {count} utterances of {source}")


if __name__ == "__main__":
    entry(main)
