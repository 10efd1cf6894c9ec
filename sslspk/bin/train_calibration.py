"""Train a calibration or fusion: `python3 -m sslspk.bin.train_calibration [options] TRIALS SCORES... MODEL.json`.

One SCORES file calibrates a system, several fuse systems; --utt2dur and --embeddings add quality measures: of both sides of a trial, the
lower and the higher logarithm of the duration, and length of the embedding. sslspk/backend/calibration.py states what is
minimised. TRIALS should not be a list that is to be reported, see steps/make_trials.sh; the model remembers it.
"""
import argparse
import os
from typing import TYPE_CHECKING

from sslspk.errors import entry, real

if TYPE_CHECKING:
    import numpy as np

    from sslspk.io.trials import Trials


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--p-target", type=real, default=0.05, metavar="P", help="prior of a target in the application (default 0.05)")
    parser.add_argument("--label-kind", choices=("pseudo", "speaker"), default="speaker",
                        help="what the labels of TRIALS are, for the results (default speaker)")
    parser.add_argument("--made-on", default="", metavar="TEXT", help="short description of TRIALS, for sslspk info")
    add_quality(parser)
    parser.add_argument("trials", metavar="TRIALS", help='"enrol test target|nontarget" or "1|0 enrol test" lines')
    parser.add_argument("scores", nargs="+", metavar="SCORES", help='"enrol test score" lines in any order, one file for each system')
    parser.add_argument("model", metavar="MODEL.json")
    args = parser.parse_args()

    from sslspk.backend import calibration
    from sslspk.bin.metrics import save_json
    from sslspk.io import files
    from sslspk.io import trials as trial_list
    from sslspk.metrics import verification
    trials = trial_list.read(args.trials)
    columns, quality = gather(args, trials)
    weights, offset = calibration.fit(columns, trials.target, args.p_target)
    targets = int(trials.target.sum())
    model = calibration.Calibration(
        systems=tuple(map(system_name, args.scores)), quality=quality, weights=tuple(weights.tolist()), offset=offset,
        p_target=args.p_target, labels=args.label_kind, trials=args.trials, made_on=args.made_on,
        trials_md5=files.md5(args.trials), pairs_md5=trial_list.digest(trial_list.unordered(trials)),
        targets=targets, nontargets=len(columns) - targets)
    save_json(model.model_dump(mode="json"), args.model)
    names = [*model.systems, *(f"{side} {measure}" for measure in quality for side in ("lower", "higher"))]
    print("\n".join(f"weight {weight:12.6g}  {name}" for name, weight in zip(names, model.weights, strict=True)))
    print(f"offset {offset:12.6g}\nCllr   {verification.cllr(model.apply(columns), trials.target):12.4f} bit on this list itself")


def add_quality(parser: argparse.ArgumentParser) -> None:
    """The options that this program shares with sslspk.bin.apply_calibration."""
    parser.add_argument("--utt2dur", metavar="FILE", help="seconds of each utterance: adds the durations of both sides")
    parser.add_argument("--embeddings", metavar="DIR", help="embeddings of the utterances of both sides: adds the lengths of the vectors")


def gather(args: argparse.Namespace, trials: "Trials") -> "tuple[np.ndarray, tuple[str, ...]]":
    """The numbers (N, S + 2 Q) that args.scores and the measures give the trials, and the names of the Q measures.

    Raises InputError naming a file, and a pair without score or an utterance without measure.
    """
    import numpy as np

    from sslspk.backend import calibration
    from sslspk.io import embeddings, table
    from sslspk.io import scores as score_file
    columns = [score_file.align(trials, score_file.read(path), path, args.trials)[:, None] for path in args.scores]
    quality = []
    if args.utt2dur:
        durations = calibration.log_durations(table.read(args.utt2dur), args.utt2dur)
        columns.append(_of_both(trials, list(durations), np.array(list(durations.values())), args.utt2dur))
        quality.append("log_duration")
    if args.embeddings:
        names, x = embeddings.load(args.embeddings, {*trials.enrol.tolist(), *trials.test.tolist()})
        lengths = calibration.magnitudes(x, [f"{name} in {args.embeddings}" for name in names])
        columns.append(_of_both(trials, names, lengths, os.path.join(args.embeddings, "xvector.scp")))
        quality.append("magnitude")
    return np.concatenate(columns, axis=1), tuple(quality)


def _of_both(trials: "Trials", names: list[str], values: "np.ndarray", where: str) -> "np.ndarray":
    from sslspk.backend.calibration import two_sides
    from sslspk.io.trials import lookup
    return two_sides(*(values[lookup(ids, names, where)] for ids in (trials.enrol, trials.test)))


def system_name(path: str) -> str:
    """What a score file is called in a fusion: system, back-end and normalisation as its result file says, else its directory."""
    found = result_beside(path)
    if "system" not in found:
        return os.path.basename(os.path.dirname(os.path.abspath(path)))
    norm = f" {found['snorm']}-norm" if found.get("snorm") else ""
    return f"{found['system']} {found.get('weights', '')} {found.get('backend', '')}".strip() + norm


def result_beside(path: str) -> dict:
    """What the result_NAME.json beside a file scores_NAME holds; {} where there is none."""
    folder, name = os.path.split(path)
    result = os.path.join(folder, name.replace("scores_", "result_", 1) + ".json")
    from sslspk.io import results
    return results.origin(result) if name.startswith("scores_") and os.path.exists(result) else {}


if __name__ == "__main__":
    entry(main)
