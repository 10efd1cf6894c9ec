"""Members of tars, where they lie, next to Python's tarfile, which reads the same archives another way."""
import gzip
import io
import os
import tarfile

import numpy as np
import pytest
import soundfile

from sslspk.errors import InputError
from sslspk.io import audio, tar

LONG = "folder/" * 30 + "name of more than a hundred bytes \u00e9.wav"


def add(archive, name, data, **fields):
    info = tarfile.TarInfo(name)
    info.size = len(data)
    for key, value in fields.items():
        setattr(info, key, value)
    archive.addfile(info, io.BytesIO(data))


def make(path, contents, form=tarfile.PAX_FORMAT):
    with tarfile.open(path, "w", format=form) as archive:
        for name, data in contents.items():
            add(archive, name, data)
    return str(path)


def encoded(samples, form, rate=16000, **options):
    buffer = io.BytesIO()
    soundfile.write(buffer, samples, rate, format=form, **options)
    return buffer.getvalue()


def noise(count, seed=0, columns=None):
    rng = np.random.default_rng(seed)
    return rng.normal(0, 3000, count if columns is None else (count, columns)).astype(np.int16)


@pytest.mark.parametrize("form", [tarfile.USTAR_FORMAT, tarfile.GNU_FORMAT, tarfile.PAX_FORMAT])
def test_members_are_those_of_tarfile(tmp_path, form):
    contents = {"a.wav": b"x" * 511, "b": b"", "d/e.json": b"y" * 512, "z" * 99: b"1" * 5000}
    if form != tarfile.USTAR_FORMAT:
        contents[LONG] = b"long"
    else:
        contents["p" * 80 + "/" + "q" * 90] = b"prefix"
    path = make(tmp_path / "a.tar", contents, form)
    with tarfile.open(path, "a", format=form) as archive:
        folder = tarfile.TarInfo("folder")
        folder.type = tarfile.DIRTYPE
        archive.addfile(folder)
        add(archive, "last", b"behind a folder")
    with tarfile.open(path) as archive:
        expected = [(one.name, one.offset_data, one.size) for one in archive if one.isfile()]
    found = list(tar.members(path))
    assert [tuple(one) for one in found] == expected
    assert [tar.content(path, one, 1 << 20) for one in found] == [*contents.values(), b"behind a folder"]


def test_a_size_that_octal_digits_cannot_hold():
    info = tarfile.TarInfo("a")
    info.size = 1 << 40
    for form in (tarfile.GNU_FORMAT, tarfile.USTAR_FORMAT):
        if form == tarfile.USTAR_FORMAT:
            info.size = 8 ** 11 - 1
        assert tar.size_before(info.tobuf(form)[-512:]) == info.size


def test_what_is_no_header_of_a_file():
    head = bytearray(tarfile.TarInfo("a").tobuf())
    assert tar.size_before(bytes(head)) == 0
    head[0] ^= 1
    assert tar.size_before(bytes(head)) is None
    folder = tarfile.TarInfo("a")
    folder.type = tarfile.DIRTYPE
    assert tar.size_before(folder.tobuf()) is tar.size_before(b"") is tar.size_before(bytes(512)) is None


def damaged(tmp_path):
    make(tmp_path / "whole.tar", {"a.wav": b"x" * 1000, "b.wav": b"y" * 1000})
    whole = (tmp_path / "whole.tar").read_bytes()
    link = tarfile.TarInfo("l.wav")
    link.type, link.linkname = tarfile.SYMTYPE, "a.wav"
    return {
        "cut": (whole[:1800], "truncated"),
        "cut in a header": (whole[:1600], "truncated"),
        "without its end": (whole[:3072], "truncated .*without a mark of its end"),
        "empty": (b"", "truncated"),
        "gzip": (gzip.compress(whole), r"compressed \(gzip\).*gunzip"),
        "zstd": (b"\x28\xb5\x2f\xfd" + bytes(600), r"compressed \(zstd\).*unzstd"),
        "no tar": (b"RIFF" + bytes(1000), "is no tar"),
        "a flipped bit": (whole[:1536] + b"\xff" + whole[1537:], "damaged at byte 1536"),
        "joined by cat": (whole[:4096] + whole, "goes on behind its end"),
        "a link": (link.tobuf() + bytes(1024), "is a link"),
        "a false size": (pax("size", "none") + whole, "without a size"),
        "a damaged pax header": (pax("", "") + whole, "pax header at byte 512"),
        "a sparse file": (pax("GNU.sparse.major", "1") + whole, "sparse"),
    }


