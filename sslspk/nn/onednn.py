"""Layers that oneDNN computes on a CPU where torch would call MKL, whose products on AMD's processors have half the speed.

Their numbers differ from torch's layers in the rounding alone. Anywhere else they are torch's layers.
"""
import functools

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from sslspk.io import provenance
from sslspk.nn.moments import eager_cpu

LEAST_VALUES = 20480     # of a single recording: torch never gives fewer to oneDNN
LEAST_FRAMES = 16        # fewer, and weights below so many, take longer as a convolution
LEAST_WEIGHTS = 1 << 14


class Conv1d(nn.Conv1d):
    """nn.Conv1d, in which kernels of one frame are said to be dilated, for torch gives dilated kernels to oneDNN.

    Others of one frame it gives to MKL, if there are one thread and fewer than 16 recordings. A kernel of one frame has nothing to dilate:
    the result is the same.
    """

    def forward(self, x: Tensor) -> Tensor:
        single = self.kernel_size == self.stride == (1,) and self.padding == (0,)
        if single and _given(x) and (len(x) > 1 or x.numel() > LEAST_VALUES):
            return F.conv1d(x, self.weight, self.bias, dilation=2, groups=self.groups)
        return super().forward(x)


class Linear(nn.Linear):
    """nn.Linear, which is a convolution over the frames of sequences (B, T, C) where MKL is slow."""

    def forward(self, x: Tensor) -> Tensor:
        large = x.ndim == 3 and x.shape[1] >= LEAST_FRAMES and self.weight.numel() >= LEAST_WEIGHTS and x.shape[2] == self.in_features
        if large and _given(x) and x.is_contiguous() and slow_mkl():
            y = F.conv2d(x.transpose(1, 2).unsqueeze(2), self.weight[:, :, None, None], self.bias, dilation=2)
            return y.squeeze(2).transpose(1, 2)
        return super().forward(x)


def take_over(module: nn.Module) -> nn.Module:
    """Make every nn.Linear below `module` a Linear, in place: the same object, parameters and names."""
    for layer in module.modules():
        if type(layer) is nn.Linear:
            layer.__class__ = Linear
    return module


@functools.cache
def slow_mkl() -> bool:
    """Whether this is a processor of AMD with AVX-512, which MKL does not use there."""
    return "AuthenticAMD" in provenance.cpuinfo() and torch.backends.cpu.get_cpu_capability() == "AVX512"


def _given(x: Tensor) -> bool:
    return eager_cpu(x) and x.dtype == torch.float32 and torch.backends.mkldnn.is_available() and torch.backends.mkldnn.enabled
