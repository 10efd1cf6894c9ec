"""Trains the UBM: k-means, EM with diagonal covariances, then EM with full ones; resumable after every iteration."""
from collections.abc import Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np

from sslspk.config import check
from sslspk.errors import InputError
from sslspk.ivector import gmm, state
from sslspk.ivector.config import IvectorConfig
from sslspk.ivector.gmm import Gmm
from sslspk.ivector.parallel import over_pieces

KMEANS_FRAMES = 100  # frames per Gaussian that k-means looks at
KMEANS_ITERATIONS = 10
SHAPES = {"weights": "C", "means": "C D", "covariances": "C D|C D D"}


def train(folder: Path, frames: np.ndarray, config: IvectorConfig, key: str, nj: int) -> Iterator[tuple[str, float]]:
    """Train on frames (N, D); yields (what was done, log likelihood per frame before that update) and writes folder/final.npz.

    Resumed after any iteration, it ends with the same model. key: what must not change in between.
    """
    floor = config.variance_floor * np.square(_deviation(frames))
    begun = state.resume(folder, key, **SHAPES, chosen="N n?")
    if begun is None:
        model, done, chosen = initial(frames, config, floor), 0, None
        _save(folder, key, model, done)
    else:
        model = Gmm(begun["weights"], begun["means"], begun["covariances"])
        done, chosen = int(begun["done"]), begun.get("chosen")
        state.check_mixture(folder / state.STATE, model.weights, model.covariances)
        if model.means.shape != (config.num_gaussians, frames.shape[1]) or not _names_gaussians(chosen, len(frames), config.num_gaussians):
            raise InputError(f"{folder / state.STATE} is of other frames or Gaussians; remove it, and run the same command again.")
    with ThreadPoolExecutor(nj) as pool:
        while done < config.diagonal_iterations:
            model, level = diagonal_step(model, frames, floor, pool)
            done += 1
            _save(folder, key, model, done)
            yield f"diagonal {done}/{config.diagonal_iterations}", level
        if chosen is None:   # once only: with a fixed choice the likelihood cannot fall
            diagonal = model
            chosen = np.concatenate(list(over_pieces(
                pool, lambda rows: gmm.choose(diagonal, frames[rows].astype(np.float64), config.top_gaussians), len(frames))))
        while done < config.diagonal_iterations + config.full_iterations:
            model, level = full_step(model, frames, chosen, floor, pool)
            done += 1
            _save(folder, key, model, done, chosen=chosen)
            yield f"full {done - config.diagonal_iterations}/{config.full_iterations}", level
    state.finish(folder, weights=model.weights, means=model.means, covariances=model.covariances,
                 config=np.array(config.model_dump_json()))


def _deviation(frames: np.ndarray) -> np.ndarray:
    """(N, D) -> (D,). Raises InputError if a dimension holds values that are not finite, or only one value."""
    with np.errstate(invalid="ignore"):
        deviation = frames.std(0, dtype=np.float64)
    for bad, what in ((~np.isfinite(deviation), "is NaN or infinite somewhere; make the features again"),
                      (deviation == 0, "is the same everywhere; look at the audio and at the configuration of the features")):
        if bad.any():
            raise InputError(f"dimension {int(np.argmax(bad))} of the frames {what}.")
    return deviation


def _names_gaussians(chosen: np.ndarray | None, frames: int, total: int) -> bool:
    return chosen is None or (len(chosen) == frames and chosen.dtype.kind == "i" and chosen.min() >= 0 and chosen.max() < total)


def initial(frames: np.ndarray, config: IvectorConfig, floor: np.ndarray) -> Gmm:
    """A diagonal mixture from k-means on a random sample of the frames (N, D), each dimension scaled by its deviation."""
    from sklearn.cluster import KMeans
    rng, total = np.random.default_rng(config.seed), config.num_gaussians
    count = min(len(frames), KMEANS_FRAMES * total)
    x = frames[np.sort(rng.choice(len(frames), count, replace=False))].astype(np.float64)
    means = KMeans(total, n_init=1, max_iter=KMEANS_ITERATIONS, random_state=config.seed).fit(x / np.sqrt(floor))
    member = gmm.spread(np.ones((count, 1)), means.labels_[:, None], total)
    wide = Gmm(np.full(total, 1 / total), means.cluster_centers_ * np.sqrt(floor), np.tile(x.var(0), (total, 1)))
    return gmm.update(wide, np.asarray(member.sum(0)).ravel(), member.T @ x, member.T @ np.square(x), floor)


def diagonal_step(model: Gmm, frames: np.ndarray, floor: np.ndarray, pool: ThreadPoolExecutor) -> tuple[Gmm, float]:
    """One EM step over all Gaussians: returns the new model, and the log likelihood per frame under the old one."""
    def work(rows: slice) -> list[np.ndarray]:
        sums: list[np.ndarray] = []
        for start in range(rows.start, rows.stop, gmm.BLOCK):
            x = frames[start:min(start + gmm.BLOCK, rows.stop)].astype(np.float64)
            posterior, level = gmm.shares(gmm.log_likes(model, x))
            sums = _add(sums, [posterior.sum(0), posterior.T @ x, posterior.T @ np.square(x), level.sum()])
        return sums
    return _step(model, frames, floor, over_pieces(pool, work, len(frames)))


def full_step(model: Gmm, frames: np.ndarray, chosen: np.ndarray, floor: np.ndarray, pool: ThreadPoolExecutor) -> tuple[Gmm, float]:
    """One EM step with full covariances, over the Gaussians `chosen` (N, n) for each frame."""
    total = len(model.weights)
    if not model.full:
        model = Gmm(model.weights, model.means, model.covariances[:, :, None] * np.eye(len(floor)))

    def work(rows: slice) -> list[np.ndarray]:
        x = frames[rows].astype(np.float64)
        posterior, level = gmm.shares(gmm.chosen_log_likes(model, x, chosen[rows]))
        shares = gmm.spread(posterior, chosen[rows], total)
        return [np.asarray(shares.sum(0)).ravel(), shares.T @ x, gmm.scatter(shares, x), level.sum()]
    return _step(model, frames, floor, over_pieces(pool, work, len(frames)))


def _step(model: Gmm, frames: np.ndarray, floor: np.ndarray, parts: Iterable[list[np.ndarray]]) -> tuple[Gmm, float]:
    sums: list[np.ndarray] = []
    for part in parts:
        sums = _add(sums, part)
    counts, first, second, level = sums
    if not np.isfinite(level):
        raise InputError("the likelihood of the frames became NaN or infinite; look at the features, and lower num_gaussians or raise "
                         "variance_floor.")
    return gmm.update(model, counts, first, second, floor), float(level) / len(frames)


def _add(sums: list[np.ndarray], more: list[np.ndarray]) -> list[np.ndarray]:
    return [a + b for a, b in zip(sums, more, strict=True)] if sums else more


def _save(folder: Path, key: str, model: Gmm, done: int, **more: np.ndarray) -> None:
    state.save(folder / state.STATE, key=np.array(key), done=np.array(done), weights=model.weights, means=model.means,
               covariances=model.covariances, **more)


def load(folder: Path) -> tuple[Gmm, IvectorConfig]:
    """The mixture that steps/train_ubm.sh wrote, and its configuration. Raises InputError naming the file."""
    path = folder / state.FINAL
    arrays = state.load(path, **SHAPES, config=state.TEXT)
    state.check_mixture(path, arrays["weights"], arrays["covariances"])
    config = check(IvectorConfig, state.info(path, arrays, "config"), str(path))
    return Gmm(arrays["weights"], arrays["means"], arrays["covariances"]), config
