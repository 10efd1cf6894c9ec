"""Windows over a recording: where they lie, and what is heard in them."""
import math
from typing import TYPE_CHECKING

import numpy as np

from sslspk.api.recordings import SHORTEST
from sslspk.errors import InputError, shown

if TYPE_CHECKING:
    from sslspk.api.voice import Voice


def checked(window: float | None, shift: float | None) -> tuple[float, float]:
    """Seconds of a window, and from the start of one to that of the next. Raises InputError for what is no length."""
    if window is None:
        raise InputError("a shift needs a window, the length of each in seconds; give both.")
    for name, value, least in (("window", window, SHORTEST), ("shift", shift, 0.01)):
        if value is not None and not (isinstance(value, int | float) and least <= value and math.isfinite(value)):
            raise InputError(f"{name} {shown(value)} must be a number of seconds, {least:g} or more.")
    return window, window / 2 if shift is None else shift


def places(samples: int, rate: float, window: float, shift: float) -> list[tuple[int, int]]:
    """First sample and end of the windows over a recording. The last one ends where the recording does."""
    size = min(round(window * rate), samples)
    number = 1 + max(0, math.ceil((samples - size) / (shift * rate)))
    return [(first, first + size) for first in (min(round(i * shift * rate), samples - size) for i in range(number))]


def cut(samples: np.ndarray, rate: int, window: float, shift: float, voice: "Voice | None") -> tuple[list[np.ndarray], np.ndarray]:
    """The samples (S,) of each window, and the seconds (W, 2) at which they begin and end. voice: cuts silence out; None: it stays. A
    window with less than SHORTEST seconds of voice is left out."""
    kept = None if voice is None else voice.samples(samples)
    parts, times = [], []
    for first, end in places(len(samples), rate, window, shift):
        part = samples[first:end]
        if kept is not None:
            part = part[kept[first:end]]
            if len(part) < SHORTEST * rate:
                continue
        parts.append(part)
        times.append((first / rate, end / rate))
    return parts, np.array(times).reshape(-1, 2)
