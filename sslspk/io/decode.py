"""Decoders: bytes or files of wav, flac, ogg (soundfile) and m4a (av) to 16-bit samples of the first channel."""
import io
from typing import TYPE_CHECKING

import numpy as np
import soundfile

from sslspk.errors import InputError
from sslspk.io import files, riff

if TYPE_CHECKING:
    import av

HEADER_READ = 1 << 16
OGG_PAGE = 65307
OGG_LAST = 4
AAC_SLACK = 4 * 1024
AV_TYPES = {"s16": "i2", "s32": "i4", "flt": "f4", "dbl": "f8"}  # sample formats of av
AV_CHANNELS = 8
SCALED = {"FLOAT", "DOUBLE", "VORBIS", "OPUS", "MPEG_LAYER_III"}


def to_int16(samples: np.ndarray, where: str) -> np.ndarray:
    """Floats with full scale 1 to int16, rounded and clipped. Raises InputError for NaN or infinity."""
    if not np.isfinite(samples).all():
        raise InputError(f"{where} holds NaN or infinite samples; make the file again, or leave it out.")
    return np.clip(np.rint(samples * np.float32(32768)), -32768, 32767).astype(np.int16)


def sound(source: str | bytes, where: str, start: int = 0, count: int = -1) -> tuple[np.ndarray, int, int]:
    """A wav, flac or ogg, as path or bytes: int16 samples (S,) of the first channel from `start` on, rate, channels.

    Raises InputError naming `where` when the file is undecodable, or holds less than its header or `count` says.
    """
    try:
        with soundfile.SoundFile(io.BytesIO(source) if isinstance(source, bytes) else source) as file:
            promised = file.frames
            if start + max(count, 0) > promised:
                raise InputError(f"{where} holds {promised} samples, but {start} to {start + count} were asked for; "
                                 "make utt2num_samples again.")
            if start:
                file.seek(start)
            form = "float32" if file.subtype in SCALED else "int16"
            samples = file.read(count, dtype=form, always_2d=True)[:, 0]
            rate, channels = file.samplerate, file.channels
    except (soundfile.LibsndfileError, RuntimeError) as err:
        raise undecodable(where, err) from err
    if len(samples) != (promised - start if count < 0 else count):
        raise truncated(where, f"{start + len(samples)} of {promised} samples")
    samples = to_int16(samples, where) if form == "float32" else np.ascontiguousarray(samples)
    return samples, rate, channels


def sound_info(source: str | bytes, where: str) -> tuple[int, int, int]:
    """(samples, rate, channels) from the header of a wav, flac or ogg."""
    try:
        with soundfile.SoundFile(io.BytesIO(source) if isinstance(source, bytes) else source) as file:
            return file.frames, file.samplerate, file.channels
    except (soundfile.LibsndfileError, RuntimeError) as err:
        raise undecodable(where, err) from err


def m4a(path: str) -> tuple[np.ndarray, int, int]:
    """AAC in an mp4 box: int16 samples (S,) of the first channel, rate, channels. Raises InputError naming the file."""
    import av  # here alone, so that other formats work where av is not installed
    try:
        # Tags that are no UTF-8 are no reason to refuse the audio.
        with av.open(path, metadata_errors="replace") as container:
            stream = next(iter(container.streams.audio), None)
            if stream is None or stream.codec_context is None:
                raise InputError(f"{path} holds no audio that can be decoded; download it again, or leave it out.")
            blocks, rate, channels = [], stream.codec_context.sample_rate, 1
            for frame in container.decode(stream):
                # The frame knows better than the header: AAC may say half its rate there.
                rate, channels = frame.sample_rate, len(frame.layout.channels)
                blocks.append(_first_channel(frame, channels, path))
            promised = int(stream.duration * stream.time_base * rate) if stream.duration else 0
    except av.FFmpegError as err:
        raise undecodable(path, err) from err
    samples = np.concatenate(blocks) if blocks else np.zeros(0, np.int16)
    # The duration counts the encoder's padding, which decoding drops: a few frames short is whole.
    if len(samples) + AAC_SLACK < promised:
        raise truncated(path, f"{len(samples)} of {promised} samples")
    return samples, rate, channels


def check_wav(head: bytes, size: int, where: str) -> None:
    """Refuse a wav whose header (first bytes `head` of `size`) promises more samples than are there."""
    header = riff.parse(head)
    if header is None or header.data_bytes >= riff.UNKNOWN_LENGTH:
        return
    if header.start + header.data_bytes > size:
        raise truncated(where, f"{max(size - header.start, 0)} of {header.data_bytes} bytes of samples")


def check_ogg(path: str, size: int) -> None:
    """Refuse an ogg whose last page is cut or is not marked as the last: libsndfile plays what there is."""
    tail = files.part(path, OGG_PAGE + 1, max(0, size - OGG_PAGE - 1))
    page = tail.rfind(b"OggS")
    if page < 0 or len(tail) < page + 27:
        raise truncated(path, "a cut last page")
    lengths = tail[page + 27:page + 27 + tail[page + 26]]
    if page + 27 + tail[page + 26] + sum(lengths) > len(tail) or not tail[page + 5] & OGG_LAST:
        raise truncated(path, "no end of stream")


def truncated(where: str, found: str) -> InputError:
    """The error for a recording that ends early."""
    return InputError(f"{where} is truncated ({found}); copy or download it again, or leave it out.")


def undecodable(where: str, err: Exception) -> InputError:
    """The error for a recording that no decoder takes."""
    reason = getattr(err, "error_string", None) or getattr(err, "strerror", None) or str(err)
    return InputError(f"{where} cannot be decoded ({reason.rstrip('. ')}); copy or download it again, or leave it out.")


def _first_channel(frame: "av.AudioFrame", channels: int, where: str) -> np.ndarray:
    """int16 (n,) of a decoded frame. Only its first plane is touched: to_ndarray of av reads beyond those of 8 channels."""
    kind = frame.format.packed.name
    if kind not in AV_TYPES or channels > AV_CHANNELS:
        raise InputError(f"{where} is said to hold {channels} channels of {kind} samples, which no recording of speech does; "
                         "download it again, or leave it out.")
    if not frame.samples:
        return np.zeros(0, np.int16)
    step = 1 if frame.format.is_planar else channels
    samples = np.frombuffer(frame.planes[0], AV_TYPES[kind], frame.samples * step)[::step]
    if kind == "s16":
        return samples.copy()
    return (samples >> 16).astype(np.int16) if kind == "s32" else to_int16(samples.astype(np.float32), where)
