"""Result files of scored trial lists (steps/score.sh writes them), and the papers' figures that are set beside them.

A row is a result_*.json with `list`, the trial list's name, and `scores`, the score file's path. A figure is one that a paper prints:
table and source, row and column there, and, where a configuration stands for it, system, tag, train and list.
"""
from pathlib import Path

from sslspk.config import Config, check, read_yaml
from sslspk.errors import InputError
from sslspk.io import files

KEYS = ("system", "weights", "trained_on", "labels", "commit")


class PaperTable(Config):
    """One table of a paper: the heads of its first columns; exact_train: its rows differ in the training set; systems: by method."""

    source: str
    title: str
    keys: tuple[str, ...]
    exact_train: bool = False
    systems: dict[str, str] | None = None


class Paper(Config):
    """A file of published figures. common: what figures that do not say so have; lists: how many trials the public lists have."""

    tables: dict[int, PaperTable] | None = None
    common: dict[str, str] | None = None
    lists: dict[str, int] | None = None
    figures: tuple[dict[str, str | int | float | tuple[str | int, ...]], ...] = ()


def read(path: Path) -> dict:
    """One result file as a row. Raises InputError when it does not say where its scores come from."""
    row = files.read_object(path)
    row["list"] = path.stem.removeprefix("result_").removeprefix("trials_")
    row["scores"] = path.with_name(path.stem.replace("result_", "scores_", 1))
    missing = [key for key in KEYS if key not in row]
    if missing:
        raise InputError(f"{path}: has no {missing[0]}; score again with --provenance, which steps/score.sh reads.")
    row["labels"] = joined(row["labels"], *(row.get(f"{part}_labels", "none") for part in ("backend", "cohort", "calibration")))
    return row


def joined(*kinds: str) -> str:
    """What a result says of labels: none, or each kind that anything on its way has seen, once."""
    seen = dict.fromkeys(part for kind in kinds for part in kind.split(" + ") if part != "none")
    return " + ".join(seen) or "none"


def scoring(row: dict) -> str:
    """How the scores were made of the embeddings: cosine, cosine centred as-norm, plda, fusion of cosine + plda."""
    text = row.get("backend", "cosine")
    itself = "on this very list" if row.get("calibration_same_list") else ""
    if row.get("fused", 1) > 1:
        return f"fusion of {text} {itself}".strip()
    extras = ("centred" if row.get("backend_mean") else "", f"{row['snorm']}-norm" if row.get("snorm") else "",
              "calibrated" if row.get("calibration") else "", itself)
    return " ".join(filter(None, (text, *extras)))


def read_all(exps: Path) -> list[dict]:
    """The rows of EXPS/*/scores_*/result_*.json, by list, the best of each list first."""
    rows = [read(path) for path in sorted(exps.glob("*/scores_*/result_*.json"))]   # sorted: equal rates stand in one order everywhere
    return sorted(rows, key=lambda row: (row["list"], row["eer_percent"], row["system"], row["weights"]))


def is_own_choice(row: dict) -> bool:
    """Whether the embeddings are those of the encoder that the system's configuration says to evaluate, not the best of several.

    What has no configuration (the statistics baseline) or none of a method (i-vectors) has no such choice.
    """
    path = row["scores"].parent.parent / "config.yaml"
    method = read_yaml(path).get("method") if path.exists() else None
    if method is not None and not (isinstance(method, dict) and "evaluate" in method):
        raise InputError(f"{path}: no key method.evaluate; bring back the file that steps/train.sh wrote.")
    return method is None or row["weights"] == method["evaluate"]


def plain(row: dict) -> bool:
    """Whether the scores are cosines of the embeddings that the trained system's own choice of encoder gave, with nothing done to them."""
    return row["weights"] != "untrained" and scoring(row) == "cosine" and is_own_choice(row)


def published(path: Path) -> tuple[dict[int, dict], list[dict]]:
    """The tables (number -> title, keys, source, ...) and the figures of a file such as conf/paper.yaml; each figure with its source.

    Raises InputError for what is no such file, and for a figure that does not say what it is.
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
    """Whether a row is that system on that list, scored that way (by cosine unless the figure says `scoring`), trained on whatever set.

    `tag` is the suffix that a table's script gives the system.
    """
    names = (figure.get("system"), f"{figure.get('system')}_{figure.get('tag')}")
    return row["weights"] != "untrained" and row["system"] in names and row["list"] == figure.get("list") \
        and scoring(row) == figure.get("scoring", "cosine") and row["labels"] == figure.get("labels", row["labels"])


def interval(row: dict) -> str:
    """EER in %, with the ends of its interval where there is one."""
    span = f" ({row['eer_percent_low']:.2f}-{row['eer_percent_high']:.2f})" if "eer_percent_low" in row else ""
    return f"{row['eer_percent']:.2f}{span}"
