"""Probabilistic linear discriminant analysis: the model, its likelihood ratios, its training and its adaptation.

A speaker has a mean drawn from N(mu, B), an utterance is that mean plus noise from N(0, W) (Ioffe 2006, the two-covariance model). As in
Kaldi's Plda a model is kept where W is the identity and B diagonal: u = transform (x - mean) has within-class covariance I and
between-class covariance diag(psi). The simplified PLDA x = mean + V y + e with a full covariance of e (Garcia-Romero & Espy-Wilson 2011)
is the same with B = V V', so that psi is zero but for as many dimensions as y has.
"""
from typing import NamedTuple

import numpy as np
from scipy import linalg

from sslspk.backend.transforms import class_sums, largest_eigenvalue
from sslspk.io.kaldi_model import PldaFile

BLOCK = 4096  # trials gathered at once
DENSE = 8  # a product of matrices takes less time for so many pairs than gathering takes for one
FLOOR = 1e-6  # smallest eigenvalue of the within-class covariance, as a share of the total one's largest


class Plda(PldaFile):
    """mean (D,), transform (D, D), psi (D,), as Kaldi's <Plda> holds them."""

    def project(self, x: np.ndarray, counts: np.ndarray | None = None, normalise: bool = True) -> np.ndarray:
        """(N, D) -> (N, D) in the diagonal space; normalise: scaled so that u' (diag psi + I / n)^-1 u = D, which is its expectation.

        counts (N,): of how many utterances each row is the average (None: one). Kaldi: TransformIvector with --normalize-length=true.
        """
        u = (x - self.mean) @ self.transform.T
        if normalise:
            inverse = 1 / (self.psi + 1 / (np.ones(len(u)) if counts is None else np.asarray(counts, np.float64))[:, None])
            u *= np.sqrt(u.shape[1] / np.einsum("nd,nd->n", u * inverse, u))[:, None]
        return u

    def smoothed(self, factor: float) -> "Plda":
        """`factor` times the between-class covariance added to the within-class one (Kaldi: SmoothWithinClassCovariance)."""
        within = 1 + factor * self.psi
        return Plda(self.mean, self.transform / np.sqrt(within)[:, None], self.psi / within)

    def covariances(self) -> tuple[np.ndarray, np.ndarray]:
        """Between- and within-class covariance (D, D) of x."""
        back = linalg.inv(self.transform)
        return (back * self.psi) @ back.T, back @ back.T


class Ratio(NamedTuple):
    """The log likelihood ratio of enrolment m (average of n, projected) and test u as enrol + m . weight . u + u^2 . square.

    p(u | m) = N(n psi / (n psi + 1) m, 1 + psi / (n psi + 1)), p(u) = N(0, 1 + psi), each dimension for itself (Kaldi: LogLikelihoodRatio).
    """

    enrol: np.ndarray   # (N,)
    weighted: np.ndarray  # (N, D): m . weight
    square: np.ndarray  # (G, D), one row for each number of utterances
    group: np.ndarray  # (N,) which of them


def ratio(plda: Plda, m: np.ndarray, counts: np.ndarray | None = None) -> Ratio:
    """What of the ratio depends on the enrolments (N, D) alone."""
    kinds, group = np.unique(np.ones(len(m)) if counts is None else counts, return_inverse=True)
    shrink = kinds[:, None] * plda.psi / (kinds[:, None] * plda.psi + 1)
    variance, alone = 1 + plda.psi / (kinds[:, None] * plda.psi + 1), 1 + plda.psi
    centre = shrink[group] * m
    enrol = -0.5 * (np.log(variance) - np.log(alone)).sum(1)[group] - 0.5 * np.einsum("nd,nd->n", centre, centre / variance[group])
    return Ratio(enrol, centre / variance[group], 0.5 / alone - 0.5 / variance, group)


