"""Configuration of the encoders (torch-free). Each model's `name` chooses the class in sslspk.encoders.build."""
import math
from typing import Annotated, Literal

from pydantic import Field, model_validator

from sslspk.branches import Branch
from sslspk.config import Config, Few, Seconds, Size
from sslspk.encoders.config_dsvae import DsvaeEncoderConfig
from sslspk.encoders.config_vq_wav2vec import VqWav2vecEncoderConfig
from sslspk.encoders.config_waves import Wav2Vec2EncoderConfig, require_layers

Pooling = Literal["statistics", "self_attentive", "attentive", "attentive_context"]
Widths = tuple[Size, Size, Size, Size]


def bottleneck(config: Config) -> Branch:
    """The option of poolings that have a bottleneck."""
    return Branch("pooling: attentive", config.pooling.startswith("attentive"), ("attention_channels",))


class TdnnConfig(Config):
    """x-vector TDNN (Snyder et al. 2018). The defaults are Kaldi's widths with wespeaker's embedding."""

    name: Literal["tdnn"] = "tdnn"
    channels: Size = 512
    pooled_channels: Size = Field(1500, description="channels of the last frame layer, which is pooled")
    embed_dim: Size = 512
    segment_layers: Literal[1, 2] = Field(2, description="affine layers after pooling; 2: embedding is the second one's output")
    pooling: Pooling = "statistics"
    attention_channels: Size = Field(128, description="bottleneck of attentive pooling")

    def branches(self, whole: Config) -> list[Branch]:
        return [bottleneck(self)]


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
    variant: Literal["own", "wespeaker", "speechbrain"] = Field("own", description="details of another toolkit's ECAPA-TDNN, for its "
                                                                                   "weights (sslspk/encoders/foreign.py)")

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
    attention_channels: Size = Field(128, description="bottleneck of attentive pooling")
    embed_dim: Size = 512
    channels_last: bool = Field(True, description="memory layout: faster on a CPU, the same result up to rounding")

    def branches(self, whole: Config) -> list[Branch]:
        return [bottleneck(self)]

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
    attention_channels: Size = Field(128, description="bottleneck of attentive pooling")
    embedding: Literal["pooled", "affine", "image"] = Field(
        "pooled", description="pooled: the pooled statistics themselves; affine: a linear layer on them; image: average "
                              "pooling to two halves of the band, then a linear layer (`pooling` is not used)")
    embed_dim: Size = Field(256, description="dimension of an affine or image embedding; a pooled one has the size of the pooling")
    channels_last: bool = Field(True, description="memory layout: faster on a CPU, the same result up to rounding")
    unbiased: bool = Field(False, description="pooling statistics: deviations divide by T - 1, as wespeaker's do")

    def branches(self, whole: Config) -> list[Branch]:
        return [bottleneck(self), Branch("embedding: affine or image", self.embedding != "pooled", ("embed_dim",)),
                Branch("embedding: pooled or affine", self.embedding != "image", ("pooling", "attention_channels"))]

    @model_validator(mode="after")
    def _deviations(self):
        if self.unbiased and (self.pooling != "statistics" or self.embedding == "image"):
            raise ValueError("unbiased is of pooling: statistics; remove it")
        return self


