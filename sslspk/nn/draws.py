"""Random numbers of a training step that do not depend on how many ranks share its batch.

Every row of the batch of all ranks has a generator of its own, so that a rank draws for its rows alone.
"""
from collections.abc import Callable

import torch
from torch import Tensor

from sslspk.nn import comm


def for_rows(rows: int, step: int, purpose: int, device: torch.device, draw: Callable[[torch.Generator], Tensor]) -> Tensor:
    """(rows, ...): what `draw` gives for each row of this rank, on `device`.

    step: optimizer steps done so far. purpose: a number that no other draw of the same step has.
    """
    generator, mine = torch.Generator(device), comm.rows_of_this_rank(rows)
    return torch.stack([draw(generator.manual_seed(hash((step, purpose, row)) % 2 ** 63)) for row in range(mine.start, mine.stop)])
