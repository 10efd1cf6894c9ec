"""Noise, reverberation and a random equaliser for a batch of waveforms, on the device that trains.

What is drawn comes from the loader (sslspk.data.noise); here is only arithmetic, so a batch gives the same result wherever
it is drawn. The speech goes through the room and the equaliser in one filter (one FFT there and back), then the noise is
added at the SNR asked for, then the level is that of the input again.

The equaliser stands before the noise on purpose. Applied to the sum it would be a constant for each mel band, which mean
normalisation takes out again; before it, it also changes how well each band stands above the noise.
"""
import math

import torch
from torch import Tensor, nn

from sslspk.features.config import FULL_SCALE

GUARD = 512    # samples between the end of the filtered crop and its wrapped start: the equaliser's response dies out there
BLOCK = 32     # crops filtered at a time on a CPU, so that their spectra stay in the cache
EQ_TOP, EQ_CORNER = 8000.0, 700.0   # the equaliser's points are evenly spaced on the mel scale of 16 kHz audio


class WaveAugment(nn.Module):
    """Reverberate, equalise and add noise to (N,S) samples on the int16 scale; no parameters, no host synchronisation."""

    @torch.no_grad()
    def forward(self, wave: Tensor, noise: Tensor, snr_db: Tensor, rir: Tensor | None = None,
                has_rir: Tensor | None = None, eq_db: Tensor | None = None, gain_db: Tensor | None = None,
                speech: Tensor | None = None, speech_db: Tensor | None = None, rooms: Tensor | None = None,
                equalised: Tensor | None = None) -> Tensor:
        """float32 (N,S) with the rms of `wave` (times gain_db), and nowhere beyond the int16 range.

        noise (N,S), or (N,0) for none at all; snr_db (N,): mean power of the filtered crop over that of the noise, NaN for
        no noise. rir (N,L) of any scale, the direct path being its largest value; has_rir (N,) bool.
        eq_db (N,P): see `equaliser`; gain_db (N,). speech and speech_db: another voice besides, as noise and snr_db.
        rooms, equalised: the numbers of the rows with a room, and of those with an equaliser alone, from the loader, which knows them
        without waiting for the device. Rows for which nothing is asked are returned unchanged.
        """
        wave, nothing = wave.float(), noise.new_zeros(len(noise), 0, dtype=torch.float32)
        rir, eq_db = nothing if rir is None else rir.float(), nothing if eq_db is None else eq_db.float()
        out = filtered = _filter(wave, rir, has_rir, eq_db, (rooms, equalised))
        if noise.shape[1]:
            out = add_noise(filtered, noise.float(), snr_db)
        if speech is not None and speech.shape[1]:
            out = out + (add_noise(filtered, speech.float(), speech_db) - filtered)
        return restore_level(out, wave, gain_db)


def equaliser(eq_db: Tensor, num_bins: int) -> Tensor:
    """Amplitude gains (N, num_bins) from 0 Hz to half the sampling rate for P gains in dB (N,P), P >= 2.

    The points are evenly spaced on the mel scale and joined by half periods of a cosine.
    """
    frequency = torch.linspace(0, EQ_TOP / EQ_CORNER, num_bins, device=eq_db.device)
    place = torch.log1p(frequency) / math.log1p(EQ_TOP / EQ_CORNER) * (eq_db.shape[1] - 1)
    left = place.floor().clamp(max=eq_db.shape[1] - 2)
    share = 0.5 - 0.5 * torch.cos(math.pi * (place - left))
    left = left.long()
    level = torch.lerp(eq_db[:, left], eq_db[:, left + 1], share)
    return torch.exp(level * (math.log(10) / 20))


def add_noise(wave: Tensor, noise: Tensor, snr_db: Tensor) -> Tensor:
    """wave + noise (N,S), the noise scaled so that the ratio of their mean powers is snr_db (N,); NaN adds nothing.

    Silent speech and silent noise have no ratio: such a row stays as it is.
    """
    speech_power, noise_power = _power(wave), _power(noise)
    scale = torch.sqrt(speech_power / noise_power) * torch.pow(10.0, -snr_db.float() / 20)
    scale = torch.where((noise_power > 0) & ~snr_db.isnan(), scale, 0.0)
    return wave + scale[:, None] * noise


