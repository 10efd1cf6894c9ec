"""wav2vec 2.0 (Baevski et al. 2020, arXiv 2006.11477) as an encoder that is trained: HuBERT and WavLM have the same layers.

Convolutions turn 16 kHz audio into one step of C channels every 320 samples; a Transformer of D channels relates all steps. Without
padding, S samples give 1 + (S - 400) // 320 steps. Parameters of the base model: 94,370,944, of which the convolutions have 4,200,448.
"""
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from sslspk.encoders import architectures
from sslspk.encoders.base import Encoder
from sslspk.encoders.config_waves import Wav2Vec2EncoderConfig
from sslspk.encoders.windows import mean_embedding
from sslspk.nn import low_rank
from sslspk.nn.pooling import FactorisedAttention


class Wav2Vec2(Encoder):
    """(B, S) -> frames (B, T, D), the output of the last layer or with pooling `layers` the mean over layers -> embedding (B, D).

    With pooling `mhfa`: frames (B, T, pooling_compress), the values -> embedding (B, embed_dim). With `lora` the Transformer and what is
    below it are frozen but for that. num_layers: of the Transformer. latent_dim: C. layer_weights: with pooling `layers` their logits,
    zeros at first; mhfa: that pooling. A model with another pooling lacks them.
    """

    input = "wave"
    optional = ("layer_weights", "mhfa")

    def __init__(self, config: Wav2Vec2EncoderConfig, num_features: int):
        super().__init__(num_features, config.embed_dim if config.pooling == "mhfa" else config.dim)
        self.config = config
        self.normalise, self.layer_drop, self.window = config.normalise, config.layer_drop, round(config.window_seconds * config.rate)
        self.latent_dim, self.num_layers, self.min_frames = config.channels, config.layers, config.field_samples
        self.first_stays = config.relative_buckets > 0   # later layers use the relative positions that the first one made
        self.model = architectures.make(config)
        if config.lora is not None:
            architectures.add_lora(self.model, config.lora)
        self.layer_weights = nn.Parameter(torch.zeros(config.layers + 1)) if config.pooling == "layers" else None
        self.mhfa = FactorisedAttention(config.layers + 1, config.dim, config.pooling_heads, config.pooling_compress,
                                        config.embed_dim) if config.pooling == "mhfa" else None

    @property
    def last_layers(self) -> list[nn.Module]:
        return [] if self.mhfa is None else [self.mhfa]

    @property
    def depths(self) -> list[list[nn.Module]]:
        """All below the Transformer's layers, then each layer; the LayerNorm of the Transformer goes with the end that it stands at."""
        net = self.model.encoder.transformer
        below, layers = [self.model.feature_extractor, self.model.encoder.feature_projection, net.pos_conv_embed], [[x] for x in net.layers]
        (below if net.layer_norm_first else layers[-1]).append(net.layer_norm)
        return [below, *layers]

    @property
    def blocks_to_recompute(self) -> list[nn.Module]:
        return [*self.model.feature_extractor.conv_layers, *self.model.encoder.transformer.layers]

    def adopted(self, state: dict[str, Tensor]) -> dict[str, Tensor]:
        return super().adopted(low_rank.renamed(state, self.state_dict()))

    def forward(self, x: Tensor) -> Tensor:
        return mean_embedding(lambda part: self._pooled(self._layers(part)), self._wave(self._checked(x)), self.window, self.training)

    def compile(self, *args, **kwargs) -> None:
        """torch.compile the convolutions and each layer: nearly all of the time, on every way into the encoder."""
        for part in (self.model.feature_extractor, *self.model.encoder.transformer.layers):
            part.compile(*args, **kwargs)

    def latents(self, x: Tensor) -> Tensor:
        """Waveforms (B, S) -> the steps of the convolutions (B, T, C), before their LayerNorm."""
        return self._latents(self._wave(self._checked(x)))

    def norm(self, latents: Tensor) -> Tensor:
        """Steps (B, T, C) after their LayerNorm, as a quantiser reads them."""
        return self.model.encoder.feature_projection.layer_norm(latents)

    def project(self, normed: Tensor) -> Tensor:
        """Steps after `norm`, (B, T, C) -> what the Transformer is given, (B, T, D)."""
        projection = self.model.encoder.feature_projection
        return projection.dropout(projection.projection(normed))

    def contexts(self, x: Tensor, upto: int | None = None) -> list[Tensor]:
        """(B, T, D) -> 1 + num_layers of (B, T, D): what enters the first layer, then each layer's output. upto: of so many layers alone.

        The last one includes the LayerNorm that norm_first ends with. In training layers are left out at random; their parameters take part
        with the factor 0, so that every rank has a gradient of each.
        """
        net, bias = self.model.encoder.transformer, None
        drop = self.layer_drop if self.training else 0.0
        dropped = (torch.rand(self.num_layers) < drop).tolist() if drop else [False] * self.num_layers
        x = x + net.pos_conv_embed(x)
        x = net.dropout(net.layer_norm(x) if net.layer_norm_first else x)
        outputs = [x]
        for i, layer in enumerate(net.layers[:upto]):
            if dropped[i] and not (self.first_stays and i == 0):
                x = x + 0 * sum(weight.sum() for weight in layer.parameters())
            else:
                x, bias = layer(x, None, position_bias=bias)
            outputs.append(x)
        if len(outputs) == 1 + self.num_layers and not net.layer_norm_first:
            outputs[-1] = net.layer_norm(x)
        return outputs

    def layers(self, x: Tensor, upto: int | None = None) -> list[Tensor]:
        """Waveforms (B, S) -> `contexts` of them."""
        return self._layers(self._wave(self._checked(x)), upto)

    def _wave(self, x: Tensor) -> Tensor:
        if self.normalise and torch.onnx.is_in_onnx_export():   # whose layers want sizes that are known before
            x = x - x.double().mean(1, keepdim=True).to(x.dtype)
            return x / torch.sqrt(x.square().double().mean(1, keepdim=True).to(x.dtype) + 1e-5)
        return F.layer_norm(x, x.shape[1:]) if self.normalise else x

    def _latents(self, wave: Tensor) -> Tensor:
        return self.model.feature_extractor(wave, None)[0]

    def _layers(self, wave: Tensor, upto: int | None = None) -> list[Tensor]:
        return self.contexts(self.project(self.norm(self._latents(wave))), upto)

    def _maps(self, x: Tensor) -> Tensor:
        outputs = self._layers(self._wave(x))
        return (self._mixed(outputs) if self.mhfa is None else self.mhfa.frames(outputs)).transpose(1, 2)

    def _embed(self, maps: Tensor) -> Tensor:
        return maps.mean(2)

    def _mixed(self, outputs: list[Tensor]) -> Tensor:
        """Outputs of all layers -> what is pooled, of the same shape."""
        if self.layer_weights is None:
            return outputs[-1]
        return sum(weight * output for weight, output in zip(self.layer_weights.softmax(0).unbind(), outputs, strict=True))

    def _pooled(self, outputs: list[Tensor]) -> Tensor:
        """Outputs of all layers (B, T, C) -> (B, D); as the order of two means is free, first that over time."""
        if self.mhfa is not None:
            return self.mhfa(outputs)
        return self._mixed([output.mean(1) for output in outputs])
