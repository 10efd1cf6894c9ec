#!/usr/bin/env python3
"""Table of systems with a speaker and a content latent: `local/show_disentangle.py [--paper YAML] --out exp/RESULTS.md EXPS`.

A row for each EXPS/SYSTEM that was trained: phonemes told from z_c, equal error rates of the mean z_s and the mean z_c, nats of both,
errors of reconstruction, and conversions that a verification model took for the target. A seed's suffix is part of the name; systems of
several seeds also get a row of means. --paper: the papers' figures by system. No torch.
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
           ("not for source %", "rejected"))
NOTE = """

In brackets: the papers, on VCTK. error: mean squared error of a standardised feature, 1 for the mean of all speech (less with
encoder.ridge); of noisy training crops at the end of the training, as the nats. Equal error rates are of cosines.
"""
LAST = 5   # lines of the log, whose mean the training's figures are


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--paper", metavar="YAML")
    parser.add_argument("--out", required=True, metavar="FILE")
    parser.add_argument("exps", type=Path, metavar="EXPS")
    args = parser.parse_args()
    from sslspk.config import read_yaml
    from sslspk.io import files
    systems = {path.parent.name: figures(path.parent) for path in sorted(args.exps.glob("*/progress.jsonl")) if is_one(path.parent)}
    if not systems:
        raise InputError(f"{named(str(args.exps))}: no system was trained there; run the stages before.")
    paper = read_yaml(args.paper) if args.paper else {}
    mel = args.exps / "phonemes_mel/result.json"
    if mel.exists():
        systems["mel"] = {"phonemes": read(mel).get("wa_percent")}
    with files.atomic_write(args.out) as file:
        file.write(table(systems | means(systems), paper))
    print(f"wrote {args.out}")
    return 0


def is_one(exp: Path) -> bool:
    """Whether the training was of method dsvae or cdsvae."""
    from sslspk.config import read_yaml
    config = exp / "config.yaml"
    return config.exists() and read_yaml(config).get("method", {}).get("name") in ("dsvae", "cdsvae")


def read(path: Path) -> dict:
    """A JSON object. Raises InputError."""
    from sslspk import reading
    return reading.json_object(str(path), "run the stage that makes it again")


def figures(exp: Path) -> dict[str, float]:
    """What is known of a system: of the log's end, and of the results that are there."""
    from sslspk.io import results
    lines, found = results.progress(exp / "progress.jsonl"), {}
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
        found |= {"accepted": said["accepted_as_target"], "rejected": said["rejected_as_source"]}
    return found


def means(systems: dict[str, dict]) -> dict[str, dict]:
    """A row for each system of several seeds."""
    groups: dict[str, list[dict]] = {}
    for name, found in systems.items():
        groups.setdefault(re.sub(r"_seed\d+$", "", name), []).append(found)
    return {f"{name}, mean of {len(rows)} seeds": {key: sum(row[key] for row in rows) / len(rows) for _, key in COLUMNS
                                                  if all(key in row for row in rows)}
            for name, rows in groups.items() if len(rows) > 1}


def table(systems: dict[str, dict], paper: dict) -> str:
    """Markdown: our rows, the paper's figures in brackets where it has them."""
    lines = ["| system | " + " | ".join(title for title, _ in COLUMNS) + " |", "|---" * (len(COLUMNS) + 1) + "|"]
    for name, found in systems.items():
        theirs = max((key for key in paper if name == key or name.startswith((f"{key}_short", f"{key},"))), key=len, default=None)
        cells = []
        for _, key in COLUMNS:
            own = "-" if found.get(key) is None else f"{found[key]:.3g}" if key.startswith(("kl", "error")) else f"{found[key]:.1f}"
            cells.append(own + (f" ({paper[theirs][key]:.1f})" if theirs and key in paper[theirs] else ""))
        lines.append(f"| {'raw log-mel' if name == 'mel' else name} | " + " | ".join(cells) + " |")
    return "# Results\n\n" + "\n".join(lines) + NOTE


if __name__ == "__main__":
    entry(main)
