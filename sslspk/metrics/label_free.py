"""Measures the quality of embeddings of crops without speaker labels."""
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from scipy.stats import rankdata

from sslspk.errors import InputError
from sslspk.metrics import bootstrap, verification

NEIGHBOURS = 5   # recordings that are nearest to a crop


class Figures(NamedTuple):
    """Figures of each of R recordings, from 0 to 1.

    auc        (R,) share of comparisons that come out right: another crop of it is closer to its crop than one of another recording
    agreement  (R,) share of the nearest recordings that two crops of it have in common; neighbours are other recordings
    """

    auc: np.ndarray
    agreement: np.ndarray


def figures(x: np.ndarray, recordings: Sequence[str], where: str) -> Figures:
    """x (N, D) embeddings of crops, each of a recording; two crops at least of each. They are compared by the cosine.

    where: for the messages. Raises InputError: fewer than two recordings, one with a single crop, an embedding that has no direction.
    """
    recordings = np.unique(recordings, return_inverse=True)[1]
    count = np.bincount(recordings)
    if len(count) < 2 or count.min() < 2:
        raise InputError(f"{where}: two recordings at least, and two crops of each, are compared; hold out more recordings.")
    unit = directions(x, where)
    scores = unit @ unit.T
    near = _nearest(scores, recordings, min(NEIGHBOURS, max(1, (len(count) - 1) // 2)))
    auc, agreement = np.empty(len(count)), np.empty(len(count))
    for recording in range(len(count)):
        own = np.flatnonzero(recordings == recording)
        other = np.sort(scores[own][:, recordings != recording], axis=1)
        pairs = [(i, j) for i in range(len(own)) for j in range(len(own)) if i != j]
        auc[recording] = np.mean([_rank(other[i], scores[own[i], own[j]]) for i, j in pairs])
        agreement[recording] = np.mean([np.isin(near[own[i]], near[own[j]]).mean() for i, j in pairs])
    return Figures(auc, agreement)


def directions(x: np.ndarray, where: str) -> np.ndarray:
    """Embeddings (N, D) brought to length 1. Raises InputError for one that is zero or not finite."""
    length = np.linalg.norm(x, axis=1, keepdims=True)
    if not (np.isfinite(length).all() and length.all()):
        raise InputError(f"{where}: an embedding is zero or not finite; train and extract again.")
    return x / length


def _rank(ordered: np.ndarray, value: float) -> float:
    """Share of the ordered values (M,) below `value`, ties counted half."""
    return (np.searchsorted(ordered, value, "left") + np.searchsorted(ordered, value, "right")) / (2 * len(ordered))


def _nearest(scores: np.ndarray, recordings: np.ndarray, k: int) -> np.ndarray:
    """The k other recordings (N, k) whose closest crop is closest to each crop."""
    closest = np.full((len(scores), recordings.max() + 1), -np.inf)
    for recording in range(closest.shape[1]):
        closest[:, recording] = scores[:, recordings == recording].max(1)
    closest[np.arange(len(scores)), recordings] = -np.inf
    return np.argsort(-closest, axis=1, kind="stable")[:, :k]


def mean_interval(values: np.ndarray, replicates: int = 1000, seed: int = 0) -> tuple[float, float]:
    """95 % interval of the mean of values (R,): the quantiles of the means of resampled values."""
    drawn = np.random.default_rng(seed).integers(len(values), size=(replicates, len(values)))
    low, high = np.quantile(values[drawn].mean(1), [0.025, 0.975])
    return float(low), float(high)


def standardised(values: np.ndarray) -> float:
    """The mean of values (R,) in units of its standard error; 0 where all are 0."""
    error = values.std(ddof=1) / np.sqrt(len(values))
    if error > 0:
        return float(values.mean() / error)
    return float(np.sign(values[0]) * np.inf) if values[0] else 0.0


def judge(x: np.ndarray, utterances: Sequence[str], recordings: Sequence[str], where: str, replicates: int = 0) -> dict:
    """x (N, D) with the utterance and the recording of each row -> the figures. where: for the messages.

    Raises InputError for an embedding that has no direction, and where there is no pair of either kind.
    """
    unit = directions(x, where)
    (names, number), cut = np.unique(recordings, return_inverse=True), np.unique(utterances, return_inverse=True)[1]
    first, second = np.triu_indices(len(x), 1)
    compared = (number[first] != number[second]) | (cut[first] == cut[second])
    first, second = first[compared], second[compared]
    scores, target = (unit @ unit.T)[first, second], number[first] == number[second]
    if not target.any() or target.all():
        raise InputError(f"{where}: two recordings at least, and two crops of each, are compared; hold out more recordings.")
    det = verification.det_curve(scores, target)
    found = {"eer_percent": 100 * verification.eer(det), "auc_percent": 100 * auc(scores, target),
             "effective_rank": effective_rank(x), "dimensions": x.shape[1], "recordings": len(names)}
    if replicates:
        drawn = bootstrap.speaker_bootstrap(scores, target, number[first], number[second], replicates=replicates)
        ends = bootstrap.error_interval(found["eer_percent"] / 100, drawn.eer, len(names))
        found["eer_percent_low"], found["eer_percent_high"] = (100 * end for end in ends)
    return found


def auc(scores: np.ndarray, target: np.ndarray) -> float:
    """Chance that a target (True) scores higher than a non-target, ties counted half; scores, target (N,)."""
    count = int(target.sum())
    return float((rankdata(scores)[target].sum() - count * (count + 1) / 2) / (count * (len(target) - count)))


def effective_rank(x: np.ndarray) -> float:
    """exp of the entropy of the normalised singular values of the centred rows of x (N, D)."""
    values = np.linalg.svd(x - x.mean(0), compute_uv=False)
    share = values[values > 0] / values.sum() if values.any() else np.ones(1)
    return float(np.exp(-(share * np.log(share)).sum()))
