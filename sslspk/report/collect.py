"""Collects what a report shows of each system: results, training curves, configuration, and the command of the training."""
import math
from collections import Counter
from pathlib import Path
from typing import NamedTuple

from sslspk.config import flat, read_yaml
from sslspk.errors import InputError, named
from sslspk.io import files, results

POINTS = 300   # of a training's curve
JUDGED = ("weights", "auc_percent", "eer_percent", "effective_rank", "recordings", "labels")
CURVES = ("eval_eer_percent", "eval_auc_percent", "loss", "accuracy", "effective_rank", "teacher_entropy", "student_entropy", "lr",
          "utterances_per_second")


class System(NamedTuple):
    """An experiment's folder: rows: its results on trial lists; curves: {figure: [(step, value)]}; config: {dotted key: value};
    classified: its results of steps/score_classes.sh, each with its name, `experiment`; judged: those of steps/judge_embeddings.sh."""

    name: str
    folder: Path
    rows: list[dict]
    curves: dict[str, list[tuple[float, float]]]
    config: dict
    classified: list[dict]
    judged: list[dict]


def systems(folders: list[Path]) -> list[System]:
    """The systems in these folders: each is an experiment, or a folder of experiments.

    Raises InputError where one holds neither results nor a training.
    """
    found: dict[Path, System] = {}
    for folder in folders:
        if not folder.is_dir():
            raise InputError(f"{named(folder)} is no folder; name experiments, such as exp/dino_ecapa, or the folder of them.")
        inside = [path for path in sorted(folder.iterdir()) if path.is_dir() and _is_experiment(path)]
        experiments = [folder] if _is_experiment(folder) else inside
        if not experiments:
            raise InputError(f"{named(folder)} holds no scores_*/result_*.json, */result.json or progress.jsonl; train or score a system "
                             "first.")
        for path in experiments:
            found.setdefault(path.resolve(), _system(path))
    return _told_apart(list(found.values()))


def _told_apart(found: list[System]) -> list[System]:
    """Systems of one name, such as exp/dino and exp2/dino, with their folders as names, in their results as well."""
    names = [{one.name, *(row["system"] for row in one.rows)} for one in found]
    count = Counter(name for those in names for name in those)
    return [_renamed(one, str(one.folder)) if max(count[name] for name in those) > 1 else one
            for one, those in zip(found, names, strict=True)]


def _renamed(system: System, name: str) -> System:
    rows = [{**row, "system": name} for row in system.rows]
    classified = [{**row, "experiment": row["experiment"].replace(system.name, name, 1)} for row in system.classified]
    return system._replace(name=name, rows=rows, classified=classified)


def _is_experiment(folder: Path) -> bool:
    if (folder / "progress.jsonl").is_file() or any(folder.glob("scores_*/result_*.json")):
        return True
    return bool(_classified(folder) or _judged(folder))


def _classified(folder: Path) -> list[dict]:
    """Results of folds (seed0, ...) and of probes (logistic, ...)."""
    found = []
    for path in [*sorted(folder.glob("*/result.json")), folder / "result.json"]:
        if path.is_file() and "task" in files.read_object(path):
            name = folder.resolve().name if path.parent == folder else f"{folder.resolve().name} {path.parent.name}"
            found.append({**results.of_classes(path, need=("task", "folds", "labels_from")), "experiment": name})
    return found


def _judged(folder: Path) -> list[dict]:
    """How well held-out recordings are recognised without labels, for each of the encoders."""
    found = [files.read_object(path) for path in sorted(folder.glob("judged_*/result.json"))]
    return [row for row in found if all(key in row for key in JUDGED)]


def _system(folder: Path) -> System:
    rows = [results.read(path) for path in sorted(folder.glob("scores_*/result_*.json"))]
    path = folder / "config.yaml"
    config = flat(read_yaml(path)) if path.is_file() else {}
    return System(folder.resolve().name, folder, rows, _curves(folder / "progress.jsonl"), config, _classified(folder), _judged(folder))


def _curves(path: Path) -> dict[str, list[tuple[float, float]]]:
    """At most POINTS of each figure."""
    found: dict[str, list[tuple[float, float]]] = {}
    for figures in results.progress(path):
        for key in CURVES:
            value = figures.get(key)
            if isinstance(value, (int, float)) and math.isfinite(value):
                found.setdefault(key, []).append((figures["step"], value))
    return {key: _thinned(points) for key, points in found.items()}


def _thinned(points: list) -> list:
    """Every n-th, and the last."""
    step = -(-len(points) // POINTS)
    return points if step <= 1 else [*points[:-1:step], points[-1]]
