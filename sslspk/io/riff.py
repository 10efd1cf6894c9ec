"""Containers made of chunks: wav in all its forms (RIFF, RIFX, RF64, BW64, W64), AIFF, 8SVX and CAF."""
import struct
from collections.abc import Iterator
from typing import NamedTuple

from sslspk.io.content import Content, damaged, truncated

HEADER_BYTES = 44
MAX_CHUNKS = 10_000
PCM, FLOAT, ALAW, MULAW, EXTENSIBLE = 1, 3, 6, 7, 0xFFFE
PLAIN = (PCM, FLOAT, ALAW, MULAW)
# Programs that write into a pipe do not know the length: ffmpeg writes 0xFFFFFFFF, sox about 0x7FFFFFFF, Kaldi 0.
UNKNOWN_LENGTH = 0x7FFFF000
UNKNOWN_AIFF = 0x7F000000   # sox'
W64_TAIL = bytes.fromhex("f3acd3118cd100c04f8edb8a")   # end of the GUIDs of its chunks, after four letters
WAV = (b"RIFF", b"RIFX", b"RF64", b"BW64", b"riff")


class Header(NamedTuple):
    """A wav header; the samples begin at byte `start` and take `data_bytes` bytes.

    stream: the header was written before the length was known, so `data_bytes` is all that follows it.
    """

    encoding: int
    channels: int
    rate: int
    bits: int
    start: int
    data_bytes: int
    stream: bool = False


class Form(NamedTuple):
    """How a chunk begins: byte order and layout of its head, how many bytes besides the content its length includes, and its alignment."""

    head: struct.Struct
    own: int
    align: int


FORMS = {b"RIFF": Form(struct.Struct("<4sI"), 0, 2), b"RIFX": Form(struct.Struct(">4sI"), 0, 2), b"FORM": Form(struct.Struct(">4sI"), 0, 2),
         b"riff": Form(struct.Struct("<4s12xQ"), 24, 8), b"caff": Form(struct.Struct(">4sQ"), 0, 1)}
FORMS |= dict.fromkeys((b"RF64", b"BW64"), FORMS[b"RIFF"])
FIRST = {b"riff": 40, b"caff": 8}   # where the first chunk begins, if not after 12 bytes


def build(num_samples: int, rate: int) -> bytes:
    """Canonical 44-byte header of 16-bit mono PCM."""
    data_bytes = 2 * num_samples
    return struct.pack("<4sI4s4sIHHIIHH4sI", b"RIFF", 36 + data_bytes, b"WAVE", b"fmt ", 16, PCM, 1, rate,
                       2 * rate, 2, 16, b"data", data_bytes)


def is_canonical(head: bytes) -> bool:
    """Whether 44 bytes are what `build` writes for some length and rate: 16-bit mono PCM."""
    return len(head) >= HEADER_BYTES and build(0, 0)[:4] == head[:4] and head[8:24] == build(0, 0)[8:24] and \
        head[32:40] == build(0, 0)[32:40]


def end(head: bytes) -> int | None:
    """The byte after the samples of the wav that begins with `head`, according to its header; None if `head` does not show it."""
    if head[:4] != b"RIFF" or head[8:12] != b"WAVE":
        return None
    return next((start + length for name, start, length in chunks(Content(head, "")) if name == b"data"), None)


def chunks(content: Content) -> Iterator[tuple[bytes, int, int]]:
    """(name, first byte of the content, stated length) of each chunk, up to the end of the bytes."""
    magic = content.at(0, 4)
    form, place = FORMS[magic], FIRST.get(magic, 12)
    for _ in range(MAX_CHUNKS):
        head = content.at(place, form.head.size)
        if len(head) < form.head.size:
            return
        name, length = form.head.unpack(head)
        length = max(length - form.own, 0)
        yield name, place + form.head.size, length
        place += form.head.size + length
        place += -place % form.align if form.align > 2 else length % form.align
    raise damaged(content.where, f"more than {MAX_CHUNKS} chunks")


