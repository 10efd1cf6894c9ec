"""A small recogniser of labels in log-mel frames: convolutions, one bidirectional LSTM, a softmax for every frame."""
import torch
from torch import Tensor, nn
from torch.nn import functional as F

STRIDE = 3   # frames per step of the LSTM; each frame gets its own softmax


class Recogniser(nn.Module):
    """forward(frames (B, T, F), lengths (B,)) -> log-probabilities (B, T, K); frames beyond a length have no influence.

    channels: of the convolutions; depth: number of convolutions after the first, each over 5 steps, with a residual connection; hidden:
    units of the LSTM in each direction. Parameters: 5 F C + 5 C^2 depth + 8 H (C + H) + 4 H K, and biases.
    """

    def __init__(self, features: int, labels: int, channels: int, depth: int, hidden: int, dropout: float):
        super().__init__()
        self.first = nn.Conv1d(features, channels, 5, STRIDE, 2)
        self.convolutions = nn.ModuleList(nn.Conv1d(channels, channels, 5, padding=2) for _ in range(depth))
        self.norms = nn.ModuleList(nn.LayerNorm(channels) for _ in range(depth + 1))
        self.forth, self.back = (nn.LSTM(channels, hidden, batch_first=True) for _ in range(2))
        self.out = nn.Linear(2 * hidden, STRIDE * labels)
        self.labels, self.dropout = labels, dropout

    def forward(self, frames: Tensor, lengths: Tensor) -> Tensor:
        steps = (lengths + STRIDE - 1) // STRIDE
        there = (torch.arange(frames.shape[1], device=frames.device) < lengths[:, None])[..., None]
        x = self.first((frames * there).transpose(1, 2)).transpose(1, 2)
        there = (torch.arange(x.shape[1], device=x.device) < steps[:, None])[..., None]
        x = F.relu(self.norms[0](x)) * there
        for convolution, norm in zip(self.convolutions, self.norms[1:], strict=True):
            x = (x + F.relu(norm(convolution(x.transpose(1, 2)).transpose(1, 2)))) * there
        x = F.dropout(x, self.dropout, self.training)
        x = torch.cat([self.forth(x)[0], turned(self.back(turned(x, steps))[0], steps)], 2)
        scores = self.out(F.dropout(x, self.dropout, self.training))
        return scores.unflatten(2, (STRIDE, self.labels)).flatten(1, 2)[:, :frames.shape[1]].log_softmax(-1)


def turned(x: Tensor, steps: Tensor) -> Tensor:
    """(B, T, C) with the first `steps` (B,) steps of each sequence reversed. On a CPU, packed sequences take three times as long."""
    place = torch.arange(x.shape[1], device=x.device)[None]
    place = torch.where(place < steps[:, None], steps[:, None] - 1 - place, place)
    return x.gather(1, place[..., None].expand_as(x))
