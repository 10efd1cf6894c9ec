"""Whitening to mean 0 and covariance I with running statistics of training batches."""
import torch
from torch import Tensor, nn

from sslspk.losses.precision import wide
from sslspk.nn import comm

SHARE = 0.05   # weight of a batch in the statistics; the first 1 / SHARE batches all count the same
NARROW = 1e-5  # variance that is always added: a dimension that hardly varies is not blown up


class Whiten(nn.Module):
    """forward(x (..., D)) -> (x - mean) @ matrix in float32; its D dimensions are uncorrelated, with variance 1 over training batches.

    ridge: share of the mean variance that is added to every dimension's, so that a direction of less variance is not blown up to 1.
    matrix is the inverse of the Cholesky factor of the covariance, transposed. The statistics are those of all ranks together, part of
    the state, without gradient. Evaluation does not change them; before the first training batch x is returned unchanged.
    """

    def __init__(self, dim: int, ridge: float):
        super().__init__()
        self.ridge = ridge
        self.register_buffer("seen", torch.zeros(()))
        self.register_buffer("mean", torch.zeros(dim))
        self.register_buffer("covariance", torch.zeros(dim, dim))
        self.register_buffer("matrix", torch.eye(dim))

    def forward(self, x: Tensor) -> Tensor:
        with torch.autocast(x.device.type, enabled=False):
            x = wide(x)
            if self.training:
                self._add(x.detach().flatten(0, -2))
            return (x - self.mean) @ self.matrix

    def _add(self, rows: Tensor) -> None:
        """Add a batch (N, D) to the statistics."""
        self.seen += 1
        share = torch.clamp(1 / self.seen, min=SHARE)
        self.mean.lerp_(comm.mean_over_ranks(rows.mean(0)), share)
        apart = rows - self.mean
        self.covariance.lerp_(comm.mean_over_ranks(apart.T @ apart / len(rows)), share)
        one = torch.eye(len(self.mean), device=rows.device)
        ridge = self.ridge * self.covariance.diagonal().mean() + NARROW
        factor = torch.linalg.cholesky_ex(self.covariance + ridge * one)[0]   # unlike cholesky, does not wait for the device
        self.matrix.copy_(torch.linalg.solve_triangular(factor, one, upper=False).T)
