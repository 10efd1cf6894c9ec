"""Cepstral mean (and variance) normalisation of batches (B,T,F): over the utterance, or over a sliding window as Kaldi's."""
import torch
from torch import Tensor

from sslspk.features.config import CmvnOptions

VARIANCE_FLOOR = 1e-10  # Kaldi's


def apply(x: Tensor, options: CmvnOptions) -> Tensor:
    """Normalise x (B,T,F) as configured; a float32 tensor of the same shape."""
    if options.cmn == "none" or not x.shape[1]:
        return x
    if options.cmn == "utterance":
        return utterance(x, options.norm_vars)
    return sliding(x, options.cmn_window, options.center, options.norm_vars, options.min_cmn_window)


def utterance(x: Tensor, norm_vars: bool = False) -> Tensor:
    """Subtract the mean over time; with norm_vars divide by the deviation (that of a constant is floored)."""
    x = x - x.mean(1, keepdim=True)
    return x * x.square().mean(1, keepdim=True).clamp(min=VARIANCE_FLOOR).rsqrt() if norm_vars else x


def sliding(x: Tensor, window: int = 300, center: bool = True, norm_vars: bool = False, min_window: int = 100) -> Tensor:
    """Kaldi's apply-cmvn-sliding: the mean over `window` frames around each frame (center), or over those before it.

    Near the ends the window is moved inside the utterance, so it shrinks only when the utterance is shorter. Without
    centring, the first frames are normalised over the first min_window ones. Sums are running sums in float64.
    """
    begin, end = _bounds(x.shape[1], window, center, min_window, x.device)
    count = (end - begin)[:, None]
    total = _running(x)
    mean = (total[:, end] - total[:, begin]) / count
    out = x.double() - mean
    if norm_vars:
        squares = _running(x.double().square())
        variance = (squares[:, end] - squares[:, begin]) / count - mean.square()
        out = torch.where(count > 1, out * variance.clamp(min=VARIANCE_FLOOR).rsqrt(), torch.zeros_like(out))
    return out.float()


def _running(x: Tensor) -> Tensor:
    """(B,T,F) -> (B,T+1,F) float64: sums of the frames before each place."""
    return torch.nn.functional.pad(x.double().cumsum(1), (0, 0, 1, 0))


def _bounds(frames: int, window: int, center: bool, min_window: int, device) -> tuple[Tensor, Tensor]:
    """First frame and end of the window of each frame, (T,) each."""
    t = torch.arange(frames, device=device)
    begin = t - window // 2 if center else t - window
    end = begin + window if center else t + 1
    end = torch.where(begin < 0, end - begin, end)
    begin = begin.clamp(min=0)
    if not center:
        end = torch.where(end > t, (t + 1).clamp(min=min_window), end)
    begin = torch.where(end > frames, begin - (end - frames), begin).clamp(min=0)
    return begin, end.clamp(max=frames)
