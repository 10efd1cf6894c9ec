"""Log-mel frames as a waveform again: spectra that fit the mel bank, and phases by Griffin & Lim (1984)."""
import torch
from torch import Tensor, nn

from sslspk.errors import InputError
from sslspk.features.config import FULL_SCALE, FeatureOptions
from sslspk.features.fbank import Extractor

TINY = 1e-10
MEL_UPDATES = 50   # of the spectrum that fits the mel bank


class GriffinLim(nn.Module):
    """forward(log-mel (T, F)) -> samples (S,) float32 in -1 to 1, S such that its frames are T again.

    options: those that the frames were computed with; their mean must not have been taken off. iterations: of the phases, which begin at
    random by `seed`. Raises InputError for features that are no log-mel, or frames that do not overlap.
    """

    def __init__(self, options: FeatureOptions, iterations: int = 60, seed: int = 0):
        super().__init__()
        if options.feature_type != "fbank" or options.use_energy:
            raise InputError("a waveform is made of log-mel alone; features.feature_type must be fbank, without use_energy.")
        if 2 * options.shift_samples > options.window_samples:
            raise InputError("frames that overlap by less than half cannot be joined; lower features.frame_shift.")
        self.options, self.iterations, self.seed = options, iterations, seed
        extractor = Extractor(options)
        self.fft_length = extractor.fft_length
        self.register_buffer("window", extractor.window, persistent=False)
        self.register_buffer("mel", extractor.mel, persistent=False)

    def spectrum(self, log_mel: Tensor) -> Tensor:
        """(T, F) -> magnitudes (T, fft_length / 2 + 1) whose mel energies are about those; the pre-emphasis is taken back.

        Multiplicative updates keep them positive (Lee & Seung 2001, least squares).
        """
        wanted = log_mel.exp()
        reached = self.mel.sum(1) > 0
        power = (wanted @ self.mel.T).clamp_min(TINY) * reached
        for _ in range(MEL_UPDATES):
            power = power * (wanted @ self.mel.T) / (power @ self.mel @ self.mel.T).clamp_min(TINY)
        turn = torch.linspace(0, torch.pi, power.shape[1], device=power.device)
        a = self.options.preemphasis_coefficient
        return (power / (1 - 2 * a * turn.cos() + a * a).clamp_min(TINY)).sqrt()

    @torch.no_grad()
    def forward(self, log_mel: Tensor) -> Tensor:
        magnitude = self.spectrum(log_mel)
        generator = torch.Generator().manual_seed(self.seed)
        angle = 2 * torch.pi * torch.rand(magnitude.shape, generator=generator).to(magnitude.device)
        wave = self._joined(torch.polar(magnitude, angle))
        for _ in range(self.iterations):
            found = torch.fft.rfft(wave.unfold(0, len(self.window), self.options.shift_samples) * self.window, self.fft_length)
            wave = self._joined(magnitude * found / found.abs().clamp_min(TINY))
        begin = 0 if self.options.snip_edges else self.options.window_samples // 2 - self.options.shift_samples // 2
        end = len(wave) if self.options.snip_edges else begin + len(log_mel) * self.options.shift_samples
        return (wave[begin:end] / FULL_SCALE).clamp(-1, 1)

    def _joined(self, spectra: Tensor) -> Tensor:
        """(T, fft_length / 2 + 1) -> samples: frames added where they overlap, each sample divided by the sum of its squared windows."""
        n, hop = len(self.window), self.options.shift_samples
        frames = torch.fft.irfft(spectra, self.fft_length)[:, :n] * self.window
        size = (len(frames) - 1) * hop + n
        place = (torch.arange(len(frames), device=frames.device)[:, None] * hop + torch.arange(n, device=frames.device)).flatten()
        wave = frames.new_zeros(size).index_add_(0, place, frames.flatten())
        weight = frames.new_zeros(size).index_add_(0, place, self.window.square().repeat(len(frames)))
        return wave / weight.clamp_min(1e-3 * weight.max())
