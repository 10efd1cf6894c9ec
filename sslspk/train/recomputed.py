"""train.recompute: blocks of the encoders keep only their input, and are computed a second time in the backward pass.

Chen et al. 2016, "Training deep nets with sublinear memory cost" (arXiv 1604.06174).
"""
import contextlib
import functools
from collections.abc import Callable, Iterator

import torch
from torch import nn
from torch.utils.checkpoint import checkpoint


def recompute_blocks(method: nn.Module) -> None:
    """Make every block of the encoders (Encoder.blocks_to_recompute) keep only its input, in place. The names of weights do not change.

    Dropout is drawn again as it was, and autocast is as it was.
    """
    for encoder in method.backbones():
        for block in encoder.blocks_to_recompute:
            block.forward = functools.partial(_keep_input, block, block.forward)


def _keep_input(block: nn.Module, forward: Callable, *args, **kwargs):
    if not torch.is_grad_enabled():   # a teacher, an evaluation: nothing is kept anyway
        return forward(*args, **kwargs)
    return checkpoint(forward, *args, use_reentrant=False, context_fn=lambda: (contextlib.nullcontext(), _buffers_kept(block)), **kwargs)


@contextlib.contextmanager
def _buffers_kept(block: nn.Module) -> Iterator[None]:
    """Puts back the running statistics of BatchNorm afterwards: the second pass over a batch must not count."""
    before = [buffer.clone() for buffer in block.buffers()]
    try:
        yield
    finally:
        for buffer, value in zip(block.buffers(), before, strict=True):
            buffer.copy_(value)
