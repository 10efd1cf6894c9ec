"""Calibrate or fuse scores and measure them: `python3 -m sslspk.bin.apply_calibration [options] MODEL.json TRIALS SCORES... OUT`.

SCORES are those of the systems that MODEL.json was trained with (steps/train_calibration.sh), in the same order, on this list.
Writes OUT/scores_NAME (natural-log likelihood ratios) and OUT/result_NAME.json as steps/score.sh does (of a list without labels
the scores alone); the result says which
labels the systems and the calibration saw. What the result files beside SCORES say of their systems goes to the result.
A list is not calibrated on itself, nor on one with more than 5 % of its pairs, unless --same-list true says so; the result states it, and
the share of its pairs that the training list had.
"""
import argparse
import os
from typing import TYPE_CHECKING

from sslspk.bin.metrics import add_measuring, measure, save_json, without_labels
from sslspk.bin.train_calibration import add_quality, gather, result_beside, system_name
from sslspk.errors import InputError, counted, entry

if TYPE_CHECKING:
    from sslspk.backend.calibration import Calibration
    from sslspk.io.trials import Trials

ORIGIN = ("system", "weights", "trained_on", "training_data", "method", "encoder", "config_hash", "seed", "steps", "labels", "input",
          "commit", "backend", "backend_mean", "backend_model", "backend_labels", "enrol_map", "snorm", "cohort", "cohort_utt2spk",
          "cohort_labels", "cohort_size", "top_n")
MAY_BE_SEEN = 0.05  # largest share of the list's pairs that the calibration may have been trained on


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--same-list", choices=("true", "false"), default="false", help="allow a list that the model was trained on")
    parser.add_argument("--provenance", metavar="JSON_FILE",
                        help="an object whose keys go to the result in place of what SCORES say; its labels are added to theirs")
    add_quality(parser)
    add_measuring(parser)
    parser.add_argument("model", metavar="MODEL.json")
    parser.add_argument("trials", metavar="TRIALS",
                        help='"enrol test target|nontarget", "1|0 enrol test", or "enrol test" lines')
    parser.add_argument("scores", nargs="+", metavar="SCORES", help='"enrol test score" lines in any order, one file for each system')
    parser.add_argument("out", metavar="OUT")
    args = parser.parse_args()

    from sslspk.backend.calibration import Calibration
    from sslspk.config import check
    from sslspk.io import files
    from sslspk.io import scores as score_file
    from sslspk.io import trials as trial_list
    from sslspk.io.provenance import commands
    from sslspk.metrics import report
    model = check(Calibration, files.read_object(args.model), args.model)
    systems = _match(args, model)
    trials = trial_list.read(args.trials, labels=False)
    facts = _facts(args, model, systems, trials)
    scores = model.apply(gather(args, trials)[0])
    name = os.path.basename(args.trials).removesuffix(".txt")
    score_file.write(os.path.join(args.out, f"scores_{name}"), trials.enrol, trials.test, scores)
    result = os.path.join(args.out, f"result_{name}.json")
    if trials.target is None:
        print(f"note: {without_labels(args.trials, result)}")
    else:
        figures, _ = measure(args, trials, scores)
        save_json(facts | figures | {"commands": commands("sslspk.bin.apply_calibration")}, result)
        print("\n".join(report.lines(figures)))
    if systems != list(model.systems):
        print(f"note: {args.model} was trained with {', '.join(model.systems)}, and applied to {', '.join(systems)}")
    if facts["calibration_trials_seen"] is None:
        print(f"note: how many of these trials the calibration was trained on is not known: {model.trials} is not the list any more")


def _match(args: argparse.Namespace, model: "Calibration") -> list[str]:
    """Names of the systems of the score files. Raises InputError where files or measures are not those that the model takes."""
    if len(args.scores) != len(model.systems):
        raise InputError(f"{args.model} takes the scores of {counted(len(model.systems), 'system')} ({', '.join(model.systems)}), "
                         f"not {counted(len(args.scores), 'file')}; give one for each.")
    for measure_name, option in (("log_duration", "utt2dur"), ("magnitude", "embeddings")):
        wanted, given = measure_name in model.quality, bool(getattr(args, option))
        if wanted != given:
            raise InputError(f"{args.model} was trained {'with' if wanted else 'without'} --{option}; "
                             f"{'give it' if wanted else 'leave it out'} here, too.")
    systems = [system_name(path) for path in args.scores]
    if sorted(systems) == sorted(model.systems) and systems != list(model.systems):
        raise InputError(f"the score files are those of {', '.join(systems)}, but {args.model} takes them in the order "
                         f"{', '.join(model.systems)}; give them in that order.")
    return systems


def _facts(args: argparse.Namespace, model: "Calibration", systems: list[str], trials: "Trials") -> dict:
    """What the result says besides the figures. Raises InputError for a list that the model was trained on."""
    seen = _seen(model, trials)
    same = (seen or 0) > MAY_BE_SEEN
    if same and args.same_list == "false":
        what = "is the list" if seen == 1 else f"shares {100 * seen:.1f} % of its trials with {model.trials}, the list"
        raise InputError(f"{args.trials} {what} that {args.model} was trained on, so its figures would flatter; "
                         "apply it to another list, or say --same-list true, which the result will state.")
    return _origin(args) | {
        "calibration": args.model, "calibration_labels": model.labels, "calibration_p_target": model.p_target,
        "calibration_trials": model.trials, "calibration_trials_md5": model.trials_md5, "calibration_same_list": same,
        "calibration_trials_seen": seen, "calibration_quality": list(model.quality), "fused": len(systems), "systems": systems,
        "systems_scores": args.scores}


def _seen(model: "Calibration", trials: "Trials") -> float | None:
    """Share of the trials whose pairs, in either order, the model was trained on; None where its list is gone or has changed."""
    from sslspk.io import files
    from sslspk.io import trials as trial_list
    if trials.target is not None and trial_list.digest(trial_list.unordered(trials)) == model.pairs_md5:
        return 1.0
    if not os.path.exists(model.trials) or files.md5(model.trials) != model.trials_md5:
        return None
    return trial_list.share_in(trials, trial_list.read(model.trials))


def _origin(args: argparse.Namespace) -> dict:
    """Where the scores come from: what their results say, --provenance laid over it; what either has seen of labels stays."""
    from sslspk.io import results
    found = [result_beside(path) for path in args.scores]
    facts = {key: _joined([result.get(key) for result in found]) for key in ORIGIN if any(key in result for result in found)}
    given = results.origin(args.provenance) if args.provenance else {}
    labels = [source["labels"] for source in (*found, given) if "labels" in source]
    facts |= {key: value for key, value in given.items() if key not in facts or not key.endswith("_labels")}
    return facts | ({"labels": results.joined(*labels)} if labels else {})


def _joined(values: list):
    """The common value of all systems, else all values in one text."""
    return values[0] if all(value == values[0] for value in values) else " + ".join(map(str, values))


if __name__ == "__main__":
    entry(main)
