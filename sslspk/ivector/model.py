"""Total variability (Dehak et al. 2011): the means of an utterance are m + T w, w standard normal; its i-vector is the mean of w."""
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import cached_property

import numpy as np
from scipy import linalg

from sslspk.ivector import gmm
from sslspk.ivector.parallel import over_pieces


@dataclass(frozen=True)
class TotalVariability:
    """matrix (C, D, R): T; covariances (C, D, D) of what T does not explain; shift (C, D): m minus the means of the UBM.

    Statistics are centred on the means of the UBM and weighted by its posteriors.
    """

    matrix: np.ndarray
    covariances: np.ndarray
    shift: np.ndarray

    @property
    def dim(self) -> int:
        """R."""
        return self.matrix.shape[2]

    @cached_property
    def projection(self) -> np.ndarray:
        """(C * D, R): inverse covariance times T, the factor of first moments."""
        return np.linalg.solve(self.covariances, self.matrix).reshape(-1, self.dim)

    @cached_property
    def packed(self) -> np.ndarray:
        """(C, R (R + 1) / 2): the lower triangles of T' inverse covariance T; one product then gives all precisions."""
        rows, columns = np.tril_indices(self.dim)
        out = np.empty((len(self.matrix), len(rows)))
        for c, projection in enumerate(self.projection.reshape(self.matrix.shape)):
            out[c] = (self.matrix[c].T @ projection)[rows, columns]
        return out

    @cached_property
    def places(self) -> np.ndarray:
        """(R, R): the index of each element of a symmetric matrix in a packed triangle."""
        places = np.zeros((self.dim, self.dim), int)
        rows, columns = np.tril_indices(self.dim)
        places[rows, columns] = places[columns, rows] = np.arange(len(rows))
        return places

    def unpack(self, triangles: np.ndarray) -> np.ndarray:
        """(B, R (R + 1) / 2) -> (B, R, R), symmetric."""
        return triangles[:, self.places]


def initial(covariances: np.ndarray, dim: int, seed: int) -> TotalVariability:
    """A random T, scaled to each Gaussian's covariance (C, D, D); m is the means of the UBM."""
    total, features = covariances.shape[:2]
    draw = np.random.default_rng(seed).standard_normal((total, features, dim)) / np.sqrt(dim)
    return TotalVariability(np.linalg.cholesky(covariances) @ draw, covariances, np.zeros((total, features)))


def centre(model: TotalVariability, counts: np.ndarray, first: np.ndarray) -> np.ndarray:
    """First moments around m, (B, C * D)."""
    return (first - counts[:, :, None] * model.shift).reshape(len(counts), -1)


def ivectors(model: TotalVariability, counts: np.ndarray, first: np.ndarray) -> np.ndarray:
    """Posterior means of w (B, R) for utterances with counts (B, C) and first moments (B, C, D).

    (I + sum_c N_c T_c' S_c^-1 T_c)^-1 sum_c T_c' S_c^-1 F_c, Dehak et al. 2011 eq. 6.
    """
    precision = model.unpack(counts @ model.packed) + np.eye(model.dim)
    return np.linalg.solve(precision, (centre(model, counts, first) @ model.projection)[:, :, None])[:, :, 0]