def score_all(plda: Plda, m: np.ndarray, u: np.ndarray, counts: np.ndarray | None = None) -> np.ndarray:
    """(N, M): natural-log likelihood ratios of all pairs of projected enrolments (N, D) and tests (M, D); two matrix products."""
    of = ratio(plda, m, counts)
    out = of.weighted @ u.T
    out += of.enrol[:, None]
    squares = of.square @ np.square(u).T
    out += squares if len(squares) == 1 else squares[of.group]
    return out


def products(plda: Plda, u: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Two vectors (N, D + 2), (N, D + 2) for each projected u (N, D), whose products are `score_all` of all pairs."""
    of, one = ratio(plda, u), np.ones((len(u), 1))
    return np.hstack([of.weighted, of.enrol[:, None], one]), np.hstack([u, one, np.square(u) @ of.square.T])


def score_pairs(plda: Plda, m: np.ndarray, u: np.ndarray, enrol_row: np.ndarray, test_row: np.ndarray,
                counts: np.ndarray | None = None) -> np.ndarray:
    """(T,): as score_all for chosen pairs, gathered in blocks, or out of all pairs where these are not many more."""
    if len(m) * len(u) <= DENSE * len(enrol_row):
        return score_all(plda, m, u, counts)[enrol_row, test_row]
    of = ratio(plda, m, counts)
    squares = of.square @ np.square(u).T
    scores = of.enrol[enrol_row] + squares[of.group[enrol_row], test_row]
    for start in range(0, len(scores), BLOCK):
        part = slice(start, start + BLOCK)
        scores[part] += np.einsum("td,td->t", of.weighted[enrol_row[part]], u[test_row[part]])
    return scores


class Sums(NamedTuple):
    """What training needs of x (N, D) with classes code (N,): each class's mean and count, and the scatter around the class means."""

    means: np.ndarray  # (C, D)
    counts: np.ndarray  # (C,)
    scatter: np.ndarray  # (D, D)

    @property
    def mean(self) -> np.ndarray:
        """The unweighted average of the class means, as Kaldi's PldaStats."""
        return self.means.mean(0)

    def by_count(self):
        """(count, rows) for each number of utterances that a class may have."""
        kinds, group = np.unique(self.counts, return_inverse=True)
        return [(int(n), np.flatnonzero(group == i)) for i, n in enumerate(kinds)]

    def least(self) -> float:
        """What the within-class covariance's eigenvalues are raised to: FLOOR of the total covariance's largest."""
        centred = self.means - self.mean
        return FLOOR * largest_eigenvalue((self.scatter + (centred * self.counts[:, None]).T @ centred) / self.counts.sum())


def sums(x: np.ndarray, code: np.ndarray) -> Sums:
    counts = np.bincount(code)
    means = class_sums(x, code) / counts[:, None]
    rest = x - means[code]
    return Sums(means, counts, rest.T @ rest)


def train_two_covariance(data: Sums, iterations: int) -> Plda:
    """EM for W and B from W = B = I, as Kaldi's PldaEstimator (Ioffe 2006; the derivation stands in Kaldi's plda.h).

    With m a class mean less the mean of all, of n utterances: its speaker's mean has the posterior covariance
    (B^-1 + n W^-1)^-1 and mean w = that times n W^-1 m; B and W are the averages of what remains.
    """
    within = between = np.eye(data.means.shape[1])
    centred, total, classes, least = data.means - data.mean, data.counts.sum(), len(data.counts), data.least()
    for _ in range(iterations):
        inverse_b, inverse_w = linalg.inv(_floored(between, least)), linalg.inv(within)
        new_b, new_w = np.zeros_like(between), data.scatter.copy()
        for n, rows in data.by_count():
            posterior = linalg.inv(inverse_b + n * inverse_w)
            w = centred[rows] @ (n * inverse_w @ posterior)
            rest = centred[rows] - w
            new_b += len(rows) * posterior + w.T @ w
            new_w += n * (len(rows) * posterior + rest.T @ rest)
        between, within = _symmetric(new_b / classes), _floored(new_w / total, least)
    return diagonalised(data.mean, within, between)


def train_simplified(data: Sums, iterations: int, dim: int, seed: int = 0) -> Plda:
    """EM for V (D, dim) and W of x = mean + V y + e, with minimum divergence (Garcia-Romero & Espy-Wilson 2011; Kenny 2010).

    V starts from the directions in which the class means vary most, W from the scatter around them.
    """
    total, mean, least = data.counts.sum(), data.counts @ data.means / data.counts.sum(), data.least()
    between = np.cov(data.means.T, bias=True).reshape(len(mean), len(mean))
    value, vector = linalg.eigh(between)
    v = vector[:, ::-1][:, :dim] * np.sqrt(np.maximum(value[::-1][:dim], least))
    within = _floored(data.scatter / total, least)
    for _ in range(iterations):
        centred = data.means - mean
        weighted = linalg.solve(within, v, assume_a="pos")
        moment, cross, spread, average = np.zeros((dim, dim)), np.zeros_like(v), np.zeros((dim, dim)), np.zeros(dim)
        for n, rows in data.by_count():
            posterior = linalg.inv(np.eye(dim) + n * v.T @ weighted)
            y = n * centred[rows] @ weighted @ posterior
            second = len(rows) * posterior + y.T @ y
            moment, spread, average = moment + n * second, spread + second, average + y.sum(0)
            cross += n * centred[rows].T @ y
        v = linalg.solve(moment, cross.T, assume_a="pos").T
        of_means = (centred * data.counts[:, None]).T @ centred
        within = _floored(_symmetric((data.scatter + of_means - v @ cross.T) / total), least)
        average /= len(data.counts)
        mean = mean + v @ average
        v = v @ linalg.cholesky(_symmetric(spread / len(data.counts) - np.outer(average, average)), lower=True)
    return diagonalised(mean, within, v @ v.T)


def diagonalised(mean: np.ndarray, within: np.ndarray, between: np.ndarray) -> Plda:
    """The model with covariances W and B, in its own space, the dimensions that tell speakers apart best first."""
    whiten = linalg.inv(linalg.cholesky(within, lower=True))
    psi, direction = linalg.eigh(_symmetric(whiten @ between @ whiten.T))
    return Plda(mean, direction[:, ::-1].T @ whiten, np.maximum(psi[::-1], 0))


def adapt(plda: Plda, x: np.ndarray, within_scale: float = 0.75, between_scale: float = 0.25, mean_diff_scale: float = 1.0) -> Plda:
    """Unsupervised adaptation to embeddings x (N, D) of another domain, as Kaldi's ivector-adapt-plda.

    Where their total covariance is larger than the model's, the excess goes to W and B in the given shares; where it is
    smaller, nothing changes. The mean becomes theirs; mean_diff_scale: how much its difference counts as covariance.
    """
    mean, difference = x.mean(0), x.mean(0) - plda.mean
    covariance = (x - mean).T @ (x - mean) / len(x) + mean_diff_scale * np.outer(difference, difference)
    unit = plda.transform / np.sqrt(1 + plda.psi)[:, None]  # to where the model's total covariance is the identity
    value, direction = linalg.eigh(_symmetric(unit @ covariance @ unit.T))
    excess = np.maximum(value - 1, 0)
    within = direction.T @ (direction / (1 + plda.psi)[:, None]) + np.diag(within_scale * excess)
    between = direction.T @ (direction * (plda.psi / (1 + plda.psi))[:, None]) + np.diag(between_scale * excess)
    back = linalg.inv(direction.T @ unit)
    return diagonalised(mean, _symmetric(back @ within @ back.T), _symmetric(back @ between @ back.T))


def _symmetric(x: np.ndarray) -> np.ndarray:
    return (x + x.T) / 2


def _floored(covariance: np.ndarray, least: float) -> np.ndarray:
    """The covariance itself, or where an eigenvalue is below `least`, with these raised to it."""
    value, vector = linalg.eigh(_symmetric(covariance))
    if value[0] >= least:
        return _symmetric(covariance)
    return (vector * np.maximum(value, least)) @ vector.T
