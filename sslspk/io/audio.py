"""Audio in and out, always 16-bit integers of one channel (Kaldi's scale): files, packed archives, segments.

A packed archive is Kaldi's: "utt " and a wav file for each utterance; an scp entry points at the first byte of a wav.
For flac it is "utt AUDIO", the length, and a flac file, as kaldiio writes it. An scp entry may also point at the first byte of a
file of any format inside a tar.
"""
import contextlib
import io
import math
import os
import subprocess

import numpy as np
import soundfile

from sslspk.errors import InputError, named
from sslspk.io import channel as channels
from sslspk.io import decode, files, riff, table, tar
from sslspk.io.content import Content, truncated
from sslspk.io.decode import Recording

FRAMES_PER_SECOND = 100
VAD_SLACK = 10
READ_AT_ONCE = 1 << 24   # samples; a longer read first checks the archive's size
SMALL_BYTES = 1 << 20    # packed audio up to this size is read whole, also to decode a part: that is faster
HEAD_BYTES = 1 << 16     # a packed wav's samples begin within these


def read(spec: str, allow_pipes: bool = False, channel: int | str = channels.FIRST) -> tuple[np.ndarray, int]:
    """Read a whole recording: int16 samples (S,) of one channel, and the rate in Hz. See `load`."""
    return load(spec, allow_pipes, channel)[:2]


def load(spec: str, allow_pipes: bool = False, channel: int | str = channels.FIRST) -> Recording:
    """Read a whole recording, with its number of channels and its peak.

    spec: a file, "packed.ark:offset", or, if allowed, a shell command ending in "|". Its format is found from the bytes alone.
    channel: from 0 on; "mix" for the mean of all; "first" is 0, with one notice per process if there are several.
    Raises InputError naming the file: missing, 0 bytes, truncated, undecodable, without samples, or a pipe.
    """
    recording = decode.whole(_content(spec, allow_pipes), 0 if channel == channels.FIRST else channel)
    if channel == channels.FIRST:
        channels.say_once(named(spec), recording.channels)
    if not len(recording.samples):
        raise InputError(f"{named(spec)} holds no samples; record it again, or leave it out.")
    return recording


def info(spec: str) -> tuple[int, int, int]:
    """(number of samples, rate, channels): from the header if it is exact, else by decoding.

    Raises InputError as `read` does, except for what only decoding shows.
    """
    if files.is_pipe(spec):
        raise InputError(f"the length of a pipe is unknown ({named(spec)}); write the audio to files first.")
    content = _content(spec, at_once=0)
    known = decode.info(content)
    if known is None:
        recording = decode.whole(content)
        known = len(recording.samples), recording.rate, recording.channels
    return known


def seekable(path: str) -> tuple[int, int, int]:
    """(samples, rate, channels) of a file of plain samples or FLAC, where one seek reaches any part; zeros for other files.

    Raises InputError as `read` does, except for what only decoding shows.
    """
    return decode.info(Content(path, path)) or (0, 0, 0)


def read_segment(spec: str, start: int, count: int) -> np.ndarray:
    """`count` samples of the first channel from `start` on: int16 (count,), at the recording's own rate.

    From a packed pcm archive this is one positioned read. The caller must stay within utt2num_samples, because the
    utterance's header is not read again. Raises InputError naming the file if it holds fewer samples.
    """
    path, offset = files.split_spec(spec)
    if offset is not None:
        archive = files.shared(path)
        kind = archive.kind or _set_kind(archive, offset)
        if kind == "pcm" or (kind == "tar" and _holds_pcm(archive, offset, start + count)):
            return _packed_pcm(archive, offset + riff.HEADER_BYTES + 2 * start, count, spec)
    content = _content(spec, at_once=SMALL_BYTES)
    samples = decode.part(content, start, count)
    if samples is None:
        samples = decode.whole(content).samples[start:start + count]
    if len(samples) != count:
        raise InputError(f"{named(spec)} holds {info(spec)[0]} samples, but {start} to {start + count} were asked for; "
                         "make utt2num_samples again.")
    return samples


