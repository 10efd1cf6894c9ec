"""LoRA (Hu et al. 2021, arXiv 2106.09685, eq. 3): a frozen matrix W is used as W + (alpha / r) U D; only U and D are learnt.

It is a torch parametrization: reading the weight gives the sum, and the state_dict holds W, U and D separately.
"""
import math
import re
from collections.abc import Mapping, Sequence

import torch
from torch import Tensor, nn
from torch.nn.utils import parametrize

ORIGINAL = re.compile(r"(.*)\.parametrizations\.(\w+)\.original")


class LowRank(nn.Module):
    """W (N * R, C), N blocks of R rows -> W plus (alpha / rank) U_i D_i in block `parts[i]`; U_i (R, rank) starts at 0, D_i (rank, C)."""

    def __init__(self, weight: Tensor, rank: int, alpha: float, blocks: int = 1, parts: Sequence[int] = (0,)):
        super().__init__()
        self.blocks = blocks
        self.down = nn.Parameter(torch.empty(len(parts), rank, weight.shape[1]))
        self.up = nn.Parameter(torch.zeros(len(parts), weight.shape[0] // blocks, rank))
        nn.init.uniform_(self.down, -1 / math.sqrt(weight.shape[1]), 1 / math.sqrt(weight.shape[1]))
        self.register_buffer("scale", torch.tensor(alpha / rank))
        self.chosen = tuple(parts)
        self.register_buffer("parts", torch.tensor(self.chosen))

    def forward(self, weight: Tensor) -> Tensor:
        return weight + _blocks(self.scale * (self.up @ self.down), self.chosen, self.blocks)


def _blocks(deltas: Tensor, parts: Sequence[int], blocks: int) -> Tensor:
    """Deltas (P, R, C) -> (blocks * R, C): each delta in its block, zeros elsewhere."""
    places = {part: delta for part, delta in zip(parts, deltas.unbind(), strict=True)}
    return torch.cat([places.get(block, torch.zeros_like(deltas[0])) for block in range(blocks)])


def add(module: nn.Module, name: str, rank: int, alpha: float, blocks: int = 1, parts: Sequence[int] = (0,)) -> None:
    """Freeze the weight `name` of a module, and learn a `LowRank` on it."""
    weight = getattr(module, name)
    parametrize.register_parametrization(module, name, LowRank(weight, rank, alpha, blocks, parts))
    module.parametrizations[name].original.requires_grad_(False)


def renamed(state: Mapping[str, Tensor], own: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """A model's `state`, with or without LoRA, converted to the keys of `own`, another model's state: factors are merged into the weight
    where `own` has no LoRA, and taken from `own` where `state` has none."""
    found = dict(state)
    for key in own:
        match = ORIGINAL.fullmatch(key)
        if match and f"{match[1]}.{match[2]}" in found:
            found[key] = found.pop(f"{match[1]}.{match[2]}")
            prefix = key.removesuffix("original")
            found |= {name: value for name, value in own.items() if name.startswith(f"{prefix}0.")}
    for key in state:
        match = ORIGINAL.fullmatch(key)
        if match and f"{match[1]}.{match[2]}" in own:
            found[f"{match[1]}.{match[2]}"] = _merged(found, key)
    return found


def _merged(state: dict[str, Tensor], key: str) -> Tensor:
    """The frozen weight `key` plus the product of its factors; removes all of them from the state."""
    weight, prefix = state.pop(key), key.removesuffix("original") + "0."
    up, down, scale, parts = (state.pop(prefix + name) for name in ("up", "down", "scale", "parts"))
    return weight + _blocks(scale * (up @ down), parts.tolist(), weight.shape[0] // up.shape[1])
