"""Product quantisers with learnt code books: each vector becomes one code per group, and gradients flow through the choice.

vq-wav2vec (Baevski, Schneider and Auli 2020, arXiv 1910.05453, section 3.1) and wav2vec 2.0 (arXiv 2006.11477, section 2).
Letters: N vectors, G groups, V codes of a group, D values of a quantised vector.
"""
import itertools
import math
from collections.abc import Mapping
from typing import NamedTuple

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from sslspk.nn import comm
from sslspk.nn.onednn import Conv1d

ONE_CODE = 1.2   # code words in use in each group, below which nearly all steps have the same


def collapsed(figures: Mapping[str, float | Tensor], groups: int) -> bool:
    """Whether the code_perplexity among the figures, a sum over so many groups, says that nearly all steps have one code word."""
    return bool(figures.get("code_perplexity", math.inf) < ONE_CODE * groups)


class Quantised(NamedTuple):
    """values (..., D); codes int64 (..., G); perplexity of the softmax without noise; code_perplexity of the likeliest codes, no gradient.

    Each perplexity is computed from the mean over the batch of all ranks and summed over the groups: G to G V.
    """

    values: Tensor
    codes: Tensor
    perplexity: Tensor
    code_perplexity: Tensor


class GumbelQuantiser(nn.Module):
    """(..., dim) -> Quantised: in training a Gumbel draw with straight-through gradients, in eval mode the likeliest code.

    depth: linear layers that compute the scores; hidden ones have `factor` * dim units and a GELU. combine_groups: all share a code book.
    Parameters, depth 1: (dim + 1) G V + V D (without combine_groups; with it V D / G for the code book).
    """

    def __init__(self, dim: int, codes: int, groups: int, out_dim: int, depth: int = 1, factor: int = 3, combine_groups: bool = False):
        super().__init__()
        self.codes, self.groups = codes, groups
        sizes = [dim, *[factor * dim] * (depth - 1)]
        layers = [layer for a, b in itertools.pairwise(sizes) for layer in (nn.Linear(a, b), nn.GELU())]
        self.weight_proj = nn.Sequential(*layers, nn.Linear(sizes[-1], groups * codes))
        self.vars = nn.Parameter(torch.rand(1 if combine_groups else groups, codes, out_dim // groups))
        if depth == 1:
            nn.init.normal_(self.weight_proj[0].weight)
            nn.init.zeros_(self.weight_proj[0].bias)

    def forward(self, x: Tensor, temperature: float, noise: Tensor | None = None) -> Quantised:
        """noise: uniform numbers in [0, 1) of shape (..., G, V), from which the Gumbel noise is made (training only)."""
        with torch.autocast(x.device.type, enabled=False):
            scores = self.weight_proj(x.to(self.vars.dtype)).reshape(*x.shape[:-1], self.groups, self.codes)
            chosen = self._choice(scores, temperature, noise)
            values = torch.einsum("...gv,gvd->...gd", chosen, self.vars.expand(self.groups, -1, -1)).flatten(-2)
        likeliest = F.one_hot(scores.argmax(-1), self.codes).to(scores.dtype)
        return Quantised(values, chosen.argmax(-1), perplexity(scores.softmax(-1)), perplexity(likeliest))

    def _choice(self, scores: Tensor, temperature: float, noise: Tensor | None) -> Tensor:
        """(..., G, V): one-hot; in training it has the gradient of the softmax at `temperature`."""
        if not self.training:
            return F.one_hot(scores.argmax(-1), self.codes).to(scores.dtype)
        noise = torch.rand_like(scores) if noise is None else noise.to(scores.dtype)
        waiting = (-noise.log()).clamp_min(torch.finfo(scores.dtype).tiny)   # exponential; 0 if the number was rounded to 1
        soft = ((scores - waiting.log()) / temperature).softmax(-1)
        hard = F.one_hot(soft.argmax(-1), self.codes).to(scores.dtype)
        return hard + (soft - soft.detach())


class Nearest(NamedTuple):
    """values (B, T, C): code words, with the gradient of the steps they replace; codes int64 (B, T, G); code_perplexity as in Quantised.

    loss_codes pulls the code words to the projected steps, loss_commitment the steps to their code words; both are mean squares.
    """

    values: Tensor
    codes: Tensor
    loss_codes: Tensor
    loss_commitment: Tensor
    code_perplexity: Tensor


class KmeansQuantiser(nn.Module):
    """(B, T, C) -> Nearest: the code word nearest to each step (arXiv 1910.05453, section 3.2).

    Steps are first projected within each group and normalised over time, which brings them near the code words, initialised near zero.
    combine_groups: all groups share a code book. Parameters: C^2 / G + 2 C + V C (with combine_groups V C / G for the code book).
    """

    def __init__(self, dim: int, codes: int, groups: int, combine_groups: bool = False):
        super().__init__()
        self.codes, self.groups = codes, groups
        self.projection = Conv1d(dim, dim, 1, groups=groups, bias=False)
        self.norm = nn.GroupNorm(groups, dim)
        self.vars = nn.Parameter(0.01 * torch.randn(1 if combine_groups else groups, codes, dim // groups))

    def forward(self, x: Tensor) -> Nearest:
        with torch.autocast(x.device.type, enabled=False):
            projected = self.norm(self.projection(x.to(self.vars.dtype).transpose(1, 2)))
            steps = projected.transpose(1, 2).reshape(*x.shape[:2], self.groups, -1)              # (B, T, G, C / G)
            books = self.vars.expand(self.groups, -1, -1)                                         # (G, V, C / G)
            distances = books.square().sum(2) - 2 * torch.einsum("btgc,gvc->btgv", steps.detach(), books)   # less |z|^2
            codes = distances.argmin(-1)
            words = torch.stack([book[codes[..., g]] for g, book in enumerate(books)], 2)
            values = steps + (words - steps).detach()
            taken = perplexity(F.one_hot(codes, self.codes).to(steps.dtype))
        return Nearest(values.flatten(2), codes, (words - steps.detach()).square().mean(), (steps - words.detach()).square().mean(), taken)


def perplexity(shares: Tensor) -> Tensor:
    """Perplexity of the mean of distributions (..., G, V) over the batch of all ranks, summed over the groups."""
    mean = comm.gather_with_gradient(shares.flatten(0, -3).mean(0, keepdim=True)).mean(0)   # (G, V); all ranks hold the same number of rows
    return torch.exp(-(mean * (mean + 1e-7).log()).sum(-1)).sum()
