"""Configuration of the encoder of wav2vec and vq-wav2vec, and of its quantisers (torch-free)."""
import math
from typing import Annotated, Literal

from pydantic import Field, PositiveFloat, model_validator

from sslspk.branches import Branch
from sslspk.config import Config, Few, Seconds, Size
from sslspk.encoders.config_waves import Share, Wav2Vec2EncoderConfig, receptive_field, require_layers


class GumbelConfig(Config):
    """A product quantiser whose codes are drawn by Gumbel-softmax."""

    name: Literal["gumbel"] = "gumbel"
    codes: Size = Field(320, description="V, number of code words per group")
    groups: Few = Field(2, description="each step is one code word of every group")
    dim: Size | None = Field(None, description="values of a quantised step, a multiple of groups; null: as many as channels")
    combine_groups: bool = Field(True, description="one code book for all groups")
    depth: Few = Field(2, description="linear layers that score the code words; twice as many units as channels between them")


class KmeansConfig(Config):
    """The nearest code word of each group."""

    name: Literal["kmeans"] = "kmeans"
    codes: Size = Field(320, description="V, number of code words per group")
    groups: Few = Field(2, description="each step is one code word of every group")
    combine_groups: bool = Field(True, description="one code book for all groups")


class ConvolutionsConfig(Config):
    """Causal convolutions, each with GroupNorm and activation; `skip` adds what goes in, and scales the sum by sqrt(residual_scale)."""

    name: Literal["convolutions"] = "convolutions"
    dim: Size = 512
    kernels: tuple[Few, ...] = Field((2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13), min_length=1)
    skip: bool = True
    residual_scale: PositiveFloat = 0.5

    def branches(self, whole: Config) -> list[Branch]:
        return [Branch("skip: true", self.skip, ("residual_scale",))]


class TransformerConfig(Config):
    """The Transformer of encoder wav2vec2, on the code words."""

    name: Literal["transformer"] = "transformer"
    layers: Few = 12
    dim: Size = 768
    heads: Few = 12
    ff_dim: Size = 3072
    dropout: Share = Field(0.1, description="dropout of the Transformer's input, layers and attention")
    position_kernel: Few = Field(128, description="kernel of the convolution that encodes positions")
    position_groups: Few = 16

    @model_validator(mode="after")
    def _sizes(self):
        self.as_encoder(1)
        return self

    def as_encoder(self, channels: int) -> Wav2Vec2EncoderConfig:
        """The encoder that has this Transformer above convolutions of so many channels."""
        return Wav2Vec2EncoderConfig(channels=channels, layer_drop=0.0, input_dropout=self.dropout, attention_dropout=self.dropout,
                                     **self.model_dump(exclude={"name"}))


class VqWav2vecEncoderConfig(Config):
    """The encoder of vq-wav2vec (Baevski et al. 2020): convolutions on the waveform, a quantiser, an aggregator of the steps so far.

    The defaults are fairseq's Gumbel model. `quantiser: null` is wav2vec (Schneider et al. 2019).
    """

    name: Literal["vq_wav2vec"] = "vq_wav2vec"
    rate: Size = Field(16000, description="sampling rate in Hz, equal to features.sample_frequency")
    channels: Size = 512
    kernels: tuple[Few, ...] = Field((10, 8, 4, 4, 4, 1, 1, 1), min_length=1)
    strides: tuple[Few, ...] = Field((5, 4, 2, 2, 2, 1, 1, 1), min_length=1,
                                     description="strides of the convolutions; their product is the samples per step")
    norm: Literal["group", "channel"] = Field("group", description="norm of the convolutions; group: over channels and time, channel: over "
                                                                   "the channels of each step")
    activation: Literal["gelu", "relu"] = "gelu"
    log_compression: bool = Field(False, description="take log(1 + |z|) of the steps (wav2vec)")
    quantiser: Annotated[GumbelConfig | KmeansConfig, Field(discriminator="name")] | None = GumbelConfig()
    aggregator: Annotated[ConvolutionsConfig | TransformerConfig, Field(discriminator="name")] = ConvolutionsConfig()
    pooling: Literal["mean", "last"] = Field("mean", description="pooling of the aggregator's steps: their mean, or the last one")
    window_seconds: Seconds = Field(9.375, description="longer recordings are embedded in windows of this length, and the mean is taken")

    @property
    def step_samples(self) -> int:
        """Samples from one step to the next."""
        return math.prod(self.strides)

    @property
    def field_samples(self) -> int:
        """Samples that a step sees."""
        return receptive_field(self.kernels, self.strides)

    @property
    def offset(self) -> int:
        """The first step ahead whose samples a step does not see."""
        return -(-self.field_samples // self.step_samples)

    def steps(self, samples: int) -> int:
        """T, the steps of so many samples; at least one, as a short recording is padded."""
        return 1 + max(0, samples - self.field_samples) // self.step_samples

    @model_validator(mode="after")
    def _sizes(self):
        require_layers(self.kernels, self.strides)
        width = getattr(self.quantiser, "dim", None) or self.channels
        if self.quantiser and width % self.quantiser.groups:
            raise ValueError(f"{width} channels cannot be shared by {self.quantiser.groups} groups of the quantiser; change either")
        if self.norm == "group" and self.window_seconds * self.rate < self.field_samples + self.step_samples:
            raise ValueError("window_seconds is shorter than two steps, over which the normalisation goes; make it longer")
        return self
