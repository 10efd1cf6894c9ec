"""Decoders: a recording's bytes to 16-bit samples of one channel. What is cut or cannot be decoded is refused by name.

Plain samples and FLAC are read by libsndfile, where any part is one seek; all else is decoded from its beginning by av, as
ffmpeg decodes it. What the one cannot read is tried with the other. The length is what decodes.
"""
import io
from collections.abc import Iterator
from typing import TYPE_CHECKING, NamedTuple

import numpy as np
import soundfile

from sslspk.errors import InputError
from sslspk.io import container, frames, riff
from sslspk.io.channel import MIX
from sslspk.io.content import Content, Damaged, Stream, damaged, truncated

if TYPE_CHECKING:
    import av

BLOCK = 1 << 20              # values that are decoded at once
JOINED = 1 << 16             # samples of small blocks that are looked at together
MAX_SAMPLES = 1 << 29        # of a whole recording: 9 hours at 16 kHz, 1 GB
MIN_RATE = 1000
MAX_CHANNELS = 64
PADDING_SLACK = 4 * 1024     # samples by which an mp4 may be shorter than it says: its encoder's padding
AV_TYPES = {"u8": "u1", "s16": "i2", "s32": "i4", "flt": "f4", "dbl": "f8"}  # sample formats of av
AV_CHANNELS = 8
SEEKABLE = {"PCM_S8", "PCM_U8", "PCM_16", "PCM_24", "PCM_32", "FLOAT", "DOUBLE", "ULAW", "ALAW"}
DISPUTED = {"G721_32", "G723_24", "G723_40"}   # libsndfile, sox and ffmpeg make different waves of the same bytes
FLOATS = {"FLOAT": "float32", "DOUBLE": "float64"}


class Recording(NamedTuple):
    """A whole recording: int16 samples (S,) of one channel, rate in Hz, how many channels there were, and the largest absolute
    value that it held, full scale being 1: floats may go beyond, and are clipped."""

    samples: np.ndarray
    rate: int
    channels: int
    peak: float


class _Unreadable(Exception):
    """One of the decoders does not know this; perhaps the other one does."""


def whole(content: Content, channel: int | str = 0) -> Recording:
    """Decode all of it. channel: from 0 on, or "mix" for the mean of all.

    Raises InputError naming the file: unknown, cut, undecodable, longer than MAX_SAMPLES, NaN, or without that channel.
    """
    kind = _check(content)
    if not kind.plain:
        return _av(content, kind, channel)
    try:
        return _sound_whole(content, kind, channel)
    except _Unreadable as err:
        if not kind.demuxer:
            raise damaged(content.where, str(err)) from err
    try:
        return _av(content, kind, channel)
    except Damaged:
        try:
            return _sound_whole(content, kind, channel, any_form=True)
        except _Unreadable:
            pass
        raise


def info(content: Content) -> tuple[int, int, int] | None:
    """(samples, rate, channels) of what is read by seeking; None for what must be decoded to know."""
    kind = _check(content)
    if kind.plain:
        try:
            with _sound(content, kind) as file:
                return file.frames, file.samplerate, file.channels
        except _Unreadable:
            return None
    return None


def part(content: Content, start: int, count: int, channel: int | str = 0) -> np.ndarray | None:
    """Samples `start` to `start + count`, int16 (count,); None for what must be decoded from its beginning."""
    kind = _check(content)
    if not kind.plain:
        return None
    try:
        with _sound(content, kind) as file:
            if start + count > file.frames:
                return np.zeros(0, np.int16)
            file.seek(start)
            return _collect(_sound_blocks(file, content, channel, count), file.samplerate, file.channels, content).samples
    except (_Unreadable, soundfile.LibsndfileError):
        return None


def _check(content: Content) -> container.Kind:
    kind = container.find(content)
    kind.check(content)
    return kind


def _sound_whole(content: Content, kind: container.Kind, channel: int | str, any_form: bool = False) -> Recording:
    with _sound(content, kind, any_form) as file:
        return _collect(_sound_blocks(file, content, channel), file.samplerate, file.channels, content)


