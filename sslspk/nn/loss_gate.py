"""A gate on losses: selects the recordings of a training set whose doubtful labels are used."""
import math
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor, nn

from sslspk.nn import comm

SMALLEST = 1e-6  # a loss of 0 has no logarithm


class LossGate(nn.Module):
    """Keeps each recording's last loss, and the gate that follows from them; both are state, equal on all ranks.

    threshold () float32: the largest loss that counts, infinite while all do.
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
        """Loss-gated learning (Tao et al. 2022): a threshold that is given."""
        self.threshold.fill_(threshold)

    @torch.no_grad()
    def believe(self, share: float) -> None:
        """Raise the threshold until at least that share of the remembered losses passes."""
        seen = self.losses[self.losses.isfinite()]
        if share and len(seen):
            lowest = seen.sort().values[min(len(seen) - 1, int(share * len(seen)))]   # the first that need not pass
            self.threshold.copy_(comm.from_first_rank(torch.maximum(self.threshold, lowest)))

    @torch.no_grad()
    def fit(self) -> None:
        """Dynamic loss-gate (Han et al. 2022): the threshold that the remembered losses give; the first rank's for all."""
        seen = self.losses[self.losses.isfinite()].double().cpu().numpy()
        gate = math.exp(crossing(np.log(np.maximum(seen, SMALLEST)))) if len(seen) > 2 else math.inf
        self.threshold.copy_(comm.from_first_rank(torch.tensor(gate, dtype=torch.float32, device=self.threshold.device)))


class LossWeights(nn.Module):
    """Keeps each recording's last loss, and how likely it is that its label is right; both are state, equal on all ranks.

    weight (recordings,) float32: 1 until losses were fitted.
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
        """The chance that a recording is of the lower of two Gaussians of the logarithms of the losses; the first rank's for all."""
        losses = self.losses.double().cpu().numpy()
        seen = np.isfinite(losses)
        weight = np.ones(len(losses))
        if seen.sum() > 2:
            weight[seen] = lower(np.log(np.maximum(losses[seen], SMALLEST)))
        self.weight.copy_(comm.from_first_rank(torch.tensor(weight, dtype=torch.float32, device=self.weight.device)))


class Pair(NamedTuple):
    """Two Gaussians, that of the lower mean first: means, deviations and weights (2,)."""

    mean: np.ndarray
    deviation: np.ndarray
    weight: np.ndarray


def two_gaussians(x: np.ndarray) -> Pair | None:
    """The mixture fitted to values (N,); None where they are all alike.

    The fit starts from the deciles, so that it depends on nothing but the values.
    """
    from sklearn.mixture import GaussianMixture
    low, high = np.quantile(x, [0.1, 0.9])
    if not high > low:
        return None
    mixture = GaussianMixture(2, means_init=[[low], [high]], random_state=0, max_iter=200).fit(x[:, None])
    order = np.argsort(mixture.means_[:, 0])
    return Pair(*(a[order] for a in (mixture.means_[:, 0], np.sqrt(mixture.covariances_[:, 0, 0]), mixture.weights_)))


def lower(x: np.ndarray) -> np.ndarray:
    """How likely it is that each of the values (N,) is of the lower of two Gaussians fitted to them, (N,); 1 where they are all alike.

    Below the lower mean it is what it is there: a wide upper Gaussian does not make small values unlikely.
    """
    pair = two_gaussians(x)
    if pair is None:
        return np.ones(len(x))
    x = np.maximum(x, pair.mean[0])[:, None]
    log_p = np.log(pair.weight / pair.deviation) - 0.5 * ((x - pair.mean) / pair.deviation) ** 2
    return 1 / (1 + np.exp(np.minimum(log_p[:, 1] - log_p[:, 0], 700)))


def crossing(x: np.ndarray) -> float:
    """Where the two weighted densities of a Gaussian mixture fitted to values (N,) cross between its means; inf where they do not."""
    pair = two_gaussians(x)
    if pair is None:
        return math.inf
    (m, n), (s, t), (v, w) = pair
    # log v N(x; m, s) - log w N(x; n, t) is a quadratic in x. Its extremum is never between the means, and it falls from m to n: there is
    # one crossing at most, where the lower component ceases to dominate.
    roots = np.roots([0.5 / t ** 2 - 0.5 / s ** 2, m / s ** 2 - n / t ** 2,
                      0.5 * (n / t) ** 2 - 0.5 * (m / s) ** 2 + math.log(v / s) - math.log(w / t)])
    between = [r.real for r in roots if abs(r.imag) < 1e-12 and m < r.real < n]
    return float(between[0]) if between else math.inf
