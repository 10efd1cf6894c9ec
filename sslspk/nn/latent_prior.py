"""A prior of latent sequences: an LSTM fed its own samples (Lian, Zhang & Yu 2022, arXiv 2203.16705; C-DSVAE, arXiv 2205.05227)."""
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from sslspk.losses.precision import wide


class LatentPrior(nn.Module):
    """p(z_t | z_<t[, y_t]): one LSTM layer and a linear layer each for mean and log-variance of D independent Gaussians.

    forward(noise (B, T, D), labels (B, T) int64 or None) -> mean and log-variance, (B, T, D) each, float32. z_0 is 0; step t sees the
    sample z_(t-1) = mean + deviation * noise of the step before and, if `classes` is not 0, the label of its own frame (one-hot).
    The prior does not see the input that is encoded.
    """

    def __init__(self, dim: int, hidden: int, classes: int = 0):
        super().__init__()
        self.classes = classes
        self.cell = nn.LSTMCell(dim + classes, hidden)
        self.mean, self.log_variance = nn.Linear(hidden, dim), nn.Linear(hidden, dim)

    def forward(self, noise: Tensor, labels: Tensor | None = None) -> tuple[Tensor, Tensor]:
        with torch.autocast(noise.device.type, enabled=False):
            noise = wide(noise)
            told = F.one_hot(labels, self.classes).to(noise.dtype) if self.classes else noise[..., :0]
            z, state, means, logs = torch.zeros_like(noise[:, 0]), None, [], []
            for t in range(noise.shape[1]):
                state = self.cell(torch.cat([z, told[:, t]], 1), state)
                mean, log_variance = self.mean(state[0]), self.log_variance(state[0])
                z = mean + torch.exp(0.5 * log_variance) * noise[:, t]
                means.append(mean)
                logs.append(log_variance)
            return torch.stack(means, 1), torch.stack(logs, 1)
