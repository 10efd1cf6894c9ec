"""How similar two voices are: the cosine, and with a calibration a likelihood ratio, a probability and a decision.

A calibration is what steps/train_calibration.sh writes (sslspk.backend.calibration.Calibration), for the cosine scores of this model. It is
stored as info["calibration"] in a final.pt, or as calibration.json in the model's folder.
"""
import math
import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np

from sslspk.backend.calibration import Calibration, magnitudes, two_sides
from sslspk.backend.cosine import Cosine
from sslspk.config import check
from sslspk.errors import InputError, named, shown
from sslspk.io import files

FILE = "calibration.json"
PRIORS = (0.01, 0.05)


class Comparison(NamedTuple):
    """Two recordings compared. All but the cosine are None where the model carries no calibration.

    cosine: of the angle between the embeddings, from -1 to 1. llr: natural-log likelihood ratio of "one speaker" against "two speakers".
    probability: posterior probability of "one speaker" under `prior`. same_speaker: the decision, with equal costs of both errors. prior:
    the assumed share of pairs that are of one speaker.
    """

    cosine: float
    llr: float | None = None
    probability: float | None = None
    same_speaker: bool | None = None
    prior: float | None = None


def find(path: str | os.PathLike, info: Mapping) -> Calibration | None:
    """The calibration of a model, from its `info` or from calibration.json beside the file. Raises InputError for a damaged one, and for
    one that is not for the cosine scores of a single system."""
    beside = Path(path).parent / FILE
    where, found = f"{named(path)}: calibration", info.get("calibration")
    if found is None and beside.exists():
        where, found = named(beside), files.read_object(beside)
    return None if found is None else of_cosine(found, where)


def of_cosine(content: dict, where: str) -> Calibration:
    """The calibration that `content` holds. Raises InputError naming `where`, see `find`."""
    found = check(Calibration, content, where)
    if len(found.systems) != 1 or found.systems[0].endswith("-norm"):
        raise InputError(f"{where} is of {', '.join(found.systems)[:60]}, not of one system's cosine; "
                         "train one with steps/train_calibration.sh.")
    return found


def scores(x: np.ndarray, enrol: np.ndarray, test: np.ndarray, calibration: Calibration | None = None,
           seconds: np.ndarray | None = None) -> tuple[np.ndarray, np.ndarray | None]:
    """Cosines (N,) of pairs of the embeddings (M, D), and log-likelihood ratios (N,), None without a calibration.

    enrol, test: rows (N,) of the pairs. seconds: how long each of the M is, for a calibration that weighs it.
    Raises InputError for embeddings that are zero or not finite.
    """
    cosine = Cosine().score_trials(x, x, enrol, test)
    if calibration is None:
        return cosine, None
    measures = {"log_duration": lambda: np.log(seconds), "magnitude": lambda: magnitudes(np.asarray(x, np.float64))}
    values = [measures[name]() for name in calibration.quality]
    columns = [cosine[:, None], *(two_sides(value[enrol], value[test]) for value in values)]
    return cosine, calibration.apply(np.concatenate(columns, 1))


def source(calibration: Mapping) -> str:
    """How a calibration (as JSON) was trained: description, list, number of trials, kind of labels."""
    words = f"{calibration['made_on']}: " if calibration.get("made_on") else ""
    return (f"{words}{calibration['trials']}, {calibration['targets']:,} target and {calibration['nontargets']:,} non-target trials "
            f"({calibration['labels']} labels)")


def thresholds(calibration: Calibration, priors: Sequence[float] = PRIORS) -> dict[str, float]:
    """{prior: the cosine above which a pair is decided to be one speaker} (equal costs); {} if the decision depends on more than the
    cosine."""
    if calibration.quality or calibration.weights[0] <= 0:
        return {}
    return {f"{prior:g}": (math.log((1 - prior) / prior) - calibration.offset) / calibration.weights[0] for prior in priors}


def checked(prior: object) -> float | None:
    """A prior as a user gives it. Raises InputError for what is none."""
    number = isinstance(prior, int | float | np.number) and not isinstance(prior, bool)
    if prior is not None and not (number and 0 < prior < 1):
        raise InputError(f"the prior {shown(prior)} is not between 0 and 1; give the share of pairs that are of one speaker.")
    return prior


def judged(cosine: float, llr: float | None, calibration: Calibration | None, prior: float | None = None) -> Comparison:
    """One pair's scores as a Comparison. prior: None for the one that the calibration was trained for, see `checked`."""
    if llr is None:
        return Comparison(float(cosine))
    prior = calibration.p_target if prior is None else prior
    odds = float(llr) + np.log(prior / (1 - prior))
    return Comparison(float(cosine), float(llr), float(np.exp(-np.logaddexp(0, -odds))), bool(odds >= 0), prior)
