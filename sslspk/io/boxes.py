"""Containers made of nested boxes: mp4 (m4a, mov, 3gp), Matroska (webm, mka) and ASF (wma). Each function refuses a cut file."""
import struct

from sslspk.io.content import Content, damaged, truncated

MAX_BOXES = 1_000_000
ASF_DATA = bytes.fromhex("3626b2758e66cf11a6d900aa0062ce6c")
ASF_PROPERTIES = bytes.fromhex("a1dcab8c47a9cf118ee400c00c205365")
ASF_LIVE = 1
SEGMENT, CLUSTER = 0x18538067, 0x1F43B675
UNKNOWN = -1


def mp4(content: Content) -> None:
    """Refuse an mp4 with a cut box, or without the box that describes the rest (which may be at the end)."""
    place, found = 0, set()
    for _ in range(MAX_BOXES):
        if place >= content.size:
            break
        head = content.at(place, 16)
        if len(head) < 8:
            raise truncated(content.where, "a cut last box")
        length, name = struct.unpack_from(">I4s", head)
        if length == 1 and len(head) == 16:
            length, = struct.unpack_from(">Q", head, 8)
        if length == 0:
            length = content.size - place
        if length < 8:
            break   # padding after the last box
        found.add(name)
        place += length
        if place > content.size:
            raise truncated(content.where, f"{place - content.size} bytes of its box {name.decode('latin-1')} are missing")
    if b"moov" not in found:
        raise truncated(content.where, "no box moov, which describes the audio")


def matroska(content: Content) -> None:
    """Refuse a Matroska or webm with a cut element; a file that was written live gives only the lengths of its blocks."""
    place = 0
    for _ in range(MAX_BOXES):
        if place >= content.size:
            return
        name, at = _number(content, place, keep=True)
        length, start = _number(content, at)
        inside = name == SEGMENT or (name == CLUSTER and length == UNKNOWN)
        if length == UNKNOWN and not inside:
            raise damaged(content.where, "an element without a length")
        if length != UNKNOWN and start + length > content.size:
            raise truncated(content.where, f"{start + length - content.size} bytes are missing")
        place = start if inside else start + length
    raise damaged(content.where, f"more than {MAX_BOXES} elements")


def _number(content: Content, place: int, keep: bool = False) -> tuple[int, int]:
    """An EBML number and the position after it. keep: leave its length mark in, as in names. All ones means UNKNOWN."""
    data = content.at(place, 8)
    width = 9 - data[0].bit_length() if data else 9
    if width > 8 and data:
        raise damaged(content.where, "an element of no known length")
    if len(data) < width:
        raise truncated(content.where, "a cut last element")
    value = int.from_bytes(data[:width], "big")
    if keep:
        return value, place + width
    value &= (1 << 7 * width) - 1
    return UNKNOWN if value == (1 << 7 * width) - 1 else value, place + width


def asf(content: Content) -> None:
    """Refuse an ASF that is shorter than its objects say; a file that was written live gives no lengths."""
    properties = content.at(0, 1 << 16)
    at = properties.find(ASF_PROPERTIES)
    if at >= 0 and at + 92 <= len(properties) and struct.unpack_from("<I", properties, at + 88)[0] & ASF_LIVE:
        return
    place = 0
    for _ in range(MAX_BOXES):
        head = content.at(place, 24)
        if len(head) < 24:
            break
        length, = struct.unpack_from("<Q", head, 16)
        if place + length > content.size:
            raise truncated(content.where, f"{place + length - content.size} bytes are missing")
        if head[:16] == ASF_DATA or length < 24:
            return
        place += length
    raise truncated(content.where, "its header ends early")
