"""Containers made of frames or pages that give their own length: mp3, AAC in ADTS, AMR, ogg, FLAC of unknown length.

Each function refuses a file whose last frame is cut, or that lacks what its header promises. A file without a header that
is cut exactly between two frames is not noticed.
"""
import struct
from collections.abc import Callable

from sslspk.io.content import Content, truncated

WINDOW = 1 << 16
MP3_RATES = (44100, 48000, 32000)
MP3_KBITS = {   # by (MPEG-1, layer)
    (True, 1): (32, 64, 96, 128, 160, 192, 224, 256, 288, 320, 352, 384, 416, 448),
    (True, 2): (32, 48, 56, 64, 80, 96, 112, 128, 160, 192, 224, 256, 320, 384),
    (True, 3): (32, 40, 48, 56, 64, 80, 96, 112, 128, 160, 192, 224, 256, 320),
    (False, 1): (32, 48, 56, 64, 80, 96, 112, 128, 144, 160, 176, 192, 224, 256),
    (False, 2): (8, 16, 24, 32, 40, 48, 56, 64, 80, 96, 112, 128, 144, 160),
}
MP3_KBITS[False, 3] = MP3_KBITS[False, 2]
MP3_SLACK = 1        # extra frames in a header's count: some programs count the header's own frame
AMR_NB = (13, 14, 16, 18, 20, 21, 27, 32, 6, 1, 1, 1, 1, 1, 1, 1)
AMR_WB = (18, 24, 33, 37, 41, 47, 51, 59, 61, 6, 1, 1, 1, 1, 1, 1)
OGG_LAST = 4
FLAC_TAIL = 1 << 18  # bytes before the end within which the last frame begins
ID3V1_BYTES = 128
TAGS = (b"TAG", b"APET", b"LYRI", b"ID3", b"\0\0\0\0")


def tags_before(content: Content) -> int:
    """The first byte after all ID3v2 tags. Raises InputError if the file ends within one."""
    place = 0
    while (head := content.at(place, 10))[:3] == b"ID3" and len(head) == 10:
        size = 0
        for byte in head[6:]:
            size = size << 7 | byte & 127
        place += 10 + size + (10 if head[5] & 16 else 0)
        if place >= content.size:
            raise truncated(content.where, "it ends within its ID3 tag")
    return place


def tags_behind(content: Content) -> int:
    """The first byte of an ID3v1 tag, or the end of the file."""
    place = content.size - ID3V1_BYTES
    return place if place > 0 and content.at(place, 3) == b"TAG" else content.size


