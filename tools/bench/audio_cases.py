"""The files of tools/audio_table.py, and how each is made from a wav of speech."""
import struct
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

import av
import soundfile


class Case(NamedTuple):
    """make(speech, path) writes the file; tolerance: by how much a sample may differ from ffmpeg's; swapped: ffmpeg reads its bytes in
    the wrong order, so sox decodes the reference."""

    name: str
    ext: str
    make: Callable[[Path, Path], object]
    tolerance: int = 0
    swapped: bool = False


def ff(*words: str, before: tuple[str, ...] = (), pipe: bool = False) -> Callable[[Path, Path], object]:
    """Written by ffmpeg; pipe: into a pipe, where it cannot go back to fill in lengths."""
    def make(speech: Path, path: Path) -> None:
        command = ["ffmpeg", "-v", "error", "-y", *before, "-i", str(speech), "-strict", "-2", *words]
        if pipe:
            path.write_bytes(subprocess.run([*command, "-"], capture_output=True, check=True).stdout)
        else:
            subprocess.run([*command, str(path)], check=True)
    return make


def sox(*words: str, pipe: bool = False) -> Callable[[Path, Path], object]:
    """Written by sox."""
    def make(speech: Path, path: Path) -> None:
        target = "-" if pipe else str(path)
        done = subprocess.run(["sox", str(speech), *words, target], capture_output=True, check=True)
        if pipe:
            path.write_bytes(done.stdout)
    return make


def snd(form: str, subtype: str, endian: str = "FILE") -> Callable[[Path, Path], object]:
    """Written by libsndfile."""
    def make(speech: Path, path: Path) -> None:
        samples, rate = soundfile.read(speech, dtype="int16")
        soundfile.write(path, samples, rate, format=form, subtype=subtype, endian=endian)
    return make


def pyav(form: str, codec: str, rate: int) -> Callable[[Path, Path], object]:
    """Written by av, which has encoders that Debian's ffmpeg lacks."""
    def make(speech: Path, path: Path) -> None:
        with av.open(str(speech)) as source, av.open(str(path), "w", format=form) as target:
            stream = target.add_stream(codec, rate=rate, layout="mono")
            resampler = av.AudioResampler("s16", "mono", rate)
            for frame in source.decode(audio=0):
                for part in resampler.resample(frame):
                    target.mux(stream.encode(part))
            for part in resampler.resample(None):
                target.mux(stream.encode(part))
            target.mux(stream.encode(None))
    return make


def edited(first: Callable[[Path, Path], object], edit: Callable[[bytes], bytes]) -> Callable[[Path, Path], object]:
    """Made like another, then changed."""
    def make(speech: Path, path: Path) -> None:
        first(speech, path)
        path.write_bytes(edit(path.read_bytes()))
    return make


def patched(*places: tuple[int, bytes]) -> Callable[[bytes], bytes]:
    """An edit that overwrites bytes at offsets."""
    def edit(data: bytes) -> bytes:
        for place, new in places:
            data = data[:place] + new + data[place + len(new):]
        return data
    return edit


def chunks_before(data: bytes) -> bytes:
    """Put 70 KB of bext and LIST before the samples of a wav."""
    more = struct.pack("<4sI", b"bext", 70000) + bytes(70000) + struct.pack("<4sI", b"LIST", 5) + b"INFO\0\0"
    return data[:4] + struct.pack("<I", len(data) - 8 + len(more)) + data[8:36] + more + data[36:]


def chunks_behind(data: bytes) -> bytes:
    """Put a LIST after the samples."""
    more = struct.pack("<4sI", b"LIST", 4) + b"INFO"
    return data[:4] + struct.pack("<I", len(data) - 8 + len(more)) + data[8:] + more


def id3v2(data: bytes) -> bytes:
    """Put a tag of 3000 bytes at the beginning."""
    return b"ID3\3\0\0\0\0" + bytes([3000 >> 7, 3000 & 127]) + bytes(3000) + data


def id3v1(data: bytes) -> bytes:
    """Put a tag of 128 bytes at the end."""
    return data + b"TAG" + b"x" * 125


