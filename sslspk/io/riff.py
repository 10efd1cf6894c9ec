"""The header of a wav file: written in its canonical 44 bytes, read in any shape."""
import struct
from typing import NamedTuple

HEADER_BYTES = 44
PCM, EXTENSIBLE = 1, 0xFFFE
# Programs that write into a pipe cannot know the length: ffmpeg leaves 0xFFFFFFFF there, sox about 0x7FFFFFFF.
UNKNOWN_LENGTH = 0x7FFFF000


class Header(NamedTuple):
    """What a wav header says; `start` is where samples begin, `data_bytes` how many bytes it promises."""

    encoding: int
    channels: int
    rate: int
    bits: int
    start: int
    data_bytes: int

    @property
    def canonical(self) -> bool:
        """Whether this is what `build` writes: 16-bit mono right behind 44 bytes."""
        return self[:2] == (PCM, 1) and self.bits == 16 and self.start == HEADER_BYTES


def build(num_samples: int, rate: int) -> bytes:
    """Canonical 44-byte header of 16-bit mono PCM."""
    data_bytes = 2 * num_samples
    return struct.pack("<4sI4s4sIHHIIHH4sI", b"RIFF", 36 + data_bytes, b"WAVE", b"fmt ", 16, PCM, 1, rate,
                       2 * rate, 2, 16, b"data", data_bytes)


def parse(data: bytes) -> Header | None:
    """Read the header at the start of `data`; None when that is no wav header or the data chunk is not reached."""
    if len(data) < 12 or data[:4] != b"RIFF" or data[8:12] != b"WAVE":
        return None
    place, form = 12, None
    while place + 8 <= len(data):
        name, length = struct.unpack_from("<4sI", data, place)
        if name == b"data":
            return form and Header(*form, place + 8, length)
        if name == b"fmt " and place + 24 <= len(data):
            encoding, channels, rate, _, _, bits = struct.unpack_from("<HHIIHH", data, place + 8)
            if encoding == EXTENSIBLE and length >= 26 and place + 34 <= len(data):
                encoding, = struct.unpack_from("<H", data, place + 32)
            form = encoding, channels, rate, bits
        place += 8 + length + length % 2
    return None
