"""Standardisation to mean 0 and variance 1 with the statistics of the first training batches, which then stay fixed."""
import torch
from torch import Tensor, nn

from sslspk.nn import comm

NARROW = 1e-4   # smallest deviation: a dimension that hardly varies is not blown up


class Standardise(nn.Module):
    """forward(x (..., F)) -> (x - mean) / deviation, for each of the F dimensions, with the statistics of the first `batches` training
    batches of all ranks together.

    ridge: if a number, also remove the correlations R of the standardised dimensions by (R + ridge I)^(-1/2). This matrix is symmetric,
    so each dimension stays as near as possible to what it was; a direction of less variance than `ridge` is not blown up to 1.
    means: x is (..., T, F), and the ridge is for its means over the T frames: R is that of these means, and only the mean is transformed.
    The statistics are part of the state. They change only in training, in those batches; before the first, x is returned unchanged.
    """

    def __init__(self, dim: int, batches: int, ridge: float | None = None, means: bool = False):
        super().__init__()
        self.batches, self.ridge, self.means, self._settled = batches, ridge, means, False
        for name, size in (("seen", ()), ("count", ()), ("total", (dim,)), ("squares", (dim,))):
            self.register_buffer(name, torch.zeros(size, dtype=torch.float64))
        if ridge is not None:
            self.register_buffer("products", torch.zeros(dim, dim, dtype=torch.float64))
            for name in ("matrix", "inverse"):
                self.register_buffer(name, torch.eye(dim))

    def forward(self, x: Tensor) -> Tensor:
        if self.training:
            self._add(x.detach())
        mean, deviation = self._statistics(x.dtype)
        x = (x - mean) / deviation
        return x if self.ridge is None else self._transformed(x, self.matrix)

    def undo(self, x: Tensor) -> Tensor:
        """The inverse of `forward`."""
        mean, deviation = self._statistics(x.dtype)
        x = x if self.ridge is None else self._transformed(x, self.inverse)
        return x * deviation + mean

    def _transformed(self, x: Tensor, matrix: Tensor) -> Tensor:
        """x @ matrix, or with `means` x with its mean over the frames transformed."""
        if not self.means:
            return _product(x, matrix)
        mean = x.mean(-2, keepdim=True)
        return x - mean + _product(mean, matrix)

    def _statistics(self, dtype: torch.dtype) -> tuple[Tensor, Tensor]:
        """Mean and deviation (F,)."""
        count = self.count.clamp(min=1)
        mean = self.total / count
        deviation = torch.sqrt((self.squares / count - mean.square()).clamp(min=0)).clamp(min=NARROW)
        deviation = torch.where(self.count > 0, deviation, 1)
        return mean.to(dtype), deviation.to(dtype)

    def _add(self, x: Tensor) -> None:
        """Add a batch to the statistics unless there were enough. Every rank adds the sums of all ranks."""
        if self._settled:
            return
        rows = x.flatten(0, -2).double()
        sums = comm.sum_over_ranks(torch.stack([rows.sum(0), rows.square().sum(0), torch.full_like(rows[0], len(rows))]))
        wanted = self.seen < self.batches
        for buffer, more in ((self.total, sums[0]), (self.squares, sums[1]), (self.count, sums[2, 0]), (self.seen, wanted.double())):
            buffer += torch.where(wanted, more, 0)
        if self.ridge is not None:
            weight = 1
            if self.means:
                rows, weight = x.double().mean(-2).flatten(0, -2), x.shape[-2]
            self.products += torch.where(wanted, weight * comm.sum_over_ranks(rows.T @ rows), 0)
            self._decorrelate(self.ridge)
        self._settled = int(self.seen) >= self.batches   # so the host waits for the device in the first batches only

    def _decorrelate(self, ridge: float) -> None:
        """Compute both matrices from the statistics so far."""
        mean, deviation = self._statistics(torch.float64)
        value, vector = torch.linalg.eigh((self.products / self.count - mean[:, None] * mean) / (deviation[:, None] * deviation))
        root = (value.clamp(min=0) + ridge).sqrt()
        self.matrix.copy_((vector / root) @ vector.T)
        self.inverse.copy_((vector * root) @ vector.T)


def _product(x: Tensor, matrix: Tensor) -> Tensor:
    """x @ matrix in the dtype of x, even under autocast."""
    with torch.autocast(x.device.type, enabled=False):
        return x @ matrix.to(x.dtype)
