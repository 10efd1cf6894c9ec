#!/usr/bin/env python3
"""Print EER and minDCF over the steps of trainings, write them to --out and draw them into --plot.

Reads the results that egs/voxceleb/run_curve.sh makes: CURVE/{SYSTEM,SYSTEM_stepN}/scores_*/result_*.json. Step 0 is the untrained network.
usage: show_curve.py [--list veri_test2] --out exp/CURVE.md --plot exp/curve.png CURVE SYSTEM...
"""
import argparse
import os
import re
import sys
from pathlib import Path

sys.path.insert(0, os.path.dirname(os.path.dirname(os.path.realpath(__file__))))   # this checkout comes before any other sslspk
from sslspk.errors import InputError, counted, entry
from sslspk.io import results
from sslspk.io.files import atomic_write


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", type=Path, metavar="CURVE", help="folder of the scored checkpoints")
    parser.add_argument("systems", nargs="+", metavar="SYSTEM", help="names of trainings' folders")
    parser.add_argument("--list", default="veri_test2", help="trial list (default %(default)s)")
    parser.add_argument("--out", type=Path, required=True, help="Markdown file to write")
    parser.add_argument("--plot", type=Path, required=True, help="picture to write: .png, .svg or .pdf")
    args = parser.parse_args()
    rows = [row for row in results.read_all(args.folder) if row["list"] == args.list and results.scoring(row) == "cosine"]
    found = {system: curve(rows, system) for system in args.systems}
    empty = next((system for system, points in found.items() if not points), None)
    if empty is not None:
        raise InputError(f"{args.folder}: holds no result of {empty} on {args.list}; run egs/voxceleb/run_curve.sh first.")
    from sslspk.bin.plot_det import save
    save(draw(found, args.list), str(args.plot))
    text = table(found, args.list, os.path.relpath(args.plot, args.out.parent))
    with atomic_write(args.out) as file:
        file.write(text)
    print(f"{text}\n{args.out}: {counted(sum(map(len, found.values())), 'step')} of {counted(len(found), 'training')}")


def curve(rows: list[dict], system: str) -> dict[int, dict]:
    """Step -> result, by step; where final.pt is a mean of checkpoints, a step is that of its own checkpoint."""
    found: dict[int, dict] = {}
    for row in rows:
        of_step = re.fullmatch(re.escape(system) + r"_step\d+", row["system"])
        if row["system"] == system or of_step:
            step = int(row.get("steps", 0))
            if of_step or step not in found:
                found[step] = row
    return dict(sorted(found.items()))


def table(found: dict[str, dict[int, dict]], name: str, plot: str) -> str:
    lines = [f"# EER on {name} over the steps of a training", "", "Made by local/show_curve.py from the result files; do not edit.", "",
             "| system | step | weights | EER % (95 % interval) | minDCF .01 | labels used |", "|" + "---|" * 6]
    for system, points in found.items():
        for step, row in points.items():
            cells = [system, step, row["weights"], results.interval(row), f"{row['min_dcf_0.01']:.3f}", row["labels"]]
            lines.append("| " + " | ".join(map(str, cells)) + " |")
    return "\n".join([*lines, "", f"![EER over steps]({plot})", ""])


def draw(found: dict[str, dict[int, dict]], name: str):
    """A matplotlib figure of EER in % over the steps, with intervals where there are any."""
    import matplotlib
    matplotlib.use("Agg")
    matplotlib.rcParams |= {"svg.hashsalt": "sslspk", "font.size": 10, "text.parse_math": False}   # names hold any signs
    from matplotlib.figure import Figure

    from sslspk.bin.plot_det import COLOURS
    figure = Figure(figsize=(6.4, 4.2), layout="constrained")
    axes = figure.add_subplot()
    for number, (system, points) in enumerate(found.items()):
        rates = [row["eer_percent"] for row in points.values()]
        ends = [[abs(row["eer_percent"] - row.get(f"eer_percent_{end}", row["eer_percent"])) for row in points.values()]
                for end in ("low", "high")]
        axes.errorbar(list(points), rates, yerr=ends, color=COLOURS[number % len(COLOURS)], marker="o", capsize=2, label=system)
    axes.set(title=name, xlabel="step", ylabel="EER (%)", ylim=(0, None))
    axes.grid(color="0.9", linewidth=0.6)
    axes.set_axisbelow(True)
    axes.legend()
    return figure


if __name__ == "__main__":
    entry(main)
