"""The Kullback-Leibler divergence of Gaussians that have no correlations."""
import torch
from torch import Tensor

from sslspk.losses.precision import wide


def gaussian_kl(mean: Tensor, log_variance: Tensor, prior_mean: Tensor, prior_log_variance: Tensor) -> Tensor:
    """KL(q || p) in nats of q = N(mean, exp log_variance) from p, summed over the last dimension: (..., D) -> (...), in float32.

    1/2 sum_d [ log s_p^2 - log s_q^2 + (s_q^2 + (m_q - m_p)^2) / s_p^2 - 1 ]   (Kingma & Welling 2014, appendix B, for any p)
    """
    mean, log_variance, prior_mean, prior_log_variance = map(wide, (mean, log_variance, prior_mean, prior_log_variance))
    gap = log_variance - prior_log_variance
    return 0.5 * (gap.exp() - gap - 1 + (mean - prior_mean).square() * torch.exp(-prior_log_variance)).sum(-1)


def standard_kl(mean: Tensor, log_variance: Tensor) -> Tensor:
    """`gaussian_kl` from N(0, I)."""
    nought = torch.zeros_like(wide(mean))
    return gaussian_kl(mean, log_variance, nought, nought)
