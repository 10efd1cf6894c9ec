"""Layers that several encoders share. One-dimensional maps are (B, C, T), two-dimensional ones (B, C, F, T).

ReLUs work in place where the layer before them does not need its own output for the gradient (convolutions, BatchNorm, sums).
"""
from collections.abc import Sequence

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from sslspk.nn.onednn import Conv1d


class Stack(nn.Sequential):
    """nn.Sequential that `compile` turns into one graph: torch.compile skips the forward functions of torch's own modules."""

    def forward(self, x: Tensor) -> Tensor:
        for layer in self:
            x = layer(x)
        return x


class ConvReluNorm(nn.Module):
    """Convolution over time, ReLU, BatchNorm. `same` pads with zeros to keep T; otherwise T shrinks by (kernel-1)*dilation.

    reflect: pad with reflected frames instead of zeros; T must be larger than the padding.
    """

    def __init__(self, in_channels: int, out_channels: int, kernel: int, dilation: int = 1, *, same: bool, affine: bool = True,
                 reflect: bool = False):
        super().__init__()
        padding = dilation * (kernel - 1) // 2 if same else 0
        mode = "reflect" if reflect and padding else "zeros"
        self.conv = Conv1d(in_channels, out_channels, kernel, dilation=dilation, padding=padding, padding_mode=mode)
        self.norm = nn.BatchNorm1d(out_channels, affine=affine)

    def forward(self, x: Tensor) -> Tensor:
        return self.norm(F.relu_(self.conv(x)))


class SqueezeExcite(nn.Module):
    """Scales each channel by a gate computed from all channels' means (Hu et al. 2018): (B, C, ...) -> the same shape.

    The hidden bias starts at zero. After BatchNorm the means are near zero, so a random bias alone would decide which hidden
    units are dead; with two units (16 channels, reduction 8), both would be dead in one layer of four.
    """

    def __init__(self, channels: int, bottleneck: int):
        super().__init__()
        self.squeeze = nn.Linear(channels, bottleneck)
        self.excite = nn.Linear(bottleneck, channels)
        nn.init.zeros_(self.squeeze.bias)

    def forward(self, x: Tensor) -> Tensor:
        dims = list(range(2, x.ndim))
        gate = torch.sigmoid(self.excite(F.relu_(self.squeeze(x.mean(dims)))))
        return x * gate.view(*gate.shape, *[1] * len(dims))


class Res2Conv(nn.Module):
    """Res2Net's multi-scale convolution (Gao et al. 2019, eq. 1): `scale` groups of channels; each sees the output of the one before.

    y_1 = x_1, y_2 = K_2(x_2), y_i = K_i(x_i + y_(i-1)); K is ConvReluNorm. (B, C, T) -> (B, C, T).
    """

    def __init__(self, channels: int, kernel: int, dilation: int, scale: int, reflect: bool = False):
        super().__init__()
        width = channels // scale
        self.scale = scale
        self.layers = nn.ModuleList(ConvReluNorm(width, width, kernel, dilation, same=True, reflect=reflect) for _ in range(scale - 1))

    def forward(self, x: Tensor) -> Tensor:
        first, *groups = x.chunk(self.scale, dim=1)
        out = [first]
        for i, (group, layer) in enumerate(zip(groups, self.layers, strict=True)):
            out.append(layer(group if i == 0 else group + out[-1]))
        return torch.cat(out, dim=1)


class SERes2Block(nn.Module):
    """ECAPA's block (Desplanques et al. 2020, fig. 2): 1x1, Res2, 1x1, squeeze-excite, and a residual connection."""

    def __init__(self, channels: int, kernel: int, dilation: int, scale: int, bottleneck: int, reflect: bool = False):
        super().__init__()
        self.layers = nn.Sequential(
            ConvReluNorm(channels, channels, 1, same=True),
            Res2Conv(channels, kernel, dilation, scale, reflect),
            ConvReluNorm(channels, channels, 1, same=True),
            SqueezeExcite(channels, bottleneck),
        )

    def forward(self, x: Tensor) -> Tensor:
        return x + self.layers(x)


class Shortcut(nn.Module):
    """1x1 convolution with stride, and BatchNorm: (B, C, F, T) -> (B, C', F/stride, T/stride).

    Slicing does the stride: for a strided 1x1 convolution in channels-last layout with C < 16, oneDNN's weight gradient writes
    outside its memory (seen with torch 2.11 on AVX-512).
    """

    def __init__(self, in_channels: int, channels: int, stride: int):
        super().__init__()
        self.stride = stride
        self.conv = nn.Conv2d(in_channels, channels, 1, bias=False)
        self.norm = nn.BatchNorm2d(channels)

    def forward(self, x: Tensor) -> Tensor:
        return self.norm(self.conv(x[:, :, ::self.stride, ::self.stride]))


class BasicBlock(nn.Module):
    """ResNet's basic block (He et al. 2016): two 3x3 convolutions and a shortcut: (B, C, F, T) -> (B, C', F/stride, T/stride).

    se_reduction  squeeze-excite with C' / se_reduction hidden units before the sum; 0: none
    relu_first    ReLU before the first BatchNorm instead of after it (clovaai's order)
    """

    def __init__(self, in_channels: int, channels: int, stride: int, se_reduction: int = 0, relu_first: bool = False):
        super().__init__()
        self.conv1 = nn.Conv2d(in_channels, channels, 3, stride, padding=1, bias=False)
        self.norm1 = nn.BatchNorm2d(channels)
        self.conv2 = nn.Conv2d(channels, channels, 3, padding=1, bias=False)
        self.norm2 = nn.BatchNorm2d(channels)
        self.se = SqueezeExcite(channels, channels // se_reduction) if se_reduction else nn.Identity()
        self.relu_first = relu_first
        self.shortcut: nn.Module = nn.Identity()
        if stride != 1 or in_channels != channels:
            self.shortcut = Shortcut(in_channels, channels, stride)

    def forward(self, x: Tensor) -> Tensor:
        y = self.conv1(x)
        y = self.norm1(F.relu_(y)) if self.relu_first else F.relu_(self.norm1(y))
        y = self.se(self.norm2(self.conv2(y)))
        return F.relu_(y + self.shortcut(x))


def as_image(x: Tensor, channels_last: bool) -> Tensor:
    """Features (B, T, F) as an image of one channel (B, 1, F, T), in the memory layout that the convolutions keep."""
    layout = torch.channels_last if channels_last else torch.contiguous_format
    return x.transpose(1, 2).unsqueeze(1).contiguous(memory_format=layout)


def residual_stages(widths: Sequence[int], depths: Sequence[int], strides: Sequence[int], *, se_reduction: int = 0,
                    relu_first: bool = False) -> nn.Sequential:
    """Stages of basic blocks: stage i has depths[i] blocks of widths[i] channels, the first of them with strides[i].

    Reads maps of widths[0] channels. Convolutions start from Kaiming's normal initialisation (He et al. 2015, fan out).
    """
    blocks, channels = [], widths[0]
    for width, depth, stride in zip(widths, depths, strides, strict=True):
        for i in range(depth):
            blocks.append(BasicBlock(channels, width, stride if i == 0 else 1, se_reduction, relu_first))
            channels = width
    stages = nn.Sequential(*blocks)
    for module in stages.modules():
        if isinstance(module, nn.Conv2d):
            nn.init.kaiming_normal_(module.weight, mode="fan_out", nonlinearity="relu")
    return stages
