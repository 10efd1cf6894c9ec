"""Gives each frame one of K labels without a transcript: its nearest k-means centroid, or the random vector nearest to its projection.

Letters: N and T frames, F features, K labels.
"""
import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from sslspk.errors import InputError
from sslspk.nn.kmeans import kmeans

DISTANCES = 1 << 24   # held at a time, at most
NORMALISE = ("none", "mean", "mean_deviation")


def nearest(x: Tensor, codes: Tensor) -> Tensor:
    """Vectors (..., F) -> int64 (...): the nearest of codes (K, F)."""
    rows, half = x.flatten(0, -2), codes.square().sum(1) / 2
    parts = rows.split(max(1, DISTANCES // len(codes)))
    return torch.cat([torch.addmm(-half, part, codes.T).argmax(1) for part in parts]).view(x.shape[:-1])


def random_vectors(codes: int, dim: int, features: int) -> tuple[Tensor, Tensor]:
    """BEST-RQ's Xavier-initialised projection (dim, features) and random unit vectors (codes, dim) (Chiu et al. 2022, arXiv 2202.01855,
    section 3.1)."""
    return nn.init.xavier_uniform_(torch.empty(dim, features)), F.normalize(torch.randn(codes, dim))


def projected(x: Tensor, projection: Tensor, codes: Tensor) -> Tensor:
    """Frames (..., F) -> int64 (...): each is projected (D, F) and scaled to length 1; its label is the nearest of codes (K, D)."""
    return nearest(F.normalize(x @ projection.T, dim=-1), codes)


def normalised(frames: Tensor, how: str) -> Tensor:
    """Frames (..., T, F) of an utterance minus their mean, and for "mean_deviation" divided by their deviation, bin by bin."""
    if how == "none":
        return frames
    frames = frames - frames.mean(-2, keepdim=True)
    return frames if how == "mean" else frames / frames.square().mean(-2, keepdim=True).sqrt().clamp_min(1e-5)


class Labeller:
    """labeller(frames (T, F)) -> int32 (T,). Its arrays are its state: centroids (K, F), or projection (D, F) and codes (K, D)."""

    def __init__(self, normalise: str, **arrays: np.ndarray):
        self.normalise, self.arrays = normalise, arrays
        self._tensors = {name: torch.from_numpy(array) for name, array in arrays.items()}

    @classmethod
    def clusters(cls, points: np.ndarray, classes: int, normalise: str, iterations: int, seed: int) -> "Labeller":
        """K-means of points (N, F), which are normalised frames. Raises InputError for fewer points than classes."""
        found = kmeans(torch.from_numpy(points), classes, iterations=iterations, seed=seed)
        return cls(normalise, centroids=found.centroids.numpy())

    @classmethod
    def random(cls, features: int, classes: int, dim: int, normalise: str, seed: int) -> "Labeller":
        """A random projection quantiser, which learns nothing."""
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(seed)
            projection, codes = random_vectors(classes, dim, features)
        return cls(normalise, projection=projection.numpy(), codes=codes.numpy())

    def __call__(self, frames: np.ndarray) -> np.ndarray:
        x = self.normalise_frames(frames)
        known = self._tensors
        wanted = known["centroids" if "centroids" in known else "projection"].shape[1]
        if x.shape[-1] != wanted:
            raise InputError(f"frames of {x.shape[-1]} features are not those that the labels were learnt on, {wanted}; use one model.")
        found = nearest(x, known["centroids"]) if "centroids" in known else projected(x, known["projection"], known["codes"])
        return found.numpy().astype(np.int32)

    def normalise_frames(self, frames: np.ndarray) -> Tensor:
        """The normalised frames, which are compared with centroids or projected."""
        return normalised(torch.from_numpy(np.ascontiguousarray(frames, np.float32)), self.normalise)
