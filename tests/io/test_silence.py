"""Whether silence was cut: the marks beside archives, and what is told of a model or a training that wants it otherwise."""
import sys

import numpy as np
import pytest

from sslspk.bin import make_feats, pack_audio
from sslspk.io import ark, audio, datadir, silence, table


@pytest.fixture
def data(tmp_path):
    """Two utterances, the second half of each unvoiced."""
    folder = tmp_path / "data"
    folder.mkdir()
    samples = np.random.default_rng(0).integers(-9000, 9000, 16000).astype(np.int16)
    with audio.PackWriter(folder / "raw.ark", folder / "raw.scp") as writer:
        for utt in ("a", "b"):
            writer.write(utt, samples, 16000)
    datadir.write(folder, wav=table.read(folder / "raw.scp"), utt2spk={"a": "a", "b": "b"})
    with ark.Writer(folder / "vad.ark", folder / "vad.scp") as writer:
        for utt in ("a", "b"):
            writer.write(utt, np.repeat([1.0, 0.0], 50).astype(np.float32))
    return folder


def call(program, monkeypatch, *words):
    monkeypatch.setattr(sys, "argv", ["program", *map(str, words)])
    program.main()


def pack(data, out, monkeypatch, vad):
    out.mkdir(exist_ok=True)
    call(pack_audio, monkeypatch, "--vad", vad, data, out / "wav.1.ark", out / "wav.scp")
    return list(table.read(out / "wav.scp").values())


def test_a_mark_goes_with_the_archives_that_are_made_of_it(data, tmp_path, monkeypatch):
    cut = pack(data, tmp_path / "cut", monkeypatch, "true")
    assert silence.count_cut(cut) == (2, 2) and silence.count_cut(table.read(data / "wav.scp").values()) == (0, 2)
    assert silence.all_cut(pack(tmp_path / "cut", tmp_path / "again", monkeypatch, "false"))
    call(make_feats, monkeypatch, "extract", tmp_path / "cut", tmp_path / "feats.ark", tmp_path / "feats.scp")
    feats = list(table.read(tmp_path / "feats.scp").values())
    assert silence.all_cut(feats) and silence.all_cut([f"{spec}[0:9]" for spec in feats])
    call(make_feats, monkeypatch, "extract", data, tmp_path / "feats.ark", tmp_path / "feats.scp")
    assert not silence.all_cut(feats)   # the same archive, made again of other audio


@pytest.mark.parametrize("vad", [True, False])
@pytest.mark.parametrize("number", [0, 1, 2])
def test_what_does_not_fit_is_told(data, tmp_path, monkeypatch, vad, number):
    whole = list(table.read(data / "wav.scp").values())
    cut = pack(data, tmp_path / "cut", monkeypatch, "true")
    said = silence.warning("exp/x/final.pt", vad, [*cut[:number], *whole[number:], "a.wav", "cat x.ark |"], "data/test")
    if vad:
        assert f"without silence (vad: true), but {4 - number} of 4 in data/test still have it" in said
    elif number:
        assert f"(vad: false), but {number} of 4 in data/test have lost it" in said
    else:
        assert said == ""
    assert len(said) <= 180 and not silence.warning("x", True, cut, "data")
