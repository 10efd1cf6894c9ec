"""Draws entries of a queue that replace positives, within a group, for a whole batch at once."""
import torch
from torch import Tensor

NONE = torch.iinfo(torch.int64).max


@torch.no_grad()
def draw(wanted: Tensor, unit: Tensor, group_of: Tensor, unit_of: Tensor, uniform: Tensor, units: int) -> tuple[Tensor, Tensor]:
    """For each of B anchors an entry of the queue, uniformly among those of its group that are of another recording.

    wanted (B,) the groups to draw from, -1: from none    unit (B,) the anchors' own recordings, 0 .. units - 1
    group_of (Q,), unit_of (Q,) group and recording of the queue's entries, -1 where there is none
    uniform (B,) random numbers in [0, 1)
    Returns (B,) entries, and (B,) bool whether there was one (else the entry means nothing).

    Entries are sorted by group, and within it by recording, so that both a group and the anchor's own recording in it are
    one stretch. Nothing here waits for the device.
    """
    place = torch.where((group_of >= 0) & (unit_of >= 0), group_of * units + unit_of, NONE)
    place, order = place.sort(stable=True)
    first = wanted.clamp_min(0) * units
    ends = torch.searchsorted(place, torch.stack([first, first + units, first + unit, first + unit + 1]))
    begin, end, own, after = ends.unbind()
    others = (end - begin) - (after - own)
    at = begin + torch.minimum((uniform * others).long(), others - 1).clamp_min(0)
    at = at + (after - own) * (at >= own)
    return order[at.clamp_max(len(order) - 1)], (wanted >= 0) & (others > 0)
