"""Features that an encoder is asked to predict from the waveform (PASE, PASE+), for batches on the device that trains.

One frame for each step of the encoder, its centre in the middle of the step's samples; both ends of the waveform are mirrored. Everything
is computed in float32, without gradient. Prosody and gammatone filters are in torch, too, so that they run on that device; tests compare
gammatone energies, log energy and zero crossings with numpy versions, and pitch with that of synthetic voices.
"""
import math

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from sslspk.errors import InputError
from sslspk.features.config import FULL_SCALE, FeatureOptions
from sslspk.features.config_targets import TargetConfig
from sslspk.features.fbank import Extractor, mirrored
from sslspk.features.pitch import log_f0, segment_length

FLOOR = 1e-10             # of a power before the logarithm; samples are in -1 to 1
LOWEST_BAND = 50.0        # Hz, the centre of the first gammatone filter
RESOLUTION = 8.0          # Hz at most between the points of the spectrum that gammatone filters weigh
DELTA_WINDOW = 2          # frames to each side


class Target(nn.Module):
    """forward(waveforms (B, S) in -1 to 1) -> (B, S // hop, F) float32. hop: samples from one step to the next.

    Raises InputError when the window is longer than the Fourier transform of `lps`, or a mel bin would be empty.
    """

    def __init__(self, config: TargetConfig, rate: int, hop: int):
        super().__init__()
        self.config, self.rate, self.hop, self.size = config, rate, hop, round(config.window_ms * rate / 1000)
        if config.kind in ("fbank", "mfcc"):
            self.extractor = Extractor(FeatureOptions(
                feature_type=config.kind, sample_frequency=rate, frame_length=config.window_ms * (1 + 1e-9),
                frame_shift=1000 * hop / rate * (1 + 1e-9), snip_edges=False, num_ceps=config.num_bins,
                num_mel_bins=config.num_bins if config.kind == "fbank" else 40))
        elif config.kind != "prosody":
            lps = config.kind == "lps"
            self.length = 2 * (config.num_bins - 1) if lps else 1 << math.ceil(math.log2(max(self.size, rate / RESOLUTION)))
            if self.size > self.length:
                raise InputError(f"{config.name}: a window of {self.size} samples is longer than the Fourier transform of {self.length}; "
                                 "raise bins or lower window.")
            self.register_buffer("window", torch.hann_window(self.size, periodic=False, dtype=torch.float32), persistent=False)
            if not lps:
                self.register_buffer("bands", gammatone(config.num_bins, self.length, rate), persistent=False)

    @torch.no_grad()
    def forward(self, wave: Tensor) -> Tensor:
        steps = wave.shape[1] // self.hop
        with torch.autocast(wave.device.type, enabled=False):
            features = self._features(wave.float())[:, :steps]
            return deltas(features) if self.config.deltas else features

    def _features(self, wave: Tensor) -> Tensor:
        kind = self.config.kind
        if kind in ("fbank", "mfcc"):
            return self.extractor(wave * FULL_SCALE)
        if kind == "prosody":
            return prosody(wave, self.rate, self.hop, self.size)
        spectrum = torch.view_as_real(torch.fft.rfft(centred(wave, self.size, self.hop) * self.window, self.length)).square().sum(-1)
        return torch.log((spectrum @ self.bands if kind == "gtn" else spectrum) + FLOOR)


def centred(wave: Tensor, size: int, hop: int) -> Tensor:
    """(B, S) -> (B, S // hop, size): frames around the middles of the steps."""
    begin = hop // 2 - size // 2
    end = begin + (wave.shape[1] // hop - 1) * hop + size
    return mirrored(wave, begin, end).unfold(1, size, hop)


def prosody(wave: Tensor, rate: int, hop: int, size: int) -> Tensor:
    """(B, S) -> (B, T, 4): log pitch, 1 where voiced, log mean square, share of neighbouring samples of different sign."""
    pitch, voiced = log_f0(centred(wave, segment_length(rate), hop), rate)
    frames = centred(wave, size, hop)
    positive = frames >= 0
    crossings = (positive[..., 1:] != positive[..., :-1]).float().mean(-1)
    return torch.stack([pitch, voiced, torch.log(frames.square().mean(-1) + FLOOR), crossings], -1)


def gammatone(bands: int, length: int, rate: float) -> Tensor:
    """(length / 2 + 1, bands): power responses of gammatone filters of order 4, 1 at their centres, for a spectrum of `length` points.

    |H(f)|^2 = (1 + ((f - c) / b)^2)^-4, b = 1.019 ERB(c), ERB(c) = 24.7 (0.00437 c + 1) Hz (Glasberg & Moore 1990; Patterson et al. 1992):
    what the impulse response t^3 exp(-2 pi b t) cos(2 pi c t) gives but for its image at -c. The centres are evenly spaced on the ERB
    scale, from LOWEST_BAND to where the last filter's bandwidth ends at half the rate.
    """
    def scale(hz: float) -> float:
        return math.log1p(0.00437 * hz)

    highest = (rate / 2 - 24.7) / (1 + 24.7 * 0.00437)
    centre = torch.expm1(torch.linspace(scale(LOWEST_BAND), scale(highest), bands, dtype=torch.float64)) / 0.00437
    width = 1.019 * 24.7 * (0.00437 * centre + 1)
    frequency = torch.arange(length // 2 + 1, dtype=torch.float64)[:, None] * rate / length
    return (1 + ((frequency - centre) / width).square()).pow(-4).float()


def deltas(features: Tensor) -> Tensor:
    """(B, T, F) -> (B, T, 3 F): the features, their slopes over DELTA_WINDOW frames to each side and the slopes of these, as Kaldi's
    add-deltas computes them; the first and the last frame stand for what is beyond them.
    """
    n = DELTA_WINDOW
    slope = torch.arange(-n, n + 1, dtype=features.dtype, device=features.device) / (2 * sum(i * i for i in range(1, n + 1)))
    twice = F.conv1d(F.pad(slope, (2 * n, 2 * n))[None, None], slope.flip(0)[None, None])[0, 0]   # slope of slope, over 2 n to each side
    columns = features.transpose(1, 2).flatten(0, 1)[:, None]                                     # (B F, 1, T)
    parts = [features]
    for weights, reach in ((slope, n), (twice, 2 * n)):
        found = F.conv1d(F.pad(columns, (reach, reach), mode="replicate"), weights[None, None])
        parts.append(found.view(len(features), features.shape[2], -1).transpose(1, 2))
    return torch.cat(parts, 2)
