"""Splits a Kaldi data directory for parallel jobs."""
import argparse

from sslspk.errors import entry


def main() -> None:
    """DIR N -> DIR/splitN/1 ... DIR/splitN/N."""
    parser = argparse.ArgumentParser(description="Splits a Kaldi data directory into DIR/splitN/1 ... DIR/splitN/N, "
                                                 "whose sizes differ by one utterance at most; the order is kept, so "
                                                 "that results joined in the order of the pieces are sorted.")
    parser.add_argument("dir", metavar="DIR")
    parser.add_argument("n", metavar="N", type=int, help="number of pieces")
    args = parser.parse_args()
    from sslspk.io import datadir
    datadir.split(args.dir, args.n)


if __name__ == "__main__":
    entry(main)
