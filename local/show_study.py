#!/usr/bin/env python3
"""Print one study as a table, variants down and tasks across, and write it to --out.

Each argument is VARIANT:TASK=EXPERIMENT. Of an experiment of the task voxceleb the EER of the encoder that its configuration says to
evaluate is shown (scores_*/result_trials_LIST.json), of the others the mean recall UA (seed*/result.json, or result.json of a
probe). An experiment that is not there, or none, is shown as not run.
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

UNITS = {"voxceleb": "EER %", "iemocap": "UA %", "adress": "UA %"}


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("cells", nargs="+", metavar="VARIANT:TASK=EXPERIMENT")
    parser.add_argument("--title", required=True)
    parser.add_argument("--list", default="veri_test2", help="trial list of speaker verification (default %(default)s)")
    parser.add_argument("--out", type=Path, required=True, help="Markdown file to write")
    args = parser.parse_args()
    found: dict[str, dict[str, str]] = {}
    for cell in args.cells:
        place, sep, experiment = cell.partition("=")
        variant, colon, task = place.rpartition(":")
        if not sep or not colon or task not in UNITS:
            raise InputError(f"{cell}: a cell is written VARIANT:TASK=EXPERIMENT with a task of {', '.join(UNITS)}.")
        found.setdefault(variant, {})[task] = figure(task, Path(experiment), args.list) if experiment else "not run"
    tasks = [task for task in UNITS if any(task in row for row in found.values())]
    text = [f"# Study: {args.title}", "",
            "Made by local/show_study.py from the result files; do not edit. Intervals: 95 %, over speakers.", "",
            "| | " + " | ".join(f"{task}, {UNITS[task]}" for task in tasks) + " |", "|" + "---|" * (1 + len(tasks))]
    text += [f"| {variant} | " + " | ".join(row.get(task, "not run") for task in tasks) + " |" for variant, row in found.items()] + [""]
    args.out.parent.mkdir(parents=True, exist_ok=True)
    with atomic_write(args.out) as f:
        f.write("\n".join(text))
    print("\n".join(text))
    return 0


def figure(task: str, experiment: Path, name: str) -> str:
    """What a cell says of an experiment."""
    if task == "voxceleb":
        rows = [results.read(path) for path in experiment.glob(f"scores_*/result_trials_{name}.json")]
        return next((results.interval(row) for row in rows if results.plain(row)), "not run")
    paths = sorted(path for path in experiment.glob("seed*/result.json") if path.parent.name[4:].isdigit()) \
        or list(experiment.glob("result.json"))
    if not paths:
        return "not run"
    rows = [results.of_classes(path, need=["ua_percent"]) for path in paths]
    return interval_over_seeds(rows, "ua_percent") + (f", {len(rows)} seeds" if len(rows) > 1 else "")


if __name__ == "__main__":
    entry(main)
