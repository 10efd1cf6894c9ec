"""Checks a Kaldi data directory."""
import argparse

from sslspk.errors import entry


def main() -> None:
    """DIR: exit 0 and one line when it is sound, else one sentence and exit 1."""
    parser = argparse.ArgumentParser(description="Checks a Kaldi data directory: tables sorted, without duplicates or "
                                                 "missing values, over the same utterances. Options are Kaldi's.")
    parser.add_argument("--no-feats", action="store_true", help="feats.scp need not be there")
    parser.add_argument("--no-wav", action="store_true", help="wav.scp need not be there")
    parser.add_argument("--no-text", action="store_true", help="has no effect: text is never needed here")
    parser.add_argument("--allow-pipes", choices=("true", "false"), default="false",
                        help="whether wav.scp may hold commands ('... |'), which reading it would run (default: false)")
    parser.add_argument("--check-files", action="store_true", help="look also for every file that an scp names")
    parser.add_argument("--ignore", action="append", default=[], metavar="NAME", help="a table that is not looked at (repeatable)")
    parser.add_argument("dir", metavar="DIR")
    args = parser.parse_args()
    from sslspk.io import datadir
    need = [name for name, skip in (("wav.scp", args.no_wav), ("feats.scp", args.no_feats)) if not skip]
    tables = datadir.validate(args.dir, need, allow_pipes=args.allow_pipes == "true", check_files=args.check_files, ignore=args.ignore)
    print(f"validate_data_dir.sh: {args.dir} is sound: {len(tables['utt2spk'])} utterances, "
          f"{len(tables['spk2utt'])} speakers")


if __name__ == "__main__":
    entry(main)