def _packed_pcm(archive: files.SharedFile, place: int, count: int, spec: str) -> np.ndarray:
    if count > READ_AT_ONCE and place + 2 * count > archive.size():   # a wrong table must not use up all memory
        raise truncated(spec, f"less than {count} samples")
    data = archive.pread(2 * count, place)
    if len(data) != 2 * count:
        raise truncated(spec, f"{len(data) // 2} of {count} samples")
    return np.frombuffer(data, "<i2").copy()  # torch needs memory that it may write


def _content(spec: str, allow_pipes: bool = False, at_once: float = math.inf) -> Content:
    """The bytes of an entry of wav.scp. at_once: packed audio of up to this many bytes is read now, larger audio as needed."""
    if files.is_pipe(spec):
        return Content(_run_pipe(spec, allow_pipes), spec)
    path, offset = files.split_spec(spec)
    if offset is None:
        return Content(path, spec)
    archive = files.shared(path)
    start, length = _packed_place(archive, offset, spec)
    there = archive.size() - start
    if length > there:
        raise truncated(spec, f"{max(there, 0)} of {length} bytes")
    return Content(archive.pread(length, start), spec) if length <= at_once else Content(path, spec, (start, length))


def packed_end(spec: str) -> int:
    """The byte of the archive at which packed audio ends, as its header says. Raises InputError if there is no audio."""
    path, offset = files.split_spec(spec)
    start, length = _packed_place(files.shared(path), offset, spec)
    return start + length