def pax(key, value):
    record = f"{key}={value}\n" if key else "no record"
    record = f"{len(record) + 3} {record}".encode()
    info = tarfile.TarInfo("pax")
    info.type, info.size = b"x", len(record)
    return info.tobuf() + record.ljust(512, b"\0")


@pytest.mark.parametrize("which", ["cut", "cut in a header", "without its end", "empty", "gzip", "zstd", "no tar", "a flipped bit",
                                   "joined by cat", "a link", "a false size", "a damaged pax header", "a sparse file"])
def test_what_is_wrong_with_a_tar_is_said(tmp_path, which):
    data, said = damaged(tmp_path)[which]
    (tmp_path / "bad.tar").write_bytes(data)
    with pytest.raises(InputError, match=said) as found:
        list(tar.members(str(tmp_path / "bad.tar")))
    assert "bad.tar" in str(found.value) and len(str(found.value).replace(str(tmp_path), "")) <= 160


def test_a_member_of_any_format_is_read_in_place(tmp_path):
    """Samples, lengths and parts are those of the files themselves, next to each other in one archive."""
    one, two = noise(8000), noise(8000, 1, 2)
    contents = {"a.wav": encoded(one, "WAV", subtype="PCM_16"), "b.flac": encoded(one, "FLAC", subtype="PCM_16"),
                "c.wav": encoded(two, "WAV", subtype="PCM_16"), "d.wav": encoded(one, "WAV", subtype="PCM_24"),
                "e.mp3": encoded(one, "MP3"), "f.ogg": encoded(one, "OGG"), "g.wav": encoded(one[:100], "WAV", rate=8000)}
    path = make(tmp_path / "a.tar", contents)
    for member in tar.members(path):
        file = tmp_path / member.name
        file.write_bytes(contents[member.name])
        spec = f"{path}:{member.offset}"
        assert audio.info(spec) == audio.info(str(file))
        assert audio.load(spec).samples.tobytes() == audio.load(str(file)).samples.tobytes()
        assert audio.read_segment(spec, 30, 60).tobytes() == audio.read_segment(str(file), 30, 60).tobytes()
        assert audio.packed_end(spec) == member.offset + member.size
        with pytest.raises(InputError, match="were asked for"):
            audio.read_segment(spec, 0, 9000)


def test_a_wav_that_promises_more_than_its_member_holds_is_refused(tmp_path):
    """What follows it in the tar are not its samples."""
    wav = encoded(noise(1000), "WAV", subtype="PCM_16")
    path = make(tmp_path / "a.tar", {"a.wav": wav[:1044], "b.wav": wav})
    spec = f"{path}:{next(tar.members(path)).offset}"
    for read in (audio.load, audio.info, lambda spec: audio.read_segment(spec, 0, 900)):
        with pytest.raises(InputError, match="truncated"):
            read(spec)
    assert len(audio.read_segment(f"{path}:{list(tar.members(path))[1].offset}", 0, 900)) == 900


def test_a_tar_that_is_cut_later_is_found(tmp_path):
    path = make(tmp_path / "a.tar", {"a.flac": encoded(noise(20000), "FLAC", subtype="PCM_16")})
    os.truncate(path, 5000)
    with pytest.raises(InputError, match="truncated"):
        audio.load(f"{path}:512")
