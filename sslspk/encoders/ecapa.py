"""ECAPA-TDNN (Desplanques, Thienpondt and Demuynck 2020).

A convolution over five frames, three SE-Res2 blocks with dilations 2, 3, 4 in a row, their outputs concatenated (multi-layer
feature aggregation), a 1x1 convolution, attentive statistics per channel with global context, BatchNorm, an affine layer.

Parameters with F features, width W, scale 8 (w = W/8), SE and attention bottlenecks 128, M aggregated channels, embedding D:
    first layer   5FW + W + 2W
    each block    2 (W^2 + W + 2W) + 7 (3w^2 + w + 2w) + 2 * 128 W + 128 + W
    the rest      3WM + M  +  3 * 128 M + 128 + 128 M  +  4M  +  2MD + D
F 80, M 1536, D 192: W 512: 206,336 + 3 * 746,432 + 3,743,552 = 6,189,184 (wespeaker: 6.19 M);
W 1024: 412,672 + 3 * 2,713,344 + 6,102,848 = 14,655,552 (wespeaker: 14.65 M).
wespeaker has M = 1536 more: a bias before the softmax over time, which that softmax cancels, so that here it is left out.

`variant` takes over the details of another toolkit's implementation, so that its weights give its embeddings (encoders/foreign.py).
speechbrain: convolutions pad by reflection, and a BatchNorm follows the aggregation.
"""
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from sslspk.encoders.base import Encoder
from sslspk.encoders.config import EcapaConfig
from sslspk.nn.blocks import ConvReluNorm, SERes2Block
from sslspk.nn.onednn import Conv1d
from sslspk.nn.pooling import AttentiveStatistics


class Ecapa(Encoder):
    """(B, T, F) -> maps (B, mfa_channels, T) -> embedding (B, embed_dim)."""

    def __init__(self, config: EcapaConfig, num_features: int):
        super().__init__(num_features, config.embed_dim)
        width, reflect = config.channels, config.variant == "speechbrain"
        self.min_frames = {"own": 1, "wespeaker": 2, "speechbrain": 5}[config.variant]
        self.first = ConvReluNorm(num_features, width, 5, same=True, reflect=reflect)
        self.blocks = nn.ModuleList(SERes2Block(width, 3, dilation, config.scale, config.se_channels, reflect) for dilation in (2, 3, 4))
        self.aggregate = Conv1d(3 * width, config.mfa_channels, 1)
        self.aggregate_norm = nn.BatchNorm1d(config.mfa_channels) if config.variant == "speechbrain" else nn.Identity()
        self.pooling = AttentiveStatistics(config.mfa_channels, config.attention_channels, config.global_context, config.variant)
        self.norm = nn.BatchNorm1d(self.pooling.out_dim)
        self.affine = nn.Linear(self.pooling.out_dim, config.embed_dim)

    @property
    def last_layers(self) -> list[nn.Module]:
        return [self.affine]

    @property
    def blocks_to_recompute(self) -> list[nn.Module]:
        return [self.first, *self.blocks, self.pooling]

    def _maps(self, x: Tensor) -> Tensor:
        x = self.first(x.transpose(1, 2).contiguous())
        outputs = []
        for block in self.blocks:
            x = block(x)
            outputs.append(x)
        return self.aggregate_norm(F.relu_(self.aggregate(torch.cat(outputs, dim=1))))

    def _embed(self, maps: Tensor) -> Tensor:
        return self.affine(self.norm(self.pooling(maps)))
