"""Repairs a Kaldi data directory."""
import argparse

from sslspk.errors import counted, entry


def main() -> None:
    """DIR: sort, drop what cannot be used, and say of each table what was dropped and why."""
    parser = argparse.ArgumentParser(description="Sorts the tables of a Kaldi data directory, removes repeated and incomplete lines, and "
                                                 "utterances that are missing in a table, and writes spk2utt again. Files that change are "
                                                 "kept in DIR/.backup. An interruption leaves either all old or all new files.")
    parser.add_argument("dir", metavar="DIR")
    args = parser.parse_args()
    from sslspk.io import repair
    count, notes = repair.fix(args.dir)
    for note in notes:
        print(f"fix_data_dir.sh: {note}")
    print(f"fix_data_dir.sh: {args.dir} has {counted(count, 'utterance')}{'; nothing was dropped' if not notes else ''}")


if __name__ == "__main__":
    entry(main)
