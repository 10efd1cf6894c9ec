"""Configuration of encoders of waveforms that have many options (torch-free): wav2vec 2.0."""
import math
from collections.abc import Sequence
from typing import Annotated, Literal

from pydantic import Field, PositiveFloat, model_validator

from sslspk.branches import Branch
from sslspk.config import Config, Few, Seconds, Size

Share = Annotated[float, Field(ge=0, lt=1)]


def require_layers(kernels: tuple[int, ...], strides: tuple[int, ...]) -> None:
    """Raises ValueError for convolutions that do not fit on each other, or that skip samples."""
    if len(kernels) != len(strides):
        raise ValueError(f"there are {len(kernels)} kernels and {len(strides)} strides; give as many of both")
    if any(kernel < stride for kernel, stride in zip(kernels, strides, strict=True)):
        raise ValueError("a kernel is shorter than its stride and would skip samples; make it longer")


def receptive_field(kernels: Sequence[int], strides: Sequence[int]) -> int:
    """Samples that the first step of unpadded convolutions sees; each further step takes the product of the strides more."""
    field = 1
    for kernel, stride in zip(reversed(kernels), reversed(strides), strict=True):
        field = (field - 1) * stride + kernel
    return field


class LoraConfig(Config):
    """LoRA (Hu et al. 2021): the Transformer is frozen, and a learnt product of two narrow matrices is added to each of its projections."""

    rank: Few = 64
    alpha: PositiveFloat = Field(128.0, description="the product is scaled by alpha / rank")
    targets: tuple[Literal["q", "k", "v"], ...] = Field(("q", "v"), min_length=1,
                                                        description="projections of the attention that are adapted")


class Wav2Vec2EncoderConfig(Config):
    """wav2vec 2.0 (Baevski et al. 2020) as torchaudio builds it: convolutions on the waveform, then a Transformer.

    Defaults: base, as fairseq pre-trains it on LibriSpeech. Large: 24 layers, dim 1024, 16 heads, ff_dim 4096. HuBERT has the same
    architecture; WavLM has relative_buckets 320 besides.
    """

    name: Literal["wav2vec2"] = "wav2vec2"
    rate: Size = Field(16000, description="sampling rate in Hz, equal to features.sample_frequency")
    normalise: bool = Field(False, description="scale waveforms to mean 0 and variance 1")
    channels: Size = Field(512, description="channels of the convolutions")
    kernels: tuple[Few, ...] = Field((10, 3, 3, 3, 3, 2, 2), min_length=1)
    strides: tuple[Few, ...] = Field((5, 2, 2, 2, 2, 2, 2), min_length=1,
                                     description="strides of the convolutions; their product is the samples per step")
    conv_norm: Literal["first", "every"] = Field("first", description="first: GroupNorm over time behind the first convolution; every: "
                                                 "LayerNorm over channels behind each")
    conv_bias: bool = False
    position_kernel: Few = Field(128, description="kernel of the convolution that encodes positions")
    position_groups: Few = 16
    relative_buckets: int = Field(0, ge=0, le=10_000, description="buckets of WavLM's gated relative positions; 0: none")
    relative_distance: Size = Field(800, description="with relative_buckets: largest relative position that WavLM tells apart, in steps")
    layers: Few = 12
    dim: Size = 768
    heads: Few = 12
    ff_dim: Size = 3072
    norm_first: bool = Field(False, description="LayerNorm before attention and feed-forward layers, not behind them")
    layer_drop: Share = Field(0.05, description="probability that a layer is skipped in a training step")
    input_dropout: Share = Field(0.1, description="dropout of the Transformer's input")
    dropout: Share = Field(0.1, description="dropout of what attention and feed-forward layers give, and behind the positions")
    attention_dropout: Share = Field(0.1, description="dropout of the attention's weights")
    ff_dropout: Share = Field(0.0, description="dropout inside the feed-forward layers")
    pooling: Literal["mean", "layers", "mhfa"] = Field("mean", description="mean: of the last layer over time; layers: first a mean over "
                                                       "all layers and the Transformer's input, with learnt weights (SUPERB); mhfa: many "
                                                       "heads, each with its own weights over time (MHFA)")
    pooling_heads: Size = Field(64, description="mhfa: number of heads")
    pooling_compress: Size = Field(128, description="mhfa: dimensions of keys and values")
    embed_dim: Size = Field(256, description="mhfa: dimension of the embedding; with other poolings it is `dim`")
    lora: LoraConfig | None = Field(None, description="train only low-rank changes of the attention; null: train all weights")
    window_seconds: Seconds = Field(60.0, description="longer recordings are embedded in windows of this length, and the mean is taken")

    @property
    def step_samples(self) -> int:
        """Samples from one step to the next."""
        return math.prod(self.strides)

    @property
    def field_samples(self) -> int:
        """Samples that the first step sees; each further step takes step_samples more."""
        return receptive_field(self.kernels, self.strides)

    def steps(self, samples: int) -> int:
        """How many steps a waveform of so many samples has."""
        return max(0, 1 + (samples - self.field_samples) // self.step_samples)

    def branches(self, whole: Config) -> list[Branch]:
        return [Branch("pooling: mhfa", self.pooling == "mhfa", ("pooling_heads", "pooling_compress", "embed_dim")),
                Branch("relative_buckets", self.relative_buckets > 0, ("relative_distance",))]

    @model_validator(mode="after")
    def _sizes(self):
        require_layers(self.kernels, self.strides)
        for key in ("heads", "position_groups"):
            if self.dim % getattr(self, key):
                raise ValueError(f"dim ({self.dim}) must be a multiple of {key} ({getattr(self, key)}); change either")
        if self.relative_buckets % 4 or self.relative_distance <= self.relative_buckets // 4:
            raise ValueError("relative_buckets must be a multiple of 4, and relative_distance more than a quarter of it; change either")
        return self
