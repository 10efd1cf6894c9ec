"""Checks a Kaldi data directory."""
import argparse
from collections.abc import Collection

from sslspk.errors import counted, entry


def main() -> None:
    """DIR: a line and exit status 0 if it is valid, else one sentence and status 1."""
    parser = argparse.ArgumentParser(description="Checks a Kaldi data directory: tables sorted, without duplicates or "
                                                 "missing values, over the same utterances. utt2spk and spk2utt may be missing; a line "
                                                 "says so. Options are Kaldi's.")
    parser.add_argument("--no-feats", action="store_true", help="feats.scp need not be there")
    parser.add_argument("--no-wav", action="store_true", help="wav.scp need not be there")
    parser.add_argument("--no-text", action="store_true", help="has no effect: text is never needed here")
    parser.add_argument("--allow-pipes", choices=("true", "false"), default="false",
                        help="whether wav.scp may hold commands ('... |'), which reading it would run (default: false)")
    parser.add_argument("--check-files", action="store_true", help="look also for every file that an scp names")
    parser.add_argument("--ignore", action="append", default=[], metavar="NAME", help="a table that is not looked at (repeatable)")
    parser.add_argument("dir", metavar="DIR")
    args = parser.parse_args()
    need = [name for name, skip in (("wav.scp", args.no_wav), ("feats.scp", args.no_feats)) if not skip]
    names, utts, speakers, cut = _looked_at(args, need)
    said = counted(speakers, "speaker") if speakers is not None else "no speakers known"
    print(f"validate_data_dir.sh: {args.dir} is valid: {counted(utts, 'utterance')}{cut}, {said}")
    if "utt2spk" in names and "spk2utt" not in names and "spk2utt" not in args.ignore:
        print(f"validate_data_dir.sh: there is no {args.dir}/spk2utt; utils/fix_data_dir.sh makes it from utt2spk")


def _looked_at(args: argparse.Namespace, need: list[str]) -> tuple[Collection[str], int, int | None, str]:
    """Names of the tables, how many utterances and speakers (None without utt2spk), and of how many recordings, as text."""
    from sslspk.io import datadir
    if not args.check_files and datadir.is_large(args.dir):
        from sslspk.io import quick
        sound = quick.look(args.dir, args.ignore)
        if sound is not None and set(need) <= set(sound.names):
            return sound.names, len(sound.utterances), None if sound.speakers is None else len(sound.speakers), ""
    tables = datadir.validate(args.dir, need, allow_pipes=args.allow_pipes == "true", check_files=args.check_files, ignore=args.ignore)
    speakers = len(set(tables["utt2spk"].values())) if "utt2spk" in tables else None
    cut = " of " + counted(len(tables["wav.scp"]), "recording") if "segments" in tables and "wav.scp" in tables else ""
    return tables, len(tables[datadir.leading(tables)]), speakers, cut


if __name__ == "__main__":
    entry(main)
