#!/usr/bin/env python3
"""Table of systems with a speaker and a content latent: `local/show_disentangle.py [--paper YAML | --curve NAMES] --out FILE.md EXPS`.

A row for each EXPS/SYSTEM that was trained: phonemes told from z_c, equal error rates of the mean z_s and the mean z_c, nats of both,
errors of reconstruction, and conversions that a verification model took for the target. A seed's suffix is part of the name; systems of
several seeds also get a row of means. --paper: published figures by system, papers and a later talk. --curve: these systems alone, with
method.beta, whose only difference it is. No torch.
"""
import argparse
import re
import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))   # this checkout comes before any other sslspk
from sslspk.errors import InputError, entry, named

COLUMNS = (("phonemes from z_c %", "phonemes"), ("EER of z_s %", "speaker"), ("EER of z_c %", "content"), ("EER untrained %", "untrained"),
           ("KL z_s, nats a crop", "kl_speaker"), ("KL z_c, nats a frame", "kl_content"), ("error", "error"),
           ("error, z_s 0", "error_without_speaker"), ("error, z_c 0", "error_without_content"), ("taken for target %", "accepted"),
           ("not for source %", "rejected"), ("both %", "both"))
CURVE = (("beta", "beta"), ("beta / alpha", "ratio"), *COLUMNS[:9])
MARKS = {"papers": "({})", "talk": "[{}]"}   # how published figures are shown
BRACKETS = """In round brackets: the papers, on VCTK; in square brackets: a later table of one of their authors (conf/paper.yaml).
both: conversions that are taken for the target and not for the source.
"""
NOTE = """error: mean squared error of a standardised feature, 1 for the mean of all speech (less with encoder.ridge); of noisy training
crops at the end of the training, as the nats. Equal error rates are of cosines.
"""
PERCENT = ("phonemes", "speaker", "content", "untrained", "accepted", "rejected", "both")
FORMS = {"beta": "g", "ratio": "g"} | dict.fromkeys(PERCENT, ".1f")   # of other figures three digits
LAST = 5   # lines of the log, whose mean the training's figures are


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--paper", metavar="YAML", help="published figures")
    parser.add_argument("--curve", metavar="NAMES", help="folders below EXPS, as one word")
    parser.add_argument("--out", required=True, metavar="FILE")
    parser.add_argument("exps", type=Path, metavar="EXPS")
    args = parser.parse_args()
    from sslspk.config import read_yaml
    from sslspk.io import files
    systems = {path.parent.name: figures(path.parent) for path in sorted(args.exps.glob("*/progress.jsonl")) if is_one(path.parent)}
    if args.curve:
        missing = next((name for name in args.curve.split() if name not in systems), None)
        if missing is not None:
            raise InputError(f"{named(str(args.exps))}: {missing[:60]} was not trained there; run the stages before.")
        systems = {name: systems[name] for name in args.curve.split()}
    if not systems:
        raise InputError(f"{named(str(args.exps))}: no system was trained there; run the stages before.")
    paper = read_yaml(args.paper) if args.paper else {}
    mel = args.exps / "phonemes_mel/result.json"
    if mel.exists() and not args.curve:
        systems["mel"] = {"phonemes": read(mel).get("wa_percent")}
    text = table(systems | means(systems), CURVE if args.curve else COLUMNS, paper)
    with files.atomic_write(args.out) as file:
        file.write(text)
    print(f"{text}wrote {args.out}")
    return 0


def is_one(exp: Path) -> bool:
    """Whether the training was of method dsvae or cdsvae."""
    return (exp / "config.yaml").exists() and config_of(exp).get("method", {}).get("name") in ("dsvae", "cdsvae")


def config_of(exp: Path) -> dict:
    """The configuration that a training wrote."""
    from sslspk.config import read_yaml
    return read_yaml(exp / "config.yaml")


def read(path: Path) -> dict:
    """A JSON object. Raises InputError."""
    from sslspk import reading
    return reading.json_object(str(path), "run the stage that makes it again")


def figures(exp: Path) -> dict[str, float]:
    """What is known of a system: of the log's end, and of the results that are there."""
    from sslspk.io import results
    lines, method = results.progress(exp / "progress.jsonl"), config_of(exp)["method"]
    found = {"beta": method["beta"]} | ({"ratio": method["beta"] / method["alpha"]} if method["alpha"] else {})
    for _, key in COLUMNS[4:9]:
        values = [line[key] for line in lines if key in line][-LAST:]
        if values:
            found[key] = sum(values) / len(values)
    for name in ("speaker", "content", "untrained"):
        for path in sorted(exp.glob(f"scores_{name}/result_trials_*.json"))[:1]:
            found[name] = read(path)["eer_percent"]
    if (exp / "phonemes/result.json").exists():
        found["phonemes"] = read(exp / "phonemes/result.json")["wa_percent"]
    if (exp / "conversion/result.json").exists():
        said = read(exp / "conversion/result.json")["converted"]
        found |= {"accepted": said["accepted_as_target"], "rejected": said["rejected_as_source"], "both": said["both"]}
    return found


def means(systems: dict[str, dict]) -> dict[str, dict]:
    """A row for each system of several seeds."""
    groups: dict[str, list[dict]] = {}
    for name, found in systems.items():
        groups.setdefault(re.sub(r"_seed\d+$", "", name), []).append(found)
    keys = dict((*CURVE, *COLUMNS)).values()
    return {f"{name}, mean of {len(rows)} seeds": {key: sum(row[key] for row in rows) / len(rows) for key in keys
                                                  if all(key in row for row in rows)}
            for name, rows in groups.items() if len(rows) > 1}


def table(systems: dict[str, dict], columns: tuple, paper: dict) -> str:
    """Markdown: our rows, published figures in brackets where there are any."""
    lines = ["| system | " + " | ".join(title for title, _ in columns) + " |", "|---" * (len(columns) + 1) + "|"]
    for name, found in systems.items():
        cells = []
        for _, key in columns:
            own = "-" if found.get(key) is None else f"{found[key]:{FORMS.get(key, '.3g')}}"
            cells.append(" ".join([own, *published(name, key, paper)]))
        lines.append(f"| {'raw log-mel' if name == 'mel' else name} | " + " | ".join(cells) + " |")
    return "\n".join(["# Results", "", *lines, "", (BRACKETS if columns is COLUMNS else "") + NOTE])


def published(name: str, key: str, paper: dict) -> list[str]:
    """A system's figure of each source that has one, in that source's brackets; variants (seeds, small ones) have their system's."""
    found = []
    for source, mark in MARKS.items():
        figures = paper.get(source, {})
        theirs = max((one for one in figures if name == one or name.startswith(tuple(one + end for end in ("_short", "_seed", ",")))),
                     key=len, default=None)
        if theirs and key in figures[theirs]:
            found.append(mark.format(f"{figures[theirs][key]:.1f}"))
    return found


if __name__ == "__main__":
    entry(main)
