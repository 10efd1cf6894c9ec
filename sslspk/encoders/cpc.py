"""The encoder of contrastive predictive coding (van den Oord, Li and Vinyals 2018, arXiv 1807.03748) on raw waveforms.

Five convolutions, each with a normalisation and a ReLU, turn 16 kHz audio into one step of C channels every 160 samples. A recurrent
network sums up the steps so far. Zeros pad each convolution on both sides, as "same" of TensorFlow does: S samples give ceil(S / 160)
steps, 20480 give 128.

Parameters with C channels, context H (GRU):
    convolutions  10 C + C  +  8 C^2 + C  +  3 (4 C^2 + C)  +  5 * 2C for the normalisations
    context       3 (C H + H^2 + 2 H)
C 512, H 256: 5,255,680 (5,260,800 with BatchNorm's running statistics, as Keras counts) and 591,360, the figures of Lepage 2021.

Take 32 channels or more with train.precision bf16 on a CPU: for 8, 16 and 24, oneDNN's convolution of kernel 8 is wrong (torch 2.11, AMX).
"""
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from sslspk.encoders.base import Encoder
from sslspk.encoders.config import CpcEncoderConfig
from sslspk.encoders.windows import mean_embedding
from sslspk.losses.precision import wide
from sslspk.nn.blocks import Stack
from sslspk.nn.onednn import Conv1d
from sslspk.nn.sinc import SincConv

CONTEXTS = {"gru": nn.GRU, "lstm": nn.LSTM}


class ChannelNorm(nn.LayerNorm):
    """Mean 0 and variance 1 over the channels of each step, then gain and offset: (B, C, T) -> (B, C, T)."""

    def forward(self, x: Tensor) -> Tensor:
        return super().forward(x.transpose(1, 2)).transpose(1, 2)


class SameConv(nn.Module):
    """Convolution, normalisation, ReLU: (B, C, T) -> (B, C', ceil(T / stride)), padded with zeros, the odd one at the end."""

    def __init__(self, conv: nn.Module, norm: nn.Module):
        super().__init__()
        self.conv, self.norm = conv, norm

    def forward(self, x: Tensor) -> Tensor:
        kernel, stride, size = self.conv.kernel_size[0], self.conv.stride[0], x.shape[2]
        missing = ((size + stride - 1) // stride - 1) * stride + kernel - size
        missing = (missing + abs(missing)) // 2   # 0 at least; `max` would decide once for all lengths when this is traced
        return F.relu_(self.norm(self.conv(F.pad(x, (missing // 2, missing - missing // 2)))))


class CpcEncoder(Encoder):
    """(B, S) -> frames (B, T, D), T = ceil(S / step_samples) -> embedding (B, D).

    Frames are the contexts (forwards, and with `bidirectional` backwards: the steps of the waveform played backwards, put back in the
    order of time), or without a context the steps themselves. Recordings longer than `window` samples are embedded in windows of that
    length, as many as cover them, evenly spread; the embedding is their mean. Shorter ones are one window as they are.
    directions: 1, or 2 when bidirectional. latent_dim: channels of a step. context_dim: of one direction, 0 without a context.
    """

    input = "wave"

    def __init__(self, config: CpcEncoderConfig, num_features: int):
        self.config, self.directions = config, 2 if config.bidirectional else 1
        self.latent_dim, self.context_dim = config.channels, 0 if config.context == "none" else config.context_dim
        super().__init__(num_features, self.directions * self.context_dim or config.channels)
        self.rate, self.step_samples = config.rate, config.step_samples
        self.peak, self.pooling, self.window = config.peak, config.pooling, round(config.window_seconds * config.rate)
        norm = ChannelNorm if config.norm == "channel" else nn.BatchNorm1d
        self.layers, width = Stack(), config.channels
        for i, (kernel, stride) in enumerate(zip(config.kernels, config.strides, strict=True)):
            sinc = i == 0 and config.first == "sinc"
            conv = SincConv(width, kernel, stride, config.rate) if sinc else Conv1d(width if i else 1, width, kernel, stride)
            self.layers.append(SameConv(conv, norm(width)))
        self.contexts = nn.ModuleList(CONTEXTS[config.context](width, config.context_dim, batch_first=True)
                                      for _ in range(self.directions if self.context_dim else 0))

    @property
    def depths(self) -> list[list[nn.Module]]:
        return [*([layer] for layer in self.layers), *([self.contexts] if self.context_dim else [])]

    @property
    def blocks_to_recompute(self) -> list[nn.Module]:
        return [*self.layers]

    def forward(self, x: Tensor) -> Tensor:
        return mean_embedding(lambda part: self._embed(self._maps(part)), self._checked(x), self.window, self.training)

    def compile(self, *args, **kwargs) -> None:
        """torch.compile the convolutions alone: nearly all of the time, on every way into the encoder."""
        self.layers.compile(*args, **kwargs)

    def latents(self, x: Tensor) -> list[Tensor]:
        """Waveforms (B, S) -> for each direction the steps (B, T, C); the second one's are those of the waveform played backwards."""
        x = self._checked(x)
        if self.peak:
            x = x / x.abs().amax(1, keepdim=True).clamp_min(torch.finfo(x.dtype).tiny)
        if self.directions == 2:   # side by side, so that rows of one recording stay together
            x = torch.stack([x, x.flip(1)], 1).flatten(0, 1)
        steps = self.layers(x[:, None]).transpose(1, 2)
        return [steps[i::self.directions] for i in range(self.directions)]

    def context(self, latents: list[Tensor]) -> list[Tensor]:
        """Steps (B, T, C) of each direction -> what each has seen up to every step, (B, T, H).

        On a GPU in float32: autocast's recurrent networks compute in float16 there, also where bfloat16 is asked for, and small gradients
        would vanish.
        """
        if latents[0].device.type == "cpu":
            return [network(steps)[0] for network, steps in zip(self.contexts, latents, strict=True)]
        with torch.autocast(latents[0].device.type, enabled=False):
            return [network(wide(steps))[0] for network, steps in zip(self.contexts, latents, strict=True)]

    def _maps(self, x: Tensor) -> Tensor:
        seen = self.latents(x)
        if self.context_dim:
            seen = self.context(seen)
            seen[1:] = [backwards.flip(1) for backwards in seen[1:]]
        return torch.cat(seen, 2).transpose(1, 2)

    def _embed(self, maps: Tensor) -> Tensor:
        if self.pooling == "mean":
            return maps.mean(2)
        ends = [part[:, :, -1 if i == 0 else 0] for i, part in enumerate(maps.chunk(self.directions, 1))]
        return torch.cat(ends, 1)
