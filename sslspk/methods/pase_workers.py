"""PASE's workers: small networks that predict properties of the waveform from the encoder's frames, each with its own loss.

frames (B, T, D) of the crop, its clean waveform (B, S); losses are scalars, means over the batch, computed in float32.
"""
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from sslspk.errors import InputError
from sslspk.features.targets import Target
from sslspk.losses import mutual_information
from sslspk.losses.precision import wide
from sslspk.losses.predictive import batch_scores, which_future
from sslspk.methods.base import require_others
from sslspk.methods.config_pase import (
    FutureWorkerConfig,
    OrderWorkerConfig,
    PairWorkerConfig,
    RegressionWorkerConfig,
    WaveformWorkerConfig,
)
from sslspk.nn import comm, draws
from sslspk.nn.onednn import Conv1d
from sslspk.nn.standardise import Standardise


def hidden(inputs: int, width: int, outputs: int) -> nn.Sequential:
    """A hidden layer with PReLU, whose slope of negative values begins at 0, and a linear one."""
    return nn.Sequential(nn.Linear(inputs, width), Slope(width), nn.Linear(width, outputs))


class Slope(nn.PReLU):
    """PReLU of one slope for each of the last axis' dimensions: (..., D) -> (..., D)."""

    def __init__(self, dim: int):
        super().__init__(dim, init=0.0)

    def forward(self, x: Tensor) -> Tensor:
        return torch.where(x > 0, x, self.weight.to(x.dtype) * x)


