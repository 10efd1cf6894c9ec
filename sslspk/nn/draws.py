"""Random numbers of a forward pass that do not depend on how many ranks share its batch.

Every row of the batch of all ranks has its own generator, so a rank draws for its own rows only.
"""
from collections.abc import Callable

import torch
from torch import Tensor

from sslspk.nn import comm


def for_rows(rows: int, number: int, purpose: int, device: torch.device, draw: Callable[[torch.Generator], Tensor]) -> Tensor:
    """(rows, ...): what `draw` returns for each row of this rank, on `device`.

    number: the number of the forward pass. purpose: a number that no other draw of the same pass uses.
    """
    generator, mine = torch.Generator(device), comm.rows_of_this_rank(rows)
    return torch.stack([draw(generator.manual_seed(hash((number, purpose, row)) % 2 ** 63)) for row in range(mine.start, mine.stop)])
