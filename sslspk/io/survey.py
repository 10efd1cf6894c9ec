"""Looks at every recording of a corpus once, in parallel: what is bad is found, what cannot be pointed at is converted.

Mono wav and flac at 16 kHz are pointed at where they lie. Everything else (m4a, another rate, several channels, a part
of a recording) is decoded into a copy, once: a copy that is there and no older than its source is kept, so that a killed run goes on.
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
from collections.abc import Sequence
from concurrent.futures.process import BrokenProcessPool
from typing import NamedTuple

import numpy as np

from sslspk.errors import InputError
from sslspk.io import audio, decode, files, riff

RATE = 16000
FORMATS = (".wav", ".flac", ".m4a")  # in order of preference, where one recording is there in several
CHUNK = 16
SOON = 1.0   # seconds; a corpus that is done by then needs no further processes
SPAN_SLACK = 0.2  # seconds by which a part may reach beyond the end of its recording
ORIGIN = re.compile(r"from (\d+) Hz, (\d+) channels?")


class Source(NamedTuple):
    """A recording as the corpus has it; `stem` is where a copy would go, without root and extension.

    span: the part of it that is meant, (start, end) in ms; another part needs another stem.
    """

    utt: str
    spk: str
    path: str
    stem: str
    span: tuple[int, int] | None = None


class Outcome(NamedTuple):
    """What became of a recording: the file to point at, its length, how the original was; or why it is bad."""

    path: str = ""
    samples: int = 0
    rate: int = RATE
    channels: int = 1
    how: str = "in place"  # or "converted", "kept"
    reason: str = ""


class Options(NamedTuple):
    """How to go about it: root and format of the copies, whether to decode all, how many processes."""

    copies: str
    form: str
    full: bool
    nj: int

    def copy(self, source: Source) -> str:
        """Where the copy of a recording goes."""
        return os.path.join(self.copies, f"{source.stem}.{self.form}")


def survey(sources: Sequence[Source], opts: Options) -> list[Outcome]:
    """`examine` for each recording, with a progress bar on a terminal: here for SOON seconds, then over `opts.nj` processes."""
    from tqdm import tqdm
    with tqdm(total=len(sources), unit="file", disable=None) as bar:
        found, end = [], time.monotonic() + SOON
        while len(found) < len(sources) and (opts.nj == 1 or len(sources) - len(found) < 2 * CHUNK or time.monotonic() < end):
            found.append(examine(sources[len(found)], opts))
            bar.update()
        return found + _in_processes(sources[len(found):], opts, bar) if len(found) < len(sources) else found


def _in_processes(sources: Sequence[Source], opts: Options, bar) -> list[Outcome]:
    """`examine` for each, over `opts.nj` processes."""
    found = []
    # Spawned, not forked: a forked worker would keep its siblings' pipes open and outlive a parent that is killed.
    context = multiprocessing.get_context("spawn")
    with concurrent.futures.ProcessPoolExecutor(opts.nj, context, initializer=_end_with_parent) as pool:
        try:
            for outcome in pool.map(functools.partial(examine, opts=opts), sources, chunksize=CHUNK):
                found.append(outcome)
                bar.update()
            return found
        except BrokenProcessPool as err:
            raise InputError("a process that reads recordings was killed, perhaps for want of memory; run the same "
                             "command again with a smaller --nj, it goes on where it stopped.") from err
        finally:
            pool.shutdown(wait=False, cancel_futures=True)


def examine(source: Source, opts: Options) -> Outcome:
    """Check one recording, and convert it when it cannot be pointed at. A bad one comes back with its reason."""
    try:
        in_place = source.span is None and not source.path.lower().endswith(audio.AAC)
        if in_place:
            samples, rate, channels = audio.info(source.path)
            in_place = (rate, channels) == (RATE, 1)
        if not in_place:
            return _kept(source, opts) or _convert(source, opts)
        check(source.path, samples, opts.full)
        return Outcome(source.path, samples)
    except InputError as err:
        return Outcome(reason=str(err).removeprefix(source.path).strip())


def check(path: str, samples: int, full: bool) -> None:
    """Refuse a wav or flac that cannot be decoded (full) or has no end (otherwise); `samples`: as its header says."""
    if samples == 0:
        raise InputError(f"{path} holds no samples; record or download it again, or leave it out.")
    header = riff.parse(files.part(path, decode.HEADER_READ))
    if header is not None and header.encoding == riff.PCM:
        return  # its length was compared with the header, and any bytes are samples
    if full:
        audio.load(path)
    else:
        audio.read_segment(path, samples - 1, 1)


def _kept(source: Source, opts: Options) -> Outcome | None:
    """The copy that an earlier run made, when it is whole and no older than its source."""
    import soundfile
    copy = opts.copy(source)
    try:
        if os.stat(copy).st_mtime_ns < os.stat(source.path).st_mtime_ns:
            return None
        samples, rate, channels = audio.info(copy)
        check(copy, samples, full=False)
        with soundfile.SoundFile(copy) as file:
            origin = ORIGIN.search(file.comment)
    except (FileNotFoundError, InputError):
        return None
    if (rate, channels) != (RATE, 1):
        return None
    was = (int(origin[1]), int(origin[2])) if origin else (RATE, 1)
    return Outcome(copy, samples, *was, how="kept")


def _convert(source: Source, opts: Options) -> Outcome:
    """Write the first channel at 16 kHz; the file's comment says what the recording was, for the next run's report."""
    import soundfile
    recording = audio.load(source.path)
    samples = audio.resample(_part(recording, source), recording.rate, RATE)
    blob, copy = io.BytesIO(), opts.copy(source)
    with soundfile.SoundFile(blob, "w", RATE, 1, "PCM_16", format=opts.form.upper()) as file:
        if (recording.rate, recording.channels) != (RATE, 1):
            file.comment = f"from {recording.rate} Hz, {recording.channels} channel{'s' * (recording.channels > 1)}"
        file.write(samples)
    with files.atomic_write(copy, "wb") as out:
        out.write(blob.getvalue())
    return Outcome(copy, len(samples), recording.rate, recording.channels, how="converted")


def _part(recording: audio.Recording, source: Source) -> np.ndarray:
    """The samples (S,) that are meant, at the recording's own rate."""
    if source.span is None:
        return recording.samples
    first, last = (round(ms * recording.rate / 1000) for ms in source.span)
    length = len(recording.samples)
    if first >= length or last > length + SPAN_SLACK * recording.rate:
        raise InputError(f"{source.path} ends at {length / recording.rate:.3f} s, before the end of {source.span[0]}-{source.span[1]} ms; "
                         "correct the times, or get the recording again.")
    return recording.samples[first:last]


def _end_with_parent() -> None:
    """In a worker: leave when the program is killed, instead of waiting for work for ever."""
    parent = multiprocessing.parent_process()

    def wait() -> None:
        multiprocessing.connection.wait([parent.sentinel])
        os._exit(1)
    threading.Thread(target=wait, daemon=True).start()
