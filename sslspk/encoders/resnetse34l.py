"""ResNetSE34L, the Fast ResNet-34 of clovaai's voxceleb_trainer (Chung et al. 2020, "In defence of metric learning").

7x7 convolution with stride 2 in frequency, basic blocks 3-4-6-3 of 16-32-64-128 channels with squeeze-excite (reduction 8),
strides 1-2-2-1, mean over frequency, self-attentive pooling, affine layer to 512. BatchNorm follows the ReLU in the first
layer and inside the blocks, as there. Its 40 log-Mel bins and instance normalisation are the feature configuration's matter here.

Parameters, for any number of features (frequency is averaged out):
    first layer 784 + 32; stages 14,262 + 71,376 + 434,224 + 833,712; pooling 128^2 + 2 * 128; affine 128 * 512 + 512
    = 1,437,078 (clovaai states 1.4 M).
"""
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from sslspk.encoders.base import Encoder
from sslspk.encoders.config import ResNetSE34LConfig
from sslspk.nn.blocks import as_image, residual_stages
from sslspk.nn.pooling import build_pooling


class ResNetSE34L(Encoder):
    """(B, T, F) -> maps (B, widths[3], T / 4) -> embedding (B, embed_dim)."""

    def __init__(self, config: ResNetSE34LConfig, num_features: int):
        super().__init__(num_features, config.embed_dim)
        self.conv = nn.Conv2d(1, config.widths[0], 7, stride=(2, 1), padding=3, bias=False)
        nn.init.kaiming_normal_(self.conv.weight, mode="fan_out", nonlinearity="relu")
        self.norm = nn.BatchNorm2d(config.widths[0])
        self.stages = residual_stages(config.widths, (3, 4, 6, 3), (1, 2, 2, 1), se_reduction=config.se_reduction, relu_first=True)
        self.pooling = build_pooling(config.pooling, config.widths[3], config.attention_channels)
        self.affine = nn.Linear(self.pooling.out_dim, config.embed_dim)
        self.channels_last = config.channels_last
        if config.channels_last:
            self.to(memory_format=torch.channels_last)

    @property
    def last_layers(self) -> list[nn.Module]:
        return [self.affine]

    @property
    def blocks_to_recompute(self) -> list[nn.Module]:
        return [*self.stages, self.pooling]

    def _maps(self, x: Tensor) -> Tensor:
        x = self.norm(F.relu_(self.conv(as_image(x, self.channels_last))))
        return self.stages(x).mean(2)

    def _embed(self, maps: Tensor) -> Tensor:
        return self.affine(self.pooling(maps))
