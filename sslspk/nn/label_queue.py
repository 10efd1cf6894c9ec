"""The last labels of each recording, and their majority."""
import torch
from torch import Tensor, nn

from sslspk.nn import comm


class LabelQueue(nn.Module):
    """labels (recordings, length) int64, the newest first; -1: none yet. They are state, equal on all ranks."""

    def __init__(self, recordings: int, length: int):
        super().__init__()
        self.register_buffer("labels", torch.full((recordings, length), -1))

    @torch.no_grad()
    def push(self, units: Tensor, labels: Tensor) -> None:
        """Add the labels (B,) of recordings (B,), from all ranks; each recording's oldest label is dropped."""
        units = comm.gather(units)
        self.labels[units] = torch.cat([comm.gather(labels)[:, None], self.labels[units, :-1]], 1)

    def majority(self, units: Tensor) -> Tensor:
        """The most frequent label (B,) of each recording, the newest if several are equally frequent; -1 where there is none."""
        votes = self.labels[units]
        count = ((votes[:, :, None] == votes[:, None]) & (votes >= 0)[:, :, None]).sum(2)
        newest = torch.arange(votes.shape[1], 0, -1, device=votes.device)
        return votes.gather(1, (count * (votes.shape[1] + 1) + newest).argmax(1, keepdim=True))[:, 0]

    def classes(self, count: int) -> Tensor:
        """How many of `count` classes are the majority of some recording, (): the clusters that remain."""
        voted = self.majority(torch.arange(len(self.labels), device=self.labels.device))
        return torch.zeros(count + 1, device=voted.device).index_fill(0, voted + 1, 1.0)[1:].sum()
