#!/usr/bin/env python3
"""Print language recognition and speaker verification with the embeddings of each system as one table; write it to --out.

Reads EXPS/NAME/language_WEIGHTS/PART_PROBE/result.json (steps/score_classes.sh --cavg true) and EXPS/NAME/scores_WEIGHTS/result_*.json
(steps/score.sh). Experiments NAME_seedN are other seeds of NAME: the table gives their means, the mean of their intervals (95 %, over
the videos, or the speakers of the trials) and, after +-, the standard deviation over the seeds.
usage: show_languages.py --out exp/RESULTS.md EXPS
"""
import argparse
import os
import re
import statistics
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

sys.path.insert(0, os.path.dirname(os.path.dirname(os.path.realpath(__file__))))   # this checkout comes before any other sslspk
from sslspk.errors import InputError, entry
from sslspk.io import results
from sslspk.io.files import atomic_write
from sslspk.metrics.class_report import interval_over_seeds, mean_over_seeds
from sslspk.train.cpu_time import minutes

NEED = ("wa_percent", "ua_percent", "cavg_percent", "classes", "system", "weights", "labels", "commit")
CPU = "CPU minutes"


class Key(NamedTuple):
    """A row: the experiment without its seed, and which of its encoders."""

    name: str
    weights: str


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("exps", type=Path, metavar="EXPS")
    parser.add_argument("--out", type=Path, required=True, help="Markdown file to write")
    args = parser.parse_args()
    languages, speakers = read_languages(args.exps), read_speakers(args.exps)
    if not languages:
        raise InputError(f"{args.exps}: holds no */language_*/*/result.json; run the stages before this one.")
    text = ["# Language and speaker in one embedding", "",
            "Made by local/show_languages.py from the result files; do not edit. An encoder is frozen; a classifier on its embeddings "
            "learns the languages, speaker trials are scored by the cosine. WA: share of the utterances that are right; UA: mean "
            "over the languages; Cavg: NIST's detection cost with p_target 0.5, 50 where nothing is known. *Labels used*: by the encoder. "
            "*CPU minutes*: training of the encoder, rank 0 and what reads its data, mean over seeds. Intervals: 95 %, over videos (the "
            "speakers are not known) and over the speakers of the trials; +-: standard deviation over seeds.", ""]
    for test in sorted(languages):
        text += section(args.exps, test, languages[test], speakers)
    with atomic_write(args.out) as f:
        f.write("\n".join(text))
    print("\n".join(line for line in text if line.startswith(("|", "##"))) + f"\n{args.out}")
    return 0


def key_of(path: Path, prefix: str, exps: Path) -> Key:
    name, variant = path.relative_to(exps).parts[:2]
    return Key(re.sub(r"_seed\d+$", "", name), variant.removeprefix(prefix))


def read_languages(exps: Path) -> dict[str, dict[Key, list[dict]]]:
    """PART_PROBE -> row -> its results, one for each seed."""
    found: dict[str, dict[Key, list[dict]]] = {}
    for path in sorted(exps.glob("*/language_*/*/result.json")):
        row = results.of_classes(path, need=["classes", "ua_percent"])
        lost = next((name for name in NEED if name not in row), None)
        if lost:
            raise InputError(f"{path}: has no {lost}; score it again (steps/score_classes.sh --cavg true, stage 4).")
        found.setdefault(path.parent.name, {}).setdefault(key_of(path, "language_", exps), []).append(row)
    return found


def read_speakers(exps: Path) -> dict[str, dict[Key, list[dict]]]:
    """Trial list -> row -> its results, one for each seed; cosine of the embeddings as they are."""
    found: dict[str, dict[Key, list[dict]]] = {}
    for path in sorted(exps.glob("*/scores_*/result_*.json")):
        row = results.read(path)
        if results.scoring(row) == "cosine":
            found.setdefault(row["list"], {}).setdefault(key_of(path, "scores_", exps), []).append(row)
    return found


def section(exps: Path, test: str, rows: dict[Key, list[dict]], speakers: dict[str, dict[Key, list[dict]]]) -> list[str]:
    """The table of one part and probe, the best first by UA."""
    first = next(iter(rows.values()))[0]
    part, _, probe = test.partition("_")
    head = ["system", "weights", "seeds", "labels used", "language WA %", "UA %", "Cavg %",
            *(f"speaker EER % ({name})" for name in speakers), CPU, "commit"]
    text = [f"## {part}, {probe}", "", f"{first['items']} utterances of {len(first['classes'])} languages; always the most frequent one: "
            f"WA {most_frequent(first):.2f} %; by chance: UA {100 / len(first['classes']):.2f} %.", "",
            "| " + " | ".join(head) + " |", "|" + "---|" * len(head)]
    for key in sorted(rows, key=lambda key: (-mean_over_seeds(rows[key], "ua_percent"), key)):
        mine = rows[key]
        rates = [figure(speakers[name][key], "eer_percent") if key in speakers[name] else "" for name in speakers]
        labels = results.joined(*(row["labels"] for row in mine))
        cells = [key.name, key.weights, len(mine), labels, *(figure(mine, f"{name}_percent") for name in ("wa", "ua", "cavg")), *rates,
                 cpu_minutes(exps, key), ", ".join(dict.fromkeys(row["commit"] for row in mine))]
        text.append("| " + " | ".join(map(str, cells)) + " |")
    picture = best_picture(exps, test, rows)
    return [*text, "", *([f"![Confusion of the best]({picture})", ""] if picture else [])]


def most_frequent(row: dict) -> float:
    """WA in % of who always says the most frequent language."""
    return 100 * max(one["count"] for one in row["per_class"].values()) / row["items"]


def figure(rows: Sequence[dict], key: str) -> str:
    spread = f" +-{statistics.stdev(row[key] for row in rows):.2f}" if len(rows) > 1 else ""
    return interval_over_seeds(rows, key) + spread


def cpu_minutes(exps: Path, key: Key) -> str:
    """CPU time of the training, as the mean over the seeds; empty if nothing was trained here, or its log does not say."""
    if key.weights == "untrained":
        return ""
    return minutes(path for path in exps.glob("*") if re.fullmatch(rf"{re.escape(key.name)}(_seed\d+)?", path.name))


def best_picture(exps: Path, test: str, rows: dict[Key, list[dict]]) -> str | None:
    """The confusion of the system with the best UA that is trained, relative to EXPS; None: of so many languages there is none."""
    key = max(rows, key=lambda key: (key.weights != "untrained", mean_over_seeds(rows[key], "ua_percent")))
    return next((path.relative_to(exps).as_posix() for path in sorted(exps.glob(f"*/language_{key.weights}/{test}/confusion.png"))
                 if key_of(path, "language_", exps) == key), None)


if __name__ == "__main__":
    entry(main)
