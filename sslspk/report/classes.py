"""The sections of the report on classification and regression: table, confusion, folds, speakers."""
from pathlib import Path

from sslspk.io import results
from sslspk.report import classified, draw
from sslspk.report.collect import System
from sslspk.report.html import figure, interval, sorted_table, table, text

SHOWN = 6        # results with pictures, the best first
SPEAKERS = 40    # of a result, the hardest first
COLUMNS = (("UA %", "ua_percent"), ("WA %", "wa_percent"), ("macro F1 %", "macro_f1_percent"), ("Cavg %", "cavg_percent"), ("RMSE", "rmse"))


def sections(systems: list[System], folders: list[Path]) -> str:
    """The sections of all classifications and regressions. folders: where paths of results may start."""
    parts = []
    for task, title, key in (("classification", "Classification", "ua_percent"), ("regression", "Regression", "rmse")):
        rows = [row for system in systems for row in system.classified if row["task"] == task and key in row]
        rows.sort(key=lambda row: row[key] if task == "regression" else -row[key])
        if rows:
            parts += [f"<h2>{title}</h2>", _overview(task, rows), *(_result(row, folders) for row in rows[:SHOWN])]
            if len(rows) > SHOWN:
                parts.append(f'<p class="note">Pictures of the best {SHOWN}; name fewer folders to see the others.</p>')
    return "".join(parts)


def _overview(task: str, rows: list[dict]) -> str:
    """A table of all results, with sorting and a filter."""
    known = [column for column in COLUMNS if any(column[1] in row for row in rows)]
    heads = ("experiment", "model", *(column[0] for column in known), "items", "speakers", "labels used")
    body = []
    for row in rows:
        cells = [(row["experiment"], None), (_model(row), None)]
        cells += [(interval(row, key, 2), row.get(key)) for _, key in known]
        cells += [(row.get(key, ""), row.get(key)) for key in ("items", "speakers")] + [(results.labels_of([row]), None)]
        body.append(("", cells))
    return sorted_table(task, heads, body)


def _model(row: dict) -> str:
    named = results.model_of([row])
    return named if named != "none" else "from scratch"


def _result(row: dict, folders: list[Path]) -> str:
    name, parts = row["experiment"], []
    if row.get("confusion") and row.get("classes"):
        parts.append(figure(f"Confusion of {name}", draw.heatmap(row["classes"], row["confusion"])))
    key = "rmse" if row["task"] == "regression" else "ua_percent"
    heads = ("fold", "items", "RMSE") if key == "rmse" else ("fold", "items", "UA %", "WA %")
    keys = (key,) if key == "rmse" else (key, "wa_percent")
    folds = [(number, fold.get("items", ""), *(_number(fold.get(one)) for one in keys)) for number, fold in enumerate(row["folds"], 1)]
    if row.get("mean") and len(folds) > 1:
        folds.append(("mean", "", *(_number(row["mean"].get(one)) for one in keys)))
        folds.append(("deviation", "", *(_number((row.get("std") or {}).get(one)) for one in keys)))
    parts.append(figure(f"Folds of {name}", table(heads, folds)))
    if row.get("per_class"):
        parts.append(figure(f"Classes of {name}", _classes(row["per_class"])))
    speakers, why = classified.by_speaker(row, folders)
    if speakers:
        shown = [(one.name, one.items, _number(one.value)) for one in speakers[:SPEAKERS]]
        caption = f"Speakers of {name}, least accurate first" + (f" ({SPEAKERS} of {len(speakers)})" if len(speakers) > SPEAKERS else "")
        parts.append(figure(caption, table(("speaker", "items", "RMSE" if key == "rmse" else "correct, %"), shown)))
    elif why:
        parts.append(f'<p class="note">{text(why)}</p>')
    return "".join(parts)


def _classes(known: dict[str, dict]) -> str:
    """Recall, precision and F1 of each class, and what a classifier without any knowledge would have."""
    keys = ("recall_percent", "precision_percent", "f1_percent")
    counts = [one.get("count", 0) for one in known.values()]
    rows = [(name, one.get("count", ""), *(_number(one.get(key)) for key in keys)) for name, one in known.items()]
    note = f"always the most frequent class: UA {100 / len(known):.2f} %, WA {100 * max(counts) / max(sum(counts), 1):.2f} %"
    return table(("class", "items", "recall %", "precision %", "F1 %"), rows) + f'<div class="legend">{note}</div>'


def _number(value: object) -> str:
    return f"{value:.2f}" if isinstance(value, (int, float)) else ""
