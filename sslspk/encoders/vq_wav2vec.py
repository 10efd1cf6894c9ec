"""The encoder of vq-wav2vec (Baevski, Schneider & Auli 2020, arXiv 1910.05453) and of wav2vec (Schneider et al. 2019, arXiv 1904.05862).

Unpadded convolutions turn 16 kHz audio into one step of C channels every 160 samples, a quantiser puts code words in the place of the
steps, and causal convolutions sum up the code words so far. Their GroupNorm goes over channels and time, so that a step knows the
level of the whole crop; S samples give 1 + (S - 465) // 160 steps.

Parameters, C = 512: convolutions 6,042,624, Gumbel quantiser 1,263,232 (k-means: 214,016), aggregator 23,611,392.
"""
import math

from torch import Tensor, nn

from sslspk.encoders.base import Encoder
from sslspk.encoders.config_vq_wav2vec import ConvolutionsConfig, GumbelConfig, KmeansConfig, TransformerConfig, VqWav2vecEncoderConfig
from sslspk.encoders.cpc import ChannelNorm
from sslspk.encoders.wav2vec2 import Wav2Vec2
from sslspk.encoders.windows import mean_embedding
from sslspk.nn.blocks import Stack
from sslspk.nn.onednn import Conv1d
from sslspk.nn.quantise import GumbelQuantiser, KmeansQuantiser, Nearest, Quantised

STILL = math.exp(-1)   # the uniform number of which Gumbel noise of 0 is made
ACTIVATIONS = {"gelu": nn.GELU, "relu": nn.ReLU}


class Convolutions(nn.Module):
    """The aggregator, (B, T, C) -> (B, T, H): a step sees itself and what comes before it; the first step is repeated to its left."""

    def __init__(self, config: ConvolutionsConfig, channels: int, activation: str):
        super().__init__()
        self.skip, self.scale = config.skip, math.sqrt(config.residual_scale)
        self.dim = config.dim
        self.layers, self.projections = nn.ModuleList(), nn.ModuleList()
        for kernel in config.kernels:
            self.layers.append(nn.Sequential(nn.ReplicationPad1d((kernel - 1, 0)), Conv1d(channels, config.dim, kernel),
                                             nn.GroupNorm(1, config.dim), ACTIVATIONS[activation]()))
            same = channels == config.dim or not config.skip
            self.projections.append(nn.Identity() if same else Conv1d(channels, config.dim, 1, bias=False))
            channels = config.dim

    @property
    def depths(self) -> list[list[nn.Module]]:
        return [list(parts) for parts in zip(self.layers, self.projections, strict=True)]

    @property
    def blocks_to_recompute(self) -> list[nn.Module]:
        return [*self.layers]

    def forward(self, x: Tensor) -> Tensor:
        x = x.transpose(1, 2)
        for layer, projection in zip(self.layers, self.projections, strict=True):
            x = (layer(x) + projection(x)) * self.scale if self.skip else layer(x)
        return x.transpose(1, 2)


class Transformer(nn.Module):
    """The aggregator of Lepage 2021, (B, T, C) -> (B, T, H): LayerNorm and a linear layer (`project`), then a Transformer (`relate`)."""

    def __init__(self, config: TransformerConfig, channels: int, activation: str):
        super().__init__()
        self.net = Wav2Vec2(config.as_encoder(channels), 1)
        self.net.model.feature_extractor = nn.Identity()   # in its place are this encoder's convolutions and quantiser

    @property
    def depths(self) -> list[list[nn.Module]]:
        return self.net.depths

    @property
    def blocks_to_recompute(self) -> list[nn.Module]:
        return [*self.net.model.encoder.transformer.layers]

    def project(self, x: Tensor) -> Tensor:
        return self.net.project(self.net.norm(x))

    def relate(self, x: Tensor) -> Tensor:
        return self.net.contexts(x)[-1]

    def forward(self, x: Tensor) -> Tensor:
        return self.relate(self.project(x))


