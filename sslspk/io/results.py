"""Result files of scored trial lists (from steps/score.sh), and the papers' figures that are shown next to them.

A row is a result_*.json with `list`, the trial list's name, and `scores`, the score file's path. A figure is a published number:
its table and source, its row and column there and, if a configuration reproduces it, system, tag, train and list.
"""
import json
import os
import re
import statistics
from collections.abc import Sequence
from pathlib import Path

from sslspk import reading
from sslspk.config import Config, check, read_yaml
from sslspk.errors import InputError, counted, named, shown
from sslspk.io import files

TEXTS = ("system", "weights", "trained_on", "commit", "method", "encoder", "config_hash", "backend", "trials_md5")
NUMBERS = re.compile("eer_percent|min_dcf|act_dcf|cllr|fused$|targets$|nontargets$")
POOLS, TASKS = ("none", "mean", "vote"), ("classification", "regression")
SPEED = ("utterances_per_second", "data_wait_percent", "gflop_per_step", "gflop_per_second", "utilisation_percent", "peak_memory_gb")
KEYS = ("system", "weights", "trained_on", "labels", "commit")


class PaperTable(Config):
    """One table of a paper: the headings of its first columns; exact_train: its rows differ in the training set; systems: by method;
    decimals: of its rates, if not one."""

    source: str
    title: str
    keys: tuple[str, ...]
    exact_train: bool = False
    systems: dict[str, str] | None = None
    decimals: int | None = None


class Paper(Config):
    """A file of published figures. common: defaults of all figures; lists: numbers of trials in the public lists."""

    tables: dict[int, PaperTable] | None = None
    common: dict[str, str] | None = None
    lists: dict[str, int] | None = None
    figures: tuple[dict[str, str | int | float | tuple[str | int, ...]], ...] = ()


def origin(path: str | os.PathLike) -> dict:
    """The content of a provenance.json, an info.json or a result. Raises InputError if a text or number is something else."""
    row = files.read_object(path)
    for key, value in row.items():
        if (key in TEXTS or key.endswith("labels")) and not (isinstance(value, str) and len(value.splitlines()) < 2):
            raise InputError(f"{named(path)}: {key} is {shown(value, 40)}, not a line of text; make that file again.")
        if NUMBERS.match(key) and not _is_number(value):
            raise InputError(f"{named(path)}: {shown(key, 40)} is {shown(value, 40)}, not a number; make that file again.")
    return row


def of_classes(path: str | os.PathLike, need: Sequence[str] = ()) -> dict:
    """A result.json of steps/score_classes.sh. Raises InputError if a key of `need` is missing, or a value has the wrong type."""
    row = files.read_object(path)
    kinds = {"task": str, "pool": str, "folds": list, "labels_from": list, "classes": list,
             "ua_percent": (int, float), "rmse": (int, float)}
    for key, kind in kinds.items():
        if (key in row or key in need) and (not isinstance(row.get(key), kind) or isinstance(row[key], bool)):
            raise InputError(f"{named(path)}: {key} is {shown(row.get(key), 40)}; score it again (steps/score_classes.sh).")
    folds = [fold.get("predictions", "") if isinstance(fold, dict) else None for fold in row.get("folds", ())]
    texts = [*row.get("labels_from", ()), *row.get("classes", ()), *folds]
    if not all(isinstance(text, str) for text in texts) or row.get("pool", "none") not in POOLS or row.get("task", TASKS[0]) not in TASKS:
        raise InputError(f"{named(path)} is no result of steps/score_classes.sh; score it again.")
    for part in ("mean", "std"):
        figures = row.get(part, {})
        if not isinstance(figures, dict) or not all(value is None or _is_number(value) for value in figures.values()):
            raise InputError(f"{named(path)}: {part} holds other things than numbers; score it again (steps/score_classes.sh).")
    return row


