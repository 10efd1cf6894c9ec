"""The problem-agnostic speech encoder on raw waveforms: PASE (Pascual et al. 2019, arXiv 1904.03416) and PASE+ (Ravanelli et al. 2020).

Band-pass filters of learnt edges, then convolutions, each with BatchNorm and PReLU, turn 16 kHz audio into one step every 160 samples;
reflected samples pad both sides. PASE ends in a linear layer. PASE+ puts a quasi-recurrent layer before it, and adds to its output what
every earlier layer says of the step (dense skips). A last BatchNorm without gain gives every dimension mean 0 and variance 1.

Parameters, C_i channels and k_i samples of layer i, D the embedding, H the context of one direction, R directions:
    filters        2 C_1                                         128
    convolutions   sum over i > 1 of k_i C_(i-1) C_i + C_i       5,760,832   (5,758,976 weights, 1,856 biases)
    normalisations, slopes  3 sum C_i                            5,760
    context        R (3 H 2 C + 3 H)                             1,574,400   (H 256, R 2; as many with H 512, R 1)
    last layer     (C or R H) D + D                              51,300 of PASE, 131,328 of PASE+
    skips          D sum over i < last of C_i                    360,448
PASE 5,818,020, PASE+ 7,832,896 ("7.83 M" where it is compared with others). The authors' code runs its context forwards alone, with twice
the channels: context_dim 512, bidirectional false.

Take 32 channels or more with train.precision bf16 on a CPU, as for encoders/cpc.py.
"""
import math

from torch import Tensor, nn
from torch.nn import functional as F

from sslspk.encoders.base import Encoder
from sslspk.encoders.config import PaseEncoderConfig
from sslspk.encoders.windows import mean_embedding
from sslspk.losses.precision import wide
from sslspk.nn.onednn import Conv1d
from sslspk.nn.qrnn import Qrnn
from sslspk.nn.sinc import SincConv


class ReflectConv(nn.Module):
    """Convolution, BatchNorm, PReLU: (B, C, T) -> (B, C', T'), padded by reflection; the slope of negative values begins at 0.

    T' = T for a stride of 1 and an odd kernel; a stride or an even kernel takes one sample less of padding at the start.
    """

    def __init__(self, conv: nn.Module, channels: int):
        super().__init__()
        self.conv, self.norm, self.slope = conv, nn.BatchNorm1d(channels), nn.PReLU(channels, init=0.0)
        kernel, stride = conv.kernel_size[0], conv.stride[0]
        self.padding = ((kernel - 1) // 2 if stride == 1 else max(kernel // 2 - 1, 0), kernel // 2)

    def forward(self, x: Tensor) -> Tensor:
        return self.slope(self.norm(self.conv(F.pad(x, self.padding, mode="reflect"))))

    def needed(self, steps: int) -> int:
        """The least T for T' >= steps; reflection needs more than it mirrors."""
        kernel, stride = self.conv.kernel_size[0], self.conv.stride[0]
        return max((steps - 1) * stride + kernel - sum(self.padding), self.padding[1] + 1)


class PaseEncoder(Encoder):
    """(B, S) -> frames (B, T, D), T about S / step_samples -> embedding (B, D), the mean over frames.

    Recordings longer than `window` samples are embedded in windows of that length, as many as cover them, evenly spread; the embedding is
    their mean. `frames` sees the whole recording at once.
    """

    input = "wave"

    def __init__(self, config: PaseEncoderConfig, num_features: int):
        super().__init__(num_features, config.embed_dim)
        self.rate, self.step_samples, self.window = config.rate, config.step_samples, round(config.window_seconds * config.rate)
        self.layers, before = nn.ModuleList(), 1
        for i, (width, kernel, stride) in enumerate(zip(config.channels, config.kernels, config.strides, strict=True)):
            conv = nn.Conv1d(before, width, kernel, stride) if i else SincConv(width, kernel, stride, config.rate)
            self.layers.append(ReflectConv(conv, width))
            before = width
        self.min_frames = 1
        for layer in reversed(self.layers):
            self.min_frames = layer.needed(self.min_frames)
        self.pools = [math.prod(config.strides[i + 1:]) for i in range(len(config.strides) - 1)] if config.skips else []
        self.skips = nn.ModuleList(Conv1d(width, config.embed_dim, 1, bias=False) for width in config.channels[:len(self.pools)])
        self.context = Qrnn(before, config.context_dim, config.bidirectional) if config.context == "qrnn" else None
        if self.context is not None:
            before = config.context_dim * (2 if config.bidirectional else 1)
        self.last, self.norm = Conv1d(before, config.embed_dim, 1), nn.BatchNorm1d(config.embed_dim, affine=False)

    @property
    def depths(self) -> list[list[nn.Module]]:
        """Each convolution, the context, the last layer; the skips go with the last layer, which they feed the same sum as."""
        return [*([layer] for layer in self.layers), *([[self.context]] if self.context is not None else []), [self.last, *self.skips]]

    @property
    def blocks_to_recompute(self) -> list[nn.Module]:
        return [*self.layers]

    def forward(self, x: Tensor) -> Tensor:
        return mean_embedding(lambda parts: self._embed(self._maps(parts)), self._checked(x), self.window, self.training)

    def compile(self, *args, **kwargs) -> None:
        """torch.compile the convolutions alone: nearly all of the time."""
        for layer in self.layers:
            layer.compile(*args, **kwargs)

    def _maps(self, x: Tensor) -> Tensor:
        maps, seen = x[:, None], []
        for i, layer in enumerate(self.layers):
            maps = layer(maps)
            if i < len(self.skips):
                # A linear layer of a mean is the mean of the linear layer, at a fraction of its price.
                seen.append(F.avg_pool1d(maps, self.pools[i], ceil_mode=True))
        out = self.last(maps if self.context is None else self.context(maps))          # (B, D, T)
        for skip, pooled in zip(self.skips, seen, strict=True):
            out = out + skip(pooled[:, :, :maps.shape[2]])
        return self.norm(wide(out))

    def _embed(self, maps: Tensor) -> Tensor:
        return maps.mean(2)
