"""Band-pass filters with learnt edges on raw audio: the first layer of SincNet (Ravanelli & Bengio 2018, arXiv 1808.00158)."""
import math

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from sslspk.features.fbank import to_mel

LOWEST = 30.0    # Hz, where the mel scale of the initial filters begins
MARGIN = 50.0    # Hz, the least lower edge and the least bandwidth


class SincConv(nn.Module):
    """(B, 1, S) -> (B, channels, S'), without padding; S' = 1 + (S - kernel) // stride. Two parameters per filter, no bias.

    h[n] = (2 f2 sinc(2 f2 n) - 2 f1 sinc(2 f1 n)) w[n] / (2 (f2 - f1)), n from -(kernel - 1) / 2 on, w a Hamming window (Eq. 4 to 8),
    f1 = MARGIN + |low|, f2 = f1 + MARGIN + |band|, at most half the rate. Frequencies are fractions of the rate, as in the Keras
    version of the authors' code: in Hz, Adam's steps would be too small to move the filters. An even kernel grows by one sample.
    The initial edges are evenly spaced on the mel scale, from LOWEST to half the rate minus 2 MARGIN.
    """

    def __init__(self, channels: int, kernel: int, stride: int, rate: float):
        super().__init__()
        self.kernel_size, self.stride, self.margin = (kernel + 1 - kernel % 2,), (stride,), MARGIN / rate
        top = rate / 2 - 2 * MARGIN
        mel = torch.linspace(float(to_mel(LOWEST)), float(to_mel(top)), channels + 1, dtype=torch.float64)
        edges = (700 * (torch.exp(mel / 1127) - 1) / rate).to(torch.get_default_dtype())
        self.low, self.band = nn.Parameter(edges[:-1].clone()), nn.Parameter(edges.diff())

    def edges(self) -> tuple[Tensor, Tensor]:
        """(channels,), (channels,): the lower and the upper edge of each filter, as fractions of the rate."""
        low = (self.margin + self.low.abs()).clamp(max=0.5 - self.margin)
        return low, (low + self.margin + self.band.abs()).clamp(max=0.5)

    def filters(self) -> Tensor:
        """(channels, kernel)."""
        half = self.kernel_size[0] // 2
        n = torch.arange(-half, half + 1, device=self.low.device, dtype=self.low.dtype)
        window = 0.54 + 0.46 * torch.cos(math.pi * n / max(half, 1))
        low, high = (edge[:, None] for edge in self.edges())
        return (2 * high * torch.sinc(2 * high * n) - 2 * low * torch.sinc(2 * low * n)) * window / (2 * (high - low))

    def as_conv(self) -> nn.Conv1d:
        """The same filters as a plain convolution, whose weights are learnt directly."""
        conv = nn.Conv1d(1, len(self.low), self.kernel_size, self.stride, bias=False, device=self.low.device, dtype=self.low.dtype)
        conv.weight.data = self.filters()[:, None].detach()
        return conv

    def forward(self, x: Tensor) -> Tensor:
        return F.conv1d(x, self.filters()[:, None].to(x.dtype), stride=self.stride)
