"""Makes a data directory of the first seconds of each utterance of another one."""
import argparse

from sslspk.errors import InputError, entry, real


def main() -> None:
    """S DATA OUT."""
    parser = argparse.ArgumentParser(
        description="OUT has the first S seconds of each utterance of DATA, as a table of segments: no audio is copied. Shorter utterances "
                    "are left out, and their number is printed. Features of DATA are not copied.",
        usage="first_seconds.sh S DATA OUT")
    parser.add_argument("seconds", type=real, metavar="S")
    parser.add_argument("data", metavar="DATA")
    parser.add_argument("out", metavar="OUT")
    args = parser.parse_args()
    if not 0 < args.seconds < 1e6:
        raise InputError(f"{args.seconds:g} seconds: a length above 0 is meant.")
    from sslspk.io import datadir, derive
    made = derive.first_seconds(args.data, args.out, args.seconds)
    for note in made.notes:
        print(f"first_seconds.sh: {note}")
    print(f"first_seconds.sh: {args.out} has the first {args.seconds:g} s of {made.count} of the {len(datadir.utterances(args.data))} "
          f"utterances of {args.data}")


if __name__ == "__main__":
    entry(main)