class VqWav2vecEncoder(Encoder):
    """(B, S) -> frames (B, T, H), the aggregator's steps, T = 1 + (S - field) // step_samples -> embedding (B, H).

    Recordings longer than `window` samples are embedded in windows, as many as cover them; the embedding is their mean.
    latent_dim: channels of a step as it is predicted, C, or the quantised vector's values. context_dim: H. offset: the first step ahead
    whose samples a step does not see.
    """

    input = "wave"

    def __init__(self, config: VqWav2vecEncoderConfig, num_features: int):
        super().__init__(num_features, config.aggregator.dim)
        self.min_frames, self.offset = config.field_samples, config.offset
        self.pooling, self.log_compression = config.pooling, config.log_compression
        self.window = round(config.window_seconds * config.rate)
        self.layers, width = Stack(), config.channels
        for i, (kernel, stride) in enumerate(zip(config.kernels, config.strides, strict=True)):
            norm = ChannelNorm(width) if config.norm == "channel" else nn.GroupNorm(1, width)
            conv = Conv1d(width if i else 1, width, kernel, stride, bias=False)
            self.layers.append(nn.Sequential(conv, norm, ACTIVATIONS[config.activation]()))
        self.latent_dim, self.context_dim = getattr(config.quantiser, "dim", None) or width, config.aggregator.dim
        self.quantiser = _quantiser(config.quantiser, width, self.latent_dim) if config.quantiser else None
        kinds = {"convolutions": Convolutions, "transformer": Transformer}
        self.aggregator = kinds[config.aggregator.name](config.aggregator, self.latent_dim, config.activation)

    @property
    def depths(self) -> list[list[nn.Module]]:
        """Each convolution, the quantiser, then the aggregator's own depths."""
        return [*([layer] for layer in self.layers), *([[self.quantiser]] if self.quantiser is not None else []), *self.aggregator.depths]

    @property
    def blocks_to_recompute(self) -> list[nn.Module]:
        return [*self.layers, *self.aggregator.blocks_to_recompute]

    def forward(self, x: Tensor) -> Tensor:
        return mean_embedding(lambda part: self._embed(self._maps(part)), self._checked(x), self.window, self.training)

    def compile(self, *args, **kwargs) -> None:
        """torch.compile both stacks of convolutions: nearly all of the time, on every way into the encoder."""
        self.layers.compile(*args, **kwargs)
        self.aggregator.compile(*args, **kwargs)

    def latents(self, x: Tensor) -> Tensor:
        """Waveforms (B, S) -> the steps of the convolutions, (B, T, C), before they are quantised."""
        steps = self.layers(self._checked(x)[:, None]).transpose(1, 2)
        return steps.abs().log1p() if self.log_compression else steps

    def quantise(self, steps: Tensor, temperature: float = 1.0, noise: Tensor | None = None) -> Quantised | Nearest:
        """Steps (B, T, C) -> their code words. temperature, noise: of the Gumbel draw in training; without noise the likeliest is taken."""
        if isinstance(self.quantiser, KmeansQuantiser):
            return self.quantiser(steps)
        shape = (*steps.shape[:2], self.quantiser.groups, self.quantiser.codes)
        return self.quantiser(steps, temperature, steps.new_full((), STILL).expand(shape) if noise is None else noise)

    def context(self, steps: Tensor) -> Tensor:
        """Steps as the quantiser gives them, (B, T, latent_dim) -> what each has seen up to itself, (B, T, H)."""
        return self.aggregator(steps)

    def _maps(self, x: Tensor) -> Tensor:
        steps = self.latents(x)
        if self.quantiser is not None:
            found = self.quantise(steps)
            steps = found.values
            if isinstance(found, Nearest):   # fine-tuning leaves the code words alone, but ranks want a gradient of every weight
                steps = steps + 0 * found.loss_codes
        return self.context(steps).transpose(1, 2)

    def _embed(self, maps: Tensor) -> Tensor:
        return maps.mean(2) if self.pooling == "mean" else maps[:, :, -1]


def _quantiser(config: GumbelConfig | KmeansConfig, channels: int, dim: int) -> nn.Module:
    if config.name == "kmeans":
        return KmeansQuantiser(channels, config.codes, config.groups, config.combine_groups)
    return GumbelQuantiser(channels, config.codes, config.groups, dim, config.depth, 2, config.combine_groups)
