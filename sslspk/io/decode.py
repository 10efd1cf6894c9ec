"""Decoders: a recording's bytes to 16-bit samples of one channel. A cut or undecodable recording is refused by name.

libsndfile reads plain samples and FLAC, and reaches any part by one seek; av decodes everything else from the beginning, as ffmpeg
does. If one of them cannot read a recording, the other one tries. The length is the number of decoded samples.
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

BLOCK = 1 << 20              # values decoded at once
JOINED = 1 << 16             # samples; smaller blocks are joined up to this size
MAX_SAMPLES = 1 << 29        # of a whole recording: 9 hours at 16 kHz, 1 GB
MIN_RATE = 1000
MAX_CHANNELS = 64
PADDING_SLACK = 4 * 1024     # samples by which an mp4 may be shorter than it says: its encoder's padding
AV_TYPES = {"u8": "u1", "s16": "i2", "s32": "i4", "flt": "f4", "dbl": "f8"}  # sample formats of av
AV_CHANNELS = 8
SEEKABLE = {"PCM_S8", "PCM_U8", "PCM_16", "PCM_24", "PCM_32", "FLOAT", "DOUBLE", "ULAW", "ALAW"}
DISPUTED = {"G721_32", "G723_24", "G723_40"}   # libsndfile, sox and ffmpeg decode the same bytes differently
FLOATS = {"FLOAT": "float32", "DOUBLE": "float64"}


class Recording(NamedTuple):
    """A whole recording: int16 samples (S,) of one channel, rate in Hz, number of channels, and the peak, its largest absolute value
    (full scale is 1; floats may exceed it, and are clipped)."""

    samples: np.ndarray
    rate: int
    channels: int
    peak: float


class _Unreadable(Exception):
    """One decoder cannot read this; perhaps the other one can."""


def whole(content: Content, channel: int | str = 0) -> Recording:
    """Decode the whole recording. channel: from 0 on, or "mix" for the mean of all.

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
    """(samples, rate, channels) of a recording that can be read by seeking; None if it must be decoded to know."""
    kind = _check(content)
    if kind.plain:
        try:
            with _sound(content, kind) as file:
                return file.frames, file.samplerate, file.channels
        except _Unreadable:
            return None
    return None


def part(content: Content, start: int, count: int, channel: int | str = 0) -> np.ndarray | None:
    """Samples `start` to `start + count`, int16 (count,); None if the recording must be decoded from its beginning."""
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
    """The recording opened with libsndfile. Raises _Unreadable for FLAC of unknown length or compressed samples, which av must read
    (any_form: av could not, so libsndfile tries)."""
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
    """One channel in blocks, int16 or floats. Refuses a block shorter than the header promises."""
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
    """Decode all with av; the content decides the container, because ffmpeg's own guess would follow playlists and names."""
    import av  # imported here, so that other formats work without av
    about: dict[str, int] = {}
    end = frames.tags_behind(content) if kind in (container.FLAC, container.ADTS) else None   # other demuxers skip tags
    try:
        # Tags that are not UTF-8 do not make the audio bad.
        with av.open(Stream(content, end), format=kind.demuxer, metadata_errors="replace") as opened:
            stream = next(iter(opened.streams.audio), None)
            if stream is None or stream.codec_context is None:
                raise damaged(content.where, "no audio in it that is known here")
            found = _collect(_av_blocks(opened, stream, content, channel, about), 0, 0, content)
            promised = int(stream.duration * stream.time_base * about["rate"]) if stream.duration and about else 0
    except (av.FFmpegError, UnicodeError) as err:
        raise damaged(content.where, getattr(err, "strerror", None) or str(err)) from err
    # The duration of an mp4 includes the encoder's padding, which decoding drops, so a few missing frames are no cut.
    if kind.name == "mp4" and len(found.samples) + PADDING_SLACK < promised:
        raise truncated(content.where, f"{len(found.samples)} of {promised} samples")
    return found._replace(rate=about.get("rate", 0), channels=about.get("channels", 1))


def _av_blocks(opened: "av.container.InputContainer", stream: "av.AudioStream", content: Content, channel: int | str,
               about: dict[str, int]) -> Iterator[np.ndarray]:
    """One channel of each frame; stores rate and number of channels in `about`. They come from the frame, because the header
    of AAC may give half the rate."""
    surplus = _OpusDelay(stream, opened.format.name)
    for packet in opened.demux(stream):
        if packet.is_corrupt:
            raise truncated(content.where, "its last packet is cut")
        if packet.size == 1 and opened.format.name == "wav":
            continue   # the padding byte of a chunk of odd length
        for frame in packet.decode():
            fresh = {"rate": frame.sample_rate, "channels": len(frame.layout.channels)}
            if about and about != fresh:
                raise damaged(content.where, "rate or channels change within it")
            about.update(fresh)
            if frame.samples:
                yield choose(_frame(frame, fresh["channels"], content.where)[surplus.of(packet, frame):], channel, content.where)
        surplus.count(packet)


class _OpusDelay:
    """The samples of an Opus stream's delay in a Matroska. Some versions of av drop too few: they count the delay at the original rate,
    although decoding is at 48 kHz."""

    def __init__(self, stream: "av.AudioStream", form: str):
        head = stream.codec_context.extradata or b""
        self.left = int.from_bytes(head[10:12], "little") if "matroska" in form and head[:8] == b"OpusHead" else 0
        self.sent = 0

    def count(self, packet: "av.Packet") -> None:
        """Count a packet that gave no samples: all of them belonged to the delay."""
        self.sent += frames.opus_samples(bytes(packet)[:2]) if self.left else 0

    def of(self, packet: "av.Packet", frame: "av.AudioFrame") -> int:
        """How many samples to drop at the beginning of this frame, if it is the first that came out."""
        if not self.left:
            return 0
        dropped = self.sent + frames.opus_samples(bytes(packet)[:2]) - frame.samples
        surplus, self.left = self.left - dropped, 0
        return surplus if 0 < surplus < frame.samples else 0


def _frame(frame: "av.AudioFrame", channels: int, where: str) -> np.ndarray:
    """Samples (n, channels) of a decoded frame, from existing planes only: av's to_ndarray reads beyond the planes of 8 channels."""
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
    """Samples (n, channels) -> (n,): one channel, or the mean of all. Raises InputError if there is no such channel."""
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
    if 0 < rate < MIN_RATE:   # 0: the frames give it
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
    """The same samples in fewer blocks: per-block work costs more than a block of a thousand samples."""
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
    """Floats (full scale is 1) to int16, rounded and clipped. Raises InputError for NaN or infinity."""
    if not np.isfinite(samples).all():
        raise InputError(f"{where} holds NaN or infinite samples; make the file again, or leave it out.")
    return np.minimum(np.rint(np.clip(samples, -1, 1) * samples.dtype.type(32768)), 32767).astype(np.int16)
