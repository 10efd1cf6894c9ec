"""The data that a report shows for one trial list: DET curves, histograms of scores, a map, and the worst errors."""
import math
from pathlib import Path
from typing import NamedTuple

import numpy as np

from sslspk.errors import InputError
from sslspk.io import embeddings, results, scores, trials
from sslspk.io.trials import Trials
from sslspk.metrics import verification
from sslspk.metrics.report import P_TARGETS
from sslspk.metrics.verification import Det
from sslspk.report import groups

CORNERS = 150    # of a DET curve
BINS = 60
MAPPED = 20000   # utterances on all maps of a page
EACH = (200, 1000)   # of them on one map, at least and at most


class Scored(NamedTuple):
    """A list that systems scored: the scores (N,) of each row of results that was found, and the data directory of the list."""

    name: str
    trials: Trials
    rows: list[dict]
    scores: list[np.ndarray]
    data: Path


class Worst(NamedTuple):
    """A trial that was decided wrongly."""

    kind: str
    ids: tuple[str, str]
    score: float


def read(rows: list[dict], folders: list[Path], most: int) -> tuple[Scored | None, str]:
    """The first `most` rows of one list with their trials and scores, or None, and then why. folders: where paths of results may start."""
    path = next((found for row in rows for folder in folders if (found := folder / str(row.get("trials", ""))).is_file()), None)
    if path is None:
        return None, f"the list {rows[0].get('trials', '?')} is not there, so nothing is drawn; call sslspk report in the recipe's folder"
    pairs, kept, found = trials.read(path), [], []
    for row in rows[:most]:
        if row["scores"].is_file():
            try:
                found.append(scores.align(pairs, scores.read(row["scores"]), row["scores"], path))
                kept.append(row)
            except InputError as err:   # of another list with this name
                return None, str(err)
    return Scored(rows[0]["list"], pairs, kept, found, path.parent), ""


def det(curve: Det) -> list[tuple[float, float]]:
    """(false alarms, misses) in %, between 0.05 and 95, in at most CORNERS points."""
    inside = (curve.p_fa > 5e-4) & (curve.p_fa < 0.95) & (curve.p_miss > 5e-4) & (curve.p_miss < 0.95)
    x, y = 100 * curve.p_fa[inside], 100 * curve.p_miss[inside]
    if not len(x):
        return []
    at = np.unique(np.linspace(0, len(x) - 1, min(CORNERS, len(x))).round().astype(int))
    return [(round(float(a), 3), round(float(b), 3)) for a, b in zip(x[at], y[at], strict=True)]


def probit(percent: float) -> float:
    """The place of a rate on a DET plot's axes."""
    from statistics import NormalDist
    return NormalDist().inv_cdf(percent / 100)


class Histogram(NamedTuple):
    """Ends of bins (BINS + 1,), the share of the target and of the non-target trials in each, and thresholds by name."""

    edges: list[float]
    shares: dict[str, list[float]]
    thresholds: dict[str, float]


def histogram(values: np.ndarray, target: np.ndarray, curve: Det) -> Histogram:
    """The histogram of scores (N,); target (N,): which trials are target trials."""
    low, high = np.quantile(values, [0.0005, 0.9995])
    edges = np.linspace(low, high if high > low else low + 1, BINS + 1)
    shares = {name: (np.histogram(np.clip(values[chosen], edges[0], edges[-1]), edges)[0] / chosen.sum()).round(5).tolist()
              for name, chosen in (("target", target), ("non-target", ~target))}
    thresholds = {"EER": verification.eer_threshold(curve)}
    thresholds |= {f"minDCF({p:g})": verification.min_dcf_threshold(curve, p) for p in P_TARGETS}
    return Histogram(edges.tolist(), shares, thresholds)


def worst(scored: Scored, number: int, threshold: float, each: int) -> list[Worst]:
    """A row's misses with the lowest scores and its false alarms with the highest, at most `each` of both."""
    values, target = scored.scores[number], scored.trials.target
    found = []
    for kind, chosen, sign in (("miss", target & (values < threshold), 1), ("false alarm", ~target & (values >= threshold), -1)):
        rows = np.flatnonzero(chosen)
        for row in rows[np.argsort(sign * values[rows], kind="stable")[:each]]:
            found.append(Worst(kind, (str(scored.trials.enrol[row]), str(scored.trials.test[row])), float(values[row])))
    return found


def mapped(scored: Scored, number: int, maps: int) -> tuple[list[tuple[float, float]], list[str], dict[str, list[str]]] | None:
    """Two principal components of the embeddings of some utterances of the list, their names, and groups that may colour them. maps: how
    many the page has.

    None where the embeddings are not there: EXP/emb_WEIGHTS/DATA or, of packed audio, DATA_packed, beside EXP/scores_WEIGHTS.
    """
    row = scored.rows[number]
    emb = row["scores"].parent.parent / f"emb_{row['weights']}"
    folders = (emb / f"{scored.data.name}{end}" for end in ("", "_packed"))
    folder = next((one for one in folders if (one / "xvector.scp").is_file()), None)
    if folder is None:
        return None
    ids = np.unique(np.concatenate([scored.trials.enrol, scored.trials.test]))
    most = min(max(MAPPED // maps, EACH[0]), EACH[1])
    names, x = embeddings.load(str(folder), set(ids[::-(-len(ids) // most)].tolist()))
    if len(names) < 3:
        return None
    x = x / np.maximum(np.linalg.norm(x, axis=1, keepdims=True), 1e-12)
    x = x - x.mean(0)
    places = x @ np.linalg.svd(x, full_matrices=False)[2][:2].T
    utt2spk, spk2gender, sessions = (groups.known(scored.data / name) for name in ("utt2spk", "spk2gender", "utt2session"))
    speakers = [utt2spk.get(name, name.partition("-")[0]) for name in names]
    kinds = {"speaker": speakers, "gender": [spk2gender.get(one, "unknown") for one in speakers],
             "session": [sessions.get(name, "unknown") for name in names]}
    kinds = {kind: values for kind, values in kinds.items() if len(set(values)) > 1}
    return [(float(a), float(b)) for a, b in places], [f"{name} ({who})" for name, who in zip(names, speakers, strict=True)], kinds


def legend(row: dict) -> str:
    """What a row is called in pictures: with its labels where any were used."""
    used = "" if row["labels"] == "none" else f", labels: {row['labels']}"
    return f"{row['system']} {row['weights']}, {results.scoring(row)}{used}"


def ticks(points: list[tuple[float, float]]) -> list[float]:
    """The ticks of a DET plot's axes, in %."""
    every = (0.1, 0.5, 1, 2, 5, 10, 20, 30, 40, 50, 70, 90)
    if not points:
        return [1, 50]
    values = [value for point in points for value in point]
    low, high = max(min(values), 0.05), min(max(values), 95)
    inside = [tick for tick in every if low <= tick <= high and math.isfinite(tick)]
    return inside or [low, high]
