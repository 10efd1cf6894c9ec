"""Containers of every kind, whole and cut, under their own and other names: the length is what decodes, and a cut is found."""
import io
import os
import struct
import tempfile
from pathlib import Path

import av
import numpy as np
import pytest
import soundfile
from test_audio import RATE, tone

from sslspk.errors import InputError
from sslspk.io import audio

SECONDS = 1.3
WAVE = tone(SECONDS)


def sound(form, subtype, endian="FILE"):
    """Bytes that libsndfile writes."""
    def make():
        file = io.BytesIO()
        wave = WAVE / 32768 if subtype in ("FLOAT", "DOUBLE") else WAVE   # libsndfile scales no integers into floats
        soundfile.write(file, wave, RATE, format=form, subtype=subtype, endian=endian)
        return file.getvalue()
    return make


def pyav(form, codec, rate=RATE, pipe=False, **options):
    """Bytes that av writes; pipe: into something in which it cannot go back."""
    def make():
        name = tempfile.mkstemp()[1]
        file = Unseekable() if pipe else name
        with av.open(file, "w", format=form, options=options) as container:
            stream = container.add_stream(codec, rate=rate, layout="mono")
            stream.bit_rate = 12200 if "amr" in codec else 64000
            resampler = av.AudioResampler(stream.codec_context.codec.audio_formats[0] if codec != "flac" else "s16", "mono", rate)
            frame = av.AudioFrame.from_ndarray(WAVE[None], format="s16", layout="mono")
            frame.sample_rate, frame.pts = RATE, 0
            for part in [*resampler.resample(frame), *resampler.resample(None)]:
                container.mux(stream.encode(part))
            container.mux(stream.encode(None))
        return file.data if pipe else Path(name).read_bytes()
    return make


class Unseekable:
    """A pipe, as av sees one."""

    def __init__(self):
        self.data = b""

    def write(self, data):
        self.data += bytes(data)
        return len(data)


def edited(make, edit):
    return lambda: edit(make())


def chunks_before(data):
    more = struct.pack("<4sI", b"bext", 70000) + bytes(70000) + struct.pack("<4sI", b"LIST", 5) + b"INFO\0\0"
    return data[:4] + struct.pack("<I", len(data) - 8 + len(more)) + data[8:36] + more + data[36:]


def with_tags(data):
    return b"ID3\3\0\0\0\0" + bytes([3000 >> 7, 3000 & 127]) + bytes(3000) + data + b"TAG" + b"x" * 125


