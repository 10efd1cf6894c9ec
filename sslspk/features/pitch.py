"""The pitch of a batch of waveforms by normalised cross-correlation (Talkin 1995), on the device that trains.

Each frame of 25 ms is compared with itself a lag later; at a voice's period the two agree but for their level.
"""
import math

import torch
from torch import Tensor
from torch.nn import functional as F

LOWEST, HIGHEST = 60.0, 400.0   # Hz
SECONDS = 0.025                 # what is compared
FAVOUR = 0.2                    # of the longest lag less than of the shortest: two periods agree as well as one
VOICED = 0.5                    # least agreement of a voice
QUIET = 1e-4                    # amplitude, of 1: noise below it does not count as periodic
SHARE = 0.02                    # of the whole segment's power, likewise: silence beside a voice is none


def log_f0(frames: Tensor, rate: float) -> tuple[Tensor, Tensor]:
    """frames (B, T, N) of samples in -1 to 1, N = segment_length(rate) -> natural log of the pitch in Hz, and 1.0 where it is voiced,
    both (B, T) float32.

    Between voiced frames the logarithm is interpolated linearly, before the first and after the last it stays; a recording without any
    has ln LOWEST.
    """
    shortest, longest = lags(rate)
    size = round(SECONDS * rate)
    agreement = correlations(frames, size, longest + 1)[..., shortest - 1:]            # one more lag on both sides
    left, middle, right = agreement[..., :-2], agreement[..., 1:-1], agreement[..., 2:]
    lag = torch.arange(shortest, longest + 1, device=frames.device)
    favoured = middle * (1 - FAVOUR * (lag - shortest) / max(longest - shortest, 1))
    peak = (middle >= left) & (middle >= right)
    place = torch.where(peak, favoured, -1.0).argmax(-1, keepdim=True)
    left, middle, right = (part.gather(-1, place)[..., 0] for part in (left, middle, right))
    curve = left - 2 * middle + right
    offset = torch.where(curve < 0, 0.5 * (left - right) / curve, 0.0).clamp(-0.5, 0.5)   # of the parabola through three points
    voiced = peak.gather(-1, place)[..., 0] & (middle > VOICED)
    return interpolated(torch.log(rate / (place[..., 0] + shortest + offset)), voiced, math.log(LOWEST)), voiced.float()


def lags(rate: float) -> tuple[int, int]:
    """The shortest and the longest period in samples."""
    return int(rate / HIGHEST), math.ceil(rate / LOWEST)


def segment_length(rate: float) -> int:
    """N: what is compared, and the longest lag behind it."""
    return round(SECONDS * rate) + lags(rate)[1] + 1


def correlations(frames: Tensor, size: int, longest: int) -> Tensor:
    """(..., N) -> (..., longest + 1): sum x_n x_(n + lag) over n < size, divided by the root of the energies of both parts.

    x is less its mean. Added to each energy is that of a noise of amplitude QUIET, and SHARE of what the segment's mean power gives.
    """
    x = frames - frames.mean(-1, keepdim=True)
    length = 1 << (x.shape[-1] + size - 1).bit_length()
    products = torch.fft.irfft(torch.fft.rfft(x[..., :size], length).conj() * torch.fft.rfft(x, length), length)[..., :longest + 1]
    sums = F.pad(x.square().cumsum(-1), (1, 0))
    energy = (sums[..., size:size + longest + 1] - sums[..., :longest + 1]).clamp(min=0) \
        + size * (QUIET ** 2 + SHARE * x.square().mean(-1, keepdim=True))
    return products / torch.sqrt(energy[..., :1] * energy)


def interpolated(values: Tensor, known: Tensor, otherwise: float) -> Tensor:
    """values (B, T) with straight lines in place of those that are not `known`; `otherwise` for a row of which none is."""
    steps = values.shape[1]
    place = torch.arange(steps, device=values.device).expand_as(values)
    before = torch.where(known, place, -1).cummax(1).values
    after = steps - 1 - torch.where(known, steps - 1 - place, -1).flip(1).cummax(1).values.flip(1)   # `steps` where there is none
    start, end = torch.where(before < 0, after, before), torch.where(after >= steps, before, after)
    left, right = (values.gather(1, side.clamp(0, steps - 1)) for side in (start, end))
    share = (place - start) / (end - start).clamp(min=1)
    return torch.where(known.any(1, keepdim=True), left + (right - left) * share, otherwise)