def resample(samples: np.ndarray, from_rate: int, to_rate: int) -> np.ndarray:
    """Polyphase resampling of int16 (S,) to int16 (ceil(S * to / from),), rounded and clipped."""
    if from_rate == to_rate:
        return samples
    from scipy.signal import resample_poly  # a third of a second to import, and seldom needed
    common = math.gcd(from_rate, to_rate)
    wave = resample_poly(samples.astype(np.float32), to_rate // common, from_rate // common)
    return np.clip(np.rint(wave), -32768, 32767).astype(np.int16)


def keep_voiced(samples: np.ndarray, voiced: np.ndarray, rate: int) -> np.ndarray:
    """The samples (S,) of the frames marked in `voiced` (T,), 10 ms each; samples after the last frame belong to it."""
    return samples[voiced_samples(len(samples), voiced, rate)]


def voiced_samples(count: int, voiced: np.ndarray, rate: int) -> np.ndarray:
    """bool (S,): which of S = `count` samples lie in the marked frames.

    Raises InputError if the marks belong to other audio: their length differs by more than ten frames.
    """
    edges = np.arange(len(voiced) + 1) * rate // FRAMES_PER_SECOND
    if abs(count - int(edges[-1])) * FRAMES_PER_SECOND > VAD_SLACK * rate:
        raise InputError(f"the VAD covers {len(voiced)} frames of 10 ms but the audio {count / rate:.2f} s; "
                         "compute the VAD of this audio again.")
    edges[-1] = max(edges[-1], count)
    return np.repeat(np.asarray(voiced) > 0, np.diff(edges))[:count]


class PackWriter:
    """Write recordings into one archive; archive and scp appear when both are whole.

    >>> with PackWriter("wav.1.ark", "wav.1.scp") as pack:
    ...     pack.write("utt1", samples, 16000)
    """

    def __init__(self, ark_path: str, scp_path: str, fmt: str = "pcm"):
        if fmt not in ("pcm", "flac"):
            raise InputError(f"the packing format {fmt!r} is unknown; choose pcm or flac.")
        self._ark_path, self._scp_path, self._fmt = os.fspath(ark_path), os.fspath(scp_path), fmt
        self._stack = contextlib.ExitStack()

    def __enter__(self) -> "PackWriter":
        # The stack unwinds in reverse: the scp appears after the archive that it points into.
        self._scp = self._stack.enter_context(files.atomic_write(self._scp_path))
        self._ark = self._stack.enter_context(files.atomic_write(self._ark_path, "wb"))
        return self

    def __exit__(self, *problem) -> None:
        self._stack.__exit__(*problem)

    def write(self, utt: str, samples: np.ndarray, rate: int) -> None:
        """Append int16 samples (S,). Keys must come in C byte order, so that the scp is sorted."""
        if samples.dtype != np.int16 or samples.ndim != 1:
            raise ValueError(f"{utt}: int16 samples (S,) expected, not {samples.dtype} {samples.shape}")
        table.check_key(utt, self._ark_path)
        self._ark.write(utt.encode() + b" ")
        self._scp.write(f"{utt} {self._ark_path}:{self._ark.tell()}\n")
        if self._fmt == "pcm":
            self._ark.write(riff.build(len(samples), rate))
            self._ark.write(samples.astype("<i2", copy=False).tobytes())
            return
        buffer = io.BytesIO()
        soundfile.write(buffer, samples, rate, format="FLAC", subtype="PCM_16")
        blob = buffer.getvalue()
        length = len(blob).to_bytes((len(blob).bit_length() + 7) // 8, "little")
        self._ark.write(b"AUDIO" + bytes([len(length)]) + length + blob)


def _run_pipe(spec: str, allow_pipes: bool) -> bytes:
    if not allow_pipes:
        raise InputError(f"{named(spec, 60)} is a shell command, which a data directory may not run; write the audio to a file, "
                         "or trust it (--allow-pipes true).")
    done = subprocess.run(spec.strip().strip("|"), shell=True, stdout=subprocess.PIPE, check=False)
    if done.returncode or not done.stdout:
        raise InputError(f"the command {spec} ended with status {done.returncode} and {len(done.stdout)} bytes of "
                         "audio; run it in a terminal to see why.")
    return done.stdout


def _set_kind(archive: files.SharedFile, offset: int) -> str:
    """How an archive holds its audio, looked up once: all entries of our archives are alike; a tar's members may differ."""
    if _tar_size(archive, offset) is not None:
        archive.kind = "tar"
    else:
        archive.kind = "pcm" if riff.is_canonical(archive.pread(riff.HEADER_BYTES, offset)) else "other"
    return archive.kind


def _tar_size(archive: files.SharedFile, offset: int) -> int | None:
    """Bytes of the member of a tar that begins at an offset; None if none begins there."""
    return None if offset < tar.BLOCK or offset % tar.BLOCK else tar.size_before(archive.pread(tar.BLOCK, offset - tar.BLOCK))


def _holds_pcm(archive: files.SharedFile, offset: int, samples: int) -> bool:
    """Whether the member of a tar at an offset is a plain wav of at least `samples` samples."""
    head = archive.pread(tar.BLOCK + riff.HEADER_BYTES, offset - tar.BLOCK)
    size, wav, length = tar.size_before(head[:tar.BLOCK]), head[tar.BLOCK:], 2 * samples
    return riff.is_canonical(wav) and length <= int.from_bytes(wav[40:], "little") and riff.HEADER_BYTES + length <= (size or 0)


def _packed_place(archive: files.SharedFile, offset: int, spec: str) -> tuple[int, int]:
    """First byte and number of bytes of the audio file at an offset of an archive."""
    size = _tar_size(archive, offset)
    if size is not None:
        return offset, size
    head = archive.pread(6 + 255, offset)
    if head[:5] == b"AUDIO" and len(head) > 6:
        width = head[5]
        return offset + 6 + width, int.from_bytes(head[6:6 + width], "little")
    end = riff.end(archive.pread(HEAD_BYTES, offset))
    if end is None:
        raise InputError(f"{named(spec)} does not point at packed audio; run steps/pack_audio.sh again.")
    return offset, end
