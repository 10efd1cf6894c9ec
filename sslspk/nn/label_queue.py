"""The last labels of each recording, and their majority."""
import torch
from torch import Tensor, nn

from sslspk.nn import comm


class LabelQueue(nn.Module):
    """labels (recordings, length) int64, the newest first; -1: none yet. State, equal on all ranks."""

    def __init__(self, recordings: int, length: int):
        super().__init__()
        self.register_buffer("labels", torch.full((recordings, length), -1))

    @torch.no_grad()
    def push(self, units: Tensor, labels: Tensor) -> None:
        """Add a label (B,) of each recording (B,), those of all ranks; the oldest one of it falls out."""
        units = comm.gather(units)
        self.labels[units] = torch.cat([comm.gather(labels)[:, None], self.labels[units, :-1]], 1)

    def majority(self, units: Tensor) -> Tensor:
        """The label (B,) that most of a recording's labels are, the newest of those that are equally many; -1 where there is none."""
        votes = self.labels[units]
        count = ((votes[:, :, None] == votes[:, None]) & (votes >= 0)[:, :, None]).sum(2)
        newest = torch.arange(votes.shape[1], 0, -1, device=votes.device)
        return votes.gather(1, (count * (votes.shape[1] + 1) + newest).argmax(1, keepdim=True))[:, 0]

    def classes(self, count: int) -> Tensor:
        """How many of `count` classes are the majority of a recording, (): the clusters that are left."""
        voted = self.majority(torch.arange(len(self.labels), device=self.labels.device))
        return torch.zeros(count + 1, device=voted.device).index_fill(0, voted + 1, 1.0)[1:].sum()
