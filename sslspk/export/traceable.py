"""A trained model as one module that a tracer can follow for recordings of any length: `Whole`.

A graph knows the length of its input only when it runs. So there is no loop over blocks of frames here, no assignment to slices,
and the spectrum is a matrix product in place of a Fourier transform. The encoders see to themselves (torch.onnx.is_in_onnx_export).
"""
import copy
import math

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from sslspk.features import cmvn, decibels
from sslspk.features.config import FULL_SCALE, FeatureOptions
from sslspk.features.fbank import Extractor
from sslspk.nn.sinc import SincConv
from sslspk.train.model import Model


class TraceableExtractor(Extractor):
    """What Extractor computes, up to rounding: (B, S) -> (B, T, F). A waveform must have one frame at least."""

    def __init__(self, options: FeatureOptions):
        super().__init__(options)
        angle = 2 * math.pi / self.fft_length * torch.outer(torch.arange(options.window_samples).double(),
                                                            torch.arange(self.fft_length // 2 + 1).double())
        self.register_buffer("cosines", angle.cos().float(), persistent=False)
        self.register_buffer("sines", angle.sin().float(), persistent=False)

    def forward(self, wave: Tensor) -> Tensor:
        o, size = self.options, wave.shape[1]
        if self.decibels:
            half, count = o.window_samples // 2, 1 + size // o.shift_samples
            place = torch.arange(count)[:, None] * o.shift_samples + torch.arange(o.window_samples)
            return decibels.floored(self._features(F.pad(wave, (half, o.window_samples))[:, place]))
        count = 1 + (size - o.window_samples) // o.shift_samples if o.snip_edges else (size + o.shift_samples // 2) // o.shift_samples
        begin = 0 if o.snip_edges else o.shift_samples // 2 - o.window_samples // 2
        place = torch.arange(count)[:, None] * o.shift_samples + torch.arange(o.window_samples) + begin
        if not o.snip_edges:   # beyond an end the waveform plays backwards
            place = place.remainder(2 * size)
            place = torch.minimum(place, 2 * size - 1 - place)
        return self._features(wave[:, place])

    def _windowed(self, frames: Tensor) -> Tensor:
        before = torch.cat([frames[..., :1], frames[..., :-1]], -1)
        return (frames - self.options.preemphasis_coefficient * before) * self.window

    def _power(self, x: Tensor) -> Tensor:
        return (x @ self.cosines).square() + (x @ self.sines).square()


class Whole(nn.Module):
    """forward(x) -> embeddings (B, D). x: samples from -1 to 1, (B, S), at the model's rate; with from_features: features as
    steps/make_feats.sh writes them, (B, T, F), before the mean is taken off."""

    def __init__(self, model: Model, from_features: bool = False):
        super().__init__()
        self.encoder, self.normalise, self.scale = folded(model.encoder), model.config.cmvn, FULL_SCALE
        needs_features = not model.config.waveform and not from_features
        self.extractor = TraceableExtractor(model.config.features) if needs_features else None
        self.takes_features = not model.config.waveform
        self.eval()

    def forward(self, x: Tensor) -> Tensor:
        if self.extractor is not None:
            x = self.extractor(x * self.scale)
        return self.encoder(cmvn.apply(x, self.normalise) if self.takes_features else x)


class GroupNorm(nn.Module):
    """What nn.GroupNorm computes of (B, C, T), with sums over time in float64: those of onnxruntime lose digits over millions of values."""

    def __init__(self, norm: nn.GroupNorm):
        super().__init__()
        self.groups, self.eps, self.weight, self.bias = norm.num_groups, norm.eps, norm.weight, norm.bias

    def forward(self, x: Tensor) -> Tensor:
        parts = x.reshape(x.shape[0], self.groups, -1, x.shape[2])
        parts = parts - _mean(parts)
        parts = parts / torch.sqrt(_mean(parts.square()) + self.eps)
        return parts.reshape(x.shape) * self.weight[:, None] + self.bias[:, None]


def _mean(x: Tensor) -> Tensor:
    """(B, G, C, T) -> (B, G, 1, 1)."""
    return x.mean(2, keepdim=True).double().mean(3, keepdim=True).to(x.dtype)


def folded(encoder: nn.Module) -> nn.Module:
    """A copy on the CPU in which filters that are learnt as edges have become plain convolutions, and group norms `GroupNorm`."""
    encoder = copy.deepcopy(encoder).cpu()
    for module in list(encoder.modules()):
        for name, part in list(module.named_children()):
            if isinstance(part, SincConv):
                setattr(module, name, part.as_conv())
            elif isinstance(part, nn.GroupNorm):
                setattr(module, name, GroupNorm(part))
    return encoder
