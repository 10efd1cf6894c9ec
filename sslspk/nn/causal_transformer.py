"""A causal Transformer layer with relative positions: the predictors of CPC_audio (Rivière et al. 2020, arXiv 2002.02848)."""
import math

import torch
from torch import Tensor, nn
from torch.nn import functional as F


class CausalTransformerLayer(nn.Module):
    """(B, T, C) -> (B, T, C), T at most `size`: a step sees itself and the steps before it.

    Multi-head attention without biases, then two linear layers with a ReLU between them; each is added to its input, and a LayerNorm
    follows the sum. A key d steps back adds to its score the product of the query and a learnt vector for d, which all heads share.
    Parameters: 4 C^2 + size C / heads + 2 C hidden + hidden + C + 4 C.
    """

    def __init__(self, channels: int, size: int, heads: int = 8, hidden: int = 2048, dropout: float = 0.1):
        super().__init__()
        self.heads, self.dropout = heads, dropout
        self.projections = nn.Linear(channels, 3 * channels, bias=False)     # queries, keys, values
        self.out = nn.Linear(channels, channels, bias=False)
        reach = 1 / math.sqrt(channels // heads)
        self.distance = nn.Parameter(torch.empty(size, channels // heads).uniform_(-reach, reach))
        self.attention_norm, self.norm = nn.LayerNorm(channels), nn.LayerNorm(channels)
        self.inner, self.outer = nn.Linear(channels, hidden), nn.Linear(hidden, channels)

    def forward(self, x: Tensor) -> Tensor:
        x = self.attention_norm(x + self.out(self._attend(x)))
        inner = F.dropout(F.relu(self.inner(x)), self.dropout, self.training)
        return self.norm(x + self.outer(inner))

    def _attend(self, x: Tensor) -> Tensor:
        queries, keys, values = (part.unflatten(-1, (self.heads, -1)).transpose(1, 2) for part in self.projections(x).chunk(3, -1))
        steps = x.shape[1]
        places = torch.arange(steps, device=x.device)
        back = places[:, None] - places                                      # (T, T): steps from key j to query i
        far = (queries @ self.distance[:steps].T.to(queries.dtype)).gather(-1, back.clamp_min(0).expand(*queries.shape[:3], -1))
        scores = (queries @ keys.transpose(-1, -2) + far) / math.sqrt(queries.shape[-1])
        weights = scores.masked_fill(back < 0, -math.inf).softmax(-1)   # in float32 also under autocast
        seen = F.dropout(weights, self.dropout, self.training).to(values.dtype) @ values
        return seen.transpose(1, 2).flatten(2)


class TransformerPredictors(nn.Module):
    """(B, T, C) -> (B, T, steps * C): a separate layer, with `hidden` hidden units, for each step ahead."""

    def __init__(self, steps: int, channels: int, size: int, hidden: int = 2048):
        super().__init__()
        self.layers = nn.ModuleList(CausalTransformerLayer(channels, size, hidden=hidden) for _ in range(steps))

    def forward(self, x: Tensor) -> Tensor:
        return torch.cat([layer(x) for layer in self.layers], -1)
