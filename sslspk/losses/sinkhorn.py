"""Balanced assignment of a batch to prototypes (Cuturi 2013, arXiv 1306.0895; SwAV, Caron et al. 2020, arXiv 2006.09882, Eq. 3 and 4)."""
import math

import torch
from torch import Tensor

from sslspk.losses.precision import wide


def sinkhorn(log_p: Tensor, iterations: int) -> Tensor:
    """(N, K) logarithms of a positive score of recording n and prototype k -> (N, K) assignments q, each row of which sums to 1.

    An iteration brings each prototype's total to N / K, then each recording's to 1, so that no prototype is left out and none takes
    all. 0 iterations: each recording's scores are divided by their sum. The batch is that of all ranks. Everything stays a logarithm
    until the end: a score may be too small for float32.
    """
    log_q = torch.log_softmax(wide(log_p), dim=1)
    share = math.log(log_q.shape[0] / log_q.shape[1])
    for _ in range(iterations):
        log_q = torch.log_softmax(log_q - torch.logsumexp(log_q, dim=0, keepdim=True) + share, dim=1)
    return log_q.exp()
