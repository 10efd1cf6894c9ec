"""Losses that raise the mutual information of two parts of a recording: a discriminator tells pairs from non-pairs.

LIM and GIM (Ravanelli & Bengio 2019, arXiv 1812.00271, section 2), as Lepage 2021 computes them. positive (n,) and negative (n,) are
the scores of pairs and of non-pairs; where a loss needs those of the whole batch, everyone (N,) are the negative scores of all ranks.
Each returns a scalar in nats, computed in float32.
"""
import math

from torch import Tensor
from torch.nn import functional as F

from sslspk.losses.precision import wide


def bce(positive: Tensor, negative: Tensor) -> Tensor:
    """-E log s(positive) - E log(1 - s(negative)), s the logistic function: 2 ln 2 by chance.

    The authors' choice. (Lepage keeps s away from 0 and 1 by 1e-7; the logarithm of s needs no such guard here.)
    """
    return -F.logsigmoid(wide(positive)).mean() - F.logsigmoid(-wide(negative)).mean()


def mine(positive: Tensor, everyone: Tensor) -> Tensor:
    """-(E positive - log E exp(everyone)): less it is a lower bound on the mutual information (Belghazi et al. 2018)."""
    return -(wide(positive).mean() - (wide(everyone).logsumexp(0) - math.log(len(everyone))))


def nce(positive: Tensor, everyone: Tensor) -> Tensor:
    """-E [positive - log(exp(positive) + sum_j exp(everyone_j))]: a pair among N + 1 candidates; log(N + 1) less it is a lower bound."""
    positive = wide(positive)
    return (wide(everyone).logsumexp(0).logaddexp(positive) - positive).mean()
