"""Checks every recording of a corpus once, in parallel, and converts those that cannot be used as they are.

wav.scp points directly to mono wav and flac files at 16 kHz, whatever their names. Everything else (mp3, m4a, another rate, several
channels, a part of a recording) is decoded once into a copy. A copy that is not older than its source is kept, so an interrupted run
resumes. A recording whose samples cannot be speech is bad; poor quality is only noted.
"""
import concurrent.futures
import functools
import io
import multiprocessing
import multiprocessing.connection
import os
import re
import threading
import time
from collections.abc import Iterator, Sequence
from concurrent.futures.process import BrokenProcessPool
from typing import NamedTuple

import numpy as np

from sslspk import progress
from sslspk.errors import InputError
from sslspk.io import audio, files, quality
from sslspk.io.channel import FIRST

RATE = 16000
# In order of preference, if a recording exists in several. A file's actual format is found from its content.
FORMATS = (".wav", ".wave", ".flac", ".m4a", ".mp4", ".aac", ".ogg", ".oga", ".opus", ".mp3", ".sph", ".sphere", ".nist", ".aiff", ".aif",
           ".aifc", ".au", ".snd", ".webm", ".wma", ".amr", ".w64", ".rf64", ".caf", ".mka", ".mov", ".3gp", ".mp2", ".spx", ".voc")
CHUNK = 16
SOON = 1.0   # seconds before further processes start; a small corpus is done by then
SPAN_SLACK = 0.2  # seconds by which a part may exceed its recording
ORIGIN = re.compile(r"from (\d+) Hz, (\d+) channels?(?:, taken: (\w+))?")


class Source(NamedTuple):
    """A recording of the corpus; `stem` is the path of its copy, without root and extension.

    span: the part of the recording that is used, (start, end) in ms; different parts need different stems.
    """

    utt: str
    spk: str
    path: str
    stem: str
    span: tuple[int, int] | None = None


class Outcome(NamedTuple):
    """The outcome for a recording: the file for wav.scp, its length, what the original was; or why it is bad."""

    path: str = ""
    samples: int = 0
    rate: int = RATE
    channels: int = 1
    how: str = "in place"  # or "converted", "kept"
    reason: str = ""
    note: str = ""         # poor quality of a good recording


class Options(NamedTuple):
    """Options of `survey`: root and format of the copies, whether to decode everything, number of processes, and the channel."""

    copies: str
    form: str
    full: bool
    nj: int
    channel: str | int = FIRST

    def copy(self, source: Source) -> str:
        """The path of a recording's copy."""
        return os.path.join(self.copies, f"{source.stem}.{self.form}")


def survey(sources: Sequence[Source], opts: Options) -> list[Outcome]:
    """`examine` each recording, and show the progress."""
    return list(progress.over(_outcomes(sources, opts), "recordings", len(sources)))


def _outcomes(sources: Sequence[Source], opts: Options) -> Iterator[Outcome]:
    """`examine` each recording: in this process for SOON seconds, then in `opts.nj` processes."""
    done, end = 0, time.monotonic() + SOON
    while done < len(sources) and (opts.nj == 1 or len(sources) - done < 2 * CHUNK or time.monotonic() < end):
        yield examine(sources[done], opts)
        done += 1
    if done < len(sources):
        yield from _in_processes(sources[done:], opts)


def _in_processes(sources: Sequence[Source], opts: Options) -> Iterator[Outcome]:
    """`examine` each recording, in `opts.nj` processes."""
    # Spawned, not forked: a forked worker would keep its siblings' pipes open and outlive a parent that is killed.
    context = multiprocessing.get_context("spawn")
    with concurrent.futures.ProcessPoolExecutor(opts.nj, context, initializer=_end_with_parent) as pool:
        try:
            yield from pool.map(functools.partial(examine, opts=opts), sources, chunksize=CHUNK)
        except BrokenProcessPool as err:
            raise InputError("a process that reads recordings was killed, probably out of memory; run again "
                             "with a smaller --nj; it resumes.") from err
        finally:
            pool.shutdown(wait=False, cancel_futures=True)


