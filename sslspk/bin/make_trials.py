"""Draw a trial list from a utt2spk: `python3 -m sslspk.bin.make_trials [options] UTT2SPK OUT`.

Used for calibration on training data, with true speakers or clusters (pseudo-labels). Half of the trials are targets;
each kind is drawn at random from all its pairs, no pair twice, no utterance with itself. OUT has Kaldi's form,
"enrol test target|nontarget". Where there are fewer pairs than asked for, all of them are taken, and a line says so.
"""
import argparse

from sslspk.errors import count, entry, whole


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--num-trials", type=_count, default=20_000, metavar="N",
                        help="number of trials, half of them targets (default 20000)")
    parser.add_argument("--seed", type=count, default=0, help="seed of the draw (default 0)")
    parser.add_argument("--utt2session", metavar="FILE", help="leave out target pairs of one recording session")
    classes = parser.add_mutually_exclusive_group()
    classes.add_argument("--across", metavar="FILE", help="every pair is of two classes of FILE, such as utt2emotion")
    classes.add_argument("--within", metavar="FILE", help="every pair is of one class of FILE")
    parser.add_argument("utt2spk", metavar="UTT2SPK")
    parser.add_argument("out", metavar="OUT")
    args = parser.parse_args()

    from sslspk.io import table
    from sslspk.io import trials as trial_list
    session, across, within = (file and table.read(file) for file in (args.utt2session, args.across, args.within))
    trials = trial_list.draw(table.read(args.utt2spk), args.num_trials, args.seed, session, across=across, within=within)
    trial_list.write(args.out, *trials)
    targets = int(trials.target.sum())
    for found, wanted, kind in ((targets, args.num_trials // 2, "target"),
                                (len(trials.target) - targets, args.num_trials - args.num_trials // 2, "non-target")):
        print(f"{found} {kind} trials" + (f": all that there are, {wanted} were asked for" if found < wanted else ""))


def _count(text: str) -> int:
    if whole(text) < 2:
        raise argparse.ArgumentTypeError(f"a whole number from 2 on is needed, not '{text}'")
    return int(text)


if __name__ == "__main__":
    entry(main)
