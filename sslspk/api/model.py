"""sslspk.load and what it gives: a trained model that embeds recordings and compares voices."""
import os
from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING, NamedTuple

import numpy as np
import torch
from torch import Tensor

from sslspk.api import batches, comparison, recordings, windows
from sslspk.api.comparison import Comparison
from sslspk.api.framewise import Framewise
from sslspk.api.recordings import Recording
from sslspk.api.voice import Voice
from sslspk.errors import InputError, shown
from sslspk.train import layers
from sslspk.train import model as models

if TYPE_CHECKING:
    from sslspk.api.recordings import Source

LONG_LIST = 20   # recordings from which on a progress bar is shown


class Windows(NamedTuple):
    """Embeddings (W, D) of the windows of a recording, float32, and their times (W, 2): first and last second, float64."""

    embeddings: np.ndarray
    times: np.ndarray


class Model:
    """A trained model. Recordings are given as `embed` says; everything is computed on `device`.

    path: the file that it was read from. rate: samples per second that it reads; other rates are converted. dim: D of its embeddings.
    vad: whether it was trained on audio without silence; then silence is cut out of what it is given. layer: see `load`.
    calibration: sslspk.backend.calibration.Calibration, or None. info: how it was trained (labels, steps, data). trained: what
    sslspk.train.model.load gives.
    """

    def __init__(self, trained: models.Model, path: str, layer: str | None = None, calibration=None):
        self.trained, self.path, self.layer, self.calibration = trained, path, layer, calibration
        self.info, self.config, self.vad = trained.info, trained.config, trained.config.vad
        self.rate = int(trained.config.features.sample_frequency)
        self._voice = Voice(self.rate) if self.vad else None

    @property
    def device(self) -> torch.device:
        return self.trained.device

    @property
    def dim(self) -> int:
        return self.trained.encoder.embed_dim if self.layer is None else len(self.embed(_noise(self.rate), self.rate))

    def embed(self, x: "Source | list[Source]", rate: float | list[float] | None = None, *, channel: int | str | None = None,
              window: float | None = None, shift: float | None = None,
              progress: bool | None = None) -> "np.ndarray | Windows | list[Windows]":
        """The embedding of a recording, float32 (D,); of a list of N recordings (N, D).

        x: a path (any format that docs/audio.md lists), or samples with `rate` in Hz: int16, or floats from -1 to 1, of shape (S,), or
        (S, C) or (C, S) with C channels; or a list of these. rate: of arrays, one for all or one for each.
        channel: which of several, from 0 on, or "mix", their mean. None: recordings with several are refused.
        window, shift: seconds; one embedding for each window of that length, `Windows` instead of (D,), a list of them instead of (N, D).
        The last window ends where the recording does; a shorter recording is one window. Windows without any voice are left out where
        silence is cut (`vad`). shift: half a window unless it is given. progress: a bar on stderr; None: for more than 20 on a terminal.

        Recordings of equal length are encoded together, and the result does not depend on what is in the list besides.
        Raises InputError naming the recording: missing, not audio, damaged, NaN, silence, under 0.1 s, several channels without a choice.
        """
        wanted = self._recordings(x, rate)
        if window is None and shift is None:
            found = np.stack(list(self.embeddings(wanted, channel, progress))) if wanted else np.zeros((0, self.dim), np.float32)
            return found if isinstance(x, list | tuple) else found[0]
        each = list(self.windowed(wanted, channel, window, shift, progress))
        return each if isinstance(x, list | tuple) else each[0]

    def frames(self, x: "Source", rate: float | None = None, *, channel: int | str | None = None) -> np.ndarray:
        """What the encoder pools over time (or the frames of `layer`): float32 (T, C), `frame_shift` seconds from one to the next.

        x, rate, channel, errors: as of `embed`, for one recording. Long recordings are read in windows of 60 s, overlapping by 1 s.
        """
        samples = self._samples(recordings.of(x, rate), channel)
        return self._framewise()(self.trained.read(torch.from_numpy(samples)))

    @property
    def frame_shift(self) -> float:
        """Seconds from one of the `frames` to the next. Raises InputError where they are not evenly spaced."""
        return self._framewise().seconds

    def compare(self, a: "Source", b: "Source", rate: float | list[float] | None = None, *, channel: int | str | None = None,
                prior: float | None = None) -> Comparison:
        """How alike the voices of two recordings are; of a calibrated model also how likely they are one. See `Comparison`.

        a, b, rate, channel, errors: as of `embed`. prior: the share of pairs of one speaker among those that are compared; None: that
        of the calibration.
        """
        seconds: list[float] = []
        x = np.stack(list(self.embeddings(self._recordings([a, b], rate), channel, False, seconds.append)))
        cosine, llr = comparison.scores(x, np.array([0]), np.array([1]), self.calibration, np.array(seconds))
        return comparison.judged(cosine[0], None if llr is None else llr[0], self.calibration, prior)

    def embeddings(self, wanted: list[Recording], channel: int | str | None = None, progress: bool | None = None,
                   heard: Callable[[float], None] = lambda seconds: None) -> Iterator[np.ndarray]:
        """(D,) of each recording, in their order; see `embed`. heard: is told the seconds of each one that were embedded."""
        def inputs() -> Iterator[Tensor]:
            for one in _bar(wanted, progress):
                samples = self._samples(one, channel)
                heard(len(samples) / self.rate)
                yield self._read(samples)

        return self._encoded(inputs())

    def windowed(self, wanted: list[Recording], channel: int | str | None, window: float | None, shift: float | None = None,
                 progress: bool | None = None) -> Iterator[Windows]:
        """The windows of each recording, in their order; see `embed`."""
        window, shift = windows.checked(window, shift)
        for one in _bar(wanted, progress):
            samples = recordings.samples(one, self.rate, channel)
            parts, times = windows.cut(samples, self.rate, window, shift, self._voice)
            if not parts:
                raise InputError(f"{one.name} has no window of {window:g} s with a voice in it; give a longer window, or none.")
            yield Windows(np.stack(list(self._encoded(map(self._read, parts)))), times)

    def _recordings(self, x, rate) -> list[Recording]:
        if not isinstance(x, list | tuple):
            return [recordings.of(x, rate)]
        rates = rate if isinstance(rate, list | tuple) else [rate] * len(x)
        if len(rates) != len(x):
            raise InputError(f"there are {len(x)} recordings and {len(rates)} rates; give one rate, or one for each.")
        return [recordings.of(one, hertz, f"array {place} of the list") for place, (one, hertz) in enumerate(zip(x, rates, strict=True), 1)]

    def _samples(self, recording: Recording, channel: int | str | None) -> np.ndarray:
        samples = recordings.samples(recording, self.rate, channel)
        return samples if self._voice is None else self._voice.cut(samples)

    def _read(self, samples: np.ndarray) -> Tensor:
        return self.trained.read(torch.from_numpy(samples))

    def _encoded(self, inputs: Iterator[Tensor]) -> Iterator[np.ndarray]:
        return batches.encoded(encoder_of(self.trained, self.layer), inputs)

    def _framewise(self) -> Framewise:
        return Framewise(self.trained, self.layer)


