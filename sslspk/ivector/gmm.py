"""Gaussian mixtures in matrix form: likelihoods, posteriors, statistics, and the EM update, with diagonal or full covariances."""
from dataclasses import dataclass
from functools import cached_property

import numpy as np
from scipy import linalg, sparse
from scipy.special import logsumexp

BLOCK = 4096  # frames whose likelihoods under all Gaussians are held at once: 64 MB at 2048 Gaussians


@dataclass(frozen=True)
class Gmm:
    """weights (C,), means (C, D), covariances (C, D) where diagonal, else (C, D, D); float64."""

    weights: np.ndarray
    means: np.ndarray
    covariances: np.ndarray

    @property
    def full(self) -> bool:
        return self.covariances.ndim == 3

    def diagonal(self) -> "Gmm":
        """The same mixture with only the diagonals of its covariances."""
        return Gmm(self.weights, self.means, np.einsum("cdd->cd", self.covariances)) if self.full else self

    @cached_property
    def whiteners(self) -> np.ndarray:
        """(C, D, D) of a full mixture: W with W W' = the inverse covariance, so that |(x - mean) W|^2 is the distance."""
        eye = np.eye(self.means.shape[1])
        return np.stack([linalg.solve_triangular(factor, eye, lower=True).T for factor in np.linalg.cholesky(self.covariances)])

    @cached_property
    def constants(self) -> np.ndarray:
        """(C,): log weight plus log normaliser of each Gaussian."""
        if self.full:
            half_log_det = -np.log(np.einsum("cdd->cd", self.whiteners)).sum(1)
        else:
            half_log_det = 0.5 * np.log(self.covariances).sum(1)
        return np.log(self.weights) - 0.5 * self.means.shape[1] * np.log(2 * np.pi) - half_log_det


def log_likes(gmm: Gmm, x: np.ndarray) -> np.ndarray:
    """(T, D) -> (T, C): log of weight times density for each Gaussian of a diagonal mixture, by two matrix products."""
    precisions = 1 / gmm.covariances
    constants = gmm.constants - 0.5 * (np.square(gmm.means) * precisions).sum(1)
    return constants + x @ (gmm.means * precisions).T - 0.5 * np.square(x) @ precisions.T


def choose(gmm: Gmm, x: np.ndarray, count: int) -> np.ndarray:
    """(T, D) -> (T, count): the likeliest Gaussians of each frame under a diagonal mixture, in ascending order."""
    total = len(gmm.weights)
    if count >= total:
        return np.tile(np.arange(total, dtype=np.int32), (len(x), 1))
    parts = [np.argpartition(log_likes(gmm, x[i:i + BLOCK]), total - count, axis=1)[:, total - count:] for i in range(0, len(x), BLOCK)]
    return np.sort(np.concatenate(parts), axis=1).astype(np.int32)


def by_gaussian(chosen: np.ndarray, total: int) -> list[np.ndarray]:
    """For each of `total` Gaussians, the indices of chosen.ravel() where it is chosen."""
    order = np.argsort(chosen, axis=None, kind="stable")
    return np.split(order, np.searchsorted(chosen.ravel()[order], np.arange(1, total)))


def chosen_log_likes(gmm: Gmm, x: np.ndarray, chosen: np.ndarray) -> np.ndarray:
    """log_likes of a full mixture, (T, n) for the Gaussians `chosen` (T, n) only; frames are grouped by Gaussian."""
    out = np.empty(chosen.size)
    for c, places in enumerate(by_gaussian(chosen, len(gmm.weights))):
        y = (x[places // chosen.shape[1]] - gmm.means[c]) @ gmm.whiteners[c]
        out[places] = gmm.constants[c] - 0.5 * np.einsum("td,td->t", y, y)
    return out.reshape(chosen.shape)


def shares(values: np.ndarray, min_posterior: float = 0.0) -> tuple[np.ndarray, np.ndarray]:
    """Log likelihoods (T, n) -> posteriors (T, n) and the log likelihood of each frame (T,).

    Posteriors below min_posterior become 0, except the largest; the rest is scaled to sum to one.
    """
    total = logsumexp(values, axis=1)
    posterior = np.exp(values - total[:, None])
    if min_posterior:
        posterior[posterior < np.minimum(min_posterior, posterior.max(1))[:, None]] = 0
        posterior /= posterior.sum(1, keepdims=True)
    return posterior, total


def spread(posterior: np.ndarray, chosen: np.ndarray, total: int) -> sparse.csr_matrix:
    """Posteriors (T, n) of the Gaussians `chosen` (T, n) as a sparse matrix (T, total)."""
    rows = np.arange(len(chosen) + 1) * chosen.shape[1]
    matrix = sparse.csr_matrix((posterior.ravel(), chosen.ravel(), rows), shape=(len(chosen), total))
    matrix.eliminate_zeros()
    return matrix


def scatter(posterior: sparse.csr_matrix, x: np.ndarray) -> np.ndarray:
    """(C, D, D): the sum over frames of posterior times x x'."""
    columns, (total, dim) = posterior.tocsc(), (posterior.shape[1], x.shape[1])
    out = np.zeros((total, dim, dim))
    for c in range(total):
        part = slice(columns.indptr[c], columns.indptr[c + 1])
        y = x[columns.indices[part]]
        out[c] = (y * columns.data[part, None]).T @ y
    return out


def update(gmm: Gmm, counts: np.ndarray, first: np.ndarray, second: np.ndarray, floor: np.ndarray) -> Gmm:
    """The M-step. counts (C,); first (C, D) sums of x; second sums of x^2 (C, D), or of x x' (C, D, D); floor (D,) variances.

    A Gaussian with no more frames than dimensions keeps its mean and covariance, which cannot be estimated; its weight is updated.
    A floored covariance is the maximum under this constraint, so flooring does not lower the likelihood.
    """
    known = counts > gmm.means.shape[1]
    safe = np.where(known, counts, 1.0)[:, None]
    means = np.where(known[:, None], first / safe, gmm.means)
    if second.ndim == 2:
        variances = np.maximum(second / safe - np.square(means), floor)
        covariances = np.where(known[:, None], variances, gmm.diagonal().covariances)
    else:
        found = second / safe[:, :, None] - means[:, :, None] * means[:, None, :]
        old = gmm.covariances if gmm.full else gmm.covariances[:, :, None] * np.eye(len(floor))
        covariances = np.where(known[:, None, None], 0, old)
        covariances[known] = floored(found[known], floor)
    weights = np.maximum(counts, 1e-10 * counts.sum())
    return Gmm(weights / weights.sum(), means, covariances)


def floored(covariances: np.ndarray, floor: np.ndarray) -> np.ndarray:
    """Covariances (N, D, D) raised so that no direction has less variance than under diag(floor), floor (D,)."""
    scale = np.sqrt(floor)
    values, vectors = np.linalg.eigh(covariances / (scale[:, None] * scale))
    fixed = np.matmul(vectors * np.maximum(values, 1.0)[:, None, :], vectors.transpose(0, 2, 1)) * (scale[:, None] * scale)
    low = values[:, 0] < 1.0
    return np.where(low[:, None, None], fixed, 0.5 * (covariances + covariances.transpose(0, 2, 1)))
