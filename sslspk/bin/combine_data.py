"""Joins Kaldi data directories."""
import argparse

from sslspk.errors import counted, entry


def main() -> None:
    """OUT DIR1 DIR2 ...: the union of the directories, with the tables that all of them have."""
    parser = argparse.ArgumentParser(description="Joins Kaldi data directories into OUT, with the tables that all of them have. Files "
                                                 "that are not copied are named. An utterance in two of the directories is an error.")
    parser.add_argument("out", metavar="OUT")
    parser.add_argument("dirs", metavar="DIR", nargs="+")
    args = parser.parse_args()
    from sslspk.io import derive
    count, notes = derive.combine(args.out, *args.dirs)
    for note in notes:
        print(f"combine_data.sh: {note}")
    print(f"combine_data.sh: {args.out} has {counted(count, 'utterance')} of {len(args.dirs)} directories")


if __name__ == "__main__":
    entry(main)
