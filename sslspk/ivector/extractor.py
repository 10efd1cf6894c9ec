"""Trains the total variability by EM, resumable after every iteration, and loads the trained model."""
import json
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np

from sslspk.config import check
from sslspk.errors import InputError
from sslspk.ivector import model as tv
from sslspk.ivector import state
from sslspk.ivector.config import IvectorConfig
from sslspk.ivector.gmm import Gmm
from sslspk.ivector.model import TotalVariability
from sslspk.ivector.stats import Statistics

SHAPES = {"matrix": "C D R", "covariances": "C D D", "shift": "C D"}
INFO = {"config": dict, "trained_on": str, "labels": str, "utterances": int, "frames": int}
BATCH = 256  # utterances whose posteriors are held at once: 0.5 GB at 2048 Gaussians, 72 dimensions and i-vectors of 400


def train(folder: Path, statistics: Statistics, ubm: Gmm, config: IvectorConfig, key: str, nj: int,
          trained_on: str = "") -> Iterator[tuple[str, float]]:
    """Train; yields (what was done, log likelihood per frame before that update) and writes folder/final.npz.

    Resumed after any iteration, it ends with the same model. key: what must not change in between. trained_on: the corpus.
    """
    if statistics.second_.shape != ubm.covariances.shape:
        raise InputError(f"{folder}: statistics of shape {statistics.second_.shape} do not match the UBM's {ubm.covariances.shape}; run "
                         "the step that makes them again.")
    floor = config.variance_floor * np.einsum("c,cdd->d", ubm.weights, ubm.covariances)
    begun = state.resume(folder, key, **SHAPES)
    if begun is None:
        model, done = tv.initial(ubm.covariances, config.ivector_dim, config.seed), 0
    else:
        model, done = _model(begun), int(begun["done"])
        if model.matrix.shape != (*ubm.means.shape, config.ivector_dim):
            raise InputError(f"{folder / state.STATE} is of other Gaussians or dimensions; remove it, and run the same command again.")
    with ThreadPoolExecutor(nj) as pool:
        while done < config.iterations:
            model, level = step(model, statistics, floor, pool)
            done += 1
            state.save(folder / state.STATE, key=np.array(key), done=np.array(done), **_arrays(model))
            yield f"iteration {done}/{config.iterations}", level
    info = {"config": config.model_dump(mode="json"), "trained_on": trained_on, "labels": "none", "utterances": len(statistics),
            "frames": round(float(statistics.counts_.sum()))}
    state.finish(folder, **_arrays(model), ubm_weights=ubm.weights, ubm_means=ubm.means, ubm_covariances=ubm.covariances,
                 info=np.array(json.dumps(info)))


def step(model: TotalVariability, statistics: Statistics, floor: np.ndarray, pool: ThreadPoolExecutor) -> tuple[TotalVariability, float]:
    """One EM iteration: returns the new model, and the log likelihood per frame under the old one."""
    sums = tv.Sums(model)
    for start in range(0, len(statistics), BATCH):
        sums.add(model, *statistics.rows(start, start + BATCH), pool)
    scatter = tv.centred_scatter(model, statistics.counts_, sums.first, statistics.second_)
    level = tv.log_likelihood(model, sums, statistics.counts_, scatter)
    if not np.isfinite(level):
        raise InputError("the likelihood of the statistics became NaN or infinite; look at the features, and lower ivector_dim or raise "
                         "variance_floor.")
    return tv.update(model, sums, statistics.counts_, scatter, floor, pool), level


def load(folder: Path) -> tuple[Gmm, TotalVariability, IvectorConfig, dict]:
    """UBM, total variability, configuration and {trained_on, labels, utterances, frames}. Raises InputError naming the file."""
    path = folder / state.FINAL
    arrays = state.load(path, ubm_weights="C", ubm_means="C D", ubm_covariances="C D D|C D", info=state.TEXT, **SHAPES)
    state.check_mixture(path, arrays["ubm_weights"], arrays["ubm_covariances"])
    state.check_mixture(path, arrays["ubm_weights"], arrays["covariances"])
    info = state.info(path, arrays, "info")
    if not all(isinstance(info.get(key), kind) for key, kind in INFO.items()):
        raise InputError(f"{path} is no whole model (its info lacks {' or '.join(INFO)}); train it again.")
    config = check(IvectorConfig, info.pop("config"), str(path))
    return Gmm(arrays["ubm_weights"], arrays["ubm_means"], arrays["ubm_covariances"]), _model(arrays), config, info


def _arrays(model: TotalVariability) -> state.Arrays:
    return {"matrix": model.matrix, "covariances": model.covariances, "shift": model.shift}


def _model(arrays: state.Arrays) -> TotalVariability:
    return TotalVariability(arrays["matrix"], arrays["covariances"], arrays["shift"])
