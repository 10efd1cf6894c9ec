"""A quasi-recurrent layer (Bradbury et al. 2016, arXiv 1611.01576): gates from a convolution, and a recurrence without weights."""
import torch
from torch import Tensor, nn
from torch.autograd.function import once_differentiable
from torch.nn import functional as F

from sslspk.losses.precision import wide

EXPORTED_PASSES = 16   # enough for 65536 steps: eleven minutes, more than an encoder sees at a time


class Qrnn(nn.Module):
    """(B, C, T) -> (B, H, T), or (B, 2 H, T) in both directions: first the forward units, then the backward ones.

    z = tanh(W_z x), f = sigmoid(W_f x), o = sigmoid(W_o x), x the last `window` steps (Eq. 1; before the first one, zeros)
    c_t = f_t c_(t-1) + (1 - f_t) z_t,   h_t = o_t c_t                                  (fo-pooling, Eq. 4)
    Parameters: directions (3 H window C + 3 H). The recurrence is computed in float32.
    """

    def __init__(self, inputs: int, hidden: int, bidirectional: bool = False, window: int = 2):
        super().__init__()
        self.window = window
        self.gates = nn.ModuleList(nn.Conv1d(inputs, 3 * hidden, window) for _ in range(1 + bidirectional))

    def forward(self, x: Tensor) -> Tensor:
        return torch.cat([self._direction(x, gates, backwards) for gates, backwards in zip(self.gates, (False, True), strict=False)], 1)

    def _direction(self, x: Tensor, gates: nn.Conv1d, backwards: bool) -> Tensor:
        found = gates(F.pad(x.flip(2) if backwards else x, (self.window - 1, 0)))
        candidate, forget, output = wide(found).chunk(3, 1)
        forget = forget.sigmoid()
        seen = output.sigmoid() * accumulate(forget, (1 - forget) * candidate.tanh())
        return seen.flip(2) if backwards else seen


def accumulate(keep: Tensor, new: Tensor) -> Tensor:
    """c_t = keep_t c_(t-1) + new_t along the last axis of (..., T), c = 0 before the first step; differentiable once."""
    return _scan_any_length(keep, new) if torch.onnx.is_in_onnx_export() else _Accumulate.apply(keep, new)


def _scan(keep: Tensor, new: Tensor) -> Tensor:
    """The recurrence in log2 T passes: after pass n, each step holds the sum over the last 2^n steps."""
    keep, new, reach = keep.clone(), new.clone(), 1
    while reach < new.shape[-1]:
        new[..., reach:] += keep[..., reach:] * new[..., :-reach]
        keep[..., reach:] = keep[..., reach:] * keep[..., :-reach]
        reach *= 2
    return new


def _scan_any_length(keep: Tensor, new: Tensor) -> Tensor:
    """`_scan` for up to 2^EXPORTED_PASSES steps; their number is known only when the graph runs."""
    for i in range(EXPORTED_PASSES):
        reach = 1 << i
        new = new + keep * F.pad(new, (reach, 0))[..., :-reach]
        keep = keep * F.pad(keep, (reach, 0))[..., :-reach]
    return new


class _Accumulate(torch.autograd.Function):
    """Backward is the same recurrence in reverse time; it needs only `keep` and the result, not the passes."""

    @staticmethod
    def forward(ctx, keep: Tensor, new: Tensor) -> Tensor:
        out = _scan(keep, new)
        ctx.save_for_backward(keep, out)
        return out

    @staticmethod
    @once_differentiable
    def backward(ctx, grad: Tensor) -> tuple[Tensor, Tensor]:
        keep, out = ctx.saved_tensors
        later = F.pad(keep, (0, 1))[..., 1:]                                         # keep_(t+1), 0 after the last step
        to_new = _scan(later.flip(-1), grad.flip(-1)).flip(-1)
        return to_new * F.pad(out, (1, 0))[..., :-1], to_new
