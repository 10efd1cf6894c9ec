"""sslspk.load and what it gives: a trained model that embeds recordings and compares voices."""
import os
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from functools import cached_property
from typing import TYPE_CHECKING, NamedTuple

import numpy as np
import torch
from torch import Tensor

from sslspk import progress
from sslspk.api import comparison, recordings, windows
from sslspk.api.comparison import Comparison
from sslspk.api.framewise import Framewise
from sslspk.api.recordings import Recording
from sslspk.api.voice import Voice
from sslspk.encoders import together
from sslspk.errors import InputError, shown
from sslspk.train import layers
from sslspk.train import model as models

if TYPE_CHECKING:
    from sslspk.api.recordings import Source

Refused = Callable[[Recording, InputError], None]
LONG_LIST = 20   # recordings; for more the progress is shown


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

    @cached_property
    def dim(self) -> int:
        return self.trained.encoder.embed_dim if self.layer is None else len(next(self._encoded([self._read(_noise(self.rate))])))

    def embed(self, x: "Source | list[Source]", rate: float | list[float] | None = None, *, channel: int | str | None = None,
              window: float | None = None, shift: float | None = None,
              progress: bool | None = None) -> "np.ndarray | Windows | list[Windows]":
        """The embedding of a recording, float32 (D,); of a list of N recordings (N, D).

        x: a path (any format that docs/audio.md lists), or samples with `rate` in Hz: int16, or floats from -1 to 1, of shape (S,), or (S,
        C) or (C, S) with C channels; or a list of these. rate: of arrays, one for all or one for each. channel: which of several, from 0
        on, or "mix", their mean. None: recordings with several are refused. window, shift: seconds; one embedding for each window of that
        length, `Windows` instead of (D,), a list of them instead of (N, D). The last window ends where the recording does; a shorter
        recording is one window. If the model removes silence (`vad`), windows without speech are left out. shift: half a window unless it
        is given. progress: a bar on stderr; None: for more than 20, and off a terminal a plain line a minute.

        Recordings of equal length are encoded together. The result does not depend on the other recordings of the list.
        Raises InputError naming the recording: missing, not audio, damaged, NaN, silence, under 0.1 s, several channels without a choice.
        """
        wanted = self._recordings(x, rate)
        if window is None and shift is None:
            found = np.array([row for _, row in self.embeddings(wanted, channel, progress)], np.float32).reshape(-1, self.dim)
            return found if isinstance(x, list | tuple) else found[0]
        each = [found for _, found in self.windowed(wanted, channel, window, shift, progress)]
        return each if isinstance(x, list | tuple) else each[0]

    @property
    def uncalibrated(self) -> str | None:
        """Why there is no calibration; None where there is one."""
        if self.calibration is not None:
            return None
        if comparison.find(models.file_of(self.path), self.info) is None:
            return "the model carries no calibration"
        return "the model's calibration is of its default weights, not of others or of a layer"

    def frames(self, x: "Source", rate: float | None = None, *, channel: int | str | None = None) -> np.ndarray:
        """The encoder's output before it pools over time (or that of `layer`): float32 (T, C), one frame every `frame_shift` seconds.

        x, rate, channel, errors: as of `embed`, for one recording. Long recordings are read in windows of 60 s, overlapping by 1 s.
        """
        recording = recordings.of(x, rate)
        return self._framewise(self._read(self._tried(recording, channel, cut=True)))

    @property
    def frame_shift(self) -> float:
        """Seconds from one of the `frames` to the next. Raises InputError where they are not evenly spaced."""
        return self._framewise.seconds

    def compare(self, a: "Source", b: "Source", rate: float | list[float] | None = None, *, channel: int | str | None = None,
                prior: float | None = None) -> Comparison:
        """How similar the voices of two recordings are; with a calibrated model also the probability that they are one. See `Comparison`.

        a, b, rate, channel, errors: as of `embed`. prior: the share of pairs of one speaker among those that are compared; None: that
        of the calibration. Raises InputError also for a `prior` if the model has no calibration.
        """
        if comparison.checked(prior) is not None and self.calibration is None:
            raise InputError(f"a prior needs a calibration, and {self.uncalibrated}; leave the prior out.")
        seconds: list[float] = []
        x = np.stack([row for _, row in self.embeddings(self._recordings([a, b], rate), channel, False, heard=seconds.append)])
        cosine, llr = comparison.scores(x, np.array([0]), np.array([1]), self.calibration, np.array(seconds))
        return comparison.judged(cosine[0], None if llr is None else llr[0], self.calibration, prior)

    def embeddings(self, wanted: list[Recording], channel: int | str | None = None, progress: bool | None = None,
                   refused: Refused | None = None, heard: Callable[[float], None] | None = None) -> Iterator[tuple[Recording, np.ndarray]]:
        """Each recording and its embedding (D,), in their order; see `embed`.

        refused: called with a recording that cannot be embedded, which is then left out; None: the error is raised.
        heard: called with the seconds of each one that were embedded.
        """
        taken: deque[Recording] = deque()

        def inputs() -> Iterator[Tensor]:
            for one in _watched(wanted, progress):
                samples = self._tried(one, channel, refused, cut=True)
                if samples is not None:
                    taken.append(one)
                    if heard is not None:
                        heard(len(samples) / self.rate)
                    yield self._read(samples)

        return ((taken.popleft(), x) for x in self._encoded(inputs()))

    def windowed(self, wanted: list[Recording], channel: int | str | None, window: float | None, shift: float | None = None,
                 progress: bool | None = None, refused: Refused | None = None) -> Iterator[tuple[Recording, Windows]]:
        """Each recording and its windows, in their order; see `embed` and `embeddings`."""
        window, shift = windows.checked(window, shift)
        for one in _watched(wanted, progress):
            samples = self._tried(one, channel, refused)
            if samples is not None:
                parts, times = windows.cut(samples, self.rate, window, shift, None if one.silence_cut else self._voice)
                if parts:
                    yield one, Windows(np.stack(list(self._encoded(map(self._read, parts)))), times)
                else:
                    _refuse(InputError(f"{one}: no window of {window:g} s has a voice in it; give a longer window, or none."), one, refused)

    def _recordings(self, x, rate) -> list[Recording]:
        if not isinstance(x, list | tuple):
            return [recordings.of(x, rate)]
        rates = rate if isinstance(rate, list | tuple) else [rate] * len(x)
        if len(rates) != len(x):
            raise InputError(f"recordings: {len(x)}, rates: {len(rates)}; give one rate, or one for each recording.")
        return [recordings.of(one, hertz, f"array {place} of the list") for place, (one, hertz) in enumerate(zip(x, rates, strict=True), 1)]

    def _tried(self, recording: Recording, channel: int | str | None, refused: Refused | None = None,
               cut: bool = False) -> np.ndarray | None:
        """Samples (S,) at the model's rate; None of a recording that was refused. cut: without silence, if the model was trained so."""
        try:
            samples = recordings.samples(recording, self.rate, channel)
            return self._cut(recording, samples) if cut else samples
        except InputError as err:
            return _refuse(err, recording, refused)

    def _cut(self, recording: Recording, samples: np.ndarray) -> np.ndarray:
        if self._voice is None or recording.silence_cut:
            return samples
        left = self._voice.cut(samples)
        if len(left) < recordings.SHORTEST * self.rate:
            raise InputError(f"{recording} holds no speech ({len(left) / self.rate:.2f} s are left without silence); "
                             "record it again, or leave it out.")
        return left

    def _read(self, samples: np.ndarray) -> Tensor:
        return self.trained.read(torch.from_numpy(samples))

    def _encoded(self, inputs: Iterable[Tensor]) -> Iterator[np.ndarray]:
        return together.encoded(encoder_of(self.trained, self.layer), inputs)

    @cached_property
    def _framewise(self) -> Framewise:
        return Framewise(self.trained, self.layer)


