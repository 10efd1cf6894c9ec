"""Containers of plain samples after one short header: AU, NIST SPHERE, VOC, AVR, HTK, and those without a length."""
import re
import struct

from sslspk.errors import InputError, shown
from sslspk.io.content import Content, damaged, truncated

AU_BYTES = {1: 1, 2: 1, 3: 2, 4: 3, 5: 4, 6: 4, 7: 8, 27: 1}   # per sample, by encoding
SPHERE_FIELD = re.compile(rb"^(\w+) -([irs])\d* (.*?)\s*$", re.MULTILINE)
SPHERE_HEADER = 1 << 16
VOC_BLOCKS = 9


def au(content: Content) -> None:
    """Refuse an AU that is shorter than its header says; without a length (from a pipe), refuse a cut sample."""
    head = content.at(0, 24)
    if len(head) < 24:
        raise truncated(content.where, "its header ends early")
    start, length, encoding, _, channels = struct.unpack("<5I" if head[:4] == b"dns." else ">5I", head[4:])
    there = content.size - start
    if there < 0:
        raise truncated(content.where, "its header ends early")
    if length != 0xFFFFFFFF and length > there:
        raise truncated(content.where, f"{there} of {length} bytes of samples")
    if length == 0xFFFFFFFF and there % (AU_BYTES.get(encoding, 1) * channels or 1):
        raise truncated(content.where, "its last sample is cut")


def sphere(content: Content) -> None:
    """Refuse a NIST SPHERE file that is shorter than its header says, or compressed with shorten."""
    lines = content.at(0, 16).split(b"\n")
    size = int(lines[1]) if len(lines) > 2 and lines[1].strip().isdigit() else 0
    if not size or size > SPHERE_HEADER or size > content.size:
        raise truncated(content.where, "its header ends early")
    said = {name: value for name, _, value in SPHERE_FIELD.findall(content.at(0, size))}
    coding = said.get(b"sample_coding", b"pcm").decode("latin-1")
    if "embedded" in coding:
        method = shown(coding.partition("embedded-")[2], 30)
        raise InputError(f"{content.where} is SPHERE compressed by {method}; convert it with sph2pipe -f wav.")
    needed = 1
    for name in (b"sample_count", b"channel_count", b"sample_n_bytes"):
        value = said.get(name, b"1" if name == b"channel_count" else b"")
        if not value.isdigit() or len(value) > 15:
            raise damaged(content.where, f"its header has no number {name.decode()}")
        needed *= int(value)
    if size + needed > content.size:
        raise truncated(content.where, f"{content.size - size} of {needed} bytes of samples")


def voc(content: Content) -> None:
    """Refuse a VOC with a cut block."""
    place = int.from_bytes(content.at(20, 2), "little")
    while place < content.size:
        head = content.at(place, 4)
        if head[0] == 0 or head[0] > VOC_BLOCKS:
            return   # the end, or a block whose length sox wrote wrongly
        if len(head) < 4:
            raise truncated(content.where, "its last block is cut")
        place += 4 + int.from_bytes(head[1:], "little")
    if place > content.size or content.size < 26:
        raise truncated(content.where, "its last block is cut")


def avr(content: Content) -> None:
    """Refuse an AVR that is shorter than its header says."""
    head = content.at(0, 128)
    if len(head) < 128:
        raise truncated(content.where, "its header ends early")
    stereo, bits, count = struct.unpack(">xxxxxxxxxxxxHH10xI98x", head)
    needed = count * (2 if stereo else 1) * (bits // 8)
    if 128 + needed > content.size:
        raise truncated(content.where, f"{content.size - 128} of {needed} bytes of samples")


def htk(content: Content) -> None:
    """Refuse an HTK waveform with another number of samples than its header says."""
    needed = 2 * int.from_bytes(content.at(0, 4), "big")
    if 12 + needed > content.size:
        raise truncated(content.where, f"{max(content.size - 12, 0)} of {needed} bytes of samples")


def endless(content: Content) -> None:
    """Refuse nothing: the header has no length, so any number of samples may be right."""