def wav(content: Content) -> Header:
    """The header of a wav in any form. Raises InputError if it is cut, or promises more samples than the file holds."""
    magic, form, long = content.at(0, 4), None, None
    order = ">" if magic == b"RIFX" else "<"
    for name, start, length in chunks(content):
        if name == b"ds64":
            long, = struct.unpack("<Q", content.at(start + 8, 8).ljust(8, b"\0"))
        elif name == b"fmt ":
            form = _format(content.at(start, min(length, 40)), order) or form
        elif name == b"data":
            if form is None:
                raise damaged(content.where, "no format before the samples")
            if magic in (b"RF64", b"BW64") and length == 0xFFFFFFFF and long is not None:
                length = long
            return _ended(content, Header(*form, start, length), magic, order)
    raise truncated(content.where, "its header ends early")


def _ended(content: Content, header: Header, magic: bytes, order: str) -> Header:
    """The header; if its length was unknown when written, with the actual number of bytes."""
    there = max(content.size - header.start, 0)
    if magic == b"riff":
        unknown = (header.data_bytes == 0 and struct.unpack("<Q", content.at(16, 8))[0] != content.size) or header.data_bytes >= 1 << 62
    elif magic in (b"RF64", b"BW64"):
        unknown = (header.data_bytes == 0 and there > 0) or header.data_bytes in (0xFFFFFFFF, (1 << 64) - 1)
    else:
        unknown = (header.data_bytes >= UNKNOWN_LENGTH and header.data_bytes > there) or \
            (header.data_bytes == 0 and struct.unpack(order + "I", content.at(4, 4))[0] + 8 != content.size)
    if unknown:
        return header._replace(data_bytes=there, stream=True)
    if header.data_bytes > there:
        raise truncated(content.where, f"{there} of {header.data_bytes} bytes of samples")
    return header


def _format(data: bytes, order: str) -> tuple[int, int, int, int] | None:
    """(encoding, channels, rate, bits) of a format chunk; None if it is too short."""
    if len(data) < 16:
        return None
    encoding, channels, rate, _, _, bits = struct.unpack_from(order + "HHIIHH", data)
    if encoding == EXTENSIBLE and len(data) >= 26:
        encoding, = struct.unpack_from(order + "H", data, 24)
    return encoding, channels, rate, bits


def streamed(content: Content, header: Header) -> bytes:
    """A canonical RIFF of the samples of a wav of unknown length, with the length filled in, for decoders that trust headers."""
    data = content.at(header.start, header.data_bytes)
    width = max(header.bits // 8, 1)
    data = data[:len(data) - len(data) % (width * header.channels or 1)]
    magic = b"RIFX" if content.at(0, 4) == b"RIFX" else b"RIFF"
    order = ">" if magic == b"RIFX" else "<"
    step = width * header.channels
    form = struct.pack(order + "4sIHHIIHHH", b"fmt ", 18, header.encoding, header.channels, header.rate,
                       min(header.rate * step, 0xFFFFFFFF), step & 0xFFFF, header.bits, 0)
    head = struct.pack(order + "4sI4s", magic, 4 + len(form) + 8 + len(data), b"WAVE")
    return head + form + struct.pack(order + "4sI", b"data", len(data)) + data


def aiff(content: Content) -> None:
    """Refuse an AIFF or 8SVX whose samples end early. A length of 0 or near 2^31, from a pipe, means unknown."""
    for name, start, length in chunks(content):
        if name in (b"SSND", b"BODY"):
            if length < UNKNOWN_AIFF and start + length > content.size:
                raise truncated(content.where, f"{content.size - start} of {length} bytes of samples")
            return
    raise truncated(content.where, "its header ends early")


def caf(content: Content) -> None:
    """Refuse a CAF whose samples, or the packet table after them, end early. A length of -1 means to the end of the file."""
    found = False
    for name, start, length in chunks(content):
        if length >= 1 << 63:
            return
        found |= name == b"data"
        if start + length > content.size:
            raise truncated(content.where, f"{content.size - start} of {length} bytes of its chunk {name.decode('latin-1')}")
    if not found:
        raise truncated(content.where, "its header ends early")
