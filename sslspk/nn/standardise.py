"""Mean 0 and variance 1 by the statistics of the first training batches, which then stay."""
import torch
from torch import Tensor, nn

from sslspk.nn import comm

NARROW = 1e-4   # least deviation: what hardly varies is not blown up


class Standardise(nn.Module):
    """forward(x (..., F)) -> (x - mean) / deviation, each of the F dimensions for itself, over all that the first `batches` batches of
    training held, of all ranks together.

    The statistics are part of the state. In evaluation, and after those batches, they do not move; before the first one x stays as it is.
    """

    def __init__(self, dim: int, batches: int):
        super().__init__()
        self.batches, self._settled = batches, False
        for name, size in (("seen", ()), ("count", ()), ("total", (dim,)), ("squares", (dim,))):
            self.register_buffer(name, torch.zeros(size, dtype=torch.float64))

    def forward(self, x: Tensor) -> Tensor:
        if self.training:
            self._add(x.detach())
        mean, deviation = self._statistics(x)
        return (x - mean) / deviation

    def undo(self, x: Tensor) -> Tensor:
        """What `forward` would make x of."""
        mean, deviation = self._statistics(x)
        return x * deviation + mean

    def _statistics(self, x: Tensor) -> tuple[Tensor, Tensor]:
        """Mean and deviation (F,) in the number format of x."""
        count = self.count.clamp(min=1)
        mean = self.total / count
        deviation = torch.sqrt((self.squares / count - mean.square()).clamp(min=0)).clamp(min=NARROW)
        deviation = torch.where(self.count > 0, deviation, 1)
        return mean.to(x.dtype), deviation.to(x.dtype)

    def _add(self, x: Tensor) -> None:
        """Count a batch, unless there were enough. Every rank computes with the sums of all."""
        if self._settled:
            return
        rows = x.flatten(0, -2).double()
        sums = comm.sum_over_ranks(torch.stack([rows.sum(0), rows.square().sum(0), torch.full_like(rows[0], len(rows))]))
        wanted = self.seen < self.batches
        for buffer, more in ((self.total, sums[0]), (self.squares, sums[1]), (self.count, sums[2, 0]), (self.seen, wanted.double())):
            buffer += torch.where(wanted, more, 0)
        self._settled = int(self.seen) >= self.batches   # so the host waits for the device in the first batches alone
