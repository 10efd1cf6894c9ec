"""Quantisation by the nearest code word, the k-means variant of vq-wav2vec (Baevski, Schneider & Auli 2020, arXiv 1910.05453, 3.2).

Letters: C channels, G groups of C / G each, V code words of a group.
"""
from typing import NamedTuple

import torch
from torch import Tensor, nn

from sslspk.losses.precision import wide
from sslspk.nn import comm


class Nearest(NamedTuple):
    """values (B, T, C): the code words, with the gradient of what they stand for; codes int64 (B, T, G).

    loss_codes draws the code words to the projected steps, loss_commitment these to their code words: mean squares, (Eq. 5).
    code_perplexity: of the batch of all ranks, summed over the groups, G to G V; no gradient.
    """

    values: Tensor
    codes: Tensor
    loss_codes: Tensor
    loss_commitment: Tensor
    code_perplexity: Tensor


class KmeansQuantiser(nn.Module):
    """(B, T, C) -> Nearest. Steps are projected within each group and normalised over time first, else the code words stay at zero.

    combine_groups: one code book for all groups. Parameters: C^2 / G + 2 C + V C / G (without combine_groups V C for the code book).
    """

    def __init__(self, dim: int, codes: int, groups: int, combine_groups: bool = False):
        super().__init__()
        self.codes, self.groups = codes, groups
        self.projection = nn.Conv1d(dim, dim, 1, groups=groups, bias=False)
        self.norm = nn.GroupNorm(groups, dim)
        self.vars = nn.Parameter(0.01 * torch.randn(1 if combine_groups else groups, codes, dim // groups))

    def forward(self, x: Tensor) -> Nearest:
        with torch.autocast(x.device.type, enabled=False):
            steps = self.norm(self.projection(wide(x).transpose(1, 2))).transpose(1, 2).unflatten(2, (self.groups, -1))   # (B, T, G, C/G)
            books = self.vars.expand(self.groups, -1, -1).to(steps.dtype)                                               # (G, V, C/G)
            codes = self._nearest(steps.detach(), books.detach())
            words = torch.stack([book[codes[..., g]] for g, book in enumerate(books)], 2)
            values = steps + (words - steps).detach()
        return Nearest(values.flatten(2), codes, (words - steps.detach()).square().mean(), (steps - words.detach()).square().mean(),
                       self._perplexity(codes))

    def _nearest(self, steps: Tensor, books: Tensor) -> Tensor:
        """(B, T, G) int64: the code word with the least |z - e|^2, from -2 z e + |e|^2."""
        return (books.square().sum(2) - 2 * torch.einsum("btgc,gvc->btgv", steps, books)).argmin(-1)

    def _perplexity(self, codes: Tensor) -> Tensor:
        counts = torch.zeros(self.groups, self.codes, device=codes.device)
        counts.scatter_add_(1, codes.flatten(0, 1).T, torch.ones(1, 1, device=codes.device).expand(self.groups, codes[..., 0].numel()))
        share = comm.mean_over_ranks(counts / codes[..., 0].numel())
        return torch.exp(-(share * (share + 1e-7).log()).sum(1)).sum()