def examine(source: Source, opts: Options) -> Outcome:
    """Check one recording, and convert it if wav.scp cannot point at it. For a bad one, the outcome gives the reason."""
    try:
        if source.span is None and audio.seekable(source.path)[1:] == (RATE, 1):
            return check(source.path, opts.full)
        return _kept(source, opts) or _convert(source, opts)
    except InputError as err:
        return Outcome(reason=str(err).removeprefix(source.path).strip())


def check(path: str, full: bool) -> Outcome:
    """Check a recording that needs no conversion. full: decode it and check its samples; otherwise decode only the last sample.

    Raises InputError for a recording that cannot be decoded, has no samples, or cannot be speech.
    """
    if not full:
        samples = audio.info(path)[0]
        if not samples:
            raise InputError(f"{path} holds no samples; record it again, or leave it out.")
        audio.read_segment(path, samples - 1, 1)
        return Outcome(path, samples)
    recording = audio.load(path, channel=0)
    return Outcome(path, len(recording.samples), note=judge(path, recording.samples, recording.peak))


def judge(path: str, samples: np.ndarray, peak: float, channels: int = 1) -> str:
    """What is wrong with samples that may still be speech. Raises InputError if they cannot be."""
    reason = quality.broken(samples, peak, channels)
    if reason:
        raise InputError(f"{path} holds no speech ({reason}); leave it out, or make it again.")
    return quality.suspect(samples)


def _kept(source: Source, opts: Options) -> Outcome | None:
    """The copy from an earlier run, if it is whole and not older than its source."""
    import soundfile
    copy = opts.copy(source)
    try:
        if os.stat(copy).st_mtime_ns < os.stat(source.path).st_mtime_ns:
            return None
        samples, rate, channels = audio.info(copy)
        check(copy, full=False)
        with soundfile.SoundFile(copy) as file:
            origin = ORIGIN.search(file.comment)
    except (FileNotFoundError, InputError):
        return None
    if (rate, channels) != (RATE, 1) or ((origin and origin[3]) or FIRST) != str(opts.channel):
        return None
    was = (int(origin[1]), int(origin[2])) if origin else (RATE, 1)
    note = judge(copy, audio.read(copy, channel=0)[0], 0.0) if opts.full else ""
    return Outcome(copy, samples, *was, how="kept", note=note)


def _convert(source: Source, opts: Options) -> Outcome:
    """Write one channel at 16 kHz; the file's comment describes the original, for the next run's report."""
    import soundfile
    recording = audio.load(source.path, channel=0 if opts.channel == FIRST else opts.channel)  # the report tells about other channels
    part = _part(recording, source)
    note = judge(source.path, part, recording.peak, recording.channels)
    samples = audio.resample(part, recording.rate, RATE)
    blob, copy = io.BytesIO(), opts.copy(source)
    with soundfile.SoundFile(blob, "w", RATE, 1, "PCM_16", format=opts.form.upper()) as file:
        if (recording.rate, recording.channels, opts.channel) != (RATE, 1, FIRST):
            which = "" if opts.channel == FIRST else f", taken: {opts.channel}"
            file.comment = f"from {recording.rate} Hz, {recording.channels} channel{'s' * (recording.channels > 1)}{which}"
        file.write(samples)
    with files.atomic_write(copy, "wb") as out:
        out.write(blob.getvalue())
    return Outcome(copy, len(samples), recording.rate, recording.channels, how="converted", note=note)


def _part(recording: audio.Recording, source: Source) -> np.ndarray:
    """The samples (S,) of the source's span, at the recording's own rate."""
    if source.span is None:
        return recording.samples
    first, last = (round(ms * recording.rate / 1000) for ms in source.span)
    length = len(recording.samples)
    if first >= length or last > length + SPAN_SLACK * recording.rate:
        raise InputError(f"{source.path} ends at {length / recording.rate:.3f} s, before the end of {source.span[0]}-{source.span[1]} ms; "
                         "correct the times, or get the recording again.")
    return recording.samples[first:last]


def _end_with_parent() -> None:
    """In a worker: exit when the program is killed, instead of waiting for work for ever."""
    parent = multiprocessing.parent_process()

    def wait() -> None:
        multiprocessing.connection.wait([parent.sentinel])
        os._exit(1)
    threading.Thread(target=wait, daemon=True).start()