PCM = sound("WAV", "PCM_16")
# (own extension, how it is made, samples; None: what decodes, near the length that was put in)
CASES = {
    **{f"wav {subtype}": (".wav", sound("WAV", subtype), len(WAVE))
       for subtype in ("PCM_16", "PCM_U8", "PCM_24", "PCM_32", "FLOAT", "DOUBLE", "ULAW", "ALAW")},
    "wav IMA": (".wav", sound("WAV", "IMA_ADPCM"), None), "wav MS": (".wav", sound("WAV", "MS_ADPCM"), None),
    "wav GSM": (".wav", sound("WAV", "GSM610"), None), "wavex": (".wav", sound("WAVEX", "PCM_16"), len(WAVE)),
    "rifx": (".wav", sound("WAV", "PCM_16", "BIG"), len(WAVE)), "rf64": (".wav", sound("RF64", "PCM_16"), len(WAVE)),
    "w64": (".w64", sound("W64", "PCM_16"), len(WAVE)), "wav bext": (".wav", edited(PCM, chunks_before), len(WAVE)),
    "aiff": (".aiff", sound("AIFF", "PCM_16"), len(WAVE)), "aifc": (".aifc", sound("AIFF", "PCM_16", "LITTLE"), len(WAVE)),
    "au": (".au", sound("AU", "ULAW"), len(WAVE)), "caf": (".caf", sound("CAF", "PCM_16"), len(WAVE)),
    "caf alac": (".caf", sound("CAF", "ALAC_16"), len(WAVE)), "sphere": (".sph", sound("NIST", "PCM_16"), len(WAVE)),
    "TIMIT": (".WAV", sound("NIST", "ULAW"), len(WAVE)), "svx": (".svx", sound("SVX", "PCM_16"), len(WAVE)),
    "voc": (".voc", sound("VOC", "PCM_16"), len(WAVE)), "avr": (".avr", sound("AVR", "PCM_16"), len(WAVE)),
    "htk": (".htk", sound("HTK", "PCM_16"), len(WAVE)), "w64 GSM, which av does not read": (".w64", sound("W64", "GSM610"), None),
    "flac": (".flac", sound("FLAC", "PCM_16"), len(WAVE)), "flac pipe": (".flac", pyav("flac", "flac", pipe=True), len(WAVE)),
    "flac tags": (".flac", edited(pyav("flac", "flac", pipe=True), with_tags), len(WAVE)),
    "vorbis": (".ogg", sound("OGG", "VORBIS"), len(WAVE)), "opus": (".opus", sound("OGG", "OPUS"), 3 * len(WAVE)),
    "mp3": (".mp3", pyav("mp3", "libmp3lame"), len(WAVE)),
    "mp3 no Xing": (".mp3", pyav("mp3", "libmp3lame", write_xing="0"), None),
    "mp3 tags": (".mp3", edited(pyav("mp3", "libmp3lame", write_xing="0", id3v2_version="0"), with_tags), None),
    "mp3 48k": (".mp3", pyav("mp3", "libmp3lame", 48000), 3 * len(WAVE)), "mp2": (".mp2", pyav("mp2", "mp2"), None),
    "m4a": (".m4a", pyav("mp4", "aac"), None), "m4a faststart": (".m4a", pyav("mp4", "aac", movflags="faststart"), None),
    "alac": (".m4a", pyav("mp4", "alac"), len(WAVE)), "adts": (".aac", pyav("adts", "aac"), None),
    "3gp": (".3gp", pyav("3gp", "libopencore_amrnb", 8000), None), "amr": (".amr", pyav("amr", "libopencore_amrnb", 8000), None),
    "webm": (".webm", pyav("webm", "libopus", 48000), 3 * len(WAVE)),
    "webm live": (".webm", pyav("webm", "libopus", 48000, pipe=True, live="1"), None),
    "mka": (".mka", pyav("matroska", "flac"), len(WAVE)), "wma": (".wma", pyav("asf", "wmav2", 44100), None),
}
each = pytest.mark.parametrize("name", CASES)


@pytest.fixture(scope="module")
def made():
    """Bytes of a case, made once."""
    kept = {}
    return lambda name: kept.setdefault(name, CASES[name][1]())


def put(folder, name, data):
    (folder / name).write_bytes(data)
    return str(folder / name)


