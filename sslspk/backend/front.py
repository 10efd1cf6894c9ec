"""What LDA and PLDA share: labels of their training set, the transforms before them, and the folder that a trained back-end lives in.

The folder holds Kaldi's files: mean.vec (ivector-mean), transform.mat (an affine transform for ivector-transform), plda (<Plda>); so what
Kaldi made is read too. backend.yaml is the configuration.
"""
import os
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

from sslspk.backend import transforms
from sslspk.backend.base import as_matrix, refuse_row
from sslspk.backend.config import BackendConfig
from sslspk.config import load as load_config
from sslspk.config import to_yaml
from sslspk.errors import InputError
from sslspk.io import files, kaldi_model

MEAN, TRANSFORM, PLDA, CONFIG = "mean.vec", "transform.mat", "plda", "backend.yaml"


class Front(NamedTuple):
    """mean (D,), then an affine transform (D', D + 1) whose last column is the offset, then length normalisation."""

    mean: np.ndarray
    affine: np.ndarray
    length_norm: str

    def apply(self, x: np.ndarray) -> np.ndarray:
        """(N, D) -> (N, D')."""
        return transforms.length_norm(self.linear(x), self.length_norm)

    def linear(self, x: np.ndarray) -> np.ndarray:
        return (as_matrix(x) - self.mean) @ self.affine[:, :-1].T + self.affine[:, -1]

    def check(self, x: np.ndarray, names: Sequence[str] | None) -> None:
        """Refuse rows with NaN or infinity, of another width, or that the transform takes to zero."""
        x = as_matrix(x)
        if x.shape[1] != len(self.mean):
            raise InputError(f"the embeddings have {x.shape[1]} dimensions and the back-end {len(self.mean)}; take both from one model.")
        refuse_row(~np.isfinite(x).all(1), names, "holds NaN or infinity")
        refuse_row(~self.linear(x).any(1), names, "has length zero after the back-end's transform")


def chosen(labels: Sequence[str], config: BackendConfig) -> np.ndarray:
    """Rows (M,) of speakers with enough utterances, no more than max_utterances of each, drawn by the seed; in their order."""
    code = np.unique(np.asarray(labels), return_inverse=True)[1]
    counts = np.bincount(code)
    order = np.random.default_rng(config.seed).permutation(len(code))
    order = order[np.argsort(code[order], kind="stable")]
    place = np.arange(len(code)) - np.repeat(np.cumsum(counts) - counts, counts)
    keep = (counts[code[order]] >= config.min_utterances) & (place < (config.max_utterances or len(code)))
    return np.sort(order[keep])


def codes(labels: Sequence[str] | None, count: int) -> np.ndarray:
    """Speakers (N,) as 0 .. C-1. Raises InputError without labels, with one speaker, or if each speaker has one utterance."""
    if labels is None:
        raise InputError("LDA and PLDA learn from speaker labels or clusters; give --labels, or set lda and plda to none.")
    if len(labels) != count:
        raise ValueError(f"{len(labels)} labels for {count} embeddings")
    names, code = np.unique(np.asarray(labels), return_inverse=True)
    if len(names) < 2:
        raise InputError(f"there {'is one speaker' if len(names) else 'is no speaker'} to learn from, at least 2 are needed; look at the "
                         "labels, and at min_utterances.")
    if len(names) == count:
        raise InputError(f"each of the {count} speakers has one utterance, so how much a speaker varies cannot be learnt; give labels that "
                         "name the same speaker more than once.")
    return code


def fit(x: np.ndarray, code: np.ndarray | None, config: BackendConfig) -> Front:
    """Learn mean, whitening, PCA and LDA, in this order, from x (N, D) and speakers (N,) (None: without LDA)."""
    x = as_matrix(x)
    refuse_row(~np.isfinite(x).all(1), None, "holds NaN or infinity")
    mean = x.mean(0)
    x, matrix = x - mean, np.eye(x.shape[1])
    if not x.any():
        raise InputError("all embeddings are the same; look at the model that they come from.")

    def then(step: np.ndarray) -> None:
        nonlocal x, matrix
        x, matrix = x @ step.T, step @ matrix

    if config.whiten:
        then(transforms.whitening(x))
    if config.pca is not None:
        then(transforms.pca(x, config.pca))
    if config.lda != "none":
        dim = min(config.lda_dim, x.shape[1], code.max())
        then(transforms.kaldi_lda(x, code, dim, config.total_covariance_factor) if config.lda == "kaldi"
             else transforms.classical_lda(x, code, dim))
    return Front(mean, np.hstack([matrix, np.zeros((len(matrix), 1))]), config.length_norm)


def save(folder: str | os.PathLike, front: Front, config: BackendConfig) -> None:
    kaldi_model.write(os.path.join(folder, MEAN), front.mean)
    kaldi_model.write(os.path.join(folder, TRANSFORM), front.affine)
    with files.atomic_write(os.path.join(folder, CONFIG)) as file:
        file.write(to_yaml(config))


def load(folder: str | os.PathLike) -> tuple[Front, BackendConfig]:
    """Mean, transform and configuration of a folder; the defaults where it has no configuration (Kaldi's). Raises InputError naming a file
    that is missing or does not fit the others."""
    path = os.path.join(folder, CONFIG)
    config = load_config(BackendConfig, path if os.path.exists(path) else None)
    mean, affine = (kaldi_model.read(os.path.join(folder, name)) for name in (MEAN, TRANSFORM))
    if affine.ndim == 2 and affine.shape[1] == mean.size:  # linear, as ivector-compute-lda may leave it
        affine = np.hstack([affine, np.zeros((len(affine), 1))])
    if mean.ndim != 1 or affine.ndim != 2 or affine.shape[1] != mean.size + 1:
        raise InputError(f"{folder}: a mean of shape {mean.shape} does not match a transform {affine.shape}; train the back-end again.")
    return Front(mean, affine, config.length_norm), config
