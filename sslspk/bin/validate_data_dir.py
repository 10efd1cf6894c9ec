"""Checks a Kaldi data directory."""
import argparse

from sslspk.errors import entry

MADE_BY = {"spk2utt": "utils/fix_data_dir.sh makes it from utt2spk", "utt2spk": "labels, folds and subsets by speaker need it"}


def main() -> None:
    """DIR: exit 0 and one line when it is sound, else one sentence and exit 1."""
    parser = argparse.ArgumentParser(description="Checks a Kaldi data directory: tables sorted, without duplicates or "
                                                 "missing values, over the same utterances. utt2spk and spk2utt may be missing, which is "
                                                 "said. Options are Kaldi's.")
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
    speakers = f"{len(set(tables['utt2spk'].values()))} speakers" if "utt2spk" in tables else "no speakers known"
    cut = f" of {len(tables['wav.scp'])} recordings" if "segments" in tables and "wav.scp" in tables else ""
    print(f"validate_data_dir.sh: {args.dir} is sound: {len(tables[datadir.leading(tables)])} utterances{cut}, {speakers}")
    for name, use in MADE_BY.items():
        if name not in tables and name not in args.ignore and (name == "utt2spk" or "utt2spk" in tables):
            print(f"validate_data_dir.sh: there is no {args.dir}/{name}; {use}")


if __name__ == "__main__":
    entry(main)
