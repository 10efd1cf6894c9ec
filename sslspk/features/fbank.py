"""Log-mel filterbank and MFCC features as Kaldi computes them, for batches of waveforms on any device.

One implementation serves feature extraction on disk and the training device. Per frame: remove the mean, pre-emphasise,
window, power spectrum, mel bank, logarithm (, DCT and lifter). Mean removal, pre-emphasis and window are linear, so they are
folded with the window into as few passes over the frames as possible; the mel bank is one matrix product.
"""
import math

import numpy as np
import torch
from torch import Tensor, nn

from sslspk.features.config import FeatureOptions

EPSILON = float(np.finfo(np.float32).eps)  # Kaldi's floor of energies before the logarithm
BLOCK_FRAMES = 2048                         # frames computed at a time: bounded memory, spectra that stay in the cache


class Extractor(nn.Module):
    """forward(wave (B,S) on the int16 scale) -> (B,T,F) float32; T = num_frames(S), which may be 0.

    It has no parameters and needs no gradient; autocast does not touch it.
    """

    def __init__(self, options: FeatureOptions):
        super().__init__()
        self.options = options
        n = options.window_samples
        self.fft_length = 1 << (n - 1).bit_length() if options.round_to_power_of_two else n
        self.register_buffer("window", torch.tensor(window(options), dtype=torch.float32), persistent=False)
        self.register_buffer("mel", torch.tensor(mel_bank(options, self.fft_length), dtype=torch.float32), persistent=False)
        if options.feature_type == "mfcc":
            self.register_buffer("dct", torch.tensor(cepstral_matrix(options), dtype=torch.float32), persistent=False)

    def num_frames(self, num_samples: int) -> int:
        """T for a waveform of S samples."""
        o = self.options
        if o.snip_edges:
            return 0 if num_samples < o.window_samples else 1 + (num_samples - o.window_samples) // o.shift_samples
        return (num_samples + o.shift_samples // 2) // o.shift_samples

    @torch.no_grad()
    def forward(self, wave: Tensor) -> Tensor:
        count = self.num_frames(wave.shape[1])
        if count == 0:
            return wave.new_zeros(len(wave), 0, self.options.num_features, dtype=torch.float32)
        with torch.autocast(wave.device.type, enabled=False):
            frames = self._frames(wave.float(), count)
            rows = max(1, BLOCK_FRAMES // len(wave)) if wave.device.type == "cpu" else count
            blocks = [self._block(part) for part in frames.split(rows, dim=1)]
        return torch.cat(blocks, 1) if len(blocks) > 1 else blocks[0]

    def _frames(self, wave: Tensor, count: int) -> Tensor:
        """(B,S) -> (B,T,N) views of the (padded) waveform."""
        o = self.options
        if not o.snip_edges:
            wave = _reflect(wave, o.shift_samples // 2 - o.window_samples // 2, count, o)
        return wave.unfold(1, o.window_samples, o.shift_samples)[:, :count]

    def _block(self, frames: Tensor) -> Tensor:
        o = self.options
        if o.remove_dc_offset:
            frames = frames - frames.mean(-1, keepdim=True)
        raw = _log_energy(frames, o) if o.use_energy and o.raw_energy else None
        c = o.preemphasis_coefficient
        x = frames * self.window
        if c:  # x[0] -= c x[0], x[i] -= c x[i - 1], then the window
            x[..., 1:] -= (c * self.window[1:]) * frames[..., :-1]
            x[..., 0] *= 1 - c
        energy = _log_energy(x, o) if o.use_energy and not o.raw_energy else raw
        spectrum = torch.fft.rfft(x, self.fft_length)
        power = torch.view_as_real(spectrum).square_().sum(-1)
        mel = torch.log((power @ self.mel).clamp_(min=EPSILON))
        if o.feature_type == "mfcc":
            mel = mel @ self.dct
            if energy is not None:
                mel[..., 0] = energy
            return mel
        return mel if energy is None else torch.cat([energy[..., None], mel], -1)


def _log_energy(frames: Tensor, options: FeatureOptions) -> Tensor:
    energy = torch.log(frames.square().sum(-1).clamp(min=EPSILON))
    return energy.clamp(min=math.log(options.energy_floor)) if options.energy_floor > 0 else energy


def _reflect(wave: Tensor, start: int, count: int, options: FeatureOptions) -> Tensor:
    """The samples start .. needed by `count` frames, reflected at both ends as often as it takes (snip_edges false)."""
    size = wave.shape[1]
    place = torch.arange(start, start + (count - 1) * options.shift_samples + options.window_samples, device=wave.device)
    place = place.remainder(2 * size)
    return wave[:, torch.minimum(place, 2 * size - 1 - place)]


def window(options: FeatureOptions) -> np.ndarray:
    """(N,) float64."""
    n = options.window_samples
    a = 2 * math.pi / (n - 1) * np.arange(n)
    return {"povey": (0.5 - 0.5 * np.cos(a)) ** 0.85, "hanning": 0.5 - 0.5 * np.cos(a), "hamming": 0.54 - 0.46 * np.cos(a),
            "rectangular": np.ones(n),
            "blackman": options.blackman_coeff - 0.5 * np.cos(a) + (0.5 - options.blackman_coeff) * np.cos(2 * a)}[options.window_type]


def mel_bank(options: FeatureOptions, fft_length: int) -> np.ndarray:
    """(fft_length / 2 + 1, bins): triangles evenly spaced on mel(f) = 1127 ln(1 + f / 700); the bin at half the rate is unused."""
    def to_mel(f):
        return 1127.0 * np.log1p(np.asarray(f) / 700.0)
    edges = np.linspace(to_mel(options.low_freq), to_mel(options.top_freq), options.num_mel_bins + 2)
    mel = to_mel(np.arange(fft_length // 2 + 1) * options.sample_frequency / fft_length)[:, None]
    left, centre, right = edges[:-2], edges[1:-1], edges[2:]
    bank = np.minimum((mel - left) / (centre - left), (right - mel) / (right - centre))
    bank[fft_length // 2] = 0.0
    return np.maximum(bank, 0.0)


def cepstral_matrix(options: FeatureOptions) -> np.ndarray:
    """(bins, ceps): orthonormal DCT-II times the lifter 1 + Q/2 sin(pi i / Q)."""
    bins, ceps, q = options.num_mel_bins, options.num_ceps, options.cepstral_lifter
    i, n = np.arange(ceps), np.arange(bins)[:, None]
    dct = np.sqrt(2.0 / bins) * np.cos(math.pi / bins * (n + 0.5) * i)
    dct[:, 0] = math.sqrt(1.0 / bins)
    return dct * (1.0 + 0.5 * q * np.sin(math.pi * i / q)) if q else dct
