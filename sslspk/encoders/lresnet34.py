"""LResNet34, the light ResNet-34 of Cho et al. 2022 (hyperion): DINO's encoder in the JHU papers.

3x3 convolution with stride 1, no max-pooling, basic blocks 3-4-6-3 of 16-32-64-128 channels, strides 1-2-2-2 in both
directions: 80 bins become 10, so that a frame of the maps has 128 * 10 values, eight times fewer frames than the input.

Variants of the embedding (config `embedding`; hyperion's names in brackets), for 80 features:
    pooled (dinossl)                      mean and deviation over time, 2560 values, no further layer
    affine (dinossl_keep_classif_net)     linear layer 2560 -> 256 on them; no activation after it, as the embedding is
                                          compared by cosine (our choice)
    image  (fclikeimage)                  average over time and over each half of the band, 256 values; linear layer 256 -> 256

Parameters: first layer 144 + 32; stages 14,016 + 70,208 + 427,648 + 820,992: pooled 1,333,040;
affine + 2560 * 256 + 256 = 1,988,656; image + 256 * 256 + 256 = 1,398,832. No count is published for these variants.
"""
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from sslspk.encoders.base import Encoder
from sslspk.encoders.config import LResNet34Config
from sslspk.nn.blocks import as_image, residual_stages
from sslspk.nn.pooling import BandMeans, build_pooling


class LResNet34(Encoder):
    """(B, T, F) -> maps (B, widths[3] * ceil(F / 8), ceil(T / 8)) -> embedding (B, embed_dim)."""

    def __init__(self, config: LResNet34Config, num_features: int):
        width, bins = config.widths[3], -(-num_features // 8)
        if config.embedding == "image":
            pooling = BandMeans(width, bins, bands=2)
        else:
            pooling = build_pooling(config.pooling, width * bins, config.attention_channels, config.unbiased)
        super().__init__(num_features, pooling.out_dim if config.embedding == "pooled" else config.embed_dim)
        self.conv = nn.Conv2d(1, config.widths[0], 3, padding=1, bias=False)
        nn.init.kaiming_normal_(self.conv.weight, mode="fan_out", nonlinearity="relu")
        self.norm = nn.BatchNorm2d(config.widths[0])
        self.stages = residual_stages(config.widths, (3, 4, 6, 3), (1, 2, 2, 2))
        self.pooling = pooling
        if config.unbiased:
            self.min_frames = 9   # which become two
        self.affine = nn.Identity() if config.embedding == "pooled" else nn.Linear(pooling.out_dim, config.embed_dim)
        self.channels_last = config.channels_last
        if config.channels_last:
            self.to(memory_format=torch.channels_last)

    @property
    def last_layers(self) -> list[nn.Module]:
        return [self.affine] if isinstance(self.affine, nn.Linear) else []

    @property
    def blocks_to_recompute(self) -> list[nn.Module]:
        return [*self.stages, self.pooling]

    def _maps(self, x: Tensor) -> Tensor:
        x = F.relu_(self.norm(self.conv(as_image(x, self.channels_last))))
        return self.stages(x).flatten(1, 2)

    def _embed(self, maps: Tensor) -> Tensor:
        return self.affine(self.pooling(maps))
