"""The frames of whole recordings, computed in windows for long ones. steps/extract_frames.sh and Model.frames use it."""
from functools import partial

import numpy as np
import torch
from torch import Tensor

from sslspk.errors import InputError
from sslspk.train import frames, layers
from sslspk.train import model as models

WINDOW, MARGIN = 60.0, 1.0   # seconds


class Framewise:
    """framewise(x), (1, T, F) or (1, S) -> float32 (T', C): the encoder's output before pooling, or that of its layer `layer`.

    window: longer recordings are read in windows of so many seconds (0: always whole). margin: seconds at both ends of a window whose
    frames are taken from its neighbours. seconds: from one frame to the next.
    Raises InputError where the window has no room for its margins, or frames are not evenly spaced.
    """

    def __init__(self, trained: models.Model, layer: str | None = None, window: float = WINDOW, margin: float = MARGIN):
        if window < 0 or margin < 0 or (window and window <= 2 * margin):
            raise InputError(f"--window {window:g} --margin {margin:g}: a window needs room for its two margins; give a longer one.")
        options = trained.config.features
        rate = options.sample_frequency if trained.config.waveform else 1000 / options.frame_shift   # of what the encoder reads
        self._run, self._step = partial(layers.frames_at, trained.encoder, layer), frames.stride(trained.encoder, layer, trained.config)
        self._window, self._margin, self.seconds = round(window * rate), round(margin * rate), self._step / rate

    @torch.inference_mode()
    def __call__(self, x: Tensor) -> np.ndarray:
        return frames.in_windows(self._run, x, self._step, self._window or x.shape[1], self._margin)[0].float().cpu().numpy()
