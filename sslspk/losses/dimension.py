"""Losses that make each dimension of a batch vary, and any two dimensions uncorrelated. The batch is that of all ranks.

VICReg (Bardes et al. 2022, arXiv 2105.04906), Barlow Twins (Zbontar et al. 2021, arXiv 2103.03230), RDINO (Chen et al. 2023),
dimension regularisation (arXiv 2505.13826). Everything is computed in float32.
"""
import torch
from torch import Tensor
from torch.nn import functional as F

from sslspk.losses.precision import dots, wide

VARIANCE_FLOOR = 1e-4   # VICReg's epsilon: where a dimension does not vary, the slope of its deviation is finite


def covariance(x: Tensor) -> Tensor:
    """(N, D) -> (D, D), the sum of products of the centred columns divided by N - 1 (VICReg, Eq. 3)."""
    x = wide(x)
    x = x - x.mean(0)
    return dots(x.T, x.T) / (len(x) - 1)


def correlation(a: Tensor, b: Tensor) -> Tensor:
    """(N, D) and (N, E) -> (D, E), the correlation of each column of a with each of b; with b = a those within a.

    Barlow Twins, Eq. 2, after BatchNorm, so that a column that does not vary has correlation 0 with all.
    """
    a, b = (_standardised(wide(x)) for x in (a, b))
    return dots(a.T, b.T) / len(a)


def _standardised(x: Tensor) -> Tensor:
    x = x - x.mean(0)
    return x * torch.rsqrt(x.square().mean(0) + 1e-5)   # BatchNorm's epsilon


def off_diagonal(c: Tensor) -> Tensor:
    """Sum of the squares of (D, D) off the diagonal, divided by D (VICReg, Eq. 4)."""
    return (c.square().sum() - c.diagonal().square().sum()) / len(c)


def frobenius(c: Tensor) -> Tensor:
    """||C - I||_F^2 of (D, D)."""
    return (c.square().sum() - c.diagonal().square().sum()) + (c.diagonal() - 1).square().sum()


def variance_hinge(x: Tensor) -> Tensor:
    """Mean over the columns of max(0, 1 - deviation) of (N, D) (VICReg, Eq. 1 and 2)."""
    return F.relu(1 - torch.sqrt(wide(x).var(0) + VARIANCE_FLOOR)).mean()
