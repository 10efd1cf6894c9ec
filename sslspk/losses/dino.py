"""DINO's loss: cross-entropy from each teacher view to every other student view (Caron et al. 2021, Eq. 1-3; Cho et al. 2022)."""
import torch
from torch import Tensor

from sslspk.losses.precision import wide


def dino_loss(student: Tensor, teacher: Tensor, centre: Tensor, student_temp: float, teacher_temp: float) -> dict[str, Tensor]:
    """Mean over the pairs (teacher view i, student view j), j != i, of the cross-entropy H(q_i, p_j).

    student  (V, B, K) logits; views 0 .. W-1 are the crops that the teacher sees too
    teacher  (W, B, K) logits, W <= V     centre (K,)
    q_i = softmax((teacher_i - centre) / teacher_temp), p_j = softmax(student_j / student_temp)

    sum_{i, j != i} q_i . log p_j  =  sum_i q_i . (S - log p_i)  with S = sum_j log p_j: one K-wide product per teacher view
    instead of one per pair. Everything is computed in float32.

    Returns {"loss", "teacher_entropy", "student_entropy", "kl"}, each a scalar; entropies in nats (ln K is uniform),
    kl is the mean divergence KL(q_i || p_j) over the same pairs.
    """
    views, teachers = student.shape[0], teacher.shape[0]
    log_p = torch.log_softmax(wide(student) / student_temp, dim=-1)
    log_q = torch.log_softmax((wide(teacher) - wide(centre)) / teacher_temp, dim=-1)
    q = log_q.exp()
    total = log_p.sum(0)
    pairs = teachers * (views - 1)
    loss = -(q * (total - log_p[:teachers])).sum(-1).mean(1).sum() / pairs
    entropy_q = -(q * log_q).sum(-1).mean()
    with torch.no_grad():
        entropy_p = -(log_p.exp() * log_p).sum(-1).mean()
    return {"loss": loss, "teacher_entropy": entropy_q, "student_entropy": entropy_p, "kl": loss.detach() - entropy_q}


def updated_centre(centre: Tensor, batch_mean: Tensor, momentum: float) -> Tensor:
    """C <- m C + (1 - m) mean of the teacher's logits over views, batch and ranks (Zhang & Yu 2022, slide "Centering")."""
    return centre * momentum + batch_mean * (1 - momentum)
