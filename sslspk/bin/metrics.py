"""Error rates of a scored trial list: `python3 -m sslspk.bin.metrics TRIALS SCORES [--json FILE]`.

Prints EER (interpolated on the ROC), minDCF and actDCF at target priors 0.01 and 0.05 (costs 1, normalised), Cllr and a 95 % interval from
a bootstrap over speakers. Tied scores are one threshold. actDCF and Cllr are meaningful only if the scores are natural-log likelihood
ratios, not for uncalibrated cosines. The speaker of an id is read from --utt2spk; without it, the part before the first hyphen is taken
(id10270-video-00001).
"""
import argparse
import contextlib
import json
import os

from sslspk.errors import InputError, count, entry


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("trials", metavar="TRIALS", help='"enrol test target|nontarget" or "1|0 enrol test" lines')
    parser.add_argument("scores", metavar="SCORES", help='"enrol test score" lines, in any order')
    parser.add_argument("--json", metavar="FILE", help="write all figures there")
    parser.add_argument("--det", metavar="FILE.npz", help="write the DET curve's corners there: threshold, p_miss, p_fa")
    add_measuring(parser)
    args = parser.parse_args()
    figures, (scores, target) = measure(args)
    save_json(figures, args.json)
    save_det(scores, target, args.det)
    from sslspk.metrics import report
    print(f"{'list':<14} {args.trials} (md5 {figures['trials_md5']})")
    print("\n".join(report.lines(figures)))
    for note in figures["notes"]:
        print(f"note: {note}")


def add_measuring(parser: argparse.ArgumentParser) -> None:
    """The options that this program shares with sslspk.bin.score."""
    parser.add_argument("--utt2spk", metavar="FILE", help="speaker of each utterance, for the bootstrap")
    parser.add_argument("--spk2gender", metavar="FILE", help="also measure the trials within one gender")
    parser.add_argument("--bootstrap", type=count, metavar="N",
                        help="replicates of the bootstrap over speakers (default 200; 0: no interval)")
    parser.add_argument("--seed", type=count, default=0, help="seed of the bootstrap (default 0)")


def measure(args: argparse.Namespace, trials=None, scores=None) -> tuple[dict, tuple]:
    """Figures of a list, and its scores (N,) and labels (N,); both files are read unless what they hold is given."""
    from sslspk.io import files, table
    from sslspk.io import scores as score_file
    from sslspk.io import trials as trial_list
    from sslspk.metrics import report
    if trials is None:
        trials = trial_list.read(args.trials)
        scores = score_file.align(trials, score_file.read(args.scores), args.scores, args.trials)
    figures = {"trials": args.trials, "trials_md5": files.md5(args.trials), "p_target": list(report.P_TARGETS),
               "notes": trial_list.remarks(trials)}
    tables = {"utt2spk": args.utt2spk and table.read(args.utt2spk), "spk2gender": args.spk2gender and table.read(args.spk2gender)}
    try:
        figures |= report.report(trials, scores, **tables, replicates=args.bootstrap, seed=args.seed)
    except InputError as err:
        raise InputError(f"{args.trials}: {err}") from None
    return figures, (scores, trials.target)


def without_labels(trials: str, result: str) -> str:
    """The note about a list whose trials have no labels. The result that it had when it had some is removed."""
    with contextlib.suppress(FileNotFoundError):
        os.unlink(result)
    return f"{trials} has no labels: there are scores and no {result}; EER and minDCF need a label on each line"


def save_json(figures: dict, path: str | None) -> None:
    """Write figures as JSON, whole or not at all."""
    from sslspk.io import files
    if path:
        with files.atomic_write(path) as file:
            file.write(json.dumps(figures, indent=2) + "\n")


def save_det(scores, target, path: str | None) -> None:
    """Write a DET curve as npz, whole or not at all."""
    if not path:
        return
    import numpy as np

    from sslspk.io import files
    from sslspk.metrics import verification
    with files.atomic_write(path, "wb") as file:
        np.savez(file, **verification.det_curve(scores, target)._asdict())


if __name__ == "__main__":
    entry(main)