def _sound(content: Content, kind: container.Kind, any_form: bool = False) -> soundfile.SoundFile:
    """The open file of libsndfile. Raises _Unreadable when it is FLAC of unknown length, or its samples are compressed, so that
    av must read it (any_form: av could not)."""
    source = content.opened()
    if kind is container.WAV:
        header = riff.wav(content)
        if header.stream and header.encoding in riff.PLAIN:
            source = io.BytesIO(riff.streamed(content, header))
    elif kind is container.FLAC and not frames.flac_length(content):
        raise _Unreadable("FLAC of unknown length")
    try:
        file = soundfile.SoundFile(source)
    except (soundfile.LibsndfileError, RuntimeError) as err:
        raise _Unreadable(getattr(err, "error_string", None) or str(err)) from err
    if file.subtype in DISPUTED:
        raise damaged(content.where, f"ADPCM after {file.subtype[:4]}, of which decoders differ")
    if (kind is not container.FLAC and file.subtype not in SEEKABLE and not any_form) or file.channels > MAX_CHANNELS:
        subtype = file.subtype
        file.close()
        raise _Unreadable(f"samples of the form {subtype}")
    return file


def _sound_blocks(file: soundfile.SoundFile, content: Content, channel: int | str, count: int = -1) -> Iterator[np.ndarray]:
    """One channel in blocks, int16 or floats; a block that is shorter than the header promises is refused."""
    form = FLOATS.get(file.subtype, "int16")
    promised = file.frames if count < 0 else count
    step, done = max(1, BLOCK // file.channels), 0
    while done < promised:
        want = min(step, promised - done)
        try:
            block = file.read(want, dtype=form, always_2d=True)
        except (soundfile.LibsndfileError, RuntimeError) as err:
            if file.format == "FLAC":
                frames.flac_end(content)
            raise damaged(content.where, getattr(err, "error_string", None) or str(err)) from err
        done += len(block)
        if len(block) < want:
            raise truncated(content.where, f"{done} of {promised} samples")
        yield choose(block, channel, content.where)


def _av(content: Content, kind: container.Kind, channel: int | str) -> Recording:
    """Decode all with av, the container named by its content: ffmpeg's own guess would follow playlists and names."""
    import av  # here alone, so that other formats work where av is not installed
    about: dict[str, int] = {}
    end = frames.tags_behind(content) if kind in (container.FLAC, container.ADTS) else None   # the others' demuxers know tags
    try:
        # Tags that are no UTF-8 are no reason to refuse the audio.
        with av.open(Stream(content, end), format=kind.demuxer, metadata_errors="replace") as opened:
            stream = next(iter(opened.streams.audio), None)
            if stream is None or stream.codec_context is None:
                raise damaged(content.where, "no audio in it that is known here")
            found = _collect(_av_blocks(opened, stream, content, channel, about), 0, 0, content)
            promised = int(stream.duration * stream.time_base * about["rate"]) if stream.duration and about else 0
    except (av.FFmpegError, UnicodeError) as err:
        raise damaged(content.where, getattr(err, "strerror", None) or str(err)) from err
    # The duration of an mp4 counts the encoder's padding, which decoding drops: a few frames short is whole.
    if kind.name == "mp4" and len(found.samples) + PADDING_SLACK < promised:
        raise truncated(content.where, f"{len(found.samples)} of {promised} samples")
    return found._replace(rate=about.get("rate", 0), channels=about.get("channels", 1))


def _av_blocks(opened: "av.container.InputContainer", stream: "av.AudioStream", content: Content, channel: int | str,
               about: dict[str, int]) -> Iterator[np.ndarray]:
    """One channel of each frame; rate and number of channels go to `about`. The frame knows them better than the header:
    AAC may say half its rate there."""
    surplus = _OpusDelay(stream, opened.format.name)
    for packet in opened.demux(stream):
        if packet.is_corrupt:
            raise truncated(content.where, "its last packet is cut")
        if packet.size == 1 and opened.format.name == "wav":
            continue   # the byte that makes a chunk's length even
        for frame in packet.decode():
            fresh = {"rate": frame.sample_rate, "channels": len(frame.layout.channels)}
            if about and about != fresh:
                raise damaged(content.where, "rate or channels change within it")
            about.update(fresh)
            if frame.samples:
                yield choose(_frame(frame, fresh["channels"], content.where)[surplus.of(packet, frame):], channel, content.where)
        surplus.count(packet)


class _OpusDelay:
    """The samples of an Opus stream's delay that some versions of av leave in a Matroska: they count them at the rate of the recording that
    was encoded, where decoding is at 48 kHz."""

    def __init__(self, stream: "av.AudioStream", form: str):
        head = stream.codec_context.extradata or b""
        self.left = int.from_bytes(head[10:12], "little") if "matroska" in form and head[:8] == b"OpusHead" else 0
        self.sent = 0

    def count(self, packet: "av.Packet") -> None:
        """A packet that gave no samples: all of them were of the delay."""
        self.sent += frames.opus_samples(bytes(packet)[:2]) if self.left else 0

    def of(self, packet: "av.Packet", frame: "av.AudioFrame") -> int:
        """How many samples at the beginning of this frame, the first that came out, are to be dropped."""
        if not self.left:
            return 0
        dropped = self.sent + frames.opus_samples(bytes(packet)[:2]) - frame.samples
        surplus, self.left = self.left - dropped, 0
        return surplus if 0 < surplus < frame.samples else 0


def _frame(frame: "av.AudioFrame", channels: int, where: str) -> np.ndarray:
    """(n, channels) of a decoded frame. Only planes that are there are touched: to_ndarray of av reads beyond those of 8 channels."""
    kind = frame.format.packed.name
    if kind not in AV_TYPES or channels > AV_CHANNELS:
        raise damaged(where, f"{channels} channels of {kind} samples, which no recording of speech holds")
    if frame.format.is_planar:
        samples = np.stack([np.frombuffer(frame.planes[c], AV_TYPES[kind], frame.samples) for c in range(channels)], 1)
    else:
        samples = np.frombuffer(frame.planes[0], AV_TYPES[kind], frame.samples * channels).reshape(-1, channels)
    if kind == "u8":
        return (samples.astype(np.int16) - 128) << 8
    return (samples >> 16).astype(np.int16) if kind == "s32" else samples


def choose(samples: np.ndarray, channel: int | str, where: str) -> np.ndarray:
    """(n,) of samples (n, channels): one channel, or the mean of all. Raises InputError when there is no such channel."""
    channels = samples.shape[1]
    if channel == MIX:
        mean = samples.mean(1, dtype=np.float64)
        return (np.rint(mean) if samples.dtype == np.int16 else mean).astype(samples.dtype)
    if channel >= channels:
        raise InputError(f"{where} has {channels} channel{'s' * (channels > 1)}, and channel {channel} asks for number {channel + 1}; "
                         "count from 0.")
    return samples[:, channel].copy()


def _collect(blocks: Iterator[np.ndarray], rate: int, channels: int, content: Content) -> Recording:
    """All blocks as one recording."""
    if 0 < rate < MIN_RATE:   # 0: the frames say it
        raise InputError(f"{content.where} says it has {rate} samples a second, too few for speech; correct its header, or leave it out.")
    kept, total, peak = [np.zeros(0, np.int16)], 0, 0.0
    for block in _joined(blocks):
        total += len(block)
        if total > MAX_SAMPLES:
            raise InputError(f"{content.where} is longer than {MAX_SAMPLES} samples; cut it into parts.")
        if block.dtype == np.int16:
            kept.append(block)
        else:
            peak = max(peak, float(np.abs(block).max(initial=0)))
            kept.append(to_int16(block, content.where))
    samples = kept[1] if len(kept) == 2 else np.concatenate(kept)
    if not peak and len(samples):
        peak = max(int(samples.max()), -int(samples.min())) / 32768
    return Recording(samples, rate, channels, peak)


def _joined(blocks: Iterator[np.ndarray]) -> Iterator[np.ndarray]:
    """The same samples in fewer blocks: what is done to each costs more than its thousand samples."""
    waiting, size = [], 0
    for block in blocks:
        waiting.append(block)
        size += len(block)
        if size >= JOINED:
            yield np.concatenate(waiting) if len(waiting) > 1 else block
            waiting, size = [], 0
    if waiting:
        yield np.concatenate(waiting) if len(waiting) > 1 else waiting[0]


def to_int16(samples: np.ndarray, where: str) -> np.ndarray:
    """Floats with full scale 1 to int16, rounded and clipped. Raises InputError for NaN or infinity."""
    if not np.isfinite(samples).all():
        raise InputError(f"{where} holds NaN or infinite samples; make the file again, or leave it out.")
    return np.minimum(np.rint(np.clip(samples, -1, 1) * samples.dtype.type(32768)), 32767).astype(np.int16)
