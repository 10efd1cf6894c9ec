"""Encodes many recordings, those of equal length together. That keeps a GPU busy, and changes only the last bits of the results."""
from collections.abc import Callable, Iterable, Iterator

import numpy as np
import torch
from torch import Tensor

POOL = 1 << 24           # numbers (64 MB) in recordings that wait for others of equal length
CPU_BATCH = 3 << 16      # numbers that are encoded together: 8 recordings of 3 s with 80 features. More would not fit in the caches
DEVICE_BATCH = 1 << 22   # 170 of these


def encoded(encode: Callable[[Tensor], Tensor], inputs: Iterable[Tensor], alone: bool = False) -> Iterator[np.ndarray]:
    """encode(x)[0], float32 (D,), of each x, (1, T, F) or (1, S), in their order. encode: (B, T, F) or (B, S) -> (B, D).

    Nothing is padded: only inputs of one shape are encoded together. Up to POOL numbers are read ahead. alone: encode one input at a time;
    on a CPU the result then does not depend on the other inputs in any bit.
    """
    waiting, held = [], 0
    for x in inputs:
        waiting.append(x)
        held += x.numel()
        if held >= POOL:
            yield from _together(encode, waiting, alone)
            waiting, held = [], 0
    yield from _together(encode, waiting, alone)


@torch.no_grad()
def _together(encode: Callable[[Tensor], Tensor], inputs: list[Tensor], alone: bool) -> list[np.ndarray]:
    found: list = [None] * len(inputs)
    places: dict[torch.Size, list[int]] = {}
    for place, x in enumerate(inputs):
        places.setdefault(x.shape, []).append(place)
    for shape, alike in places.items():
        on_cpu = inputs[alike[0]].device.type == "cpu"
        rows = 1 if alone and on_cpu else max(1, (CPU_BATCH if on_cpu else DEVICE_BATCH) // shape.numel())
        for first in range(0, len(alike), rows):
            chosen = alike[first:first + rows]
            x = torch.cat([inputs[place] for place in chosen]) if len(chosen) > 1 else inputs[chosen[0]]
            for place, row in zip(chosen, encode(x).float().cpu().numpy(), strict=True):
                found[place] = row
    return found
