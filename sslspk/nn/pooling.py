"""From frames to one vector: (B, C, T) -> (B, out_dim). Batches are rectangular: every frame counts.

Sums are in float32 even under autocast. Standard deviations are sqrt(variance + EPSILON): their gradient is finite on constant input.
"""
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from sslspk.losses.precision import wide
from sslspk.nn.moments import moments
from sslspk.nn.onednn import Conv1d

LOWER_FLOOR = 1e-12   # speechbrain's floor of variances
EPSILON = 1e-7  # added to variances; a standard deviation is never below 3.2e-4


def mean_and_var(x: Tensor) -> tuple[Tensor, Tensor]:
    """Mean and (biased) variance over the last dimension: (B, C, T) -> (B, C), (B, C)."""
    return moments(wide(x))


def mean_and_std(x: Tensor, unbiased: bool = False) -> tuple[Tensor, Tensor]:
    """Mean and standard deviation over the last dimension: (B, C, T) -> (B, C), (B, C). unbiased: divide by T - 1, not T."""
    mean, var = mean_and_var(x)
    return mean, torch.sqrt((var * (x.shape[-1] / (x.shape[-1] - 1)) if unbiased else var) + EPSILON)


class Statistics(nn.Module):
    """Mean and standard deviation over time (Snyder et al. 2018): (B, C, T) -> (B, 2C). unbiased: see `mean_and_std`."""

    def __init__(self, channels: int, unbiased: bool = False):
        super().__init__()
        self.out_dim, self.unbiased = 2 * channels, unbiased

    def forward(self, x: Tensor) -> Tensor:
        return torch.cat(mean_and_std(x, self.unbiased), dim=1)


class SelfAttentive(nn.Module):
    """Weighted mean over time, one weight per frame (Cai et al. 2018, eq. 1-3): (B, C, T) -> (B, C).

    h_t = tanh(W x_t + b), w = softmax_t(u . h_t), output sum_t w_t x_t. Parameters: C^2 + 2C.
    """

    def __init__(self, channels: int):
        super().__init__()
        self.out_dim = channels
        self.hidden = Conv1d(channels, channels, 1)
        self.context = nn.Parameter(torch.empty(channels, 1))
        nn.init.xavier_normal_(self.context)

    def forward(self, x: Tensor) -> Tensor:
        scores = (torch.tanh(self.hidden(x)) * self.context).sum(1, keepdim=True)
        return (torch.softmax(wide(scores), -1) * wide(x)).sum(-1)


class AttentiveStatistics(nn.Module):
    """Weighted mean and deviation, one weight per channel and frame (Okabe et al. 2018; Desplanques et al. 2020, eq. 3-5).

    e_t = V tanh(W x_t + b), a = softmax_t(e); mean = sum_t a_t x_t, std^2 = sum_t a_t (x_t - mean)^2: (B, C, T) -> (B, 2C).
    With `global_context` W reads [x_t; mean_T x; std_T x]. V has no bias: the same number added to all frames of a channel
    drops out of the softmax. Parameters: C R (1, or 3 with context) + R + R C, with R the bottleneck.

    variant: "wespeaker" has unbiased deviations in the context and a floor for the output variance; "speechbrain" has a ReLU and a
    BatchNorm before the tanh, and a lower floor.
    """

    def __init__(self, channels: int, bottleneck: int = 128, global_context: bool = True, variant: str = "own"):
        super().__init__()
        self.out_dim, self.variant = 2 * channels, variant
        self.norm = nn.BatchNorm1d(bottleneck) if variant == "speechbrain" else None
        self.hidden = Conv1d(channels, bottleneck, 1)
        # W's two blocks for mean and std: applied once per utterance, not once per frame
        self.context = nn.Linear(2 * channels, bottleneck, bias=False) if global_context else None
        self.scores = Conv1d(bottleneck, channels, 1, bias=False)

    def forward(self, x: Tensor) -> Tensor:
        hidden = self.hidden(x)
        if self.context is not None:
            hidden = hidden + self.context(torch.cat(self._context(x), dim=1)).unsqueeze(-1)
        if self.norm is not None:
            hidden = self.norm(F.relu_(hidden))
        mean, var = moments(wide(x), wide(self.scores(torch.tanh(hidden))))
        return torch.cat([mean, self._deviation(var)], dim=1)

    def _context(self, x: Tensor) -> tuple[Tensor, Tensor]:
        if self.variant != "speechbrain":
            return mean_and_std(x, self.variant == "wespeaker")
        mean, var = mean_and_var(x)
        return mean, self._deviation(var)

    def _deviation(self, var: Tensor) -> Tensor:
        if self.variant == "own":
            return torch.sqrt(var + EPSILON)
        return var.clamp(min=EPSILON if self.variant == "wespeaker" else LOWER_FLOOR).sqrt()


