#!/usr/bin/env python3
"""Print the classifications of a folder of experiments as a table and write it to --out.

Reads EXPS/NAME/seed*/result.json (fine-tuning; the mean over seeds) and EXPS/NAME/PROBE/result.json, as steps/score_classes.sh
writes them. Intervals are those over speakers, of each seed, averaged.
usage: show_classes.py --out exp/RESULTS.md EXPS
"""
import argparse
import os
import statistics
import sys
from pathlib import Path

sys.path.insert(0, os.path.dirname(os.path.dirname(os.path.realpath(__file__))))   # this checkout comes before any other sslspk
from sslspk.errors import InputError, counted, entry
from sslspk.io import results
from sslspk.io.files import atomic_write
from sslspk.metrics.class_report import interval_over_seeds, mean_over_seeds

HEAD = ("experiment", "from", "trained", "items", "seeds", "UA % (95 % interval)", "over seeds", "over folds", "WA %", "macro F1 %",
        "micro F1 %", "decided by", "labels used", "commit")
NUMBERS = ("experiment", "from", "items", "seeds", "RMSE (95 % interval)", "over seeds", "over folds", "decided by", "labels used",
           "commit")



def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("exps", type=Path, metavar="EXPS")
    parser.add_argument("--out", type=Path, required=True, help="Markdown file to write")
    args = parser.parse_args()
    found = read(args.exps)
    if not found:
        raise InputError(f"{args.exps}: holds no */seed*/result.json and no */PROBE/result.json; run the stages before this one.")
    text = [f"# Classification in {args.exps}", "", "Made by local/show_classes.py from the result files; do not edit.", ""]
    for task, head, line, key in (("classification", HEAD, classes_line, "ua_percent"), ("regression", NUMBERS, numbers_line, "rmse")):
        rows = {name: row for name, row in found.items() if row[0]["task"] == task}
        best = sorted(rows, key=lambda name: mean_over_seeds(rows[name], key), reverse=task == "classification")
        if best:
            text += ["| " + " | ".join(head) + " |", "|" + "---|" * len(head)]
            text += ["| " + " | ".join(map(str, line(name, rows[name]))) + " |" for name in best] + [""]
    with atomic_write(args.out) as f:
        f.write("\n".join(text))
    print("\n".join(text) + f"\n{args.out}: {counted(len(found), 'experiment')}")
    return 0


def read(exps: Path) -> dict[str, list[dict]]:
    """name -> its results, one for each seed."""
    found: dict[str, list[dict]] = {}
    for path in sorted(exps.glob("*/*/result.json")):
        part = path.parent.name
        name = path.parent.parent.name + ("" if part.startswith("seed") else f" {part}")
        found.setdefault(name, []).append(results.of_classes(path, need=["task"]))
    return found


def spread(rows: list[dict], key: str) -> str:
    return f"+-{statistics.stdev(row[key] for row in rows):.2f}" if len(rows) > 1 else ""


def over_folds(rows: list[dict], key: str) -> str:
    if any(row.get("mean", {}).get(key) is None or len(row["folds"]) < 2 for row in rows):
        return ""
    return f"{statistics.fmean(row['mean'][key] for row in rows):.2f} +-{statistics.fmean(row['std'][key] for row in rows):.2f}"


def decided(row: dict) -> str:
    return "utterance" if row["pool"] == "none" else {"mean": "mean posterior", "vote": "majority vote"}[row["pool"]]


def classes_line(name: str, rows: list[dict]) -> list:
    shares = [f"{mean_over_seeds(rows, f'{key}_percent'):.2f}" for key in ("wa", "macro_f1", "micro_f1")]
    trained = "probe" if "probe" in rows[0] else results.values(rows, "trainable")
    return [name, results.model_of(rows), trained, *figures(rows, "ua_percent"), *shares, *facts(rows)]


def numbers_line(name: str, rows: list[dict]) -> list:
    return [name, results.model_of(rows), *figures(rows, "rmse"), *facts(rows)]


def figures(rows: list[dict], key: str) -> list:
    return [results.values(rows, "items"), len(rows), interval_over_seeds(rows, key), spread(rows, key), over_folds(rows, key)]


def facts(rows: list[dict]) -> list:
    return [decided(rows[0]), results.labels_of(rows), results.values(rows, "commit")]


if __name__ == "__main__":
    entry(main)
