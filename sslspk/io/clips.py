"""The audio of an utterance: a recording of wav.scp or, with a `segments` table, a part of one, given by start and end in seconds.

Samples int(start * rate) to int(end * rate) are taken, as in Kaldi's extract-segments; an end of -1 is the end of the recording.
"""
import os
import re
from collections.abc import Iterable
from typing import NamedTuple

import numpy as np

from sslspk.errors import InputError, named
from sslspk.io import audio, files, quality, segments, table
from sslspk.io import channel as channels

OVERSHOOT = 0.5          # seconds by which a segment may exceed its recording; the excess is cut (Kaldi's --max-overshoot)
ORIGIN = ".of"           # a file next to the pieces of a data directory that holds its name
CACHED_SAMPLES = 1 << 26   # of decoded recordings in memory; the segments of one usually follow each other
_cache: dict[tuple, audio.Recording] = {}


class Clip(NamedTuple):
    """Where the audio of an utterance is. spec: an entry of wav.scp. where: FILE:LINE of a segment, or FILE, for messages."""

    spec: str
    start: float = 0.0
    end: float | None = None
    channel: int | None = None
    where: str = ""

    @property
    def whole(self) -> bool:
        """Whether the utterance is a whole recording."""
        return not self.where

    def __str__(self) -> str:
        return named(self.spec) if self.whole else f"{self.where} ({named(self.spec)})"


def read(folder: str | os.PathLike) -> dict[str, Clip]:
    """The audio of each utterance of a data directory, sorted by utterance.

    Raises InputError: no wav.scp, a bad line, a segment of a recording that wav.scp lacks.
    """
    wav = table.read(os.path.join(folder, "wav.scp"))
    path = os.path.join(folder, segments.NAME)
    if not os.path.lexists(path):
        return {utt: Clip(spec) for utt, spec in wav.items()}
    speakers = os.path.join(folder, "utt2spk")
    found, cut, whole = {}, table.read(path), _whole(path)
    if os.path.lexists(speakers) and (odd := min(table.read(speakers).keys() ^ cut.keys(), default=None)) is not None:
        raise InputError(f"{table.named(odd)} is in only one of {path} and {speakers}; run utils/fix_data_dir.sh.")
    for line, (utt, segment) in enumerate(segments.check(path, cut).items(), 1):
        if segment.recording not in wav:
            raise InputError(f"{path}:{line}: {table.named(utt)} is of the recording {table.named(segment.recording)}, which "
                             f"{folder}/wav.scp lacks; run utils/fix_data_dir.sh, or complete wav.scp.")
        found[utt] = Clip(wav[segment.recording], segment.start, segment.end, segment.channel, whole or f"{path}:{line}")
    return found


def _whole(path: str) -> str:
    """The table from which utils/split_data.sh cut this piece, which is the one to correct; "" if this is no piece."""
    found = re.fullmatch(r"((.+)/split\d+(?:utt)?)/\d+/+([^/]+)", path)
    if not found:
        return ""
    origin = os.path.join(found[1], ORIGIN)   # the pieces may lie elsewhere
    return f"{os.fsdecode(files.read_bytes(origin)) if os.path.exists(origin) else found[2]}/{found[3]}"


def bounds(clip: Clip, samples: int, rate: float) -> tuple[int, int]:
    """First sample of a clip and the one after its last, in a recording of `samples` samples.

    Raises InputError naming the line: a clip that begins after the recording ends, or ends half a second or more after it.
    """
    first = int(clip.start * rate)
    last = samples if clip.end is None else int(clip.end * rate)
    if first >= samples or last >= samples + int(OVERSHOOT * rate):
        raise InputError(f"{clip.where}: the segment ends beyond its recording {named(clip.spec, 60)} ({samples / rate:.3f} s); "
                         "correct it, or leave it out.")
    if last <= first:
        raise InputError(f"{clip.where}: the segment holds no sample at {rate:g} Hz; leave the utterance out.")
    return first, min(last, samples)


def places(wanted: Iterable[Clip]) -> tuple[np.ndarray, np.ndarray]:
    """First samples (in their recordings) and lengths of clips, (N,) int64 each, for audio.read_segment; reads each header once.

    Raises InputError as audio.info and `bounds` do, and for a channel that only `load` reads.
    """
    known: dict[str, tuple] = {}
    found = []
    for clip in wanted:
        if clip.channel:
            raise InputError(f"{clip}: only the first channel can be read at random; run steps/pack_audio.sh, and use what it writes.")
        if clip.spec not in known:
            known[clip.spec] = audio.info(clip.spec)
        samples, rate, _ = known[clip.spec]
        found.append((0, samples) if clip.whole else bounds(clip, samples, rate))
    first, last = np.array(found, np.int64).reshape(-1, 2).T
    return first, last - first


def load(clip: Clip, allow_pipes: bool = False, channel: int | str = channels.FIRST) -> audio.Recording:
    """The samples of a clip, int16 (S,), and the rate, number of channels and peak of its recording.

    channel: as in audio.load; a channel in `segments` overrides it. Raises InputError as audio.load and `bounds` do.
    """
    if clip.whole:
        return audio.load(clip.spec, allow_pipes, channel)
    try:
        recording = _recording(clip.spec, allow_pipes, channel if clip.channel is None else clip.channel)
    except InputError as err:
        raise InputError(f"{clip.where}: {err}") from err
    first, last = bounds(clip, len(recording.samples), recording.rate)
    return recording._replace(samples=recording.samples[first:last].copy())


def utterance(utt: str, clip: Clip, rate: float, allow_pipes: bool = False, channel: int | str = channels.FIRST) -> np.ndarray:
    """The samples of an utterance of a data directory, int16 (S,), at `rate` samples per second.

    Raises InputError naming the utterance: what `load` refuses, another rate, and samples that cannot be speech.
    """
    try:
        recording = load(clip, allow_pipes, channel)
    except InputError as err:
        raise InputError(f"{utt}: {err}") from err
    if recording.rate != rate:
        raise InputError(f"{utt}: {named(clip.spec)} has {recording.rate} Hz where {rate:g} Hz are needed; resample it with "
                         f"steps/pack_audio.sh --rate {rate:g}.")
    reason = quality.broken(recording.samples, recording.peak, recording.channels)
    if reason:
        raise InputError(f"{utt}: {clip} holds no speech ({reason}); leave it out with utils/subset_data_dir.sh.")
    return recording.samples


def _recording(spec: str, allow_pipes: bool, channel: int | str) -> audio.Recording:
    """A whole recording, decoded once for consecutive clips."""
    key = (spec, channel)
    if key not in _cache:
        recording = audio.load(spec, allow_pipes, channel)
        while _cache and len(recording.samples) + sum(len(other.samples) for other in _cache.values()) > CACHED_SAMPLES:
            del _cache[next(iter(_cache))]
        _cache[key] = recording
    return _cache[key]