class FactorisedAttention(nn.Module):
    """Multi-head factorised attentive pooling (MHFA: Peng et al. 2022, arXiv 2210.01273, eq. 2-6) of a Transformer's layers.

    L outputs Z_l (B, T, C) -> (B, out_dim). Keys and values are two means over the layers, each with its own learnt weights (softmax),
    projected to `compress` dimensions: k_t = W_k sum_l a_l z_lt, v_t = W_v sum_l b_l z_lt. Head h weights the steps by
    softmax_t(u_h . k_t) and sums the v_t with these weights. All heads' outputs go through one affine layer.
    """

    def __init__(self, layers: int, channels: int, heads: int, compress: int, out_dim: int):
        super().__init__()
        self.out_dim = out_dim
        self.key_weights, self.value_weights = nn.Parameter(torch.zeros(layers)), nn.Parameter(torch.zeros(layers))
        # A bias of keys or scores would add the same to all steps; the softmax ignores it.
        self.keys, self.values = nn.Linear(channels, compress, bias=False), nn.Linear(channels, compress)
        self.scores = nn.Linear(compress, heads, bias=False)
        self.embedding = nn.Linear(heads * compress, out_dim)

    def frames(self, outputs: list[Tensor]) -> Tensor:
        """L outputs (B, T, C) -> (B, T, compress): the values, before pooling."""
        return self.values(_layer_mean(outputs, self.value_weights))

    def forward(self, outputs: list[Tensor]) -> Tensor:
        scores = self.scores(self.keys(_layer_mean(outputs, self.key_weights)))
        weights = torch.softmax(wide(scores), dim=1)
        return self.embedding((weights.transpose(1, 2) @ wide(self.frames(outputs))).flatten(1))


def _layer_mean(outputs: list[Tensor], weights: Tensor) -> Tensor:
    """The mean of the outputs of L layers, weighted by the softmax of `weights` (L,)."""
    return sum(weight * output for weight, output in zip(weights.softmax(0).unbind(), outputs, strict=True))


class BandMeans(nn.Module):
    """Mean over time and over each of `bands` parts of the frequency axis: (B, C * F, T) -> (B, C * bands).

    Rows are ordered channel by channel, as in a flattened map (B, C, F, T). Parts are those of adaptive average pooling:
    part i covers bins floor(i F / bands) to ceil((i + 1) F / bands); parts overlap if F is not a multiple of `bands`.
    """

    def __init__(self, channels: int, bins: int, bands: int):
        super().__init__()
        self.channels, self.bins, self.bands = channels, bins, bands
        self.out_dim = channels * bands

    def forward(self, x: Tensor) -> Tensor:
        spectrum = wide(x).mean(-1).view(-1, self.channels, self.bins)
        parts = [(i * self.bins // self.bands, -(-(i + 1) * self.bins // self.bands)) for i in range(self.bands)]
        return torch.stack([spectrum[:, :, first:end].mean(-1) for first, end in parts], -1).flatten(1)


def build_pooling(name: str, channels: int, bottleneck: int, unbiased: bool = False) -> nn.Module:
    """The pooling layer that a configuration names; `bottleneck` applies to the attentive ones, `unbiased` to statistics."""
    if name == "statistics":
        return Statistics(channels, unbiased)
    if name == "self_attentive":
        return SelfAttentive(channels)
    if name == "attentive":
        return AttentiveStatistics(channels, bottleneck, global_context=False)
    if name == "attentive_context":
        return AttentiveStatistics(channels, bottleneck, global_context=True)
    raise ValueError(f"there is no pooling called {name}")
