"""Compare two systems on one trial list: `python3 -m sslspk.bin.compare_systems TRIALS A B OUT`.

A and B are directories that steps/score.sh wrote scores_NAME to, NAME being the list's file name without ".txt". Prints EER and minDCF of
both and their differences with a 95 % interval: speakers are drawn with replacement, the same for both systems. An interval that does not
hold 0 is a significant difference. OUT/comparison_NAME.json holds all figures; OUT/disagreements_NAME has the trials that one system
decides correctly and the other wrongly, each at the threshold of its EER; the trials with the largest difference come first. If A and B, or
the folders above them, have a config.yaml, the keys that differ are printed.
"""
import argparse
from pathlib import Path
from typing import TYPE_CHECKING

from sslspk.bin.plot_det import list_name
from sslspk.errors import count, entry, whole

if TYPE_CHECKING:
    import numpy as np

    from sslspk.io.trials import Trials


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--utt2spk", metavar="FILE", help="table of speakers; default: the speaker is the part of an id before the first "
                                                          "hyphen")
    parser.add_argument("--bootstrap", type=whole, default=1000, metavar="N", help="replicates of the bootstrap (default %(default)s)")
    parser.add_argument("--seed", type=count, default=0, help="seed of the bootstrap (default 0)")
    parser.add_argument("--trials-shown", type=count, default=1000, metavar="N",
                        help="number of lines in disagreements_NAME (default %(default)s)")
    parser.add_argument("trials", metavar="TRIALS")
    parser.add_argument("a", type=Path, metavar="A")
    parser.add_argument("b", type=Path, metavar="B")
    parser.add_argument("out", type=Path, metavar="OUT")
    args = parser.parse_args()

    from sslspk.bin.metrics import save_json
    from sslspk.config import differing
    from sslspk.io import files, table
    from sslspk.io import trials as trial_list
    from sslspk.metrics import comparison
    from sslspk.metrics import speakers as of
    trials = trial_list.read(args.trials)
    a, b = (_scores(folder, trials, args.trials) for folder in (args.a, args.b))
    speakers = of.of_trials(trials, table.read(args.utt2spk) if args.utt2spk else None)
    figures = comparison.compare(a, b, trials.target, speakers, args.bootstrap, args.seed)
    margins = [comparison.margins(scores, trials.target) for scores in (a, b)]
    rows, counts = comparison.disagreements(*margins, args.trials_shown)
    configs = [_config(folder) for folder in (args.a, args.b)]
    differ = dict(sorted(differing(configs).items())) if all(configs) else {}
    args.out.mkdir(parents=True, exist_ok=True)
    name = list_name(args.trials)
    with files.atomic_write(args.out / f"disagreements_{name}") as file:
        file.writelines(_line(trials, a, b, margins, row) for row in rows)
    keys = ("a", "b", "difference", "difference_low", "difference_high")
    save_json({"trials": args.trials, "trials_md5": files.md5(args.trials), "a": str(args.a), "b": str(args.b),
               "speakers": len(speakers.names), "bootstrap_replicates": args.bootstrap, "bootstrap_seed": args.seed,
               **{measure: dict(zip(keys, values, strict=True)) for measure, values in figures.items()}, **counts,
               "configuration": differ}, str(args.out / f"comparison_{name}.json"))
    _say(args, figures, counts, differ if all(configs) else None)


def _scores(folder: Path, trials: "Trials", listed: str) -> "np.ndarray":
    """Scores (N,) that steps/score.sh wrote to a folder, in the order of the list."""
    from sslspk.io import scores
    path = folder / f"scores_{list_name(listed)}"
    return scores.align(trials, scores.read(path), path, listed)


def _line(trials: "Trials", a: "np.ndarray", b: "np.ndarray", margins: "list[np.ndarray]", row: int) -> str:
    kind, right = "target" if trials.target[row] else "nontarget", "a" if margins[0][row] >= 0 else "b"
    return f"{trials.enrol[row]} {trials.test[row]} {kind} {a[row]:.6g} {b[row]:.6g} {right}\n"


def _config(folder: Path) -> dict:
    """{dotted key: value} of the config.yaml in a folder or the one above; empty where there is none."""
    from sslspk.config import flat, read_yaml
    path = next((path for path in (folder / "config.yaml", folder.parent / "config.yaml") if path.is_file()), None)
    return flat(read_yaml(path)) if path else {}


def _say(args: argparse.Namespace, figures: dict, counts: dict, differ: dict | None) -> None:
    print(f"a: {args.a}\nb: {args.b}")
    for measure, (a, b, difference, low, high) in figures.items():
        title = "EER %" if measure == "eer_percent" else f"minDCF({measure.removeprefix('min_dcf_')})"
        said = "a is better" if high < 0 else "b is better" if low > 0 else "no significant difference"
        print(f"{title:<13} a {a:.4f}  b {b:.4f}  a - b {difference:+.4f} ({low:+.4f} to {high:+.4f}): {said}")
    print(f"{'trials':<13} right in both {counts['both_right']}, in a alone {counts['only_a_right']}, in b alone {counts['only_b_right']}, "
          f"in none {counts['both_wrong']}")
    if differ is None:
        print("configuration not compared: there is no config.yaml beside or above a and b")
    for key, (a, b) in (differ or {}).items():
        print(f"{key}: {a} | {b}")


if __name__ == "__main__":
    entry(main)
