#!/usr/bin/env python3
"""Print one study as a table, variants down and tasks across, and write it to --out.

Each argument is VARIANT:TASK=EXPERIMENT. Of an experiment of the tasks voxceleb and speaker the EER of the encoder that its configuration
says to evaluate is shown (scores_*/result_trials_LIST.json), of language the mean recall UA of a logistic regression on the trained
encoder's embeddings, asked about the official part (language_*/dev_logistic/result.json), of the others that of seed*/result.json, or of
result.json of a probe. Of a VARIANT that ends in ", untrained" the untrained encoder is meant, where an experiment has both. A cell that
several arguments name is the mean over their results. An experiment that is not there, or none, is shown as not run. "labels used" are
those that the encoder has seen, as the results of voxceleb, speaker and language say.
usage: show_study.py --title chunks --out exp/STUDY_chunks.md "1 s:iemocap=../iemocap/exp/NAME" ...
"""
import argparse
import os
import sys
from pathlib import Path

sys.path.insert(0, os.path.dirname(os.path.dirname(os.path.realpath(__file__))))   # this checkout comes before any other sslspk
from sslspk.errors import InputError, entry
from sslspk.io import results
from sslspk.io.files import atomic_write
from sslspk.metrics.class_report import interval_over_seeds

UNITS = {"voxceleb": "EER %", "speaker": "EER %", "language": "UA %", "iemocap frozen": "UA %", "iemocap": "UA %", "ravdess frozen": "UA %",
         "ravdess": "UA %", "adress": "UA %"}
OF_THE_ENCODER = ("voxceleb", "speaker", "language")   # whose results name the labels of the encoder alone
UNTRAINED = ", untrained"


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("cells", nargs="+", metavar="VARIANT:TASK=EXPERIMENT")
    parser.add_argument("--title", required=True)
    parser.add_argument("--list", default="veri_test2", help="trial list of speaker verification (default %(default)s)")
    parser.add_argument("--out", type=Path, required=True, help="Markdown file to write")
    args = parser.parse_args()
    cells: dict[str, dict[str, list[Path]]] = {}
    for cell in args.cells:
        place, sep, experiment = cell.partition("=")
        variant, colon, task = place.rpartition(":")
        if not sep or not colon or task not in UNITS:
            raise InputError(f"{cell}: a cell is written VARIANT:TASK=EXPERIMENT with a task of {', '.join(UNITS)}.")
        cells.setdefault(variant, {}).setdefault(task, []).extend([Path(experiment)] if experiment else [])
    rows = {variant: {task: read(variant, task, paths, args.list) for task, paths in row.items()} for variant, row in cells.items()}
    found = {variant: {task: figure(task, row[task], len(cells[variant][task])) for task in row} for variant, row in rows.items()}
    labels = {variant: results.joined(*(one["labels"] for task in row if task in OF_THE_ENCODER for one in row[task]))
              for variant, row in rows.items() if any(row.get(task) for task in OF_THE_ENCODER)}
    tasks = [task for task in UNITS if any(task in row for row in found.values())]
    text = [f"# Study: {args.title}", "",
            "Made by local/show_study.py from the result files; do not edit. Intervals: 95 %, over speakers (of languages: over "
            "videos).", "",
            "| | " + " | ".join([*(f"{task}, {UNITS[task]}" for task in tasks), *["labels used"][:len(labels)]]) + " |",
            "|" + "---|" * (1 + len(tasks) + bool(labels))]
    for variant, row in found.items():
        cells_of = [variant, *(row.get(task, "not run") for task in tasks), *([labels.get(variant, "")] if labels else [])]
        text.append("| " + " | ".join(cells_of) + " |")
    text.append("")
    args.out.parent.mkdir(parents=True, exist_ok=True)
    with atomic_write(args.out) as f:
        f.write("\n".join(text))
    print("\n".join(text))
    return 0


def read(variant: str, task: str, experiments: list[Path], name: str) -> list[dict]:
    """The results that a cell is the mean of: one of each experiment, or of each of its seeds."""
    wanted = (lambda row: row["weights"] == "untrained") if variant.endswith(UNTRAINED) else None
    rows = []
    for experiment in experiments:
        if UNITS[task] == "EER %":
            found = [results.read(path) for path in sorted(experiment.glob(f"scores_*/result_trials_{name}.json"))]
            rows += [row for row in found if (wanted or results.plain)(row)][:1]
        elif task == "language":
            paths = sorted(experiment.glob("language_*/dev_logistic/result.json"))
            found = [results.of_classes(path, need=["ua_percent"]) for path in paths]
            rows += [row for row in found if (wanted(row) if wanted else row.get("weights") != "untrained")][:1]
        else:
            paths = sorted(path for path in experiment.glob("seed*/result.json") if path.parent.name[4:].isdigit())
            rows += [results.of_classes(path, need=["ua_percent"]) for path in paths or experiment.glob("result.json")]
    return rows


def figure(task: str, rows: list[dict], experiments: int) -> str:
    """What a cell says of its results; experiments: how many they are of."""
    if not rows:
        return "not run"
    what = "seeds" if experiments in (1, len(rows)) else "runs"   # seeds of the model, each with seeds of its fine-tuning
    unit = "eer_percent" if UNITS[task] == "EER %" else "ua_percent"
    return interval_over_seeds(rows, unit) + (f", {len(rows)} {what}" if len(rows) > 1 else "")


if __name__ == "__main__":
    entry(main)