@each
def test_a_whole_file_has_the_samples_that_decode(tmp_path, made, name):
    extension, _, length = CASES[name]
    path = put(tmp_path, f"a{extension}", made(name))
    samples, rate, channels, _ = audio.load(path)
    assert channels == 1 and abs(len(samples) / rate - SECONDS) < 0.15
    assert length is None or len(samples) == length
    assert audio.info(path) == (len(samples), rate, 1)
    for start, count in ((0, 100), (len(samples) // 3, 777), (len(samples) - 50, 50)):
        np.testing.assert_array_equal(audio.read_segment(path, start, count), samples[start:start + count])
    for other in ("x", "x.wav", "x.flac", "x.m4a", "x.raw"):
        np.testing.assert_array_equal(audio.read(put(tmp_path, other, made(name)))[0], samples)


@pytest.mark.parametrize("keep", [0.5, 0.9, 0.99, 24])
@each
def test_a_cut_file_is_told_under_any_name(tmp_path, made, name, keep):
    data = made(name)
    data = data[:int(keep * len(data)) if keep < 1 else keep]
    for other in (f"a{CASES[name][0]}", "a", "a.wav", "a.flac"):
        path = put(tmp_path, other, data)
        try:
            found = audio.read(path)[0]
            assert (name, keep) == ("mp3 tags", 0.99) and len(found) > len(WAVE), "only a tag behind the samples was cut"
            continue
        except InputError as err:
            said = str(err)
        assert path in said and ("is truncated" in said or (keep == 24 and "cannot be decoded" in said)), said


def test_lossless_kinds_are_exact(tmp_path, made):
    for name in ("wav PCM_16", "wav PCM_24", "wav FLOAT", "rifx", "rf64", "w64", "aiff", "aifc", "caf", "caf alac", "sphere", "voc", "avr",
                 "htk", "flac", "flac pipe", "flac tags", "alac", "mka"):
        np.testing.assert_array_equal(audio.read(put(tmp_path, "a", made(name)))[0], WAVE, name)


def test_an_mp3_without_a_length_is_whole_to_its_last_frame(tmp_path, made):
    """What libsndfile guesses from the first frame of a variable rate is not believed."""
    quiet = np.concatenate([np.zeros(RATE, np.int16), np.tile(WAVE, 4)])
    file = io.BytesIO()
    with av.open(file, "w", format="mp3", options={"write_xing": "0"}) as container:
        stream = container.add_stream("libmp3lame", rate=RATE, layout="mono", options={"abr": "1", "compression_level": "5"})
        stream.bit_rate = 24000
        resampler = av.AudioResampler(stream.codec_context.codec.audio_formats[0], "mono", RATE)
        frame = av.AudioFrame.from_ndarray(quiet[None], format="s16", layout="mono")
        frame.sample_rate, frame.pts = RATE, 0
        for part in [*resampler.resample(frame), *resampler.resample(None)]:
            container.mux(stream.encode(part))
        container.mux(stream.encode(None))
    found = audio.read(put(tmp_path, "a.mp3", file.getvalue()))[0]
    assert len(quiet) <= len(found) < len(quiet) + 3000


@pytest.mark.parametrize("length", [0, 0xFFFFFFFF, 0x7FFFFFFF], ids=hex)
@pytest.mark.parametrize("subtype, tail", [("PCM_16", 0), ("PCM_16", 1), ("FLOAT", 3), ("ULAW", 0)])
def test_stream_mode_is_read_to_the_end(tmp_path, length, subtype, tail):
    """A program that wrote into a pipe knew no length; a sample that is cut at the end is dropped."""
    data = bytearray(sound("WAV", subtype)())
    place = data.index(b"data") + 4
    data[4:8] = data[place:place + 4] = length.to_bytes(4, "little")
    width = {"PCM_16": 2, "FLOAT": 4, "ULAW": 1}[subtype]
    path = put(tmp_path, "a.wav", bytes(data[:place + 4 + width * 9000 + tail]))
    whole = audio.read(put(tmp_path, "b.wav", sound("WAV", subtype)()))[0]
    np.testing.assert_array_equal(audio.read(path)[0], whole[:9000])
    np.testing.assert_array_equal(audio.read_segment(path, 8000, 1000), whole[8000:9000])
    assert audio.info(path) == (9000, RATE, 1)


def test_a_wav_that_really_holds_nothing(tmp_path):
    data = bytearray(PCM()[:44])
    data[4:8], data[40:44] = (36).to_bytes(4, "little"), bytes(4)
    with pytest.raises(InputError, match="holds no samples"):
        audio.read(put(tmp_path, "a.wav", bytes(data)))


def test_sphere_compressed_with_shorten_is_told(tmp_path):
    data = sound("NIST", "PCM_16")().replace(b"sample_coding -s3 pcm", b"sample_coding -s26 pcm,embedded-shorten-v2.00")[:1100]
    with pytest.raises(InputError, match=r"shorten-v2\.00'; convert it with sph2pipe"):
        audio.read(put(tmp_path, "a.wav", data))


HUGE = {
    "wav": lambda data: data[:40] + b"\xf0\xff\xff\x7e" + data[44:],
    "wav rate": lambda data: data[:22] + b"\xff\xff\xff\xff\xff\xff" + data[28:],
    "flac": lambda data: data[:21] + b"\xff\xff\xff\xff\xff" + data[26:],
    "sphere": lambda data: data.replace(b"sample_count -i 20800", b"sample_count -i 9999999999999999999"),
    "au": lambda data: data[:8] + b"\x7f\xff\xff\xff" + data[12:],
    "chunks": lambda data: data[:12] + struct.pack("<4sI", b"junk", 0) * 20000,
    "mp4": lambda data: data.replace(b"stsz", b"stsz\0\0\0\0\0\0\1\0\x7f\xff\xff\xff", 1),
    "ftyp": lambda data: b"\xff\xff\xff\xffftypM4A " + bytes(100),
    "ebml": lambda data: b"\x1a\x45\xdf\xa3\x01\x7f\xff\xff\xff\xff\xff\xff" + bytes(100),
}


@pytest.mark.parametrize("how", HUGE)
def test_a_header_that_promises_gigabytes_is_refused_at_once(tmp_path, made, how):
    """With an address space of 2 GB beyond what is in use: nothing is allocated on a header's word."""
    import resource
    path = put(tmp_path, "a", HUGE[how](made({"flac": "flac", "sphere": "sphere", "au": "au", "mp4": "m4a"}.get(how, "wav PCM_16"))))
    soft, hard = resource.getrlimit(resource.RLIMIT_AS)
    used = int(Path("/proc/self/statm").read_text().split()[0]) * os.sysconf("SC_PAGE_SIZE")
    resource.setrlimit(resource.RLIMIT_AS, (used + (2 << 30), hard))
    try:
        with pytest.raises(InputError):
            audio.read(path)
    finally:
        resource.setrlimit(resource.RLIMIT_AS, (soft, hard))


def test_an_archive_entry_that_promises_gigabytes_is_refused(tmp_path):
    for head in (b"AUDIO\x08" + (1 << 62).to_bytes(8, "little") + b"fLaC", PCM()[:40] + b"\xff\xff\xff\x7e" + bytes(90)):
        path = put(tmp_path, "a.ark", b"utt " + head)
        for read in (audio.read, audio.info, lambda spec: audio.read_segment(spec, 0, 1 << 40)):
            with pytest.raises(InputError, match=r"a\.ark:4"):
                read(f"{path}:4")
        os.unlink(path)
        audio.files._open_files.clear()


@pytest.mark.parametrize("content", [
    b"ffconcat version 1.0\nfile /etc/passwd\n", b"#EXTM3U\n#EXTINF:1,\nfile:///etc/passwd\n", b"<html>404</html>", b"\0" * 5000,
    b"RIFF\0\0\0\0AVI LIST" + bytes(99), b"version https://git-lfs.github.com/spec/v1\noid sha256:0\nsize 85164\n"])
def test_what_is_no_audio_is_never_guessed_at(tmp_path, content):
    """A playlist would make ffmpeg open other files."""
    for name in ("a.wav", "a.mp3", "a"):
        with pytest.raises(InputError, match=r"no kind of audio that is known here.*convert it"):
            audio.read(put(tmp_path, name, content))


@pytest.mark.parametrize("name", ["concat:a|b.mp3", "http:a.mp3", "a.wav:x", "-.mp3", "pipe:zero"])
def test_names_are_no_addresses(tmp_path, monkeypatch, made, name):
    monkeypatch.chdir(tmp_path)
    put(tmp_path, name, made("mp3"))
    assert len(audio.read(name)[0]) == len(WAVE)


def test_a_folder_and_a_fifo_are_refused_at_once(tmp_path):
    os.mkfifo(tmp_path / "a.wav")
    for path in (tmp_path, tmp_path / "a.wav"):
        with pytest.raises(InputError, match=r"is a (folder|pipe)"):
            audio.read(str(path))
