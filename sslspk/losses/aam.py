"""Additive angular margin softmax (Deng et al. 2019, ArcFace, Eq. 3)."""
import math

import torch
from torch import Tensor
from torch.nn import functional as F

from sslspk.losses.precision import dots


def aam_logits(cosine: Tensor, labels: Tensor, scale: float, margin: float) -> Tensor:
    """s cos(theta + m) for the true class and s cos(theta) for the others.

    cosine (B, C) in [-1, 1], labels (B,) int64. Where theta + m would pass pi, cos(theta) - m sin(m) stands in, so that
    the logit keeps falling as theta grows.
    """
    cosine = cosine.float().clamp(-1 + 1e-7, 1 - 1e-7)
    sine = torch.sqrt(1 - cosine ** 2)
    moved = cosine * math.cos(margin) - sine * math.sin(margin)
    moved = torch.where(cosine > -math.cos(margin), moved, cosine - margin * math.sin(margin))
    true = F.one_hot(labels, cosine.shape[1]).bool()
    return scale * torch.where(true, moved, cosine)


def aam_loss(embedding: Tensor, weight: Tensor, labels: Tensor, scale: float, margin: float) -> tuple[Tensor, Tensor]:
    """(cross-entropy, accuracy without margin) of embeddings (B, D) against class weights (C, D)."""
    cosine = dots(F.normalize(embedding.float()), F.normalize(weight.float()))
    loss = F.cross_entropy(aam_logits(cosine, labels, scale, margin), labels)
    return loss, (cosine.argmax(1) == labels).float().mean()
