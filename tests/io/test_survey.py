"""What is found out about a recording, and what becomes of it."""
import numpy as np
import pytest
import soundfile

from sslspk.io.survey import Options, Source, examine, survey

NOISE = np.random.default_rng(1).integers(-9000, 9000, 32000, np.int16)


def look(path, form="wav", full=True):
    return examine(Source("u", "s", str(path), "u"), Options(str(path.parent / "copies"), form, full, 1))


@pytest.mark.parametrize("full", [True, False])
@pytest.mark.parametrize("extension", ["wav", "flac"])
def test_empty_cut_and_foreign_files(tmp_path, extension, full):
    path = tmp_path / f"a.{extension}"
    soundfile.write(path, NOISE, 16000)
    assert look(path, full=full) == (str(path), 32000, 16000, 1, "in place", "", "")
    data = path.read_bytes()
    for damaged in (b"", data[:20], data[:len(data) // 2], data[:-1], b"<html>" * 99):
        path.write_bytes(damaged)
        assert look(path, full=full).reason


def test_a_wav_of_no_samples(tmp_path):
    soundfile.write(tmp_path / "a.wav", NOISE[:0], 16000)
    assert "no samples" in look(tmp_path / "a.wav").reason


@pytest.mark.parametrize("place", [0.3, 0.5, 0.8])
def test_a_full_check_decodes_flac(tmp_path, place):
    path = tmp_path / "a.flac"
    soundfile.write(path, NOISE, 16000)
    data = bytearray(path.read_bytes())
    data[int(place * len(data))] ^= 1
    path.write_bytes(data)
    assert "cannot be decoded" in look(path, full=True).reason


def test_float_wav_with_nan(tmp_path):
    path = tmp_path / "a.wav"
    soundfile.write(path, np.full(1600, np.nan, np.float32), 16000, subtype="FLOAT")
    assert "NaN" in look(path).reason


@pytest.mark.parametrize("form", ["wav", "flac"])
def test_a_copy_remembers_what_it_was_made_of(tmp_path, form):
    path = tmp_path / "a.wav"
    soundfile.write(path, np.stack([NOISE, NOISE[::-1]], 1), 8000)
    first, second = look(path, form), look(path, form)
    assert first == (str(tmp_path / f"copies/u.{form}"), 64000, 8000, 2, "converted", "", "")
    assert second == first._replace(how="kept")


@pytest.mark.parametrize("soon", [0, 0.005, 60])
def test_processes_keep_the_order(tmp_path, monkeypatch, soon):
    monkeypatch.setattr("sslspk.io.survey.SOON", soon)
    sources = []
    for number in range(40):
        path = tmp_path / f"{number}.wav"
        soundfile.write(path, NOISE[:100 + number], 16000)
        sources.append(Source(str(number), "s", str(path), str(number)))
    alone, together = (survey(sources, Options(str(tmp_path / "copies"), "wav", True, nj)) for nj in (1, 2))
    assert together == alone and [outcome.samples for outcome in alone] == list(range(100, 140))
