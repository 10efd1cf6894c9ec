"""Turns what a user gives as a recording, a path or an array, into samples that a model can read."""
import os
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from sslspk.errors import InputError, named, shown
from sslspk.io import audio, clips, decode, files, quality, silence
from sslspk.io import channel as channels
from sslspk.io.clips import Clip

if TYPE_CHECKING:
    from torch import Tensor

    Source = str | os.PathLike | np.ndarray | Tensor | "Recording"

MAX_RATE = 1_000_000
SHORTEST = 0.1   # seconds; in less there is hardly a syllable


class Recording(NamedTuple):
    """name: what a user calls it. source: where its audio lies, or samples as `of` takes them. rate: of such samples, in Hz.

    pipes: whether an entry of wav.scp that is a command may be run.
    """

    name: str
    source: Clip | np.ndarray
    rate: int | None = None
    pipes: bool = False

    def __str__(self) -> str:
        """The name as messages have it: of a file that is named below a folder, with the folder."""
        clip = self.source
        below = isinstance(clip, Clip) and clip.whole and os.path.normpath(clip.spec).endswith(os.sep + os.path.normpath(self.name))
        return named(clip.spec if below else self.name)

    @property
    def silence_cut(self) -> bool:
        """Whether it lies in an archive out of which silence was cut when it was packed."""
        return isinstance(self.source, Clip) and silence.all_cut([self.source])


def of(x: "Source", rate: float | None = None, name: str = "the array") -> Recording:
    """A recording by its path (or an entry of wav.scp, ARCHIVE:OFFSET), or of samples with `rate`.

    Samples are integers of 16 bits or floats of full scale 1, (S,), or (S, C) or (C, S) of C channels, the shorter side.
    Raises InputError: no such file, a folder, samples without a rate or of another kind. A Recording is taken as it is.
    """
    if isinstance(x, Recording):
        return x
    if isinstance(x, str | os.PathLike):
        _require(os.fspath(x))
        return Recording(os.fspath(x), Clip(os.fspath(x)))
    if hasattr(x, "detach"):   # a tensor
        x = x.detach().cpu().numpy()
    if not isinstance(x, np.ndarray):
        raise InputError(f"a recording is a path, or an array with its rate, not {shown(type(x).__name__)}.")
    if x.ndim not in (1, 2) or (x.dtype != np.int16 and x.dtype.kind != "f"):
        raise InputError(f"{name} is {x.dtype} {x.shape}; samples are int16, or floats from -1 to 1, of shape (S,) or (S, channels).")
    if not (isinstance(rate, int | float | np.number) and decode.MIN_RATE <= rate <= MAX_RATE and float(rate).is_integer()):
        raise InputError(f"{name} needs its sampling rate as rate=HZ, a whole number from {decode.MIN_RATE} to {MAX_RATE}, "
                         f"not {shown(rate, 40)}.")
    return Recording(name, x, int(rate))


def samples(recording: Recording, rate: float, channel: int | str | None = None) -> np.ndarray:
    """int16 (S,) of one channel at `rate` Hz.

    channel: from 0 on, "mix" for the mean of all, "first"; None: there may be one only.
    Raises InputError naming the recording: what cannot be read, NaN, several channels without a choice, no speech, under SHORTEST seconds.
    """
    clip = recording.source
    if isinstance(clip, Clip):
        _require(clip.spec)
    chosen = 0 if channel in (None, channels.FIRST) else channel
    if not (chosen == channels.MIX or (isinstance(chosen, int | np.integer) and not isinstance(chosen, bool) and chosen >= 0)):
        raise InputError(f"there is no channel {shown(channel)}; give a number from 0 on, or 'mix', the mean of all.")
    found = clips.load(clip, recording.pipes, chosen) if isinstance(clip, Clip) else _of_array(recording, chosen)
    if found.channels > 1 and channel is None and not (isinstance(clip, Clip) and clip.channel is not None):
        raise InputError(f"{recording} has {found.channels} channels; choose one: channel 0 to {found.channels - 1}, or mix.")
    reason = quality.broken(found.samples, found.peak)
    if reason:
        raise InputError(f"{recording} holds no speech ({reason}); record it again, or leave it out.")
    seconds = len(found.samples) / found.rate
    if seconds < SHORTEST:
        raise InputError(f"{recording} lasts {seconds:.3f} s, and a voice needs {SHORTEST:g} s; give a longer recording.")
    return audio.resample(found.samples, found.rate, int(rate))


def _require(spec: str) -> None:
    """Refuse a path at which there is no file, for callers that name recordings by their paths."""
    if os.path.isdir(spec) or not (os.path.exists(spec) or files.is_pipe(spec) or files.split_spec(spec)[1] is not None):
        found = "a folder, not a recording" if os.path.isdir(spec) else "not there"
        raise InputError(f"{named(spec)} is {found}; give the path of an audio file.")


def _of_array(recording: Recording, channel: int | str) -> decode.Recording:
    """As audio.load, of samples in memory."""
    x = recording.source
    if not x.size:
        raise InputError(f"{recording} holds no samples; give a recording.")
    x = x[:, None] if x.ndim == 1 else x.T if x.shape[0] < x.shape[1] else x
    if x.shape[1] > decode.MAX_CHANNELS:
        raise InputError(f"{recording} has {x.shape[1]} channels, which are too many; the array should have the shape (samples, channels).")
    if not np.isfinite(x).all():
        raise InputError(f"{recording} holds NaN or infinite samples; make it again, or leave it out.")
    chosen = decode.choose(x, channel, str(recording))
    if x.dtype == np.int16:
        return decode.Recording(chosen, recording.rate, x.shape[1], float(np.abs(chosen.astype(np.int32)).max()) / 32768)
    return decode.Recording(decode.to_int16(chosen, str(recording)), recording.rate, x.shape[1], float(np.abs(chosen).max()))
