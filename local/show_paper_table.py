#!/usr/bin/env python3
"""Print a table of published figures in its own shape, ours beside each figure, and write it to --out.

A cell reads `paper / ours (95 % interval)`; ours is that of the encoder which the system's configuration says to evaluate.
usage: show_paper_table.py --table N --paper conf/paper.yaml [--encoder NAME] [--part spk85] [--tag 20min] --out exp/TABLE_N.md EXPS
       show_paper_table.py --table N --paper conf/paper.yaml [--encoder NAME] --systems true
"""
import argparse
import os
import re
import sys
from pathlib import Path

sys.path.insert(0, os.path.dirname(os.path.dirname(os.path.realpath(__file__))))   # this checkout comes before any other sslspk
from sslspk.config import read_yaml
from sslspk.errors import InputError, entry, whole
from sslspk.io import results
from sslspk.io.files import atomic_write

METRICS = {"eer_percent": ("EER %", 1), "min_dcf_0.01": ("minDCF", 2)}   # heading, decimals of the paper
PART = re.compile(r"(?P<system>.+?)(?:_(?:spk(?P<speakers>\d+)|(?P<hours>[\d.]+)h))?")
INTRO = ("Made by local/show_paper_table.py from the result files; do not edit. A cell: paper / ours (95 % interval); ours is empty where "
         "the system was not run. In brackets: the system of ours and its scoring, where a smaller one stands in for the paper's "
         "(--encoder), labels that its training saw, and its training set where that is not the paper's.")


def main() -> int:
    args = options().parse_args()
    tables, figures = results.published(args.paper)
    if args.table not in tables:
        raise InputError(f"{args.paper}: there is no table {args.table}; --table takes one of {', '.join(map(str, tables))}.")
    table = tables[args.table]
    figures = [{**figure, "system": renamed(figure.get("system"), args.encoder, figure.get("small"))}
               for figure in figures if figure.get("table") == args.table]
    for figure in (figure for figure in figures if figure["system"]):
        figure["system"] = "_".join(filter(None, (figure["system"], args.part, "" if "script" in figure else args.tag)))
    sizes = read_yaml(args.paper).get("lists", {})   # trials of the public lists: another number tells another corpus
    figures = [{**figure, **({"stands_in": True} if args.encoder and figure["system"] else {}),
                **({"trials": sizes[figure["list"]]} if figure["list"] in sizes else {})} for figure in figures]
    if args.systems == "true":
        study = [renamed(system, args.encoder) for system in table.get("systems", {}).values()]
        print(*dict.fromkeys([figure["system"] for figure in figures if figure["system"] and "script" not in figure] + study))
        return 0
    if args.exps is None or args.out is None:
        raise InputError("EXPS, the folder of experiments, and --out, the file to write, are needed; see --help.")
    rows = results.read_all(args.exps)
    found = {id(figure): ours(figure, rows, table.get("exact_train", False)) for figure in figures}
    text = [f"# {table['source']}: {table['title']}", "", INTRO, "", *grid(table, figures, found), ""]
    runs = [row for row in found.values() if row]
    if "systems" in table:
        systems = {method: renamed(system, args.encoder) for method, system in table["systems"].items()}
        parts = study_rows(systems, [row for row in rows if row["list"] == figures[0]["list"]])
        text += [*study_grid(parts), ""]
        runs += parts.values()
    text += [*origins(runs, sizes), ""]
    with atomic_write(args.out) as f:
        f.write("\n".join(text))
    print("\n".join(text) + f"\n{args.out}: written (systems of ours: {len({row['system'] for row in runs})})")
    return 0


def options() -> argparse.ArgumentParser:
    """The command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("exps", type=Path, nargs="?", metavar="EXPS", help="folder whose */scores_*/result_*.json are collected")
    parser.add_argument("--table", type=whole, required=True, help="number of the table")
    parser.add_argument("--paper", type=Path, required=True, help="YAML file of published figures")
    parser.add_argument("--encoder", default="", help="ours are the systems NAME_ENCODER instead of the paper's, e.g. tdnn or short")
    parser.add_argument("--part", default="", help="suffix of our experiments that says the part of the training set")
    parser.add_argument("--tag", default="", help="suffix after --part, except for systems with a script of their own (i-vectors)")
    parser.add_argument("--systems", choices=("true", "false"), default="false", help="only print the names of the table's systems")
    parser.add_argument("--out", type=Path, help="Markdown file to write")
    return parser


def renamed(system: str | None, encoder: str, small: str | None = None) -> str | None:
    """`moco_ecapa` with another encoder in its name; small: what it is called there, where that is something else."""
    return f"{small or system.rpartition('_')[0]}_{encoder}" if system and encoder else system


def ours(figure: dict, rows: list[dict], exact_train: bool) -> dict | None:
    """Our result for a figure: trained on the paper's set where there is such a run, else, unless that must match, on another."""
    fitting = [row for row in rows if results.stands_for(row, figure) and results.is_own_choice(row)]
    same = [row for row in fitting if row["trained_on"] == figure["train"]]
    row = next(iter(same or (() if exact_train else fitting)), None)
    return row and {**row, "seeds": [row, *of_other_seeds(row, rows)]}