def _is_number(value: object) -> bool:
    return isinstance(value, (int, float)) and not isinstance(value, bool)


def read(path: Path) -> dict:
    """One result file as a row. Raises InputError if it does not say where its scores come from, or has no figures."""
    row = origin(path)
    row["list"] = path.stem.removeprefix("result_").removeprefix("trials_")
    row["scores"] = path.with_name(path.stem.replace("result_", "scores_", 1))
    missing = [key for key in KEYS if key not in row]
    if "eer_percent" not in row:
        raise InputError(f"{path}: has no eer_percent; score again (steps/score.sh).")
    if missing:
        raise InputError(f"{path}: has no {missing[0]}; score again with --provenance, which steps/score.sh reads.")
    row["labels"] = joined(row["labels"], *(row.get(f"{part}_labels", "none") for part in ("backend", "cohort", "calibration")))
    return row


def joined(*kinds: str) -> str:
    """The labels used, for a result: "none", or each kind that some part of the system has read, once."""
    seen = dict.fromkeys(part for kind in kinds for part in kind.split(" + ") if part != "none")
    return " + ".join(seen) or "none"


def values(rows: list[dict], key: str) -> str:
    """The values of `key` in some results, each once; "unknown" if a result lacks it. A result over folds may hold a list."""
    found = [one for row in rows for one in (row[key] if isinstance(row.get(key), list) else [row.get(key, "unknown")])]
    return ", ".join(dict.fromkeys(map(str, found)))


def model_of(rows: list[dict]) -> str:
    """The system whose model a fine-tuning started from or a probe reads; "none" for training from scratch."""
    return values(rows, "system" if "probe" in rows[0] else "start")


def labels_of(rows: list[dict]) -> str:
    """The labels used to train the encoder, and those used to train a probe on it."""
    probe = [path.rpartition("/")[2].removeprefix("utt2") for path in values(rows, "probe_labels_from").split(", ") if path != "unknown"]
    return joined(*values(rows, "labels").split(", "), *probe)


def scoring(row: dict) -> str:
    """How the embeddings were scored: cosine, cosine centred as-norm, plda, fusion of cosine + plda."""
    text = row.get("backend", "cosine")
    itself = "on this very list" if row.get("calibration_same_list") else ""
    if row.get("fused", 1) > 1:
        return f"fusion of {text} {itself}".strip()
    extras = ("centred" if row.get("backend_mean") else "", f"{row['snorm']}-norm" if row.get("snorm") else "",
              "calibrated" if row.get("calibration") else "", itself)
    return " ".join(filter(None, (text, *extras)))


def made_on(row: dict) -> str:
    """How and where the model (of several folds, the first) was trained; "" if the result does not say so (older ones)."""
    said = row.get("machine")
    if isinstance(said, list) and said:
        first = made_on({"machine": said[0]})
        return f"{counted(len(said), 'training')}, one for each fold; the first: {first}" if first else ""
    if not isinstance(said, dict):
        return ""
    parts = [counted(said[key], noun) for key, noun in (("threads", "thread"), ("ranks", "rank")) if key in said]
    parts += [f"{what} {said[key]}" for key, what in (("processor", "of"), ("torch", "torch"), ("numpy", "numpy")) if key in said]
    if isinstance(said.get("cpu_seconds"), (int, float)):
        budget = f" (train.cpu_minutes {said['cpu_minutes']:g})" if isinstance(said.get("cpu_minutes"), (int, float)) else ""
        parts.append(f"{said['cpu_seconds'] / 60:.3g} CPU minutes of rank 0{budget}")
    fast = (("utterances_per_second", "utterances/s"), ("utilisation_percent", "% of the device's peak"), ("peak_memory_gb", "GB"))
    parts += [f"{said[key]:.3g} {what}" for key, what in fast if isinstance(said.get(key), (int, float))]
    return ": ".join(filter(None, (", ".join(parts), f"`{said['command']}`" if "command" in said else "")))


