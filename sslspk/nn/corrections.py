"""Limits how many recordings may learn the label of another class, so that no class absorbs the others."""
import torch
from torch import Tensor, nn

from sslspk.nn import comm


class Corrections(nn.Module):
    """A class takes in recordings of other classes, up to `growth` times the number of its own; the state is equal on all ranks.

    own, given (recordings,) int64: each recording's label, and the other class's label that it learnt last; -1: not seen, none.
    """

    def __init__(self, recordings: int, classes: int, growth: float):
        super().__init__()
        self.classes, self.growth = classes, growth
        self.register_buffer("own", torch.full((recordings,), -1))
        self.register_buffer("given", torch.full((recordings,), -1))

    @torch.no_grad()
    def see(self, units: Tensor, labels: Tensor) -> None:
        """Remember the labels (B,) of recordings (B,)."""
        self.own[comm.gather(units)] = comm.gather(labels)

    @torch.no_grad()
    def admit(self, units: Tensor, classes: Tensor, wanted: Tensor) -> Tensor:
        """Bool (B,): which of the `wanted` recordings find room in their new `classes` (B,); earlier rows, in rank order, go first."""
        mine = comm.rows_of_this_rank(len(units))
        units, classes, wanted = comm.gather(units), comm.gather(classes), comm.gather(wanted)
        self.given[units] = -1
        room = self.growth * _count(self.own, self.classes) - _count(self.given, self.classes)
        earlier = ((classes[:, None] == classes) & wanted).tril(-1).sum(1)   # in this batch
        admitted = wanted & (earlier < room[classes])
        self.given[units] = classes.where(admitted, -1)
        return admitted[mine]


def _count(labels: Tensor, classes: int) -> Tensor:
    """How many of the labels (N,) are of each class: (C,); -1 is of none."""
    return labels.new_zeros(classes).index_add(0, labels.clamp_min(0), (labels >= 0).long())
