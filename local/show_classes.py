#!/usr/bin/env python3
"""Print the classifications of a folder of experiments as a table and write it to --out.

Reads EXPS/NAME/seed*/result.json (fine-tuning; the mean over seeds) and EXPS/NAME/PROBE/result.json, as steps/score_classes.sh
writes them. Intervals are those over speakers, of each seed, averaged.
usage: show_classes.py --out exp/RESULTS.md EXPS
"""
import argparse
import statistics
from pathlib import Path

from sslspk.errors import InputError, entry
from sslspk.io.files import atomic_write, read_object

HEAD = ("experiment", "seeds", "UA % (95 % interval)", "over seeds", "over folds", "WA %", "macro F1 %", "micro F1 %", "decided by",
        "labels used", "commit")
NUMBERS = ("experiment", "seeds", "RMSE (95 % interval)", "over seeds", "over folds", "decided by", "labels used", "commit")


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
        best = sorted(rows, key=lambda name: mean(rows[name], key), reverse=task == "classification")
        if best:
            text += ["| " + " | ".join(head) + " |", "|" + "---|" * len(head)]
            text += ["| " + " | ".join(map(str, line(name, rows[name]))) + " |" for name in best] + [""]
    with atomic_write(args.out) as f:
        f.write("\n".join(text))
    print("\n".join(text) + f"\n{args.out}: {len(found)} experiments")
    return 0


def read(exps: Path) -> dict[str, list[dict]]:
    """name -> its results, one for each seed."""
    found: dict[str, list[dict]] = {}
    for path in sorted(exps.glob("*/*/result.json")):
        part = path.parent.name
        name = path.parent.parent.name + ("" if part.startswith("seed") else f" {part}")
        found.setdefault(name, []).append(read_object(path))
    return found


def mean(rows: list[dict], key: str) -> float:
    return statistics.fmean(row[key] for row in rows)


def spread(rows: list[dict], key: str) -> str:
    return f"+-{statistics.stdev(row[key] for row in rows):.2f}" if len(rows) > 1 else ""


def interval(rows: list[dict], key: str) -> str:
    ends = [f"{mean(rows, f'{key}_{end}'):.2f}" for end in ("low", "high") if all(f"{key}_{end}" in row for row in rows)]
    return f"{mean(rows, key):.2f}" + (f" ({'-'.join(ends)})" if ends else "")


def over_folds(rows: list[dict], key: str) -> str:
    if any(row.get("mean", {}).get(key) is None or len(row["folds"]) < 2 for row in rows):
        return ""
    return f"{statistics.fmean(row['mean'][key] for row in rows):.2f} +-{statistics.fmean(row['std'][key] for row in rows):.2f}"


def decided(row: dict) -> str:
    return "utterance" if row["pool"] == "none" else {"mean": "mean posterior", "vote": "majority vote"}[row["pool"]]


def origin(rows: list[dict], key: str) -> str:
    """What the results say of `key`, each thing once."""
    values = [one for row in rows for one in (row.get(key) if isinstance(row.get(key), list) else [row.get(key, "unknown")])]
    return ", ".join(dict.fromkeys(map(str, values)))


def classes_line(name: str, rows: list[dict]) -> list:
    return [name, len(rows), interval(rows, "ua_percent"), spread(rows, "ua_percent"), over_folds(rows, "ua_percent"),
            f"{mean(rows, 'wa_percent'):.2f}", f"{mean(rows, 'macro_f1_percent'):.2f}", f"{mean(rows, 'micro_f1_percent'):.2f}",
            decided(rows[0]), origin(rows, "labels"), origin(rows, "commit")]


def numbers_line(name: str, rows: list[dict]) -> list:
    return [name, len(rows), interval(rows, "rmse"), spread(rows, "rmse"), over_folds(rows, "rmse"), decided(rows[0]),
            origin(rows, "labels"), origin(rows, "commit")]


if __name__ == "__main__":
    entry(main)
