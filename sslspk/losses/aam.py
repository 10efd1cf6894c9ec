"""Softmax with a margin: additive angular (Deng et al. 2019, ArcFace, Eq. 3), with sub-centres and an inter-top-k margin, and additive."""
import math

import torch
from torch import Tensor
from torch.nn import functional as F

from sslspk.losses.precision import dots, unit_rows, wide

EDGE = 1 - 1e-7  # cosines are kept off +-1, where the sine has no slope


def class_cosines(embedding: Tensor, weight: Tensor, centres: int = 1) -> Tensor:
    """Cosine of embeddings (B, D) with each class, (B, C): that of the nearest of its `centres` sub-centres.

    weight (C * centres, D), a class's sub-centres in consecutive rows (Deng et al. 2020, sub-centre ArcFace, Eq. 3).
    """
    cosine = dots(F.normalize(wide(embedding)), unit_rows(weight))
    return cosine.unflatten(1, (-1, centres)).amax(2) if centres > 1 else cosine


def aam_logits(cosine: Tensor, labels: Tensor, scale: float, margin: float, inter_margin: float = 0.0, top_k: int = 5) -> Tensor:
    """s cos(theta + m) for the true class, s cos(theta) for the others; s cos(theta - m') for the top_k hardest of these.

    cosine (B, C) in [-1, 1], labels (B,) int64. Where theta + m would pass pi, cos(theta) - m sin(m) stands in, so that
    the logit keeps falling as theta grows; where theta - m' would pass 0, a line of slope 1 goes on from there.
    inter_margin, top_k: m' and k of the inter-top-k margin (Zhao et al. 2022, the SpeakIn system for VoxSRC 2021); 0: none.
    """
    cosine = wide(cosine).clamp(-EDGE, EDGE)
    sine = torch.sqrt(1 - cosine ** 2)
    true = F.one_hot(labels, cosine.shape[1]).bool()
    moved = cosine * math.cos(margin) - sine * math.sin(margin)
    moved = torch.where(cosine > -math.cos(margin), moved, cosine - margin * math.sin(margin))
    others = cosine
    if inter_margin > 0:
        hardest = cosine.detach().masked_fill(true, -2.0).topk(min(top_k, cosine.shape[1] - 1), dim=1).indices
        raised = cosine * math.cos(inter_margin) + sine * math.sin(inter_margin)
        raised = torch.where(cosine < math.cos(inter_margin), raised, 1 + cosine - math.cos(inter_margin))
        others = torch.where(torch.zeros_like(true).scatter(1, hardest, True), raised, cosine)
    return scale * torch.where(true, moved, others)


def am_logits(cosine: Tensor, labels: Tensor, scale: float, margin: float) -> Tensor:
    """s (cos theta - m) for the true class, s cos(theta) for the others (Wang et al. 2018, AM-softmax, Eq. 6): (B, C)."""
    return scale * (wide(cosine) - margin * F.one_hot(labels, cosine.shape[1]))


def aam_losses(cosine: Tensor, labels: Tensor, scale: float, margin: float, inter_margin: float = 0.0, top_k: int = 5) -> Tensor:
    """Cross-entropy (B,) of cosines with each class (B, C) under labels (B,)."""
    return F.cross_entropy(aam_logits(cosine, labels, scale, margin, inter_margin, top_k), labels, reduction="none")
