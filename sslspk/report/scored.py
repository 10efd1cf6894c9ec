"""The data that a report shows for one trial list: DET curves, histograms of scores, errors by group, and the worst errors with audio."""
import base64
import io
import itertools
import math
import wave
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

import numpy as np

from sslspk.errors import InputError
from sslspk.io import clips, embeddings, results, scores, table, trials
from sslspk.io.trials import Trials
from sslspk.metrics import verification

CORNERS = 150    # of a DET curve
BINS = 60
GROUP = 30       # trials of each kind that an error rate of a group needs
SECONDS = 3.0    # of a recording that can be listened to
RATE = 16000
MAPPED = 1000    # utterances on a map


class Scored(NamedTuple):
    """A list that systems scored: the scores (N,) of each row of results that was found, and the data directory of the list."""

    name: str
    trials: Trials
    rows: list[dict]
    scores: list[np.ndarray]
    data: Path


class Worst(NamedTuple):
    """A trial that was decided wrongly by far; enrol, test: audio as data URIs, "" where there is none."""

    kind: str
    ids: tuple[str, str]
    score: float
    audio: tuple[str, str]


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


def det(scored: Scored, number: int) -> list[tuple[float, float]]:
    """(false alarms, misses) in % of a row, between 0.05 and 95, in at most CORNERS points."""
    curve = verification.det_curve(scored.scores[number], scored.trials.target)
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


def histogram(scored: Scored, number: int) -> tuple[list[float], dict[str, list[float]], float]:
    """(edges, shares of target and non-target trials by bin, threshold of the EER)."""
    values, target = scored.scores[number], scored.trials.target
    low, high = np.quantile(values, [0.0005, 0.9995])
    edges = np.linspace(low, high if high > low else low + 1, BINS + 1)
    shares = {name: (np.histogram(np.clip(values[chosen], edges[0], edges[-1]), edges)[0] / chosen.sum()).round(5).tolist()
              for name, chosen in (("target", target), ("non-target", ~target))}
    return edges.tolist(), shares, verification.eer_threshold(verification.det_curve(values, target))


def groups(scored: Scored, number: int) -> list[tuple[str, int, int, float]]:
    """(group, targets, non-targets, EER in %) by gender, length and session, where the list's data directory tells them."""
    values, target, found = scored.scores[number], scored.trials.target, []
    for name, chosen in _groups(scored):
        targets, others = int((chosen & target).sum()), int((chosen & ~target).sum())
        if min(targets, others) >= GROUP:
            found.append((name, targets, others, 100 * verification.eer(verification.det_curve(values[chosen], target[chosen]))))
    return found


def _groups(scored: Scored) -> list[tuple[str, np.ndarray]]:
    """Names of groups with their trials, bool (N,)."""
    utt2spk, spk2gender = (_table(scored.data / name) for name in ("utt2spk", "spk2gender"))
    found = []
    genders = [_each(ids, lambda utt: spk2gender.get(utt2spk.get(utt, ""), "")) for ids in (scored.trials.enrol, scored.trials.test)]
    for gender in sorted(set(genders[0]) - {""}):
        found.append((f"both speakers {gender}", (genders[0] == gender) & (genders[1] == gender)))
    durations = _table(scored.data / "utt2dur")
    if durations:
        shorter = np.minimum(*(_each(ids, lambda utt: float(durations.get(utt, "nan")), float)
                               for ids in (scored.trials.enrol, scored.trials.test)))
        ends = np.unique(np.nanquantile(shorter, [0, 1 / 3, 2 / 3, 1])) if np.isfinite(shorter).any() else []
        found += [(f"shorter recording {low:.1f} to {high:.1f} s", (shorter >= low) & (shorter <= high))
                  for low, high in itertools.pairwise(ends)]
    sessions = _table(scored.data / "utt2session")
    if sessions:
        same = np.equal(*(_each(ids, lambda utt: sessions.get(utt, utt)) for ids in (scored.trials.enrol, scored.trials.test)))
        found += [("target trials of one session, all non-targets", same | ~scored.trials.target),
                  ("target trials of two sessions, all non-targets", ~same)]
    return found