def posterior(model: TotalVariability, triangles: np.ndarray, linear: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Means (B, R) and covariances (B, R, R) of w, and log likelihood ratios (B,) of w integrated out against w = 0.

    triangles: packed precisions (B, R (R + 1) / 2) without the prior's identity; linear (B, R).
    """
    precision = model.unpack(triangles) + np.eye(model.dim)
    covariance = np.linalg.inv(precision)
    mean = np.matmul(covariance, linear[:, :, None])[:, :, 0]
    return mean, covariance, 0.5 * ((mean * linear).sum(1) - np.linalg.slogdet(precision)[1])


class Sums:
    """The E-step's sums over utterances, with N the counts and F the first moments around m.

    weighted (C, R (R + 1) / 2) = sum N E[w w'], shares (C, R) = sum N E[w], cross (C * D, R) = sum F E[w]', first (C, D) = sum F.
    For the prior: mean (R,) = sum E[w], square (R (R + 1) / 2,) = sum E[w w']. ratio: the log likelihood ratio to w = 0."""

    def __init__(self, model: TotalVariability):
        total, features, dim = model.matrix.shape
        triangle = dim * (dim + 1) // 2
        self.weighted, self.cross = np.zeros((total, triangle)), np.zeros((total * features, dim))
        self.shares, self.first = np.zeros((total, dim)), np.zeros((total, features))
        self.mean, self.square, self.ratio, self.utterances = np.zeros(dim), np.zeros(triangle), 0.0, 0

    def add(self, model: TotalVariability, counts: np.ndarray, first: np.ndarray, pool: ThreadPoolExecutor) -> None:
        """Add a batch of utterances: counts (B, C), first moments (B, C, D). Each thread writes to its own part of an array."""
        moments = centre(model, counts, first)
        linear, triangles = moments @ model.projection, np.empty((len(counts), model.packed.shape[1]))
        means, second = np.empty_like(linear), np.empty_like(triangles)
        rows, columns = np.tril_indices(model.dim)

        def precisions(part: slice) -> None:
            np.matmul(counts, model.packed[:, part], out=triangles[:, part])

        def moments_of_w(part: slice) -> float:
            means[part], covariance, ratio = posterior(model, triangles[part], linear[part])
            second[part] = (covariance + means[part][:, :, None] * means[part][:, None, :])[:, rows, columns]
            return ratio.sum()

        def weigh(part: slice) -> None:
            self.weighted[part] += counts[:, part].T @ second

        def cross(part: slice) -> None:
            self.cross[part] += moments[:, part].T @ means

        list(over_pieces(pool, precisions, triangles.shape[1]))
        self.ratio += sum(over_pieces(pool, moments_of_w, len(counts)))
        list(over_pieces(pool, weigh, counts.shape[1]))
        list(over_pieces(pool, cross, moments.shape[1]))
        self.shares += counts.T @ means
        self.first += moments.sum(0).reshape(self.first.shape)
        self.mean += means.sum(0)
        self.square += second.sum(0)
        self.utterances += len(counts)


def log_likelihood(model: TotalVariability, sums: Sums, counts: np.ndarray, scatter: np.ndarray) -> float:
    """Log likelihood per frame of all frames under `model`, given the UBM's posteriors: counts (C,), scatter (C, D, D) around m."""
    log_det = np.linalg.slogdet(model.covariances)[1] + scatter.shape[1] * np.log(2 * np.pi)
    trace = np.einsum("cdd->c", np.linalg.solve(model.covariances, scatter))
    return float((sums.ratio - 0.5 * (counts @ log_det + trace.sum())) / counts.sum())


def centred_scatter(model: TotalVariability, counts: np.ndarray, first: np.ndarray, second: np.ndarray) -> np.ndarray:
    """Second moments (C, D, D) around m from `second`, those around the means of the UBM; counts (C,), first (C, D) around m."""
    outer = first[:, :, None] * model.shift[:, None, :]
    return second - outer - outer.transpose(0, 2, 1) - counts[:, None, None] * model.shift[:, :, None] * model.shift[:, None, :]


def update(model: TotalVariability, sums: Sums, counts: np.ndarray, scatter: np.ndarray, floor: np.ndarray,
           pool: ThreadPoolExecutor) -> TotalVariability:
    """The M-step (Kenny 2005, proposition 3), with m as a column of T whose factor is always 1; then minimum divergence gives w mean 0
    and unit covariance over the utterances.

    counts (C,), scatter (C, D, D) around m, floor (D,) variances. A Gaussian with no more frames than dimensions is not updated.
    """
    total, features, dim = model.matrix.shape
    cross = np.concatenate([sums.cross.reshape(total, features, dim), sums.first[:, :, None]], axis=2)
    matrix, covariances, shift = model.matrix.copy(), model.covariances.copy(), model.shift.copy()

    def work(part: slice) -> None:
        for c in range(part.start, part.stop):
            if counts[c] > features:
                share = sums.shares[c][:, None]
                weighted = np.block([[model.unpack(sums.weighted[c:c + 1])[0], share], [share.T, counts[c]]])
                columns = linalg.solve(weighted, cross[c].T, assume_a="pos").T
                covariances[c] = gmm.floored(((scatter[c] - columns @ cross[c].T) / counts[c])[None], floor)[0]
                matrix[c], shift[c] = columns[:, :dim], shift[c] + columns[:, dim]
    list(over_pieces(pool, work, total))
    mean = sums.mean / sums.utterances
    spread = model.unpack(sums.square[None])[0] / sums.utterances - np.outer(mean, mean)
    return TotalVariability(matrix @ np.linalg.cholesky(spread), covariances, shift + matrix @ mean)
