"""Statistics of utterances under the UBM: each Gaussian's count of frames, and the moments of these frames around its mean."""
from pathlib import Path

import numpy as np

from sslspk.errors import InputError
from sslspk.io import files
from sslspk.ivector import gmm, state
from sslspk.ivector.config import IvectorConfig
from sslspk.ivector.frames import Specs, blocks
from sslspk.ivector.gmm import Gmm


def align(ubm: Gmm, x: np.ndarray, config: IvectorConfig):
    """Frames (T, D) -> sparse posteriors (T, C) of the top Gaussians; small ones are dropped."""
    chosen = gmm.choose(ubm.diagonal(), x, config.top_gaussians)
    posterior, _ = gmm.shares(gmm.chosen_log_likes(ubm, x, chosen), config.min_posterior)
    return gmm.spread(posterior, chosen, len(ubm.weights))


def of_block(ubm: Gmm, utterances: list[tuple[str, np.ndarray]], config: IvectorConfig, second: np.ndarray | None = None):
    """Statistics of some utterances: counts (U, C) and centred first moments (U, C, D), sums of posterior times (x - mean).

    second (C, D, D): if given, the sum of posterior times (x - mean)(x - mean)' over all utterances is added to it.
    """
    x = np.concatenate([frames for _, frames in utterances])
    posterior, start = align(ubm, x, config), 0
    counts = np.empty((len(utterances), len(ubm.weights)))
    first = np.empty((*counts.shape, x.shape[1]))
    for u, (_, frames) in enumerate(utterances):
        part = posterior[start:start + len(frames)]
        counts[u] = np.asarray(part.sum(0)).ravel()
        first[u] = part.T @ frames - counts[u][:, None] * ubm.means
        start += len(frames)
    if second is not None:
        total, moved = counts.sum(0)[:, None, None], first.sum(0)
        outer = moved[:, :, None] * ubm.means[:, None, :]
        second += gmm.scatter(posterior, x) - outer - outer.transpose(0, 2, 1) - total * ubm.means[:, :, None] * ubm.means[:, None, :]
    return counts, first


def write(specs: Specs, ubm: Gmm, config: IvectorConfig, prefix: str, source: str) -> int:
    """Write the statistics of all utterances; returns their number. PREFIX.npz (totals) appears last.

    PREFIX.counts.npy (U, C) and PREFIX.first.npy (U, C, D) are float32 because they are large: 4 C (D + 1) bytes per utterance.
    """
    total, dim = ubm.means.shape
    counts_sum, second, written = np.zeros(total), np.zeros((total, dim, dim)), 0
    with files.atomic_write(f"{prefix}.counts.npy", "wb") as counts_file, files.atomic_write(f"{prefix}.first.npy", "wb") as first_file:
        for file, shape in ((counts_file, (len(specs), total)), (first_file, (len(specs), total, dim))):
            np.lib.format.write_array_header_1_0(file, {"descr": "<f4", "fortran_order": False, "shape": shape})
        for utterances in blocks(specs, config, dim, source):
            counts, first = of_block(ubm, utterances, config, second)
            counts_sum += counts.sum(0)
            counts_file.write(counts.astype("<f4").tobytes())
            first_file.write(first.astype("<f4").tobytes())
            written += len(utterances)
    state.save(Path(f"{prefix}.npz"), counts=counts_sum, second=second, utterances=np.array(written))
    return written


class Statistics:
    """The statistics of all jobs: `len()` utterances, read from disk when needed; InputError for files not whole or not finite.

    counts_ (C,) and second_ (C, D, D): totals over all utterances.
    """

    def __init__(self, prefixes: list[str]):
        self._parts, self.counts_, self.second_ = [], 0.0, 0.0
        for prefix in prefixes:
            totals = state.load(Path(f"{prefix}.npz"), counts="C", second="C D D", utterances="")
            if self._parts and totals["second"].shape != self.second_.shape:
                raise InputError(f"{prefix}.npz: its Gaussians or features are others than those of {prefixes[0]}.npz; run the step that "
                                 "makes them again.")
            self.counts_, self.second_ = self.counts_ + totals["counts"], self.second_ + totals["second"]
            count, (total, dim, _) = int(totals["utterances"]), totals["second"].shape
            self._parts.append((state.mapped(f"{prefix}.counts.npy", (count, total)),
                                state.mapped(f"{prefix}.first.npy", (count, total, dim))))
        self._bounds = np.cumsum([0, *(len(counts) for counts, _ in self._parts)])

    def __len__(self) -> int:
        return int(self._bounds[-1])

    def rows(self, first: int, last: int) -> tuple[np.ndarray, np.ndarray]:
        """Counts (B, C) and first moments (B, C, D) of utterances `first` to `last` - 1, float64."""
        found = [(counts[max(first - begin, 0):max(last - begin, 0)], moments[max(first - begin, 0):max(last - begin, 0)])
                 for begin, (counts, moments) in zip(self._bounds[:-1], self._parts, strict=True)]
        counts, moments = (np.concatenate([np.asarray(part[i], np.float64) for part in found]) for i in (0, 1))
        if not (np.isfinite(counts).all() and np.isfinite(moments).all()):
            raise InputError(f"the statistics of utterances {first} to {last} hold NaN or infinite values; run the step again.")
        return counts, moments