class CpcEncoderConfig(Config):
    """The encoder of CPC (van den Oord et al. 2018): convolutions on the waveform, then a recurrent context.

    Defaults: Lepage 2021, cpc-spk-1. `first: sinc` with `norm: channel` is cpc-spk-2, `bidirectional` cpc-spk-3. CPC_audio of
    facebookresearch: 256 channels, `norm: channel`, `context: lstm`, `peak: false`.
    """

    name: Literal["cpc"] = "cpc"
    rate: Size = Field(16000, description="sampling rate in Hz, equal to features.sample_frequency")
    peak: bool = Field(True, description="divide each waveform by its largest absolute value")
    first: Literal["conv", "sinc"] = Field("conv", description="the first layer; sinc: band-pass filters of learnt edges (SincNet)")
    channels: Size = 512
    kernels: tuple[Few, ...] = Field((10, 8, 4, 4, 4), min_length=1)
    strides: tuple[Few, ...] = Field((5, 4, 2, 2, 2), min_length=1,
                                     description="strides of the convolutions; their product is the samples per step")
    norm: Literal["batch", "channel"] = Field("batch",
                                              description="batch: BatchNorm; channel: over the channels of each step, as LayerNorm")
    context: Literal["gru", "lstm", "none"] = Field("gru", description="recurrent network over the steps so far; none: the steps "
                                                                       "themselves are pooled")
    context_dim: Size = 256
    bidirectional: bool = Field(False, description="also compute a context of the reversed waveform; the embedding is both contexts "
                                                   "together")
    pooling: Literal["last", "mean"] = Field("last", description="last: the context after the last step; mean: over all steps")
    window_seconds: Seconds = Field(1.28, description="longer recordings are embedded in windows of this length, and the mean is taken")

    @property
    def step_samples(self) -> int:
        """Samples from one step to the next."""
        return math.prod(self.strides)

    def steps(self, samples: int) -> int:
        """How many steps a waveform of so many samples has."""
        return -(-samples // self.step_samples)

    def branches(self, whole: Config) -> list[Branch]:
        return [Branch("context: gru or lstm", self.context != "none", ("context_dim",))]

    @model_validator(mode="after")
    def _layers(self):
        require_layers(self.kernels, self.strides)
        if self.context == "none" and (self.bidirectional or self.pooling == "last"):
            raise ValueError("without a context there are steps alone; set pooling: mean and bidirectional: false, or context: gru")
        return self


class PaseEncoderConfig(Config):
    """The encoder of PASE (Pascual et al. 2019), which the defaults are. PASE+ (Ravanelli et al. 2020): `embed_dim: 256`, `skips: true`,
    `context: qrnn`.
    """

    name: Literal["pase"] = "pase"
    rate: Size = Field(16000, description="sampling rate in Hz, equal to features.sample_frequency")
    channels: tuple[Size, ...] = Field((64, 64, 128, 128, 256, 256, 512, 512), min_length=1)
    kernels: tuple[Few, ...] = Field((251, 20, 11, 11, 11, 11, 11, 11), min_length=1,
                                     description="kernels in samples; the first layer is made of band-pass filters of learnt edges "
                                                 "(SincNet)")
    strides: tuple[Few, ...] = Field((1, 10, 2, 1, 2, 1, 2, 2), min_length=1,
                                     description="strides of the convolutions; their product is the samples per step")
    embed_dim: Size = 100
    skips: bool = Field(False, description="add every layer's output, averaged down to the last one's rate, to the embedding")
    context: Literal["none", "qrnn"] = Field("none", description="qrnn: a quasi-recurrent layer over the last layer's steps")
    context_dim: Size = Field(256, description="qrnn: units of the context in one direction")
    bidirectional: bool = Field(True, description="qrnn: the context sees earlier and later steps; false: only earlier ones")
    window_seconds: Seconds = Field(10.0, description="longer recordings are embedded in windows of this length, and the mean is taken")

    @property
    def step_samples(self) -> int:
        """Samples from one step to the next."""
        return math.prod(self.strides)

    def steps(self, samples: int) -> int:
        """How many steps a waveform of so many samples has."""
        for kernel, stride in zip((self.kernels[0] | 1, *self.kernels[1:]), self.strides, strict=True):   # the filters' length is odd
            samples = samples if stride == 1 else max(0, (samples - 1 - kernel % 2) // stride + 1)
        return samples

    def branches(self, whole: Config) -> list[Branch]:
        return [Branch("context: qrnn", self.context == "qrnn", ("context_dim", "bidirectional"))]

    @model_validator(mode="after")
    def _layers(self):
        if not len(self.channels) == len(self.kernels) == len(self.strides):
            raise ValueError(f"there are {len(self.channels)} channels, {len(self.kernels)} kernels and {len(self.strides)} strides; give "
                             "as many of each")
        require_layers(self.kernels, self.strides)
        return self


EncoderConfig = Annotated[
    TdnnConfig | EcapaConfig | ResNetSE34LConfig | LResNet34Config | CpcEncoderConfig | PaseEncoderConfig | Wav2Vec2EncoderConfig
    | VqWav2vecEncoderConfig | DsvaeEncoderConfig, Field(discriminator="name")]


def reads_waveform(config: Config) -> bool:
    """Whether the encoder reads samples, not features."""
    return config.name in ("cpc", "pase", "vq_wav2vec", "wav2vec2")