def load(path: str | os.PathLike, device: str | torch.device = "cpu", *, weights: str | None = None, layer: str | None = None) -> Model:
    """A trained model, ready to embed.

    path: a final.pt, the folder that holds one, or a folder that `sslspk export` wrote. device: "cpu", "cuda", "cuda:1", "mps" ...
    weights: one of the model's encoders (DINO: "teacher", "student"); None: its own choice. layer: take a layer inside the encoder,
    averaged over time, in place of its embedding (as steps/extract_embeddings.sh --layer). A calibration goes with the model's own choice
    alone. Raises InputError: no such file, damaged, of a later version, no such device, weights or layer.
    """
    if not isinstance(path, str | os.PathLike) or not os.fspath(path):
        raise InputError(f"a model is named by its file or folder, not by {shown(path)}; give its path.")
    path = os.fspath(path)
    trained = models.load(path, weights or None, device_of(device))
    if layer is not None:
        layer = str(layer)   # a number of a Transformer's
        layers.require(trained.encoder, layer)
    # A calibration is valid only for the scores of one encoder's embeddings.
    calibration = comparison.find(models.file_of(path), trained.info) if layer is None and trained.by_default else None
    return Model(trained, path, layer, calibration)


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


def _refuse(err: InputError, recording: Recording, refused: Refused | None) -> None:
    if refused is None:
        raise err
    refused(recording, err)


def _watched(recordings: list[Recording], wanted: bool | None) -> Iterator[Recording]:
    return progress.over(recordings, "recordings", wanted=False if wanted is None and len(recordings) <= LONG_LIST else wanted)


def _noise(rate: int) -> np.ndarray:
    """A second of noise, to try an encoder with."""
    return np.random.default_rng(0).integers(-1000, 1000, rate).astype(np.int16)
