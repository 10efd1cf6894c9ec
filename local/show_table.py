#!/usr/bin/env python3
"""Make RESULTS.md from the result files of an experiment folder, with the papers' figures next to ours, a DET plot of the systems, and with
--data which differences between systems are significant.

usage: show_table.py [--paper conf/paper.yaml] [--det PREFIX --data DATA] [--list NAME] --out RESULTS.md EXPS
"""
import argparse
import functools
import glob
import hashlib
import itertools
import json
import os
import sys
from pathlib import Path

sys.path.insert(0, os.path.dirname(os.path.dirname(os.path.realpath(__file__))))   # this checkout comes before any other sslspk
from sslspk.bin import plot_det
from sslspk.errors import InputError, counted, entry
from sslspk.io import results, scores
from sslspk.io import trials as trial_list
from sslspk.io.files import atomic_write, md5, read_object
from sslspk.metrics import comparison
from sslspk.metrics import speakers as of
from sslspk.report.groups import known

HEAD = ("| system | weights | scoring | trained on | labels used | EER % (95 % interval) | same gender | minDCF .01 | minDCF .05 "
        "| actDCF .05 | Cllr | paper: EER %, minDCF .01 | steps | seed | config | commit |")
SHORT = "| system | EER % (95 % interval) | minDCF .01 | labels used | steps | CPU minutes |"
STATISTICS = "statistics"   # the baseline without a network

REPLICATES = 500   # of the bootstrap of a difference
SHOWN = ("targets", "nontargets", "trials_md5", "min_dcf_0.01", "min_dcf_0.05")   # of every row


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("exps", type=Path, metavar="EXPS", help="folder whose */scores_*/result_*.json are collected")
    parser.add_argument("--paper", type=Path, help="YAML list of published figures")
    parser.add_argument("--out", type=Path, required=True, help="Markdown file to write")
    parser.add_argument("--det", type=Path, help="write a DET plot of each list to PREFIX_LIST.png")
    parser.add_argument("--data", type=Path, help="where the trial lists are (DATA/*/trials_LIST), for --det and for differences")
    parser.add_argument("--list", help="this trial list alone (default: all)")
    args = parser.parse_args()
    rows = results.read_all(args.exps, args.list)
    if not rows:
        raise InputError(f"{args.exps}: holds no scores_*/result_*.json; run steps/score.sh (stage 5) first.")
    for row in rows:
        missing = next((key for key in SHOWN if key not in row), None)
        if missing:
            where = row["scores"].with_name(row["scores"].name.replace("scores_", "result_", 1) + ".json")
            raise InputError(f"{where}: has no {missing}; score again (steps/score.sh).")
    paper = results.published(args.paper)[1] if args.paper else []
    text = ["# Results", "", "Made by local/show_table.py from the result files; do not edit. *Labels used* says what training, "
            "back-end, cohort and calibration saw: none, pseudo (clusters of embeddings, no true label), speaker. *Weights*: the encoder: "
            "MoCo's query and key, DINO's student and teacher, projected: with its projection; untrained: with its initial weights. "
            "*statistics* has no network: deviation of the features over time, or mean and deviation, raw or standardised. *Same "
            "gender*: EER of the trials within one gender. actDCF and Cllr are shown of calibrated scores only.", ""]
    for name in sorted({row["list"] for row in rows}):
        these = [row for row in rows if row["list"] == name]
        text += in_short(name, these)
        curves = det_curves(these)
        if args.det and curves:
            text += ["", f"![DET curves]({plot(args, name, curves)})"]
        if args.data:
            text += differences(these, trials_of(args.data, name), args.exps / f".differences_{name}.json")
        text += everything(name, these, paper)
    judged = rounds(args.exps)
    with atomic_write(args.out) as f:
        f.write("\n".join(text + judged))
    print(f"{args.out}: {counted(len(rows), 'row')}")
    print("\n".join([*(line for line in text if line.startswith(("|", "##"))), *filter(None, judged)]))
    return 0


def in_short(name: str, rows: list[dict]) -> list[str]:
    """A short table of one trial list: each trained system by its default encoder and cosine, the best first, then each baseline once."""
    first, systems = rows[0], once_each(rows)
    untrained = [row for row in rows if row["weights"] == "untrained" and results.scoring(row) == "cosine"][:1]
    lines = [f"## {name}", "",
             f"{first['targets'] + first['nontargets']} trials ({first['targets']} target), md5 {first['trials_md5']}. "
             f"Intervals: bootstrap over {first.get('speakers', 'no')} speakers, {first.get('bootstrap_replicates', 0)} replicates, "
             f"{spans(rows)}.", "", SHORT, "|" + "---|" * (SHORT.count("|") - 1)]
    baselines = [row for row in systems if row["system"] == STATISTICS] + untrained
    return lines + [brief(row) for row in systems if row["system"] != STATISTICS] + [brief(row, "baseline: ") for row in baselines]


