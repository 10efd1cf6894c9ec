"""Configuration of the encoders (torch-free). Each model's `name` chooses the class in sslspk.encoders.build."""
from typing import Annotated, Literal

from pydantic import Field, model_validator

from sslspk.config import Config, Size

Pooling = Literal["statistics", "self_attentive", "attentive", "attentive_context"]
Widths = tuple[Size, Size, Size, Size]


class TdnnConfig(Config):
    """x-vector TDNN (Snyder et al. 2018). The defaults are Kaldi's widths with wespeaker's embedding."""

    name: Literal["tdnn"] = "tdnn"
    channels: Size = 512
    pooled_channels: Size = Field(1500, description="channels of the last frame layer, which is pooled")
    embed_dim: Size = 512
    segment_layers: Literal[1, 2] = Field(2, description="affine layers after pooling; 2: embedding is the second one's output")
    pooling: Pooling = "statistics"
    attention_channels: Size = Field(128, description="bottleneck of the attentive poolings")


class EcapaConfig(Config):
    """ECAPA-TDNN (Desplanques et al. 2020). channels 512 or 1024 in the paper; 64 to 128 is enough for a small corpus."""

    name: Literal["ecapa"] = "ecapa"
    channels: Size = 512
    mfa_channels: Size = Field(1536, description="channels after multi-layer feature aggregation")
    scale: int = Field(8, ge=2, description="Res2 groups; channels must be a multiple of it")
    se_channels: Size = 128
    attention_channels: Size = 128
    global_context: bool = True
    embed_dim: Size = 192

    @model_validator(mode="after")
    def _groups(self):
        if self.channels % self.scale:
            raise ValueError(f"channels ({self.channels}) must be a multiple of scale ({self.scale}); change either")
        return self


class ResNetSE34LConfig(Config):
    """clovaai's Fast ResNet-34 with squeeze-excite (Chung et al. 2020)."""

    name: Literal["resnetse34l"] = "resnetse34l"
    widths: Widths = (16, 32, 64, 128)
    se_reduction: Size = 8
    pooling: Pooling = "self_attentive"
    attention_channels: Size = Field(128, description="bottleneck of the attentive poolings")
    embed_dim: Size = 512
    channels_last: bool = Field(True, description="memory layout: faster on CPU, the same result but for rounding")

    @model_validator(mode="after")
    def _hidden(self):
        if min(self.widths) < self.se_reduction:
            raise ValueError(f"se_reduction ({self.se_reduction}) leaves no hidden unit for {min(self.widths)} channels; lower it")
        return self


class LResNet34Config(Config):
    """Light ResNet-34 of Cho et al. 2022 (hyperion). `embedding` chooses among their three variants."""

    name: Literal["lresnet34"] = "lresnet34"
    widths: Widths = (16, 32, 64, 128)
    pooling: Pooling = "statistics"
    attention_channels: Size = Field(128, description="bottleneck of the attentive poolings")
    embedding: Literal["pooled", "affine", "image"] = Field(
        "pooled", description="pooled: the pooled statistics themselves; affine: a linear layer on them; image: average "
                              "pooling to two halves of the band, then a linear layer (`pooling` is not used)")
    embed_dim: Size = Field(256, description="for affine and image; a pooled embedding has the pooling's own size")
    channels_last: bool = Field(True, description="memory layout: faster on CPU, the same result but for rounding")


EncoderConfig = Annotated[TdnnConfig | EcapaConfig | ResNetSE34LConfig | LResNet34Config, Field(discriminator="name")]
