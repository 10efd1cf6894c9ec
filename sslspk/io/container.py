"""Finds the format of an audio file from its first bytes, and whether it is complete from its structure; its name does not matter."""
import re
from collections.abc import Callable
from typing import NamedTuple

from sslspk.io import boxes, frames, plain, riff
from sslspk.io.content import Content, damaged


class Kind(NamedTuple):
    """A container. name: for messages. check: refuses a cut file. demuxer: its name in av, "" if only libsndfile reads it.

    plain: libsndfile reads it, and reaches any part by one seek if its samples are not compressed.
    """

    name: str
    check: Callable[[Content], object]
    demuxer: str
    plain: bool = False


WAV = Kind("wav", riff.wav, "wav", True)
MP3 = Kind("mp3", frames.mp3, "mp3")
ADTS = Kind("AAC in ADTS", frames.adts, "aac")
FLAC = Kind("FLAC", frames.flac, "flac", True)
KINDS = (   # (pattern at the first byte, kind); the first that fits
    (rb"(RIFF|RIFX|RF64|BW64)....WAVE|riff\x2e\x91\xcf\x11.{16}wave", WAV),
    (rb"fLaC", FLAC),
    (rb"NIST_1A", Kind("NIST SPHERE", plain.sphere, "nistsphere", True)),
    (rb"FORM....AIF[FC]", Kind("AIFF", riff.aiff, "aiff", True)),
    (rb"\.snd|dns\.", Kind("AU", plain.au, "au", True)),
    (rb"caff", Kind("CAF", riff.caf, "caf", True)),
    (rb"OggS", Kind("ogg", frames.ogg, "ogg")),
    (rb"....ftyp|....moov|....mdat|....free|....skip|....wide", Kind("mp4", boxes.mp4, "mov,mp4,m4a,3gp,3g2,mj2")),
    (rb"\x1a\x45\xdf\xa3", Kind("Matroska", boxes.matroska, "matroska,webm")),
    (rb"\x30\x26\xb2\x75\x8e\x66\xcf\x11", Kind("ASF", boxes.asf, "asf")),
    (rb"#!AMR(-WB)?\n", Kind("AMR", frames.amr, "amr")),
    (rb"FORM....(8SVX|16SV)", Kind("8SVX", riff.aiff, "", True)),
    (rb"Creative Voice File\x1a", Kind("VOC", plain.voc, "voc", True)),
    (rb"2BIT", Kind("AVR", plain.avr, "", True)),
    (rb" paf|fap |PVF1\n", Kind("PAF or PVF", plain.endless, "", True)),
    (rb".{8}\x00\x02\x00\x00", Kind("HTK waveform", plain.htk, "", True)),
    (rb"\x64\xa3[\x00-\x03].|.[\x00-\x03]\xa3\x64", Kind("IRCAM", plain.endless, "ircam", True)),
)
PATTERNS = tuple((re.compile(pattern, re.DOTALL), kind) for pattern, kind in KINDS)


def find(content: Content) -> Kind:
    """The container of these bytes. Raises InputError if it is none of KINDS."""
    start = frames.tags_before(content)
    head = content.at(start, 64)
    for pattern, kind in PATTERNS:
        if pattern.match(head):
            return kind
    for frame, kind in ((frames.adts_frame, ADTS), (frames.mp3_frame, MP3)):
        if frame(head[:7]) and frames.begin(content, start, frame) == start:
            return kind
    if frames.begin(content, start, frames.mp3_frame) is not None:
        return MP3
    raise damaged(content.where, "no kind of audio that is known here")