def read_all(exps: Path, trials: str | None = None) -> list[dict]:
    """The rows of EXPS/*/scores_*/result_*.json, by list, the best of each list first; trials: only the list with this name."""
    paths = [path for path in exps.glob("*/scores_*/result_*.json") if trials is None or path.name == f"result_trials_{trials}.json"]
    rows = [read(path) for path in sorted(paths)]   # sorted: equal rates have the same order everywhere
    return sorted(rows, key=lambda row: (row["list"], row["eer_percent"], row["system"], row["weights"]))


def is_own_choice(row: dict) -> bool:
    """Whether the embeddings are from the encoder that the system's configuration evaluates by default.

    Also true for systems without such a choice: no configuration (the statistics baseline), or no method in it (i-vectors).
    """
    path = row["scores"].parent.parent / "config.yaml"
    method = read_yaml(path).get("method") if path.exists() else None
    if method is not None and not (isinstance(method, dict) and "evaluate" in method):
        raise InputError(f"{path}: no key method.evaluate; bring back the file that steps/train.sh wrote.")
    return method is None or row["weights"] == method["evaluate"]


def plain(row: dict) -> bool:
    """Whether the scores are plain cosines of embeddings from the encoder that the trained system evaluates by default."""
    return row["weights"] != "untrained" and scoring(row) == "cosine" and is_own_choice(row)


def published(path: Path) -> tuple[dict[int, dict], list[dict]]:
    """The tables (number -> title, keys, source, ...) and the figures of a file such as conf/paper.yaml; each figure with its source.

    Raises InputError for any other file, and for a figure that lacks a key.
    """
    paper = check(Paper, read_yaml(path), str(path))
    tables = {number: table.model_dump(exclude_unset=True) for number, table in (paper.tables or {}).items()}
    sources = {number: {"source": table["source"]} for number, table in tables.items()}
    figures = [{**(paper.common or {}), **sources.get(figure.get("table"), {}), **figure} for figure in paper.figures]
    for number, figure in enumerate(figures):
        lost = [key for key in ("source", "train", "list", *(("row", "column") if "table" in figure else ())) if key not in figure]
        if lost:
            raise InputError(f"{path}: figures[{number}] has no {lost[0]}; add it.")
    return tables, figures


def stands_for(row: dict, figure: dict) -> bool:
    """Whether a row has the figure's system, list, scoring (default: cosine) and labels; its training set does not matter.

    `tag` is the suffix that a table's script gives the system.
    """
    names = (figure.get("system"), f"{figure.get('system')}_{figure.get('tag')}")
    return row["weights"] != "untrained" and row["system"] in names and row["list"] == figure.get("list") \
        and scoring(row) == figure.get("scoring", "cosine") and row["labels"] == figure.get("labels", row["labels"])


def interval(row: dict) -> str:
    """EER in %, with its interval if there is one."""
    span = f" ({row['eer_percent_low']:.2f}-{row['eer_percent_high']:.2f})" if "eer_percent_low" in row else ""
    return f"{row['eer_percent']:.2f}{span}"


def speed(path: Path) -> dict[str, float]:
    """The median of each figure of SPEED over a training's progress.jsonl, across all its starts; for memory, the maximum."""
    lines, found = progress(path), {}
    for key in SPEED:
        values = [line[key] for line in lines if isinstance(line.get(key), (int, float))]
        if values:
            found[key] = max(values) if key == "peak_memory_gb" else statistics.median(values)
    return found


def progress(path: Path) -> list[dict]:
    """The lines of a training's progress.jsonl, each with its step; damaged lines are left out, as when a training resumes."""
    found = []
    for line in reading.text(path).splitlines() if path.is_file() else ():
        try:
            figures = json.loads(line)
        except ValueError:
            continue
        if isinstance(figures, dict) and isinstance(figures.get("step"), int):
            found.append(figures)
    return found