def brief(row: dict, kind: str = "") -> str:
    """A line of the short table."""
    trained, said = row["weights"] != "untrained", row.get("machine")
    seconds = said.get("cpu_seconds") if trained and isinstance(said, dict) else None
    cells = [f"{kind}{row['system']}, {row['weights']}", results.interval(row), f"{row['min_dcf_0.01']:.3f}", row["labels"],
             row.get("steps", "") if trained else 0, f"{seconds / 60:.3g}" if isinstance(seconds, (int, float)) else ""]
    return "| " + " | ".join(map(str, cells)) + " |"


def once_each(rows: list[dict]) -> list[dict]:
    """Each system's row of its default encoder and cosine; of the kinds of statistics the best alone."""
    systems = [row for row in rows if results.plain(row)]
    best = next((row for row in systems if row["system"] == STATISTICS), None)
    return [row for row in systems if row["system"] != STATISTICS or row is best]


def everything(name: str, rows: list[dict], paper: list[dict]) -> list[str]:
    """The table of all figures of one trial list, the best first, and how the systems were trained."""
    lines = ["", f"### All figures of {name}", "", HEAD, "|" + "---|" * (HEAD.count("|") - 1), *(line(row, paper) for row in rows)]
    made = dict.fromkeys((row["system"], results.made_on(row)) for row in rows if row["weights"] != "untrained")
    return [*lines, *[""] * any(how for _, how in made), *(f"- {system}: {how}" for system, how in made if how), ""]


def differences(rows: list[dict], trials: Path, kept: Path) -> list[str]:
    """A table that compares each system, by its default encoder and cosine, with the next one and with its untrained network.

    kept: the table of an earlier call. It is taken if it is whole and was made of the same files.
    """
    there = [row for row in rows if row["scores"].exists()]
    systems = once_each(there)
    untrained = {row["system"]: row for row in there if row["weights"] == "untrained" and results.scoring(row) == "cosine"}
    pairs = [*itertools.pairwise(systems), *((row, untrained[row["system"]]) for row in systems if row["system"] in untrained)]
    if not pairs:
        return []
    sums = {path: md5(path) for path in dict.fromkeys([trials, *(row["scores"] for pair in pairs for row in pair)])}
    made_of = json.dumps([REPLICATES, sums[trials], [[[*_name(row), sums[row["scores"]]] for row in pair] for pair in pairs]])
    stamp, _, table_text = kept.read_text(errors="replace").partition("\n") if kept.exists() else ("", "", "")
    if stamp != _stamp(made_of, table_text):
        try:
            table_text = "\n".join(_compared(pairs, trials))
        except InputError as err:   # the speakers are unknown
            return ["", f"No differences between systems: {err}"]
        with atomic_write(kept) as f:
            f.write(f"{_stamp(made_of, table_text)}\n{table_text}")
    return ["", "Each system (its default encoder, scored by cosine) compared with the next system and with its untrained network: the "
            f"same speakers are drawn for both, {REPLICATES} times. A 95 % interval without 0 is significant. "
            "`steps/compare_systems.sh` compares any two rows.", "", *table_text.split("\n")]


def _name(row: dict) -> tuple[str, str]:
    return row["system"], row["weights"]


def _stamp(made_of: str, content: str) -> str:
    return hashlib.md5(f"{made_of}\n{content}".encode(), usedforsecurity=False).hexdigest()


def _compared(pairs: list[tuple[dict, dict]], trials: Path) -> list[str]:
    """The table's lines. Each system is measured once. Speakers are those of utt2spk next to the list, or in the ids."""
    listed = trial_list.read(str(trials))
    speakers = of.of_trials(listed, known(trials.with_name("utt2spk")))

    @functools.cache
    def measured(path: Path) -> comparison.Measured:
        return comparison.measure(scores.align(listed, scores.read(path), path, str(trials)), listed.target, speakers, REPLICATES)

    lines = ["| system | compared with | EER %, difference | minDCF .01, difference | significant |", "|---|---|---|---|---|"]
    for pair in pairs:
        figures = comparison.difference(*(measured(row["scores"]) for row in pair))
        cells, sure = [", ".join(_name(row)) for row in pair], []
        for word, key, places in (("EER", "eer_percent", 2), ("minDCF", "min_dcf_0.01", 3)):
            difference, low, high = figures[key][2:]
            cells.append(f"{difference:+.{places}f} ({low:+.{places}f} to {high:+.{places}f})")
            sure += [word] * (low > 0 or high < 0)
        lines.append(f"| {' | '.join(cells)} | {', '.join(sure) or 'no'} |")
    return lines


