"""Masks for masked prediction: spans of steps, drawn as in wav2vec 2.0 and HuBERT."""
import torch
from torch import Tensor

from sslspk.errors import InputError
from sslspk.nn import comm

LEAST = 2   # spans per row


def span_masks(rows: int, steps: int, prob: float, span: int, generator: torch.Generator) -> Tensor:
    """int64 (rows, K) on the CPU, sorted: the hidden steps of each row, the same number in all rows.

    Each row has num = int(prob * steps / span + u) spans, at least LEAST; u is uniform in [0, 1) and the same for all rows. Their first
    steps are drawn without replacement, and spans may overlap. K is the smallest number of hidden steps in any row; rows with more
    show some again, at random (Baevski et al. 2020, arXiv 2006.11477, section 3.1, and fairseq).

    generator: on the CPU. Give every rank the same seed and the rows of all ranks, so that the ranks agree on K.
    Raises InputError where LEAST spans do not fit in.
    """
    places = steps - span + 1   # where a span may begin
    if places < LEAST:
        raise InputError(f"masks of {span} steps need {span + LEAST - 1}, and a crop has {max(steps, 0)}; leave short recordings out with "
                         "data.min_seconds, or lower method.mask_span.")
    num = min(max(int(prob * steps / span + float(torch.rand((), generator=generator, dtype=torch.float64))), LEAST), places)
    starts = torch.rand(rows, places, generator=generator).argsort(1)[:, :num]
    hidden = torch.zeros(rows, steps, dtype=torch.bool)
    hidden.scatter_(1, (starts[..., None] + torch.arange(span)).flatten(1), True)
    kept = int(hidden.sum(1).min())
    order = torch.rand(rows, steps, generator=generator).masked_fill(~hidden, 2.0).argsort(1)
    return order[:, :kept].sort(1).values


def as_mask(places: Tensor, steps: int) -> Tensor:
    """Step numbers (rows, K) -> bool (rows, steps), true at these steps."""
    return torch.zeros(len(places), steps, dtype=torch.bool, device=places.device).scatter_(1, places, True)


def hidden_steps(rows: int, steps: int, prob: float, span: int, number: int) -> Tensor:
    """`span_masks` for this rank's rows in forward pass `number`, drawn for the batch of all ranks: int64 (rows, K) on the CPU."""
    generator = torch.Generator().manual_seed(number)   # the same draw on every rank
    return span_masks(rows * comm.world_size(), steps, prob, span, generator)[comm.rows_of_this_rank(rows)]


def at(x: Tensor, places: Tensor) -> Tensor:
    """x (R, T, C) at the steps `places` (R, K) -> (R, K, C)."""
    return x.gather(1, places[..., None].expand(-1, -1, x.shape[2]))