def mp3_frame(head: bytes) -> int:
    """Length in bytes of the MPEG audio frame that begins with these four bytes; 0 if none does, or one of free format."""
    if len(head) < 4 or head[0] != 0xFF or head[1] & 0xE0 != 0xE0:
        return 0
    version, layer, kbits, rate = head[1] >> 3 & 3, 4 - (head[1] >> 1 & 3), head[2] >> 4, head[2] >> 2 & 3
    if version == 1 or layer == 4 or kbits in (0, 15) or rate == 3:
        return 0
    bits = 1000 * MP3_KBITS[version == 3, layer][kbits - 1]
    hertz = MP3_RATES[rate] >> {3: 0, 2: 1, 0: 2}[version]
    padding = head[2] >> 1 & 1
    if layer == 1:
        return (12 * bits // hertz + padding) * 4
    return (72 if layer == 3 and version != 3 else 144) * bits // hertz + padding


def adts_frame(head: bytes) -> int:
    """Length in bytes of the ADTS frame that begins with these seven bytes; 0 if none does."""
    if len(head) < 7 or head[0] != 0xFF or head[1] & 0xF6 != 0xF0 or head[2] >> 2 & 15 > 12:
        return 0
    length = (head[3] & 3) << 11 | head[4] << 3 | head[5] >> 5
    return length if length > 7 else 0


def begin(content: Content, place: int, frame: Callable[[bytes], int]) -> int | None:
    """Offset of the first of two adjacent frames, at most 64 KiB after `place`; None if there are none."""
    data = content.at(place, WINDOW)
    for at in range(len(data)):
        if data[at] == 0xFF and (length := frame(data[at:at + 7])):
            after = content.at(place + at + length, 7)
            if frame(after) or after[:3] in (b"TAG", b"ID3") or (not at and place + length >= content.size):
                return place + at
    return None


def mp3(content: Content) -> None:
    """Refuse an mp3 whose last frame is cut, or that holds fewer frames than its Xing, Info or VBRI header says."""
    first = begin(content, tags_before(content), mp3_frame)
    if first is None:
        return   # perhaps free format, which a decoder may read
    count, promised = _walk(content, first, mp3_frame), _promised(content, first)
    if promised is not None and count - 1 + MP3_SLACK < promised:
        raise truncated(content.where, f"{count - 1} of {promised} frames")


def adts(content: Content) -> None:
    """Refuse AAC in ADTS whose last frame is cut."""
    first = begin(content, tags_before(content), adts_frame)
    if first is not None:
        _walk(content, first, adts_frame)


def amr(content: Content) -> None:
    """Refuse AMR whose last frame is cut."""
    wide = content.at(0, 9) == b"#!AMR-WB\n"
    sizes = AMR_WB if wide else AMR_NB
    _walk(content, 9 if wide else 6, lambda head: sizes[head[0] >> 3 & 15])


def _walk(content: Content, place: int, frame: Callable[[bytes], int]) -> int:
    """The number of frames from `place` on; bytes between frames are skipped. Raises InputError if the last frame is cut."""
    count = 0
    while place < content.size:
        head = content.at(place, 7)
        length = frame(head)
        if not length:
            if head.startswith(TAGS) or len(head) < 4:
                break
            further = begin(content, place + 1, frame)
            if further is None:
                break
            place = further
            continue
        if place + length > content.size:
            raise truncated(content.where, "its last frame is cut")
        place, count = place + length, count + 1
    return count


def _promised(content: Content, first: int) -> int | None:
    """The number of frames according to the header in the first frame of an mp3; None without a header."""
    data = content.at(first, 64)
    long, mono = data[1] >> 3 & 3 == 3, data[3] >> 6 == 3
    side = (17 if mono else 32) if long else (9 if mono else 17)
    if data[4 + side:8 + side] in (b"Xing", b"Info") and len(data) >= 16 + side:
        flags, frames = struct.unpack_from(">II", data, 8 + side)
        return frames if flags & 1 else None
    return struct.unpack_from(">I", data, 50)[0] if data[36:40] == b"VBRI" and len(data) >= 54 else None


def opus_samples(packet: bytes) -> int:
    """Samples at 48 kHz that an Opus packet decodes to, from its first bytes; 0 if it is no packet."""
    if not packet:
        return 0
    config, code = packet[0] >> 3, packet[0] & 3
    if config < 12:
        each = (480, 960, 1920, 2880)[config & 3]
    else:
        each = (480, 960)[config & 1] if config < 16 else (120, 240, 480, 960)[config & 3]
    return each * (1 if code == 0 else 2 if code < 3 else packet[1] & 63 if len(packet) > 1 else 0)


def ogg(content: Content) -> None:
    """Refuse an ogg with a cut page, or whose last page is not marked as the last of its stream."""
    place, flags = 0, 0
    while place < content.size:
        head = content.at(place, 27 + 255)
        if head[:4] != b"OggS":
            if place + 4 > content.size:
                raise truncated(content.where, "a cut last page")
            break   # a tag or padding after the last page
        lengths = head[27:27 + head[26]] if len(head) >= 27 else b""
        if len(head) < 27 or len(lengths) < head[26] or place + 27 + len(lengths) + sum(lengths) > content.size:
            raise truncated(content.where, "a cut last page")
        flags, place = head[5], place + 27 + len(lengths) + sum(lengths)
    if not flags & OGG_LAST:
        raise truncated(content.where, "no end of stream")


def flac_length(content: Content) -> int:
    """The number of samples in a FLAC's header, 0 if unknown. Raises InputError if the file ends within its header."""
    start = tags_before(content)
    head = content.at(start, 26)
    if len(head) < 26:
        raise truncated(content.where, "its header ends early")
    return int.from_bytes(head[21:26], "big") & (1 << 36) - 1


def flac(content: Content) -> None:
    """Refuse a FLAC of unknown length whose last frame is cut; a known length is checked when it is decoded."""
    if not flac_length(content):
        flac_end(content)


def flac_end(content: Content) -> None:
    """Refuse a FLAC whose last frame is cut: no frame's check sum ends at the end of the file."""
    end = tags_behind(content)
    tail = content.at(max(0, end - FLAC_TAIL), min(end, FLAC_TAIL))
    place = len(tail)
    while (place := tail.rfind(b"\xff", 0, place)) >= 0:
        if tail[place + 1:place + 2] in (b"\xf8", b"\xf9") and _crc16(tail[place:]) == 0:
            return
    raise truncated(content.where, "its last frame is cut")


def _crc16(data: bytes) -> int:
    """FLAC's check sum of a frame; it is 0 over a frame together with its check sum."""
    crc = 0
    for byte in data:
        crc = (crc << 8 & 0xFFFF) ^ CRC16[crc >> 8 ^ byte]
    return crc


def _crc16_table() -> list[int]:
    table = []
    for byte in range(256):
        crc = byte << 8
        for _ in range(8):
            crc = crc << 1 ^ (0x8005 if crc & 0x8000 else 0)
        table.append(crc & 0xFFFF)
    return table


CRC16 = _crc16_table()
