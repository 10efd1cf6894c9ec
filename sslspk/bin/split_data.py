"""Splits a Kaldi data directory for parallel jobs."""
import argparse

from sslspk.errors import entry, whole


def main() -> None:
    """[--work WORK] DIR N -> WORK/splitN/1 ... WORK/splitN/N, WORK being DIR itself where none is given."""
    parser = argparse.ArgumentParser(description="Splits a Kaldi data directory into DIR/splitN/1 ... DIR/splitN/N, "
                                                 "of nearly equal size; the order is kept, so that results joined in the order of the "
                                                 "pieces are sorted. The pieces hold the tables of DIR (with `segments`, the recordings "
                                                 "that they need); other files, such as trial lists, stay in DIR.")
    parser.add_argument("dir", metavar="DIR")
    parser.add_argument("n", metavar="N", type=whole, help="number of pieces")
    parser.add_argument("--work", metavar="DIR", help="folder that gets splitN in place of DIR, which is then only read")
    args = parser.parse_args()
    from sslspk.io import derive, extras
    derive.split(args.dir, args.n, work=args.work)
    for note in extras.left_out(extras.names(args.dir), f"not in the pieces of {args.dir}, since they are no tables"):
        print(f"split_data.sh: {note}")


if __name__ == "__main__":
    entry(main)
