#!/usr/bin/env python3
"""Make RESULTS.md of egs/librispeech: speaker classification by each head and system, with fewer labels, and speaker verification.

Reads EXPS/NAME/speakers/SHARE/VARIANT_HEAD/result.json (local/classify_speakers.sh) and EXPS/NAME/scores_VARIANT/result_*.json. Experiments
NAME_seedN are other seeds of NAME: the tables give the means, the mean of their intervals (95 %, over speakers) and, after +-, the standard
deviation over the seeds. Draws the accuracy over the share of the labels into EXPS/fewer_labels_NAME.png.
usage: show_speakers.py [--paper conf/paper.yaml] --out exp/RESULTS.md EXPS
"""
import argparse
import os
import re
import statistics
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path

sys.path.insert(0, os.path.dirname(os.path.dirname(os.path.realpath(__file__))))   # this checkout comes before any other sslspk
from sslspk.config import Config, check, read_yaml
from sslspk.errors import InputError, entry
from sslspk.io import results
from sslspk.io.files import atomic_write
from sslspk.metrics.class_report import interval_over_seeds, mean_over_seeds
from sslspk.train.cpu_time import minutes

VARIANTS = {"encoder": "frozen", "untrained": "frozen, random", "supervised": "supervised, end to end"}
Results = dict[tuple[str, int, str, str], list[dict]]   # system, share, variant, head -> one result for each seed


class Curve(Config):
    """Accuracies in % by the share of the labels in %."""

    shares: tuple[int, ...]
    encoder: tuple[float, ...]
    supervised: tuple[float, ...]


class Paper(Config):
    """Published figures: head -> system, "untrained" or "supervised" -> accuracy in %."""

    source: str
    heads: dict[str, dict[str, float]]
    curve: Curve


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("exps", type=Path, metavar="EXPS")
    parser.add_argument("--paper", type=Path, help="YAML of published figures")
    parser.add_argument("--out", type=Path, required=True, help="Markdown file to write")
    args = parser.parse_args()
    paper = check(Paper, read_yaml(args.paper), str(args.paper)) if args.paper else None
    found = read(args.exps)
    if not found:
        raise InputError(f"{args.exps}: holds no */speakers/*/*/result.json; run the stages before this one.")
    text = ["# Who speaks", "", "Made by local/show_speakers.py from the result files; do not edit. Accuracy on test utterances of the "
            "training speakers, from their first 1.28 s. Intervals: 95 %, bootstrap over speakers; +-: standard deviation over seeds. "
            "*Labels*: what the encoder saw; every head sees the speakers of the training part. *CPU minutes*: training of the encoder, "
            "rank 0 and what reads its data, mean over seeds.", ""]
    for head in sorted({head for _, share, _, head in found if share == 100}):
        text += head_table(args.exps, head, found, paper)
    for system in sorted({system for system, share, _, _ in found if share < 100}):
        text += curve_section(args.exps, system, found, paper if published(paper, "linear", system, "encoder") else None)
    text += [*pictures(args.exps), *verification(args.exps)]
    with atomic_write(args.out) as f:
        f.write("\n".join(text))
    print("\n".join(line for line in text if line.startswith(("|", "##"))) + f"\n{args.out}")
    return 0


def system_of(name: str) -> str:
    return re.sub(r"_seed\d+$", "", name)


def read(exps: Path) -> Results:
    found: Results = {}
    for path in sorted(exps.glob("*/speakers/*/*/result.json")):
        name, _, share, place = path.parent.relative_to(exps).parts
        variant, _, head = place.partition("_")
        row = results.of_classes(path, need=["classes"])
        lost = next((key for key in ("wa_percent", "items", "labels", "commit") if key not in row), None)
        if lost or not share.isdecimal():
            raise InputError(f"{path}: has no {lost or 'share of the labels in its path'}; score it again (local/classify_speakers.sh).")
        found.setdefault((system_of(name), int(share), variant, head), []).append(row)
    return found


def figure(rows: Sequence[Mapping], key: str) -> str:
    spread = f" +-{statistics.stdev(row[key] for row in rows):.2f}" if len(rows) > 1 else ""
    return interval_over_seeds(rows, key) + spread


def published(paper: Paper | None, head: str, system: str, variant: str) -> str:
    """What the report says of a system; nothing of one that it has not, whose untrained and supervised network are others, too."""
    known, name = paper.heads.get(head, {}) if paper else {}, system.removesuffix("_short")
    value = known.get(name if variant == "encoder" else variant) if name in known else None
    return "" if value is None else f"{value:.2f}"


def head_table(exps: Path, head: str, found: Results, paper: Paper | None) -> list[str]:
    """All systems with all labels, best first."""
    rows = {(system, variant): mine for (system, share, variant, one), mine in found.items() if share == 100 and one == head}
    first = next(iter(rows.values()))[0]
    names = ["system", "encoder", "seeds", "accuracy %", *([f"{paper.source}: %"] if paper else []), "labels", "CPU minutes", "commit"]
    text = [f"## Head {head}", "", f"{first['items']} utterances of {len(first['classes'])} speakers; chance "
            f"{100 / len(first['classes']):.2f} %.", "", "| " + " | ".join(names) + " |", "|" + "---|" * len(names)]
    for system, variant in sorted(rows, key=lambda key: (-mean_over_seeds(rows[key], "wa_percent"), key)):
        mine = rows[system, variant]
        cells = [system, VARIANTS.get(variant, variant), len(mine), figure(mine, "wa_percent"),
                 *([published(paper, head, system, variant)] if paper else []), results.joined(*(str(row["labels"]) for row in mine)),
                 cpu_minutes(exps, system, variant, head), ", ".join(dict.fromkeys(str(row["commit"]) for row in mine))]
        text.append("| " + " | ".join(map(str, cells)) + " |")
    return [*text, ""]