def restore_level(out: Tensor, wave: Tensor, gain_db: Tensor | None = None) -> Tensor:
    """`out` (N,S) scaled to the rms of `wave` (N,S) times gain_db (N,), but to no peak beyond the int16 range."""
    gain = torch.sqrt(_power(wave) / _power(out))
    gain = torch.where(gain.isfinite(), gain, 1.0)
    if gain_db is not None:
        gain = gain * torch.pow(10.0, gain_db.float() / 20)
    peak = torch.linalg.vector_norm(out, float("inf"), dim=1).clamp(min=1e-20)
    return out * torch.minimum(gain, FULL_SCALE / peak)[:, None]


def _power(x: Tensor) -> Tensor:
    """Mean square of each row: (N,S) -> (N,)."""
    return torch.linalg.vector_norm(x, dim=1).square() / x.shape[1]


def rows_to_filter(has_rir: Tensor, eq_db: Tensor) -> tuple[Tensor, Tensor]:
    """(..., ) bool and (..., P) -> the numbers, int64, of the rows with a room, and of those with an equaliser alone."""
    flat = (eq_db != 0).any(-1) & ~has_rir
    return has_rir.flatten().nonzero()[:, 0], flat.flatten().nonzero()[:, 0]


def _filter(wave: Tensor, rir: Tensor, has_rir: Tensor, eq_db: Tensor, numbers: tuple[Tensor | None, Tensor | None]) -> Tensor:
    """Room and equaliser of every row (N,S); rows without either stay as they are, bit for bit. L or P of 0: none at all.

    numbers: as of rows_to_filter, each None where nobody has asked yet, which makes the host wait for the device.
    """
    if not rir.shape[1] and not eq_db.shape[1]:
        return wave
    if numbers[0] is None:
        numbers = rows_to_filter(has_rir if rir.shape[1] else torch.zeros_like(wave[:, 0], dtype=torch.bool), eq_db)
    length = _period(wave.shape[1] + rir.shape[1])
    out = wave.clone()
    for rows, impulses in zip(numbers, (rir, rir[:, :0]), strict=True):
        size = BLOCK if wave.device.type == "cpu" else max(len(rows), 1)
        for first in range(0, len(rows), size):
            block = rows[first:first + size]
            padded = _padded(block)
            out[block] = _convolve(wave[padded], impulses[padded], eq_db[padded], length)[:len(block)]
    return out


def _padded(rows: Tensor) -> Tensor:
    """On a device with the first row again and again, to a multiple of BLOCK: Fourier transforms are planned for each number of rows."""
    return rows if rows.device.type == "cpu" else torch.cat([rows, rows[:1].expand(-len(rows) % BLOCK)])


def _period(samples: int) -> int:
    """Samples of the Fourier transform that filters so many."""
    from scipy.fft import next_fast_len  # a fifth of a second to import, and what extracts embeddings has no rooms
    return next_fast_len(samples + GUARD, real=True)


def _convolve(wave: Tensor, rir: Tensor, eq_db: Tensor, length: int) -> Tensor:
    """Rows (N,S) through their room (N,L), L of 0: none, and equaliser (N,P), P of 0: none, in transforms of `length` samples."""
    spectrum = torch.fft.rfft(wave, length)
    if rir.shape[1]:
        spectrum *= torch.fft.rfft(_aligned(rir, length))
    if eq_db.shape[1]:
        spectrum *= equaliser(eq_db, spectrum.shape[1])
    return torch.fft.irfft(spectrum, length)[:, :wave.shape[1]]


def _aligned(rir: Tensor, length: int) -> Tensor:
    """RIRs (N,L) with the largest value 1 and at time zero, what precedes it at the end of the period: (N,length).

    So the direct path is not delayed and crops keep their place in time. A silent RIR is as a unit impulse.
    """
    largest, place = rir.abs().max(1, keepdim=True)
    target = (torch.arange(rir.shape[1], device=rir.device) - place) % length
    out = rir.new_zeros(len(rir), length).scatter_(1, target, rir / largest.clamp(min=1e-20))
    impulse = rir.new_zeros(length)
    impulse[0] = 1.0
    return torch.where(largest > 0, out, impulse)