class WaveformWorker(nn.Module):
    """Transposed convolutions from frames to samples, then a hidden layer for each sample."""

    def __init__(self, config: WaveformWorkerConfig, dim: int):
        super().__init__()
        layers, before = [], dim
        for width, kernel, stride in zip(config.channels, config.kernels, config.strides, strict=True):
            layers += [nn.ConvTranspose1d(before, width, kernel, stride, (kernel - stride) // 2), nn.PReLU(width, init=0.0)]
            before = width
        self.layers = nn.Sequential(*layers, Conv1d(before, config.hidden_dim, 1), nn.PReLU(config.hidden_dim, init=0.0),
                                    Conv1d(config.hidden_dim, 1, 1))

    def forward(self, frames: Tensor, clean: Tensor) -> Tensor:
        played = wide(self.layers(frames.transpose(1, 2))[:, 0])
        size = min(played.shape[1], clean.shape[1])
        return F.l1_loss(played[:, :size], clean[:, :size])


class RegressionWorker(nn.Module):
    """Features of each step and of its neighbours, standardised; beyond the ends of the crop they count as 0, their mean."""

    def __init__(self, config: RegressionWorkerConfig, dim: int, rate: int, hop: int, batches: int):
        super().__init__()
        self.context, self.target = config.context, Target(config, rate, hop)
        self.standardise = Standardise(config.num_features, batches) if batches else nn.Identity()
        self.layers = hidden(dim, config.hidden_dim, config.context * config.num_features)

    def forward(self, frames: Tensor, clean: Tensor) -> Tensor:
        wanted = self.standardise(self.target(clean))
        size = min(frames.shape[1], wanted.shape[1])
        around = F.pad(wanted[:, :size], (0, 0, self.context // 2, self.context // 2)).unfold(1, self.context, 1)   # (B, T, F, context)
        return F.mse_loss(wide(self.layers(frames[:, :size])).unflatten(2, (self.context, -1)), around.transpose(2, 3))


class PairWorker(nn.Module):
    """mi and cmi: a logit for two frames side by side; ln 2 is the loss by chance."""

    def __init__(self, config: PairWorkerConfig, dim: int):
        super().__init__()
        self.means, self.symmetric, self.layers = config.name == "cmi", config.symmetric, hidden(2 * dim, config.hidden_dim, 1)

    def forward(self, frames: Tensor, same: Tensor, other: Tensor) -> tuple[Tensor, Tensor]:
        """frames, those of another crop of the recording, and of another recording, (B, T, D) each -> loss, accuracy."""
        if self.means:
            frames, same, other = (part.mean(1) for part in (frames, same, other))
        positive, negative = [(frames, same)], [(frames, other)]
        if self.symmetric:
            positive, negative = [*positive, (same, frames)], [*negative, (same, other)]
        return _verdict(*(torch.cat([self.layers(torch.cat(pair, -1)).flatten() for pair in pairs]) for pairs in (positive, negative)))


class OrderWorker(nn.Module):
    """spc: a logit for a step and some steps in a row well after it, or well before it; each recording has places of its own."""

    def __init__(self, config: OrderWorkerConfig, dim: int):
        super().__init__()
        self.config, self.layers = config, hidden((1 + config.length) * dim, config.hidden_dim, 1)

    def forward(self, frames: Tensor, number: int) -> tuple[Tensor, Tensor]:
        """-> loss, accuracy. number: of the forward pass, by which places are drawn. Raises InputError for too few frames."""
        rows, steps = frames.shape[:2]
        if steps < self.config.needed_steps:
            raise _too_short(steps, self.config)
        places = draws.for_rows(rows, number, 0, torch.device("cpu"), lambda generator: self.places(steps, generator))
        places = places.to(frames.device, non_blocking=True)
        shown = frames[torch.arange(rows, device=frames.device)[:, None], places]              # (B, 1 + 2 length, D)
        now, after, before = shown.split([1, self.config.length, self.config.length], 1)
        return _verdict(*(self.layers(torch.cat([now, part], 1).flatten(1)).flatten() for part in (after, before)))

    def places(self, steps: int, generator: torch.Generator) -> Tensor:
        """int64 (1 + 2 length,): a step, the steps after it, the steps before it; every place that leaves room for both is as likely."""
        length, gap = self.config.length, self.config.gap
        def between(low: int, high: int) -> Tensor:
            return torch.randint(low, high + 1, (1,), generator=generator)
        now = between(gap + length, steps - 1 - gap - length)
        row = torch.arange(length)
        return torch.cat([now, between(int(now) + gap + 1, steps - length) + row, between(0, int(now) - gap - length) + row])


class FutureWorker(nn.Module):
    """cpc: the last K steps of a crop among those of the other recordings of all ranks; ln of the recordings is the loss by chance.

    A GRU over the steps before them, a linear predictor for each, and the scores of method cpc. In float32, as the contexts of CpcEncoder.
    """

    def __init__(self, config: FutureWorkerConfig, dim: int):
        super().__init__()
        self.config = config
        self.context, self.predictor = nn.GRU(dim, config.context_dim, batch_first=True), nn.Linear(config.context_dim, config.steps * dim)

    def forward(self, frames: Tensor) -> tuple[Tensor, Tensor]:
        """-> loss, accuracy. Raises InputError for too few frames, or no other recording."""
        ahead, mine = self.config.steps, comm.rows_of_this_rank(len(frames))
        if frames.shape[1] < self.config.needed_steps:
            raise _too_short(frames.shape[1], self.config)
        require_others(len(frames) * comm.world_size())
        with torch.autocast(frames.device.type, enabled=False):
            context = self.context(wide(frames[:, :-ahead]))[0][:, -1]
            predictions = self.predictor(context).unflatten(1, (ahead, -1))                            # (B, K, D)
        everyone = comm.gather_with_gradient(frames[:, -ahead:])
        own = torch.arange(mine.start, mine.stop, device=frames.device)
        losses, right = which_future(batch_scores(predictions, everyone), own[:, None])
        return losses.mean(), right.float().mean()


def _too_short(steps: int, config: OrderWorkerConfig | FutureWorkerConfig) -> InputError:
    return InputError(f"a crop has {steps} steps, and worker {config.name} needs {config.needed_steps}; leave short recordings out with "
                      "data.min_seconds.")


def _verdict(positive: Tensor, negative: Tensor) -> tuple[Tensor, Tensor]:
    """Binary cross-entropy, the mean over both kinds, and how often the logit is on the right side of 0."""
    right = (positive.detach() > 0).float().mean() + (negative.detach() < 0).float().mean()
    return mutual_information.bce(positive, negative) / 2, right / 2
