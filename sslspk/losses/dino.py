"""DINO's loss: cross-entropy from each teacher view to every other student view (Caron et al. 2021, Eq. 1-3; Cho et al. 2022)."""
import torch
from torch import Tensor

from sslspk.losses.precision import wide

LOGITS = 2 ** 22   # of the student, in one chunk of the batch: each intermediate tensor takes 16 MiB in float32


def dino_loss(student: Tensor, teacher: Tensor, centre: Tensor, student_temp: float, teacher_temp: float) -> dict[str, Tensor]:
    """Mean over the pairs (teacher view i, student view j), j != i, of the cross-entropy H(q_i, p_j).

    student  (V, B, K) logits; views 0 .. W-1 are the crops that the teacher sees too
    teacher  (W, B, K) logits, W <= V     centre (K,); no gradient reaches these two
    q_i = softmax((teacher_i - centre) / teacher_temp), p_j = softmax(student_j / student_temp)

    sum_{i, j != i} q_i . log p_j  =  sum_i q_i . (S - log p_i)  with S = sum_j log p_j: one K-wide product per teacher view
    instead of one per pair. Everything is computed in float32.

    Returns {"loss", "teacher_entropy", "student_entropy", "kl"}, each a scalar; entropies in nats (ln K is uniform),
    kl is the mean divergence KL(q_i || p_j) over the same pairs.
    """
    loss, entropy_q, entropy_p = _CrossEntropy.apply(student, teacher, centre, student_temp, teacher_temp)
    return {"loss": loss, "teacher_entropy": entropy_q, "student_entropy": entropy_p, "kl": loss.detach() - entropy_q}


class _CrossEntropy(torch.autograd.Function):
    """(loss, the teacher's entropy, the student's) as `dino_loss` says, with the gradient computed in the forward pass.

    The batch is taken in chunks of recordings. Of each, the loss and its gradient are computed together, so that of all K-wide tensors only
    the gradient outlives its chunk.
    """

    @staticmethod
    def forward(ctx, student: Tensor, teacher: Tensor, centre: Tensor, student_temp: float, teacher_temp: float) -> tuple[Tensor, ...]:
        views, batch, size = student.shape
        teachers, pairs, step = len(teacher), len(teacher) * (views - 1), max(1, LOGITS // (views * size))
        gradient = torch.empty_like(student) if ctx.needs_input_grad[0] else None
        found = []
        for begin in range(0, batch, step):
            rows = slice(begin, begin + step)
            log_p = torch.log_softmax(wide(student[:, rows]) / student_temp, dim=-1)
            log_q = torch.log_softmax((wide(teacher[:, rows]) - wide(centre)) / teacher_temp, dim=-1)
            q = log_q.exp()
            found.append([(q * (log_p.sum(0) - log_p[:teachers])).sum(-1), (q * log_q).sum(-1), log_p.exp().mul_(log_p).sum(-1)])
            if gradient is not None:
                torch.div(_gradient(log_p, q * (-q.new_ones(()) / pairs / batch)), student_temp, out=gradient[:, rows])
        if gradient is not None:
            ctx.save_for_backward(gradient)
        products, *entropies = (torch.cat(parts, dim=1) for parts in zip(*found, strict=True))
        figures = [-entropy.mean() for entropy in entropies]
        ctx.mark_non_differentiable(*figures)
        return -products.mean(1).sum() / pairs, *figures

    @staticmethod
    @torch.autograd.function.once_differentiable
    def backward(ctx, of_loss: Tensor, *_) -> tuple[Tensor | None, ...]:
        return ctx.saved_tensors[0] * of_loss, None, None, None, None


def _gradient(log_p: Tensor, q: Tensor) -> Tensor:
    """The gradient of sum_i q_i . (S - log p_i) with respect to the logits over temperature, (V, B, K); q may be scaled."""
    of_log_p = q.sum(0).expand_as(log_p).clone()
    of_log_p[:len(q)] -= q
    return torch.ops.aten._log_softmax_backward_data(of_log_p, log_p, -1, log_p.dtype)


def updated_centre(centre: Tensor, batch_mean: Tensor, momentum: float) -> Tensor:
    """C <- m C + (1 - m) mean of the teacher's logits over views, batch and ranks (Zhang & Yu 2022, slide "Centering")."""
    return centre * momentum + batch_mean * (1 - momentum)