def load(path: str | os.PathLike, device: str | torch.device = "cpu", *, weights: str | None = None, layer: str | None = None) -> Model:
    """A trained model, ready to embed.

    path: a final.pt, or the folder that holds one. device: "cpu", "cuda", "cuda:1", "mps" ... weights: one of the model's encoders (DINO:
    "teacher", "student"); None: its own choice. layer: take a layer inside the encoder, averaged over time, in place of its embedding
    (as steps/extract_embeddings.sh --layer). Raises InputError: no such file, damaged, of a later version, no such device or weights.
    """
    path = os.fspath(path)
    trained = models.load(path, weights, device_of(device))
    return Model(trained, path, layer, comparison.find(models.file_of(path), trained.info))


def device_of(name: str | torch.device) -> torch.device:
    """The device of that name. Raises InputError where there is none."""
    try:
        device = torch.device(name)
        torch.zeros(1, device=device)
    except (RuntimeError, AssertionError, NotImplementedError, TypeError) as err:
        if isinstance(err, torch.cuda.OutOfMemoryError):
            raise
        raise InputError(f"the device {shown(name)} is not there; choose cpu, or one that torch finds on this machine.") from None
    if device.type == "meta":
        raise InputError("the device 'meta' computes nothing; choose cpu, or one that torch finds on this machine.")
    return device


def encoder_of(trained: models.Model, layer: str | None = None) -> Callable[[Tensor], Tensor]:
    """(B, T, F) or (B, S) -> (B, D): the embedding, or the mean of a layer."""
    return trained.encoder if layer is None else lambda x: layers.at_layer(trained.encoder, layer, x)


def _bar(wanted: list[Recording], progress: bool | None) -> Iterator[Recording]:
    from tqdm import tqdm
    hidden = None if progress is None and len(wanted) > LONG_LIST else not progress
    return iter(tqdm(wanted, unit="rec", mininterval=1, disable=hidden))


def _noise(rate: int) -> np.ndarray:
    """A second of noise, to try an encoder with."""
    return np.random.default_rng(0).integers(-1000, 1000, rate).astype(np.int16)
