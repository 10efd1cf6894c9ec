"""Losses of positive pairs alone, without negatives. Everything is computed in float32."""
from torch import Tensor
from torch.nn import functional as F

from sslspk.losses.precision import wide


def negative_cosine(prediction: Tensor, target: Tensor) -> Tensor:
    """Mean over the batch of -cos(p_i, z_i) of (B, D) and (B, D); no gradient reaches the target (Chen & He 2021, Eq. 1 and 3)."""
    return -_cosine(prediction, target.detach()).mean()


def positive_similarity(a: Tensor, b: Tensor) -> Tensor:
    """SSReg: mean over the batch of 1 - cos(a_i, b_i) of (B, D) and (B, D), with gradient to both (Sang et al. 2021).

    The paper's abstract says only that the regulariser uses the similarity of positive pairs: the form is our choice.
    """
    return (1 - _cosine(a, b)).mean()


def _cosine(a: Tensor, b: Tensor) -> Tensor:
    return (F.normalize(wide(a), dim=1) * F.normalize(wide(b), dim=1)).sum(1)