PCM = ff("-c:a", "pcm_s16le", "-bitexact", "-f", "wav")
STEREO = ("-af", "pan=stereo|c0=c0|c1=0.5*c0")
MP3 = ("-c:a", "libmp3lame", "-f", "mp3")
CASES = (
    Case("wav 16 bit", ".wav", PCM),
    *(Case(f"wav {codec}", ".wav", ff("-c:a", codec)) for codec in (
        "pcm_u8", "pcm_s24le", "pcm_s32le", "pcm_f32le", "pcm_f64le", "pcm_mulaw", "pcm_alaw", "adpcm_ms", "g722")),
    Case("wav adpcm_ima_wav", ".wav", ff("-c:a", "adpcm_ima_wav"), 128),   # ffmpeg 7 and later round its steps differently from 5.1
    Case("wav GSM 6.10", ".wav", sox("-e", "gsm-full-rate", "-r", "8000")),
    Case("wav mp3 inside", ".wav", ff("-c:a", "libmp3lame")),
    Case("wav stereo EXTENSIBLE", ".wav", ff(*STEREO, "-c:a", "pcm_s24le")),
    Case("wav 5.1", ".wav", ff("-ac", "6", "-c:a", "pcm_s16le")),
    Case("wav WAVEX", ".wav", snd("WAVEX", "PCM_16")),
    Case("wav RIFX (ffmpeg: sox)", ".wav", sox("-B"), swapped=True),
    Case("wav RF64", ".wav", ff("-rf64", "always")),
    Case("wav RF64 libsndfile", ".rf64", snd("RF64", "PCM_24")),
    Case("wav W64", ".w64", ff("-f", "w64")),
    Case("wav W64 libsndfile", ".w64", snd("W64", "FLOAT")),
    Case("wav from ffmpeg's pipe", ".wav", ff("-f", "wav", pipe=True)),
    Case("wav from sox' pipe", ".wav", sox("-t", "wav", pipe=True)),
    Case("wav float from ffmpeg's pipe", ".wav", ff("-c:a", "pcm_f32le", "-f", "wav", pipe=True)),
    Case("wav stream mode (sizes 0)", ".wav", edited(PCM, patched((4, bytes(4)), (40, bytes(4))))),
    Case("wav stream mode (sizes -1)", ".wav", edited(PCM, patched((4, b"\xff" * 4), (40, b"\xff" * 4)))),
    Case("wav stream mode (0x7FFFFFFF)", ".wav", edited(PCM, patched((4, b"\xff\xff\xff\x7f"), (40, b"\xff\xff\xff\x7f")))),
    Case("W64 from a pipe", ".w64", ff("-f", "w64", pipe=True)),
    Case("wav 70 KB of chunks before", ".wav", edited(PCM, chunks_before)),
    Case("wav a chunk behind", ".wav", edited(PCM, chunks_behind)),
    Case("wav called .WAVE", ".WAVE", PCM),
    *(Case(f"AIFF {subtype}", ".aiff", snd("AIFF", subtype)) for subtype in ("PCM_16", "PCM_S8", "PCM_24", "FLOAT", "ULAW", "IMA_ADPCM")),
    Case("AIFC little-endian", ".aifc", snd("AIFF", "PCM_16", "LITTLE")),
    Case("AIFF from sox' pipe", ".aiff", sox("-t", "aiff", pipe=True)),
    *(Case(f"AU {subtype}", ".au", snd("AU", subtype)) for subtype in ("PCM_16", "ULAW", "FLOAT", "PCM_24")),
    Case("AU from ffmpeg's pipe", ".au", ff("-f", "au", pipe=True)),
    Case("CAF PCM", ".caf", snd("CAF", "PCM_16")),
    Case("CAF from ffmpeg", ".caf", ff("-c:a", "pcm_s16be")),
    Case("CAF ALAC", ".caf", ff("-c:a", "alac")),
    Case("CAF ALAC libsndfile", ".caf", snd("CAF", "ALAC_16")),
    Case("CAF opus", ".caf", ff("-c:a", "libopus"), 1),
    Case("SPHERE", ".sph", sox("-t", "sph")),
    Case("SPHERE called .WAV", ".WAV", sox("-t", "sph")),
    Case("SPHERE mu-law", ".sph", sox("-e", "mu-law", "-t", "sph")),
    Case("SPHERE libsndfile", ".sph", snd("NIST", "PCM_16")),
    Case("SPHERE stereo", ".sph", sox("-c", "2", "-t", "sph")),
    Case("FLAC", ".flac", ff("-c:a", "flac")),
    Case("FLAC 24 bit", ".flac", snd("FLAC", "PCM_24")),
    Case("FLAC stereo", ".flac", ff(*STEREO, "-c:a", "flac")),
    Case("FLAC from a pipe", ".flac", ff("-f", "flac", pipe=True)),
    Case("FLAC from a pipe, ID3 tags", ".flac", edited(ff("-f", "flac", pipe=True), lambda data: id3v1(id3v2(data)))),
    Case("FLAC with an ID3 tag", ".flac", edited(ff("-c:a", "flac"), id3v2)),
    Case("ogg vorbis", ".ogg", ff("-c:a", "libvorbis"), 1),
    Case("ogg vorbis libsndfile", ".ogg", snd("OGG", "VORBIS"), 1),
    Case("ogg vorbis from a pipe", ".ogg", ff("-c:a", "libvorbis", "-f", "ogg", pipe=True), 1),
    Case("ogg opus 16 kHz", ".opus", ff("-c:a", "libopus"), 1),
    Case("ogg opus libsndfile", ".opus", snd("OGG", "OPUS"), 1),
    Case("ogg flac", ".oga", ff("-c:a", "flac")),
    Case("ogg speex", ".spx", ff("-c:a", "libspeex"), 1),
    Case("mp3 CBR", ".mp3", ff(*MP3, "-b:a", "64k"), 1),
    Case("mp3 CBR, no Xing", ".mp3", ff(*MP3, "-b:a", "64k", "-write_xing", "0"), 1),
    Case("mp3 VBR", ".mp3", ff(*MP3, "-q:a", "4"), 1),
    Case("mp3 VBR, no Xing", ".mp3", ff(*MP3, "-q:a", "4", "-write_xing", "0"), 1),
    Case("mp3 VBR, no Xing, no tag", ".mp3", ff(*MP3, "-q:a", "4", "-write_xing", "0", "-id3v2_version", "0"), 1),
    Case("mp3 VBR from a pipe", ".mp3", ff(*MP3, "-q:a", "4", pipe=True), 1),
    Case("mp3 with ID3v1 and v2", ".mp3", edited(ff(*MP3, "-q:a", "4", "-write_xing", "0"), lambda data: id3v1(id3v2(data))), 1),
    Case("mp3 48 kHz (Common Voice)", ".mp3", ff(*MP3, "-ar", "48000", "-b:a", "64k"), 1),
    Case("mp3 32 kHz VBR (Common Voice)", ".mp3", ff(*MP3, "-ar", "32000", "-q:a", "5"), 1),
    Case("mp3 libsndfile", ".mp3", snd("MP3", "MPEG_LAYER_III"), 1),
    Case("mp3 stereo 44.1 kHz", ".mp3", ff(*STEREO, *MP3, "-ar", "44100"), 1),
    Case("mp2", ".mp2", ff("-c:a", "mp2", "-f", "mp2"), 1),
    Case("m4a AAC", ".m4a", ff("-c:a", "aac"), 1),
    Case("m4a AAC, moov first", ".m4a", ff("-c:a", "aac", "-movflags", "faststart"), 1),
    Case("m4a AAC, fragments", ".m4a", ff("-c:a", "aac", "-movflags", "frag_keyframe+empty_moov", "-frag_duration", "300000"), 1),
    Case("m4a ALAC", ".m4a", ff("-c:a", "alac")),
    Case("mp4 AAC 44.1 kHz stereo", ".mp4", ff(*STEREO, "-c:a", "aac", "-ar", "44100"), 1),
    Case("mov PCM", ".mov", ff("-c:a", "pcm_s16le")),
    Case("mp4 opus", ".mp4", ff("-c:a", "libopus"), 1),
    Case("3gp AMR", ".3gp", pyav("3gp", "libopencore_amrnb", 8000), 1),
    Case("AAC in ADTS", ".aac", ff("-c:a", "aac", "-f", "adts"), 1),
    Case("webm opus", ".webm", ff("-c:a", "libopus"), 1),
    Case("webm opus, live", ".webm", ff("-c:a", "libopus", "-f", "webm", pipe=True), 1),
    Case("webm vorbis", ".webm", ff("-c:a", "libvorbis"), 1),
    Case("mka FLAC", ".mka", ff("-c:a", "flac")),
    Case("mka PCM", ".mka", ff("-c:a", "pcm_s16le")),
    Case("mka AAC", ".mka", ff("-c:a", "aac"), 1),
    Case("wma", ".wma", ff("-c:a", "wmav2", "-ar", "44100"), 1),
    Case("AMR", ".amr", pyav("amr", "libopencore_amrnb", 8000), 1),
    Case("8SVX", ".svx", snd("SVX", "PCM_16")),
    Case("VOC", ".voc", snd("VOC", "PCM_16")),
    Case("AVR", ".avr", snd("AVR", "PCM_16")),
    Case("HTK", ".htk", snd("HTK", "PCM_16")),
    Case("W64 GSM 6.10 (only libsndfile)", ".w64", snd("W64", "GSM610")),
    Case("PAF", ".paf", snd("PAF", "PCM_16")),
    Case("PVF", ".pvf", snd("PVF", "PCM_16")),
    Case("IRCAM", ".sf", snd("IRCAM", "PCM_16")),
)
# Their headers have no length: a cut is noticed only inside a frame, a block or a sample.
NO_LENGTH = {case.name for case in CASES if case.name in ("PAF", "PVF", "IRCAM", "mp2", "AAC in ADTS", "AMR", "mp3 with ID3v1 and v2")
             or any(word in case.name for word in ("pipe", "stream", "no Xing"))}
