"""Selects or weights the recordings of a training set by their losses, because their pseudo-labels may be wrong."""
import math
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor, nn

from sslspk.nn import comm

SMALLEST = 1e-6  # a loss of 0 has no logarithm


class LossGate(nn.Module):
    """Keeps each recording's last loss, and the threshold set from these losses; both are state, equal on all ranks.

    threshold () float32: the largest loss that counts; infinite while all count.
    """

    def __init__(self, recordings: int):
        super().__init__()
        self.register_buffer("losses", torch.full((recordings,), math.nan))
        self.register_buffer("threshold", torch.tensor(math.inf))

    @torch.no_grad()
    def record(self, losses: Tensor, units: Tensor) -> None:
        """Remember the losses (B,) of recordings (B,), those of all ranks."""
        self.losses[comm.gather(units)] = comm.gather(losses.to(self.losses.dtype))

    @torch.no_grad()
    def fix(self, threshold: float) -> None:
        """Loss-gated learning (Tao et al. 2022): a given threshold."""
        self.threshold.fill_(threshold)

    @torch.no_grad()
    def believe(self, share: float) -> None:
        """Raise the threshold until at least this share of the remembered losses passes."""
        seen = self.losses[self.losses.isfinite()]
        if share and len(seen):
            lowest = seen.sort().values[min(len(seen) - 1, int(share * len(seen)))]   # the first that need not pass
            self.threshold.copy_(comm.from_first_rank(torch.maximum(self.threshold, lowest)))

    @torch.no_grad()
    def fit(self) -> None:
        """Dynamic loss-gate (Han et al. 2022): fit the threshold to the remembered losses, on the first rank for all."""
        seen = self.losses[self.losses.isfinite()].double().cpu().numpy()
        gate = math.exp(crossing(np.log(np.maximum(seen, SMALLEST)))) if len(seen) > 2 else math.inf
        self.threshold.copy_(comm.from_first_rank(torch.tensor(gate, dtype=torch.float32, device=self.threshold.device)))


class LossWeights(nn.Module):
    """Keeps each recording's last loss, and the probability that its label is right; both are state, equal on all ranks.

    weight (recordings,) float32: this probability; 1 before the first `fit`.
    """

    def __init__(self, recordings: int):
        super().__init__()
        self.register_buffer("losses", torch.full((recordings,), math.nan))
        self.register_buffer("weight", torch.ones(recordings))

    @torch.no_grad()
    def record(self, losses: Tensor, units: Tensor) -> None:
        """Remember the losses (B,) of recordings (B,), those of all ranks."""
        self.losses[comm.gather(units)] = comm.gather(losses.to(self.losses.dtype))

    @torch.no_grad()
    def fit(self) -> None:
        """Set the weights: each recording's probability under the lower of two Gaussians of log losses; from the first rank for all."""
        losses = self.losses.double().cpu().numpy()
        seen = np.isfinite(losses)
        weight = np.ones(len(losses))
        if seen.sum() > 2:
            weight[seen] = lower(np.log(np.maximum(losses[seen], SMALLEST)))
        self.weight.copy_(comm.from_first_rank(torch.tensor(weight, dtype=torch.float32, device=self.weight.device)))


class Pair(NamedTuple):
    """Two Gaussians, the one with the lower mean first: means, deviations and weights (2,)."""

    mean: np.ndarray
    deviation: np.ndarray
    weight: np.ndarray


def two_gaussians(x: np.ndarray) -> Pair | None:
    """The mixture fitted to values (N,); None if they are all alike.

    The fit starts from the first and last decile, so it depends on the values alone.
    """
    from sklearn.mixture import GaussianMixture
    low, high = np.quantile(x, [0.1, 0.9])
    if not high > low:
        return None
    mixture = GaussianMixture(2, means_init=[[low], [high]], random_state=0, max_iter=200).fit(x[:, None])
    order = np.argsort(mixture.means_[:, 0])
    return Pair(*(a[order] for a in (mixture.means_[:, 0], np.sqrt(mixture.covariances_[:, 0, 0]), mixture.weights_)))


def lower(x: np.ndarray) -> np.ndarray:
    """The probability (N,) that each of the values (N,) belongs to the lower of two Gaussians fitted to them; 1 if they are all alike.

    Values below the lower mean get its probability: a wide upper Gaussian must not make small values unlikely.
    """
    pair = two_gaussians(x)
    if pair is None:
        return np.ones(len(x))
    x = np.maximum(x, pair.mean[0])[:, None]
    log_p = np.log(pair.weight / pair.deviation) - 0.5 * ((x - pair.mean) / pair.deviation) ** 2
    return 1 / (1 + np.exp(np.minimum(log_p[:, 1] - log_p[:, 0], 700)))


def crossing(x: np.ndarray) -> float:
    """Where the weighted densities of two Gaussians fitted to values (N,) cross between their means; inf if they do not."""
    pair = two_gaussians(x)
    if pair is None:
        return math.inf
    (m, n), (s, t), (v, w) = pair
    # log v N(x; m, s) - log w N(x; n, t) is a quadratic in x that falls from m to n. It crosses zero there at most once, where the lower
    # component ceases to dominate.
    roots = np.roots([0.5 / t ** 2 - 0.5 / s ** 2, m / s ** 2 - n / t ** 2,
                      0.5 * (n / t) ** 2 - 0.5 * (m / s) ** 2 + math.log(v / s) - math.log(w / t)])
    between = [r.real for r in roots if abs(r.imag) < 1e-12 and m < r.real < n]
    return float(between[0]) if between else math.inf
