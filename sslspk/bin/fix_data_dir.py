"""Repairs a Kaldi data directory."""
import argparse

from sslspk.errors import entry


def main() -> None:
    """DIR: sort, drop what cannot be used, and say how many utterances each table lost."""
    parser = argparse.ArgumentParser(description="Sorts the tables of a Kaldi data directory, drops repeated and "
                                                 "incomplete lines and the utterances that not every table knows, and "
                                                 "makes spk2utt again. The tables as they were go to DIR/.backup.")
    parser.add_argument("dir", metavar="DIR")
    args = parser.parse_args()
    from sslspk.io import datadir, table
    lost = datadir.fix(args.dir)
    kept = len(table.read(f"{args.dir}/utt2spk"))
    changes = [f"{name} lost {count}" for name, count in sorted(lost.items()) if count]
    print(f"fix_data_dir.sh: {args.dir} has {kept} utterances; {', '.join(changes) or 'none was dropped'}; "
          f"the old tables are in {args.dir}/.backup")


if __name__ == "__main__":
    entry(main)
