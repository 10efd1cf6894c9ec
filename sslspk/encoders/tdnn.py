"""The x-vector time-delay network (Snyder et al. 2018, table 1).

Five frame layers over contexts {t-2..t+2}, {t-2, t, t+2}, {t-3, t, t+3}, {t}, {t}; pooling; one or two affine layers.
Each layer is affine, ReLU, BatchNorm without gain and offset, as Kaldi's batchnorm-component.

Parameters with F features, width W, pooled width P and embedding D, statistics pooling, two affine layers:
    5FW + W  +  2 (3W^2 + W)  +  W^2 + W  +  WP + P  +  2PD + D  +  D^2 + D
F 80, W 512, P 1500, D 512: 205,312 + 1,573,888 + 262,656 + 769,500 + 1,536,512 + 262,656 = 4,610,524, the 4.61 M of
wespeaker. That figure is for D = 512; with D = 192 the count is 3,424,604.
"""
from torch import Tensor, nn

from sslspk.encoders.base import Encoder
from sslspk.encoders.config import TdnnConfig
from sslspk.nn.blocks import ConvReluNorm
from sslspk.nn.pooling import build_pooling


class Tdnn(Encoder):
    """(B, T, F) -> maps (B, pooled_channels, T - 14) -> embedding (B, embed_dim)."""

    min_frames = 15

    def __init__(self, config: TdnnConfig, num_features: int):
        super().__init__(num_features, config.embed_dim)
        width = config.channels
        self.layers = nn.Sequential(
            ConvReluNorm(num_features, width, 5, same=False, affine=False),
            ConvReluNorm(width, width, 3, dilation=2, same=False, affine=False),
            ConvReluNorm(width, width, 3, dilation=3, same=False, affine=False),
            ConvReluNorm(width, width, 1, same=False, affine=False),
            ConvReluNorm(width, config.pooled_channels, 1, same=False, affine=False),
        )
        self.pooling = build_pooling(config.pooling, config.pooled_channels, config.attention_channels)
        segment: list[nn.Module] = [nn.Linear(self.pooling.out_dim, config.embed_dim)]
        if config.segment_layers == 2:
            segment += [nn.ReLU(inplace=True), nn.BatchNorm1d(config.embed_dim, affine=False),
                        nn.Linear(config.embed_dim, config.embed_dim)]
        self.segment = nn.Sequential(*segment)

    @property
    def last_layers(self) -> list[nn.Module]:
        return [self.segment]

    @property
    def blocks_to_recompute(self) -> list[nn.Module]:
        return [*self.layers, self.pooling]

    def _maps(self, x: Tensor) -> Tensor:
        return self.layers(x.transpose(1, 2).contiguous())

    def _embed(self, maps: Tensor) -> Tensor:
        return self.segment(self.pooling(maps))
