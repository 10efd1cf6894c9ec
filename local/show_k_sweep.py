#!/usr/bin/env python3
"""Print EER over K, the number of prototypes of one DINO system, write it to --out and draw it into --plot.

Reads the results of the experiments EXPS/SYSTEM_kK, which run_k_sweep.sh makes: cosines, of the encoder which the configuration says to
evaluate.
usage: show_k_sweep.py --system dino_ecapa [--list veri_test2] --out exp/K_SWEEP.md --plot exp/k_sweep.png EXPS
"""
import argparse
import os
import re
import sys
from pathlib import Path

sys.path.insert(0, os.path.dirname(os.path.dirname(os.path.realpath(__file__))))   # this checkout comes before any other sslspk
from sslspk.errors import InputError, entry
from sslspk.io import results
from sslspk.io.files import atomic_write


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("exps", type=Path, metavar="EXPS", help="folder whose SYSTEM_kK/scores_*/result_*.json are collected")
    parser.add_argument("--system", required=True, help="the system whose K was swept")
    parser.add_argument("--list", default="veri_test2", help="trial list (default %(default)s)")
    parser.add_argument("--out", type=Path, required=True, help="Markdown file to write")
    parser.add_argument("--plot", type=Path, required=True, help="picture to write: .png, .svg or .pdf")
    args = parser.parse_args()
    found = sweep(results.read_all(args.exps), args.system, args.list)
    if not found:
        raise InputError(f"{args.exps}: holds no {args.system}_kK/scores_*/result_trials_{args.list}.json; run run_k_sweep.sh first.")
    text = [f"# K of {args.system} on {args.list}", "", "Made by local/show_k_sweep.py from the result files; do not edit.", "",
            "| K | weights | EER % (95 % interval) | minDCF .01 | trained on | labels used | steps | commit |", "|" + "---|" * 8]
    for k, row in found.items():
        cells = [k, row["weights"], results.interval(row), f"{row['min_dcf_0.01']:.3f}", row["trained_on"], row["labels"],
                 row.get("steps", ""), row["commit"]]
        text.append("| " + " | ".join(map(str, cells)) + " |")
    text += ["", f"![EER over K]({os.path.relpath(args.plot, args.out.parent)})", ""]
    from sslspk.bin.plot_det import save
    save(draw(found, f"{args.system}, {args.list}"), str(args.plot))
    with atomic_write(args.out) as f:
        f.write("\n".join(text))
    print("\n".join(text) + f"\n{args.out}: {len(found)} values of K")
    return 0


def sweep(rows: list[dict], system: str, name: str) -> dict[int, dict]:
    """K -> row, by K."""
    found = {}
    for row in rows:
        match = re.fullmatch(re.escape(system) + r"_k(\d+)", row["system"])
        if match and row["list"] == name and results.plain(row):
            found[int(match[1])] = row
    return dict(sorted(found.items()))


def draw(found: dict[int, dict], title: str):
    """A matplotlib figure of EER in % over K (logarithmic), with its intervals where there are any."""
    import matplotlib
    matplotlib.use("Agg")
    matplotlib.rcParams |= {"svg.hashsalt": "sslspk", "font.size": 10, "text.parse_math": False}   # names hold any signs
    from matplotlib.figure import Figure
    from matplotlib.ticker import NullLocator

    from sslspk.bin.plot_det import COLOURS
    figure = Figure(figsize=(6.4, 4.2), layout="constrained")
    axes = figure.add_subplot()
    sizes, rates = list(found), [row["eer_percent"] for row in found.values()]
    low = [row["eer_percent"] - row.get("eer_percent_low", row["eer_percent"]) for row in found.values()]
    high = [row.get("eer_percent_high", row["eer_percent"]) - row["eer_percent"] for row in found.values()]
    axes.errorbar(sizes, rates, yerr=[[max(0.0, x) for x in low], [max(0.0, x) for x in high]], color=COLOURS[0], marker="o", capsize=3)
    axes.set_xscale("log")
    axes.set_xticks(sizes, [str(size) for size in sizes], rotation=45, ha="right")
    axes.xaxis.set_minor_locator(NullLocator())
    axes.set(title=title, xlabel="K, prototypes", ylabel="EER (%)", ylim=(0, None))
    axes.grid(color="0.9", linewidth=0.6)
    axes.set_axisbelow(True)
    return figure


if __name__ == "__main__":
    entry(main)
