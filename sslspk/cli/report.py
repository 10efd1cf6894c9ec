"""Write a page about trained systems that opens in any browser: results, DET curves, training, errors to listen to.

    sslspk report exp/dino_ecapa exp/simclr_ecapa --out report.html      (in the recipe's folder)
    sslspk report exp                                                    all systems of a folder

One file without any request to a network. For each trial list: the table (sorted by a click, filtered by a word), DET curves and, for the
system that the reader chooses, a histogram of scores with thresholds, error rates by group, a map of the embeddings, and the worst errors
with players. Then the curves of training, the configuration keys that differ, and the commands of training, extraction and
scoring. For emotion and the like (egs/iemocap, ravdess, adress, transfer): the table, the confusion, the folds, and the errors by speaker.
"""
import argparse
from pathlib import Path

from sslspk.errors import count, whole


def options(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--out", default="report.html", metavar="FILE", help="the page (default: %(default)s)")
    parser.add_argument("--list", metavar="NAME", help="this trial list alone, e.g. veri_test2 (default: all)")
    parser.add_argument("--title", default="Speech embeddings", help="above the page (default: %(default)s)")
    parser.add_argument("--curves", type=whole, default=12, metavar="N",
                        help="DET curves, histograms and errors of the N best rows of a list (default: %(default)s)")
    parser.add_argument("--audio", type=count, default=5, metavar="N",
                        help="N misses and N false alarms of each system, with 3 s of audio; if the page gets too large, only the first "
                             "systems have audio (default: %(default)s; 0: none)")
    parser.add_argument("exps", nargs="+", type=Path, metavar="EXP", help="a system's folder, or the folder of several")


def run(args: argparse.Namespace) -> None:
    from sslspk import progress
    from sslspk.io import files
    from sslspk.report import collect, page, scored
    systems = collect.systems(args.exps)
    rows = sorted((row for system in systems for row in system.rows if args.list in (None, row["list"])),
                  key=lambda row: (row["list"], row["weights"] == "untrained", row["eer_percent"]))
    folders = [Path(), *dict.fromkeys(system.folder.resolve().parent.parent for system in systems)]
    lists = []
    for name in progress.over(list(dict.fromkeys(row["list"] for row in rows)), "lists"):
        these = [row for row in rows if row["list"] == name]
        lists.append((these, *scored.read(these, folders, args.curves)))
    with files.atomic_write(args.out) as file:
        file.write(page.page(args.title, systems, lists, args.audio, folders))
    classified = sum(len(system.classified) for system in systems)
    also = f", classifications: {classified}" if classified else ""
    print(f"{args.out}: systems: {len(systems)}, results: {len(rows)}, lists: {len(lists)}{also}")
