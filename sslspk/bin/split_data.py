"""Splits a Kaldi data directory for parallel jobs."""
import argparse

from sslspk.errors import InputError, entry


def main() -> None:
    """DIR N -> DIR/splitN/1 ... DIR/splitN/N."""
    parser = argparse.ArgumentParser(description="Splits a Kaldi data directory into DIR/splitN/1 ... DIR/splitN/N. Speakers "
                                                 "stay whole where there are enough of them for N equal pieces.")
    parser.add_argument("--per-utt", action="store_true", help="split by utterances (this is Kaldi's option of the name; "
                                                               "the pieces go to DIR/splitNutt)")
    parser.add_argument("dir", metavar="DIR")
    parser.add_argument("n", metavar="N", type=int, help="number of pieces")
    args = parser.parse_args()
    if args.n < 1:
        raise InputError(f"cannot split {args.dir} into {args.n} pieces; give a number from 1 on.")
    from sslspk.io import datadir
    datadir.split(args.dir, args.n)


if __name__ == "__main__":
    entry(main)
