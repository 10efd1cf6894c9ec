"""SDPN's losses over prototypes (Chen et al. 2025, arXiv 2308.02774): cross-entropy to the teacher's assignment, and me-max."""
import math

import torch
from torch import Tensor

from sslspk.losses.precision import wide


def assignment_loss(log_p: Tensor, q: Tensor) -> dict[str, Tensor]:
    """Mean over the views and the batch of H(q, p): each of the student's views learns the teacher's one assignment.

    log_p (V, B, K) logarithms of the student's distributions; q (B, K) the teacher's, without gradient.
    Returns {"loss_prototypes", "teacher_entropy", "student_entropy", "kl"}, each a scalar, in nats; ln K is uniform.
    """
    log_p, q = wide(log_p), wide(q.detach())
    loss = -(q * log_p.mean(0)).sum(1).mean()
    entropy = torch.special.entr(q).sum(1).mean()
    with torch.no_grad():
        student = -(log_p.exp() * log_p).sum(2).mean()
    return {"loss_prototypes": loss, "teacher_entropy": entropy, "student_entropy": student, "kl": loss.detach() - entropy}


def me_max(mean: Tensor) -> Tensor:
    """ln K - H(mean) of the mean distribution (K,) over a whole batch: 0 where all prototypes are used alike (Assran et al. 2022, MSN)."""
    return math.log(len(mean)) - torch.special.entr(wide(mean)).sum()


def information(q: Tensor) -> Tensor:
    """H(mean of q) - mean of H(q) of distributions (N, K): how much they say of which recording it is, 0 to ln N nats."""
    q = wide(q)
    return torch.special.entr(q.mean(0)).sum() - torch.special.entr(q).sum(1).mean()
