"""Checks a Kaldi data directory."""
import argparse

from sslspk.errors import entry


def main() -> None:
    """DIR: exit 0 and one line when it is sound, else one sentence and exit 1."""
    parser = argparse.ArgumentParser(description="Checks a Kaldi data directory: tables sorted, without duplicates or missing "
                                                 "values, over the same utterances. Options are Kaldi's.")
    parser.add_argument("--no-feats", action="store_true", help="feats.scp need not be there")
    parser.add_argument("--no-wav", action="store_true", help="wav.scp need not be there")
    parser.add_argument("--no-text", action="store_true", help="has no effect: text is never needed here")
    parser.add_argument("--allow-pipes", choices=("true", "false"), default="false",
                        help="whether wav.scp may hold commands ('... |'), which reading it would run (default: false)")
    parser.add_argument("dir", metavar="DIR")
    args = parser.parse_args()
    from sslspk.io import datadir
    need = [name for name, skip in (("wav.scp", args.no_wav), ("feats.scp", args.no_feats)) if not skip]
    datadir.validate(args.dir, need=tuple(need), allow_pipes=args.allow_pipes == "true")
    print(f"validate_data_dir.sh: {args.dir} is sound")


if __name__ == "__main__":
    entry(main)
