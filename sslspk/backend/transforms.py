"""Linear transforms of centred embeddings, each a matrix (D', D) to be applied as x @ matrix.T, and length normalisation.

All of them are learnt from x (N, D) with mean zero. Dividing by a very small deviation would amplify noise, so eigenvalues are raised to at
least FLOOR times the largest one of the total covariance. The total covariance is used also for the within-class covariance, since the
latter is pure rounding error if a speaker's embeddings are copies of each other.
"""
import numpy as np
from scipy import linalg

FLOOR = 1e-6


def whitening(x: np.ndarray) -> np.ndarray:
    """(D, D): the total covariance becomes the identity, and the axes stay nearest to what they were (ZCA)."""
    value, vector = _floored_eigh(x.T @ x / len(x))
    return (vector / np.sqrt(value)) @ vector.T


def pca(x: np.ndarray, keep: float) -> np.ndarray:
    """(D', D): the directions of largest variance, orthonormal; as many as `keep` says, or as hold that share (up to 1) of the variance."""
    value, vector = linalg.eigh(x.T @ x / len(x))
    value, vector = np.maximum(value[::-1], 0), vector[:, ::-1]
    if keep > 1:
        count = min(round(keep), len(value))
    else:
        count = 1 + int(np.searchsorted(np.cumsum(value) / value.sum(), keep - 1e-12))
    return vector[:, :count].T


def scatters(x: np.ndarray, code: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Total and between-class covariance (D, D) around zero: sum x x' / N, and sum n_c m_c m_c' / N over classes code (N,) 0 .. C-1."""
    counts = np.bincount(code)
    means = class_sums(x, code) / counts[:, None]
    return x.T @ x / len(x), (means * counts[:, None]).T @ means / len(x)


def class_sums(x: np.ndarray, code: np.ndarray) -> np.ndarray:
    """(C, D): the sum of the rows of each class."""
    from scipy import sparse
    return sparse.csr_matrix((np.ones(len(code)), (code, np.arange(len(code)))), shape=(code.max() + 1, len(code))) @ x


def kaldi_lda(x: np.ndarray, code: np.ndarray, dim: int, total_factor: float = 0.0) -> np.ndarray:
    """(dim, D) as Kaldi's ivector-compute-lda: f * total + (1 - f) * within is whitened, then the directions of largest between-class
    covariance are taken, largest first. With f = 0 the within-class covariance becomes the identity."""
    total, between = scatters(x, code)
    value, vector = _floored_eigh(total_factor * total + (1 - total_factor) * (total - between), total)
    whiten = (vector / np.sqrt(value)).T
    spread, direction = linalg.eigh(whiten @ between @ whiten.T)
    return direction[:, np.argsort(spread)[::-1][:dim]].T @ whiten


def classical_lda(x: np.ndarray, code: np.ndarray, dim: int) -> np.ndarray:
    """(dim, D): Fisher's discriminants (Fisher 1936; Rao 1948), the generalised eigenvectors of between- and within-class covariance,
    largest ratio first, scaled to within-class variance 1."""
    total, between = scatters(x, code)
    value, vector = _floored_eigh(total - between, total)
    _, direction = linalg.eigh(between, (vector * value) @ vector.T)
    return direction[:, ::-1][:, :dim].T


def length_norm(x: np.ndarray, kind: str) -> np.ndarray:
    """Rows (N, D) scaled to length sqrt(D) ("kaldi", as ivector-normalize-length), to length 1 ("unit"), or as they are ("none")."""
    if kind == "none":
        return x
    return x * ((np.sqrt(x.shape[1]) if kind == "kaldi" else 1.0) / np.linalg.norm(x, axis=1, keepdims=True))


def largest_eigenvalue(covariance: np.ndarray) -> float:
    """The largest eigenvalue of a symmetric matrix (D, D)."""
    size = len(covariance)
    return float(linalg.eigvalsh(covariance, subset_by_index=[size - 1, size - 1])[0])


def _floored_eigh(covariance: np.ndarray, total: np.ndarray | None = None) -> tuple[np.ndarray, np.ndarray]:
    """Eigenvalues (D,), none below FLOOR times the largest of `total` (None: of themselves), and eigenvectors (D, D) as columns."""
    value, vector = linalg.eigh(covariance)
    return np.maximum(value, FLOOR * (value[-1] if total is None else largest_eigenvalue(total))), vector
