"""ProtoNCE: an utterance against the centroids of a clustering (PCL, Li et al. 2021; Zhang & Yu 2022)."""
import torch
from torch import Tensor
from torch.nn import functional as F

from sslspk.losses.precision import dots, wide


def density(distance_sum: Tensor, count: Tensor, temperature: float, epsilon: float = 10.0) -> Tensor:
    """phi_c = sum_z ||z - mu_c|| / (Z_c log(Z_c + epsilon)), which stands for the temperature at prototype c: (K,).

    distance_sum (K,) of the members' distances to their centroid, count (K,) members Z_c. As in PCL, a cluster that has no
    spread to measure (at most one member, or all in one point) gets the largest phi of the others, phi is clipped to its 10 %
    and 90 % percentiles, and is scaled to a mean of `temperature`. Where no cluster has a spread all are `temperature`.
    """
    distance_sum = wide(distance_sum)
    count = count.to(distance_sum.dtype)
    spread = (count > 1) & (distance_sum > 0)
    phi = torch.where(spread, distance_sum / torch.where(spread, count * torch.log(count + epsilon), 1), 0)
    largest = phi.max()
    phi = torch.where(spread, phi, torch.where(largest > 0, largest, 1))
    phi = phi.clamp(torch.quantile(phi, 0.1), torch.quantile(phi, 0.9))
    return temperature * phi / phi.mean()


def proto_nce(query: Tensor, centroids: Tensor, phi: Tensor, assignment: Tensor, absent: Tensor | None = None) -> Tensor:
    """L_i = -log( exp(v_i . c_own / phi_own) / sum_c exp(v_i . c / phi_c) ), one loss for each anchor: (B,).

    query (B, D) and centroids (K, D) of length 1, phi (K,) > 0, assignment (B,) int64: the anchor's own prototype, -1 for an
    anchor that has none and gives 0. All other prototypes are negatives; PCL and Zhang & Yu (2022) sample them.
    absent (K,) bool: places of a bank that hold no prototype.
    """
    logits = dots(query, centroids) / wide(phi)
    if absent is not None:
        logits = logits.masked_fill(absent, torch.finfo(logits.dtype).min)
    return F.cross_entropy(logits, assignment, ignore_index=-1, reduction="none")