def rounds(exps: Path) -> list[str]:
    """What was said of rounds of training on pseudo-labels (steps/judge_round.sh), none where there was none."""
    lines = []
    for path in sorted(exps.glob("*/verdict/verdict.json")):
        said = read_object(path)
        lines.append(f"- {path.parts[-3]}, after {said.get('best_before', '?')}: {said.get('reason', '?')}")
    head = ["## Rounds, judged without labels", "", "AUC and agreement of neighbours on recordings that no round was trained on, with the "
            "95 % interval of the difference. A refused round is in the tables above, but nothing goes on from it.", ""]
    return [*head, *lines, ""] if lines else []


def spans(rows: list[dict]) -> str:
    """What the ends of the intervals are."""
    kinds = {row.get("bootstrap_interval", "percentiles") for row in rows if "eer_percent_low" in row} or {"percentiles"}
    few = " (too narrow, of minDCF above all: on short lists they hold a long list's figure in 62 to 97 % of the cases, not in 95)"
    return " and ".join(sorted(kinds)) + few * ("percentiles" in kinds)


def line(row: dict, paper: list[dict]) -> str:
    published = [figure for figure in paper if "eer_percent" in figure and results.stands_for(row, figure)
                 and row["trained_on"] == figure["train"]]
    figure = ""
    if published:
        figure = ", ".join(str(published[0][key]) for key in ("eer_percent", "min_dcf_0.01") if key in published[0])
        figure += f" ({published[0]['source']})"
    trained_on = row["trained_on"] if row["weights"] != "untrained" else "none"
    calibrated = [f"{row[key]:.3f}" if "calibration" in row else "" for key in ("act_dcf_0.05", "cllr")]   # of a cosine they say nothing
    cells = [row["system"], row["weights"], results.scoring(row), trained_on, row["labels"], results.interval(row),
             f"{row['eer_percent_same_gender']:.2f}" if "eer_percent_same_gender" in row else "",
             f"{row['min_dcf_0.01']:.3f}", f"{row['min_dcf_0.05']:.3f}", *calibrated, figure, row.get("steps", ""), row.get("seed", ""),
             row.get("config_hash", ""), row["commit"]]
    return "| " + " | ".join(map(str, cells)) + " |"


def det_curves(rows: list[dict]) -> dict[str, str]:
    """Legend -> score file of the DET plot: plain rows and untrained ones by cosine, the best system first, eight at most.

    Labels that training saw stand in the legend; what back-ends, cohorts and calibrations do is left to the table.
    """
    found: dict[str, dict] = {}
    for row in rows:
        untrained = row["weights"] == "untrained" and results.scoring(row) == "cosine"
        if untrained or results.plain(row):
            marks = ["untrained"] * untrained + [f"labels: {row['labels']}"] * (row["labels"] != "none")
            found.setdefault(row["system"] + (f" ({', '.join(marks)})" if marks else ""), row)
    return {legend: str(row["scores"]) for legend, row in list(found.items())[:8]}


def trials_of(data: Path | None, name: str) -> Path:
    """The trial list of that name below the folder of data directories."""
    trials = next(data.glob(f"*/trials_{glob.escape(name)}"), None) if data else None
    if trials is None:
        raise InputError(f"{data}: there is no */trials_{name}; --data names the folder of data directories.")
    return trials


def plot(args: argparse.Namespace, name: str, curves: dict[str, str]) -> str:
    """Draw the DET curves (legend -> score file) unless that was done; returns the picture's name relative to RESULTS.md."""
    trials = trials_of(args.data, name)
    picture = args.det.with_name(f"{args.det.name}_{name}.png")
    note = picture.with_name(f".{picture.name}.made")
    drawn = "".join(f"{legend}\t{path}\t{md5(path)}\n" for legend, path in {**curves, "trials": str(trials)}.items())
    if not (picture.exists() and note.exists() and note.read_bytes() == (drawn + md5(picture)).encode()):
        plot_det.plot(str(trials), str(picture), curves)
        with atomic_write(note) as f:
            f.write(drawn + md5(picture))
    return picture.relative_to(args.out.parent).as_posix()


if __name__ == "__main__":
    entry(main)