def of_other_seeds(row: dict, rows: list[dict]) -> list[dict]:
    """The results of the same system trained with other seeds (SYSTEM_seed1, ...), on the same list and scored in the same way."""
    named, alike = re.compile(re.escape(row["system"]) + r"_seed\d+"), ("list", "weights", "labels", "trained_on")
    return [other for other in rows if named.fullmatch(other["system"]) and results.scoring(other) == results.scoring(row)
            and all(other[key] == row[key] for key in alike)]


def grid(table: dict, figures: list[dict], found: dict[int, dict | None]) -> list[str]:
    """The table itself: its rows and columns in the order of the file, one block of columns for each metric."""
    columns = list(dict.fromkeys(figure["column"] for figure in figures))
    metrics = [metric for metric in METRICS if any(metric in figure for figure in figures)]
    places = {metric: table.get("decimals", METRICS[metric][1]) for metric in metrics}
    cells: dict[tuple, dict[tuple, str]] = {}
    for figure in figures:
        row = cells.setdefault(tuple(figure["row"]), {})
        for metric in metrics:
            row[metric, figure["column"]] = cell(figure, metric, places[metric], found[id(figure)], "systems" in table)
    heads = [(metric, column) for metric in metrics for column in columns]
    first = [*table["keys"], *(f"{METRICS[metric][0]} {column}" for metric, column in heads)]
    return [line(first), line(["---"] * len(first)), *(line([*key, *(row.get(head, "") for head in heads)]) for key, row in cells.items())]


def cell(figure: dict, metric: str, places: int, row: dict | None, alone: bool) -> str:
    """`paper / ours`; the paper's figure alone where nothing of ours can stand beside it, "none" where nobody has published one."""
    paper = f"{figure[metric]:.{places}f}" if metric in figure else "none"
    if alone:
        return paper
    if not figure["system"]:
        return f"{paper} / not run here"
    if row is None:
        return f"{paper} /"
    return f"{paper} / " + (measured(row, figure) if metric == "eer_percent" else f"{row[metric]:.3f}")


def measured(row: dict, figure: dict) -> str:
    """Our figure, and in brackets what else ours is than the paper's: another system than the row names, labels, another training set."""
    notes = [f"a stand-in: {row['system']}, scored by {results.scoring(row)}"] * ("stands_in" in figure)
    notes += [row["labels"]] * (row["labels"] != "none")
    foreign = figure.get("trials", row["targets"] + row["nontargets"]) != row["targets"] + row["nontargets"]
    if "stands_in" in figure or row["trained_on"] != figure["train"]:
        notes.append(f"trained on {row['trained_on']}" + foreign * ", another corpus in its layout")
    rates = [one["eer_percent"] for one in row.get("seeds", ())]
    if len(rates) > 1:
        notes.insert(0, f"mean of {len(rates)} seeds {sum(rates) / len(rates):.2f}, {min(rates):.2f} to {max(rates):.2f}")
    return results.interval(row) + (f" [{', '.join(notes)}]" if notes else "")


def study_rows(systems: dict[str, str], rows: list[dict]) -> dict[tuple, dict]:
    """Our runs on parts of a training set, and on all of it: (method, corpus, unit, amount) -> row."""
    found: dict[tuple, dict] = {}
    for row in rows:
        part = PART.fullmatch(row["system"])
        if not part or part["system"] not in systems.values() or not results.plain(row):
            continue
        unit = "speakers" if part["speakers"] else "hours" if part["hours"] else "all"
        for method in (method for method, system in systems.items() if system == part["system"]):
            found[method, row["trained_on"].partition("_")[0], unit, float(part["speakers"] or part["hours"] or 0)] = row
    order = list(systems)
    return dict(sorted(found.items(), key=lambda item: (order.index(item[0][0]), item[0][1], item[0][2] == "all", *item[0][2:])))


def study_grid(found: dict[tuple, dict]) -> list[str]:
    """Ours as a table of methods by amounts of data."""
    if not found:
        return ["Ours: not run."]
    columns = sorted({key[1:] for key in found}, key=lambda key: (key[0], key[1] == "all", *key[1:]))
    heads = [f"{'all' if unit == 'all' else f'{amount:g} {unit}'} of {corpus}" for corpus, unit, amount in columns]
    lines = [line(["ours: EER %", *heads]), line(["---"] * (1 + len(heads)))]
    for method in dict.fromkeys(key[0] for key in found):
        these = [found.get((method, *column)) for column in columns]
        lines.append(line([method, *(measured(row, {"train": row["trained_on"]}) if row else "" for row in these)]))
    return lines


def origins(runs: list[dict], known: dict[str, int]) -> list[str]:
    """Where each of our figures comes from, and whether its list is the paper's."""
    lines = []
    for name in dict.fromkeys(row["list"] for row in runs):
        row = next(row for row in runs if row["list"] == name)
        trials = row["targets"] + row["nontargets"]
        other = name in known and trials != known[name]
        lines.append(f"- {name}: {trials} trials, md5 {row['trials_md5']}" +
                     (f"; **the public list has {known[name]}, so the figures cannot be compared directly**" if other else ""))
    for row in {row["system"]: row for row in runs}.values():
        lines.append(f"- {row['system']}: {row['weights']}, trained on {row['trained_on']}, {row.get('steps', '?')} steps, seed "
                     f"{row.get('seed', '?')}, config {row.get('config_hash', '?')}, commit {row['commit']}" +
                     "".join(f"; {how}" for how in [results.made_on(row)] if how))
    return lines


def line(cells: list) -> str:
    return "| " + " | ".join(map(str, cells)) + " |"


if __name__ == "__main__":
    entry(main)
