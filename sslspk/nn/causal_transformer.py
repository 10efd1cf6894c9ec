"""A causal Transformer layer with relative positions: the predictors of CPC_audio (Rivière et al. 2020, arXiv 2002.02848)."""
import math

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from sslspk.nn.draws import for_rows
from sslspk.nn.onednn import Linear


class CausalTransformerLayer(nn.Module):
    """(B, T, C) -> (B, T, C), T at most `size`: a step sees itself and the steps before it.

    Multi-head attention without biases, then two linear layers with a ReLU between them; each is added to its input, and a LayerNorm
    follows the sum. A key d steps back adds to its score the product of the query and a learnt vector for d, which all heads share.
    Dropout, of the attention's weights and the hidden units, keeps what the caller has drawn.
    Parameters: 4 C^2 + size C / heads + 2 C hidden + hidden + C + 4 C.
    """

    def __init__(self, channels: int, size: int, heads: int = 8, hidden: int = 2048, dropout: float = 0.1):
        super().__init__()
        self.heads, self.dropout = heads, dropout
        self.projections = Linear(channels, 3 * channels, bias=False)     # queries, keys, values
        self.out = Linear(channels, channels, bias=False)
        reach = 1 / math.sqrt(channels // heads)
        self.distance = nn.Parameter(torch.empty(size, channels // heads).uniform_(-reach, reach))
        self.attention_norm, self.norm = nn.LayerNorm(channels), nn.LayerNorm(channels)
        self.inner, self.outer = Linear(channels, hidden), Linear(hidden, channels)

    def droppable(self, steps: int) -> tuple[int, int]:
        """How many attention weights and hidden units dropout decides about in a row of so many steps."""
        return self.heads * steps * steps, steps * self.inner.out_features

    def forward(self, x: Tensor, kept: Tensor | None = None) -> Tensor:
        """kept: (B, sum of droppable(T)) bool, what dropout keeps; None: no dropout."""
        weights_kept, units_kept = (None, None) if kept is None else kept.split(self.droppable(x.shape[1]), 1)
        x = self.attention_norm(x + self.out(self._attend(x, weights_kept)))
        return self.norm(x + self.outer(self._dropped(F.relu(self.inner(x)), units_kept)))

    def _dropped(self, x: Tensor, kept: Tensor | None) -> Tensor:
        return x if kept is None else x.where(kept.reshape(x.shape), 0) / (1 - self.dropout)

    def _attend(self, x: Tensor, kept: Tensor | None) -> Tensor:
        queries, keys, values = (part.unflatten(-1, (self.heads, -1)).transpose(1, 2) for part in self.projections(x).chunk(3, -1))
        steps = x.shape[1]
        places = torch.arange(steps, device=x.device)
        back = places[:, None] - places                                      # (T, T): steps from key j to query i
        far = (queries @ self.distance[:steps].T.to(queries.dtype)).gather(-1, back.clamp_min(0).expand(*queries.shape[:3], -1))
        scores = (queries @ keys.transpose(-1, -2) + far) / math.sqrt(queries.shape[-1])
        weights = scores.masked_fill(back < 0, -math.inf).softmax(-1)   # in float32 also under autocast
        seen = self._dropped(weights, kept).to(values.dtype) @ values
        return seen.transpose(1, 2).flatten(2)


class TransformerPredictors(nn.Module):
    """(B, T, C) -> (B, T, steps * C): a separate layer, with `hidden` hidden units, for each step ahead.

    What dropout keeps is drawn for each row of the batch of all ranks, so that two ranks compute what one computes.
    """

    def __init__(self, steps: int, channels: int, size: int, hidden: int = 2048, dropout: float = 0.1):
        super().__init__()
        self.dropout = dropout
        self.layers = nn.ModuleList(CausalTransformerLayer(channels, size, hidden=hidden, dropout=dropout) for _ in range(steps))

    def forward(self, x: Tensor, number: int = 0, purpose: int = 0) -> Tensor:
        """number, purpose: of the draw, see `for_rows`."""
        if not self.training or not self.dropout:
            return torch.cat([layer(x) for layer in self.layers], -1)
        shape = len(self.layers), sum(self.layers[0].droppable(x.shape[1]))
        kept = for_rows(len(x), number, purpose, x.device, lambda generator: torch.rand(
            shape, generator=generator, device=x.device) >= self.dropout)
        return torch.cat([layer(x, kept[:, k]) for k, layer in enumerate(self.layers)], -1)