def cpu_minutes(exps: Path, system: str, variant: str, head: str) -> str:
    """CPU time of the encoder's training, as the mean over the seeds; empty if it was not trained, or its log does not say."""
    places = [path / f"speakers/100/supervised_{head}" if variant == "supervised" else path
              for path in exps.glob("*") if system_of(path.name) == system]
    return minutes(places) if variant != "untrained" else ""


def curve_section(exps: Path, system: str, found: Results, paper: Paper | None) -> list[str]:
    """Accuracy by share of the labels, as a table and as a picture."""
    head = next(head for name, share, _, head in sorted(found) if name == system and share < 100)
    rows = {(share, variant): mine for (name, share, variant, one), mine in found.items() if (name, one) == (system, head)}
    shares, variants = sorted({share for share, _ in rows}), [name for name in VARIANTS if any(name == one for _, one in rows)]
    theirs = {"encoder": paper.curve.encoder, "supervised": paper.curve.supervised} if paper else {}
    names = ["labels %", *(VARIANTS[name] for name in variants), *(f"{paper.source}: {VARIANTS[name]}" for name in theirs)]
    text = [f"## Fewer labels: {system}, head {head}", "", "| " + " | ".join(names) + " |", "|" + "---|" * len(names)]
    for share in shares:
        ours = [figure(rows[share, name], "wa_percent") if (share, name) in rows else "" for name in variants]
        known = [dict(zip(paper.curve.shares, theirs[name], strict=True)).get(share, "") for name in theirs]
        text.append("| " + " | ".join(map(str, [share, *ours, *known])) + " |")
    if paper:
        text += ["", f"{paper.source} is read off a figure about cpc-spk-3, to 1 %, with 2338 speakers. At 100 % its two dots stand the "
                 f"other way round than the tables of the same report ({paper.heads['linear']['cpc_spk_3']:.2f} for the features of "
                 f"cpc-spk-3, {paper.heads['linear']['supervised']:.2f} supervised)."]
    name = f"fewer_labels_{system}.png"
    plot(exps / name, rows, variants, paper)
    return [*text, "", f"![Accuracy over the share of the labels]({name})", ""]


def plot(out: Path, rows: Mapping[tuple[int, str], list[dict]], variants: Sequence[str], paper: Paper | None) -> None:
    import matplotlib
    matplotlib.use("Agg")
    from matplotlib.figure import Figure

    from sslspk.bin.plot_det import COLOURS, save
    drawn = Figure(figsize=(6.5, 4.5), layout="constrained")
    axes = drawn.add_subplot()
    for variant, colour in zip(variants, COLOURS, strict=False):
        shares = sorted(share for share, name in rows if name == variant)
        mine = [rows[share, variant] for share in shares]
        axes.plot(shares, [mean_over_seeds(one, "wa_percent") for one in mine], "o-", color=colour, label=VARIANTS[variant])
        if all(f"wa_percent_{end}" in row for one in mine for row in one for end in ("low", "high")):
            axes.fill_between(shares, *([mean_over_seeds(one, f"wa_percent_{end}") for one in mine] for end in ("low", "high")),
                              color=colour, alpha=0.15, linewidth=0)
        if paper and variant in ("encoder", "supervised"):
            axes.plot(paper.curve.shares, getattr(paper.curve, variant), "--", color=colour, alpha=0.6,
                      label=f"{paper.source}: {VARIANTS[variant]}")
    axes.set(xscale="log", xlabel="share of the labels, %", ylabel="accuracy, %", ylim=(0, 100))
    ticks = sorted({share for share, _ in rows})
    axes.set_xticks(ticks, list(map(str, ticks)))
    axes.minorticks_off()
    axes.legend(fontsize=8)
    save(drawn, str(out))


def pictures(exps: Path) -> list[str]:
    """Links to what steps/plot_embeddings.sh drew of each system's first seed."""
    found = [path for path in sorted(exps.glob("*/plot_*/embeddings.png")) if system_of(path.parts[-3]) == path.parts[-3]]
    lines = [line for path in found for line in (f"![{path.parts[-3]}, {path.parts[-2].removeprefix('plot_')}]"
                                                 f"({path.relative_to(exps).as_posix()})", "")]
    return ["## Embeddings of a few speakers", "", *lines] if found else []


def verification(exps: Path) -> list[str]:
    """EER and minDCF on trials between speakers that no training saw."""
    rows: dict[tuple[str, str, str], list[dict]] = {}
    for row in results.read_all(exps):
        if results.scoring(row) == "cosine":
            rows.setdefault((row["list"], system_of(row["scores"].parts[-3]), row["weights"]), []).append(row)
    if not rows:
        return []
    first = next(iter(rows.values()))[0]
    names = ["list", "system", "weights", "seeds", "EER %", "minDCF .01", "minDCF .05", "labels"]
    text = ["## Speaker verification on test speakers", "", f"{first['targets'] + first['nontargets']} trials ({first['targets']} target), "
            "cosine.", "", "| " + " | ".join(names) + " |", "|" + "---|" * len(names)]
    for key in sorted(rows, key=lambda key: (key[0], mean_over_seeds(rows[key], "eer_percent"), key)):
        mine = rows[key]
        costs = [f"{mean_over_seeds(mine, f'min_dcf_{p}'):.3f}" for p in ("0.01", "0.05")]
        cells = [*key, len(mine), figure(mine, "eer_percent"), *costs, results.joined(*(row["labels"] for row in mine))]
        text.append("| " + " | ".join(map(str, cells)) + " |")
    return [*text, ""]


if __name__ == "__main__":
    entry(main)
