"""Draws entries of a queue to replace positives, within a group, for a whole batch at once."""
import torch
from torch import Tensor

NONE = torch.iinfo(torch.int64).max


@torch.no_grad()
def draw(wanted: Tensor, unit: Tensor, group_of: Tensor, unit_of: Tensor, uniform: Tensor, units: int) -> tuple[Tensor, Tensor]:
    """Draw an entry of the queue for each of B anchors, uniformly from those of its group but of another recording.

    wanted (B,) the groups to draw from, -1: none    unit (B,) the anchors' own recordings, 0 .. units - 1
    group_of (Q,), unit_of (Q,) group and recording of the queue's entries, -1 where there is none
    uniform (B,) random numbers in [0, 1)
    Returns entries (B,), and bool (B,) whether there was one (if not, the entry is meaningless).

    Entries are sorted by group and then by recording, so that a group is contiguous, and so is the anchor's own recording in it.
    The host does not wait for the device.
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
