#!/usr/bin/env python3
"""Print the results of each model on recordings of your own as a table, the best first; write it to --out.

Reads EXPS/NAME/judged_WEIGHTS/result.json (steps/judge_embeddings.sh) and, where there is a trial list,
EXPS/NAME/scores_WEIGHTS/result_*.json (steps/score.sh). Without a list the order is that of the AUC: how often two crops of one recording
are closer than crops of two.
usage: show_own.py --out exp/RESULTS.md EXPS
"""
import argparse
import os
import sys
from pathlib import Path

sys.path.insert(0, os.path.dirname(os.path.dirname(os.path.realpath(__file__))))   # this checkout comes before any other sslspk
from sslspk.errors import InputError, entry
from sslspk.io import files, results
from sslspk.train.cpu_time import minutes

FEW = 20   # held-out recordings, below which their figures may be chance


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("exps", type=Path, metavar="EXPS")
    parser.add_argument("--out", type=Path, required=True, help="Markdown file to write")
    args = parser.parse_args()
    rows = [read(path) for path in sorted(args.exps.glob("*/judged_*/result.json"))]
    if not rows:
        raise InputError(f"{args.exps}: holds no */judged_*/result.json; run the stages before this one.")
    rows.sort(key=lambda row: ("list_eer" not in row, row.get("list_eer", 0), -row["auc_percent"], row["eer_percent"], row["name"],
                               row["weights"]))
    listed = any("list_eer" in row for row in rows)
    best = next((row for row in rows if row["weights"] != "untrained"), None)
    text = ["# Models on recordings of your own", "",
            "Made by local/show_own.py from the result files; do not edit. *AUC*: how often two crops of one held-out recording are closer "
            "than crops of two, no label needed; *EER, recordings*: of the same comparison (95 % interval, bootstrap over recordings). "
            f"{rows[0]['recordings']} recordings were held out. Such a figure rewards whatever stays the same within a "
            "recording, the channel as much as the speaker: with one channel for all recordings it tells speakers, else it may mislead. "
            "*Effective rank*: near 1 the embeddings have collapsed. *Labels used*: by the encoder.", "",
            "| model | weights | EER % of the trial list | " * listed + "| model | weights | " * (not listed)
            + "EER %, recordings | AUC % | effective rank | labels used | CPU minutes |", "|" + "---|" * (7 + listed)]
    text += [line(args.exps, row, listed) for row in rows]
    if best:
        if rows[0]["weights"] == "untrained":
            text += ["", f"Nothing beats the untrained network of {rows[0]['name']}: train longer, or on more recordings."]
        model = args.exps / best["name"] / "final.pt"
        text += ["", f"The best by {'the trial list' if listed else 'the recordings'}: {best['name']}, weights {best['weights']}"
                 + (f" ({model})." if model.exists() else ", as it was given.")]
        if not listed and rows[0]["recordings"] < FEW:
            text += ["", f"With {rows[0]['recordings']} held-out recordings this may be chance; give more recordings, or a list of trials."]
    with files.atomic_write(args.out) as f:
        f.write("\n".join([*text, ""]))
    print("\n".join(text[4:]))
    return 0


def read(path: Path) -> dict:
    """One model's figures: `name`, what judge_embeddings says, and `list_eer` with its interval where a list was scored."""
    row = files.read_object(path) | {"name": path.parts[-3]}
    for key in ("eer_percent", "eer_percent_low", "eer_percent_high", "auc_percent", "effective_rank", "recordings"):
        if not isinstance(row.get(key), int | float):
            raise InputError(f"{path}: has no {key}; judge the embeddings again (steps/judge_embeddings.sh).")
    for scored in sorted(path.parents[1].glob(f"{path.parent.name.replace('judged_', 'scores_', 1)}/result_*.json")):
        found = results.read(scored)
        row |= {"list_eer": found["eer_percent"], "shown": percent(found)}
    return row


def percent(row: dict) -> str:
    """An EER with its interval, where there is one."""
    ends = f" ({row['eer_percent_low']:.2f}-{row['eer_percent_high']:.2f})" if "eer_percent_low" in row else ""
    return f"{row['eer_percent']:.2f}{ends}"


def line(exps: Path, row: dict, listed: bool) -> str:
    trained = [exps / row["name"]] if row["weights"] != "untrained" else []
    cells = [row["name"], row["weights"], *([row.get("shown", "")] if listed else []), percent(row), f"{row['auc_percent']:.2f}",
             f"{row['effective_rank']:.1f} of {row['dimensions']}", row["labels"], minutes(trained)]
    return "| " + " | ".join(cells) + " |"


if __name__ == "__main__":
    entry(main)
