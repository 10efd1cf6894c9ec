"""Makes a data directory of parts of each utterance of another one."""
import argparse

from sslspk.errors import InputError, counted, entry, real


def main() -> None:
    """--first S | --pieces S | --ends S, DATA OUT."""
    parser = argparse.ArgumentParser(
        description="OUT has parts of each utterance of DATA, as a table of segments: no audio is copied, nor are features.",
        usage="cut_data_dir.sh (--first S | --pieces S | --ends S) DATA OUT")
    which = parser.add_mutually_exclusive_group(required=True)
    which.add_argument("--first", type=real, metavar="S", help="keep the first S seconds of each utterance; leave out shorter ones")
    which.add_argument("--pieces", type=real, metavar="S",
                       help="cut utterances longer than S seconds into pieces of equal length, UTT-001, UTT-002 ...; keep the others as "
                            "they are")
    which.add_argument("--ends", type=real, metavar="S",
                       help="two crops of S seconds of each utterance UTT, from its beginning and its end: UTT-a and UTT-b, with UTT as "
                            "speaker in utt2spk; if UTT is shorter than 2 S, its two halves")
    parser.add_argument("data", metavar="DATA")
    parser.add_argument("out", metavar="OUT")
    args = parser.parse_args()
    from sslspk.io import cuts, datadir
    how, seconds = next((how, value) for how, value in vars(args).items() if how in cuts.WAYS and value is not None)
    if not 0 < seconds < 1e6:
        raise InputError(f"--{how} takes a length above 0, in seconds, not {seconds:g}.")
    made = cuts.WAYS[how](args.data, args.out, seconds)
    for note in made.notes:
        print(f"cut_data_dir.sh: {note}")
    print(f"cut_data_dir.sh: {args.out} has {counted(made.count, 'utterance')}, of the {len(datadir.utterances(args.data))} of {args.data}")


if __name__ == "__main__":
    entry(main)
