"""Contrastive losses: a softmax over similarities, and which pairs attract each other. Everything is computed in float32."""
import torch
from torch import Tensor

from sslspk.losses.precision import wide


def affinity_contrastive(logits: Tensor, affinity: Tensor, valid: Tensor) -> Tensor:
    """L_i = - sum_j a_ij / (sum_k a_ik) log( exp(s_ij) / sum_{k valid} exp(s_ik) ), one loss for each anchor: (n,).

    logits    (n, N) s: cosines already scaled
    affinity  (n, N) a >= 0, float or bool: how much j attracts anchor i; counts as 0 where not valid
    valid     (n, N) bool: the columns that take part, the anchor itself not among them

    One positive of affinity 1 for each anchor: NT-Xent (Chen et al. 2020, Eq. 1). Zeros and ones: SupCon (Khosla et al. 2020,
    Eq. 2, the sum outside the logarithm). Graded affinities: our reading of the generalised contrastive loss (Inoue & Goto
    2020), of which we know the abstract. An anchor without any positive gives 0.
    """
    logits = wide(logits)
    log_p = torch.log_softmax(logits.masked_fill(~valid, torch.finfo(logits.dtype).min), dim=1)
    attraction = affinity.to(logits.dtype) * valid
    total = attraction.sum(1)
    share = attraction / torch.where(total > 0, total, 1).unsqueeze(1)
    return -(share * log_p).sum(1)


def info_nce(positive: Tensor, negative: Tensor, temperature: float) -> Tensor:
    """L_i = -log( exp(p_i / t) / (exp(p_i / t) + sum_j exp(n_ij / t)) ) (Zhang & Yu 2022, Eq. 2; MoCo, He et al. 2020, Eq. 1).

    positive (B,) and negative (B, K) are cosines of each anchor; returns (B,).
    """
    logits = torch.cat([wide(positive).unsqueeze(1), wide(negative)], dim=1) / temperature
    return -torch.log_softmax(logits, dim=1)[:, 0]


def false_negatives(positive: Tensor, negative: Tensor, ratio: float = 0.8, floor: float = 0.4) -> Tensor:
    """Which negatives are thought to be of the anchor's own speaker: n_ij > ratio p_i and p_i > floor (Zhang & Yu 2022, Eq. 3, 4).

    positive (B,) and negative (B, K) are cosines; returns bool (B, K). The paper asks of an anchor whether any is.
    """
    positive = wide(positive).unsqueeze(1)
    return (wide(negative) > ratio * positive) & (positive > floor)


def reweighted(per_anchor: Tensor, flagged: Tensor, true_weight: float, false_weight: float) -> Tensor:
    """sum_i w_i L_i / B, w_i = false_weight where flagged and else true_weight: a scalar (Zhang & Yu 2022, Eq. 5).

    per_anchor (B,) losses, flagged (B,) bool. Dividing by B, not by the sum of the weights, is our choice: a low weight then
    takes an anchor's share away and leaves the others theirs. Weights of 1 give per_anchor.mean() bit for bit.
    """
    per_anchor = wide(per_anchor)
    return torch.where(flagged, per_anchor * false_weight, per_anchor * true_weight).mean()