def _each(ids: np.ndarray, value: Callable, kind: type = str) -> np.ndarray:
    """value of each id, asked once for each."""
    names, places = np.unique(ids, return_inverse=True)
    return np.array([value(str(name)) for name in names], dtype=None if kind is str else kind)[places]


def _table(path: Path) -> dict[str, str]:
    return table.read(path) if path.is_file() else {}


def worst(scored: Scored, number: int, each: int) -> list[Worst]:
    """The misses with the lowest and the false alarms with the highest scores, `each` of both."""
    values, target = scored.scores[number], scored.trials.target
    sources = clips.read(scored.data) if (scored.data / "wav.scp").is_file() else {}
    heard: dict[str, str] = {}
    found = []
    for kind, chosen, sign in (("miss", target, 1), ("false alarm", ~target, -1)):
        rows = np.flatnonzero(chosen)
        for row in rows[np.argsort(sign * values[rows], kind="stable")[:each]]:
            ids = str(scored.trials.enrol[row]), str(scored.trials.test[row])
            for utt in ids:
                if utt not in heard:
                    heard[utt] = _sound(utt, sources)
            found.append(Worst(kind, ids, float(values[row]), (heard[ids[0]], heard[ids[1]])))
    return found


def _sound(utt: str, sources: dict) -> str:
    """The first seconds of a recording as a data URI; "" where it cannot be read."""
    if utt not in sources:
        return ""
    try:
        samples = clips.utterance(utt, sources[utt], RATE)[:round(SECONDS * RATE)]
    except InputError:
        return ""
    buffer = io.BytesIO()
    with wave.open(buffer, "wb") as file:
        file.setparams((1, 2, RATE, 0, "NONE", ""))
        file.writeframes(np.asarray(samples, "<i2").tobytes())
    return "data:audio/wav;base64," + base64.b64encode(buffer.getvalue()).decode()


def mapped(scored: Scored, number: int) -> tuple[list[tuple[float, float]], list[str], dict[str, list[int]]] | None:
    """Two principal components of the embeddings of at most MAPPED utterances of the list, their names, and groups that may colour them.

    None where the embeddings are not there: EXP/emb_WEIGHTS/DATA beside EXP/scores_WEIGHTS.
    """
    row = scored.rows[number]
    folder = row["scores"].parent.parent / f"emb_{row['weights']}" / scored.data.name
    if not (folder / "xvector.scp").is_file():
        return None
    ids = np.unique(np.concatenate([scored.trials.enrol, scored.trials.test]))
    names, x = embeddings.load(str(folder), set(ids[::-(-len(ids) // MAPPED)].tolist()))
    if len(names) < 3:
        return None
    x = x / np.maximum(np.linalg.norm(x, axis=1, keepdims=True), 1e-12)
    x = x - x.mean(0)
    places = x @ np.linalg.svd(x, full_matrices=False)[2][:2].T
    utt2spk, spk2gender = (_table(scored.data / name) for name in ("utt2spk", "spk2gender"))
    sessions = _table(scored.data / "utt2session")
    speakers = [utt2spk.get(name, name.partition("-")[0]) for name in names]
    kinds = {"speaker": speakers, "gender": [spk2gender.get(one, "") for one in speakers], "session": [sessions.get(n, "") for n in names]}
    groups = {kind: _numbers(values) for kind, values in kinds.items() if len(set(values)) > 1}
    return [(float(a), float(b)) for a, b in places], [f"{name} ({who})" for name, who in zip(names, speakers, strict=True)], groups


def _numbers(values: list[str]) -> list[int]:
    order = {value: place for place, value in enumerate(sorted(set(values)))}
    return [order[value] for value in values]


def legend(row: dict) -> str:
    """What a row is called in pictures: with its labels where any were used."""
    used = "" if row["labels"] == "none" else f", labels: {row['labels']}"
    return f"{row['system']} {row['weights']}, {results.scoring(row)}{used}"


def ticks(points: list[tuple[float, float]]) -> list[float]:
    """Of a DET plot's axes, in %."""
    every = (0.1, 0.5, 1, 2, 5, 10, 20, 30, 40, 50, 70, 90)
    if not points:
        return [1, 50]
    values = [value for point in points for value in point]
    low, high = max(min(values), 0.05), min(max(values), 95)
    inside = [tick for tick in every if low <= tick <= high and math.isfinite(tick)]
    return inside or [low, high]
