"""Log-mel filterbank and MFCC features as Kaldi computes them, for batches of waveforms on any device (and speechbrain's: decibels.py).

One implementation serves feature extraction on disk and the training device. Per frame: remove the mean, pre-emphasise,
window, power spectrum, mel bank, logarithm (, DCT and lifter). Frames are computed in blocks: the memory for an hour of audio
is that of its result, and on a CPU a block's spectra stay in the cache.
"""
import math

import numpy as np
import torch
from torch import Tensor, nn

from sslspk.errors import InputError
from sslspk.features import decibels
from sslspk.features.config import FeatureOptions

EPSILON = float(np.finfo(np.float32).eps)  # Kaldi's floor of energies before the logarithm
CPU_BLOCK = 512         # frames computed at a time: their spectra stay in the cache
DEVICE_BLOCK = 1 << 16  # enough to fill a GPU, and about half a gigabyte


class Extractor(nn.Module):
    """forward(wave (B,S) on the int16 scale, any dtype) -> (B,T,F) float32; T = num_frames(S), which may be 0.

    It has no parameters and needs no gradient; autocast does not touch it.
    Raises InputError when there are more mel bins than the spectrum can fill.
    """

    def __init__(self, options: FeatureOptions):
        super().__init__()
        self.options = options
        n, self.decibels = options.window_samples, options.feature_type == "fbank_db"
        self.fft_length = 1 << (n - 1).bit_length() if options.round_to_power_of_two and not self.decibels else n
        shape, bank = (decibels.window, decibels.bank) if self.decibels else (window, mel_bank)
        self.register_buffer("window", torch.tensor(shape(options), dtype=torch.float32), persistent=False)
        self.register_buffer("mel", torch.tensor(bank(options, self.fft_length), dtype=torch.float32), persistent=False)
        if options.feature_type == "mfcc":
            self.register_buffer("dct", torch.tensor(cepstral_matrix(options), dtype=torch.float32), persistent=False)

    def num_frames(self, num_samples: int) -> int:
        """T for a waveform of S samples."""
        return decibels.num_frames(num_samples, self.options) if self.decibels else self.options.num_frames(num_samples)

    @torch.no_grad()
    def forward(self, wave: Tensor) -> Tensor:
        count = self.num_frames(wave.shape[1])
        out = wave.new_empty(len(wave), count, self.options.num_features, dtype=torch.float32)
        rows = max(1, (CPU_BLOCK if wave.device.type == "cpu" else DEVICE_BLOCK) // max(1, len(wave)))
        with torch.autocast(wave.device.type, enabled=False):
            for first in range(0, count, rows):
                last = min(first + rows, count)
                out[:, first:last] = self._features(self._frames(wave, first, last))
        return decibels.floored(out) if self.decibels and count else out

    def _frames(self, wave: Tensor, first: int, last: int) -> Tensor:
        """Frames `first` to `last` of the waveform, (B,last-first,N) float32: views of one stretch of samples."""
        o = self.options
        if self.decibels:
            return decibels.frames(wave, first, last, o)
        begin = first * o.shift_samples + (0 if o.snip_edges else o.shift_samples // 2 - o.window_samples // 2)
        end = begin + (last - first - 1) * o.shift_samples + o.window_samples
        return mirrored(wave, begin, end).float().unfold(1, o.window_samples, o.shift_samples)

    def _features(self, frames: Tensor) -> Tensor:
        """(B,T,N) -> (B,T,F)."""
        o = self.options
        if self.decibels:
            return decibels.of_power(self._power(frames * self.window) @ self.mel)
        if o.remove_dc_offset:
            frames = frames - frames.mean(-1, keepdim=True)
        energy = _log_energy(frames, o) if o.use_energy and o.raw_energy else None
        x = self._windowed(frames)
        if o.use_energy and not o.raw_energy:
            energy = _log_energy(x, o)
        feats = (self._power(x) @ self.mel).clamp_(min=EPSILON).log_()
        if o.feature_type == "mfcc":
            feats = feats @ self.dct
            if energy is not None:
                feats = torch.cat([energy[..., None], feats[..., 1:]], -1)
        elif energy is not None:
            feats = torch.cat([energy[..., None], feats], -1)
        return feats

    def _windowed(self, frames: Tensor) -> Tensor:
        """Pre-emphasis and window: (B,T,N) -> (B,T,N)."""
        x = frames * self.window
        x[..., 1:] -= (self.options.preemphasis_coefficient * self.window[1:]) * frames[..., :-1]
        x[..., 0] *= 1 - self.options.preemphasis_coefficient  # the sample before the first one counts as equal to it
        return x

    def _power(self, x: Tensor) -> Tensor:
        """(B,T,N) -> (B,T,fft_length / 2 + 1)."""
        squares = torch.view_as_real(torch.fft.rfft(x, self.fft_length)).square_()
        return squares[..., 0] + squares[..., 1]  # a sum over an axis of two takes longer than the Fourier transform


def _log_energy(frames: Tensor, options: FeatureOptions) -> Tensor:
    return frames.square().sum(-1).clamp_(min=max(EPSILON, options.energy_floor)).log_()


def mirrored(wave: Tensor, begin: int, end: int) -> Tensor:
    """Samples `begin` to `end` of (B, S), as Kaldi's snip_edges false has it: beyond an end the waveform plays backwards, as often as it
    takes."""
    size = wave.shape[1]
    if begin >= 0 and end <= size:
        return wave[:, begin:end]
    place = torch.arange(begin, end, device=wave.device).remainder(2 * size)
    return wave[:, torch.minimum(place, 2 * size - 1 - place)]


def window(options: FeatureOptions) -> np.ndarray:
    """(N,) float64."""
    n = options.window_samples
    a = 2 * math.pi / (n - 1) * np.arange(n)
    return {"povey": (0.5 - 0.5 * np.cos(a)) ** 0.85, "hanning": 0.5 - 0.5 * np.cos(a), "hamming": 0.54 - 0.46 * np.cos(a),
            "rectangular": np.ones(n),
            "blackman": options.blackman_coeff - 0.5 * np.cos(a) + (0.5 - options.blackman_coeff) * np.cos(2 * a)}[options.window_type]


def to_mel(hz: float | np.ndarray) -> np.ndarray:
    """1127 ln(1 + hz / 700), as Kaldi has it."""
    return 1127.0 * np.log1p(np.asarray(hz) / 700.0)


def mel_bank(options: FeatureOptions, fft_length: int) -> np.ndarray:
    """(fft_length / 2 + 1, bins): triangles evenly spaced on mel(f) = 1127 ln(1 + f / 700); half the rate itself is unused.

    Raises InputError when a bin would be empty.
    """
    edges = np.linspace(to_mel(options.low_freq), to_mel(options.top_freq), options.num_mel_bins + 2)
    mel = to_mel(np.arange(fft_length // 2 + 1) * options.sample_frequency / fft_length)[:, None]
    left, centre, right = edges[:-2], edges[1:-1], edges[2:]
    bank = np.minimum((mel - left) / (centre - left), (right - mel) / (right - centre))
    bank[fft_length // 2] = 0.0
    bank = np.maximum(bank, 0.0)
    if not bank.any(0).all():
        raise InputError(f"num_mel_bins {options.num_mel_bins}: mel bin {bank.any(0).argmin()} lies between two lines of a "
                         f"spectrum of {fft_length} points; lower num_mel_bins.")
    return bank


def cepstral_matrix(options: FeatureOptions) -> np.ndarray:
    """(bins, ceps): orthonormal DCT-II times the lifter 1 + Q/2 sin(pi i / Q)."""
    bins, ceps, q = options.num_mel_bins, options.num_ceps, options.cepstral_lifter
    i, n = np.arange(ceps), np.arange(bins)[:, None]
    dct = np.sqrt(2.0 / bins) * np.cos(math.pi / bins * (n + 0.5) * i)
    dct[:, 0] = math.sqrt(1.0 / bins)
    return dct * (1.0 + 0.5 * q * np.sin(math.pi * i / q)) if q else dct
