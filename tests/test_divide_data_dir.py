"""utils/divide_data_dir.sh and utils/cut_data_dir.sh: shares of utterances at random, and parts of utterances without a copy."""
import sys

import numpy as np
import pytest

from sslspk.bin import cut_data_dir, divide_data_dir
from sslspk.data.index import UtteranceIndex
from sslspk.errors import InputError
from sslspk.io import audio, clips, cuts, datadir, table

RATE = 16000


def call(program, monkeypatch, *words):
    monkeypatch.setattr(sys, "argv", ["program", *map(str, words)])
    program.main()


@pytest.fixture
def data(tmp_path):
    """Ten packed utterances of 0.1, 0.2, ... 1.0 s whose samples count from 0."""
    folder = tmp_path / "data"
    folder.mkdir()
    sizes = {f"s{i % 3}-u{i}": 1600 * (i + 1) for i in range(10)}
    with audio.PackWriter(folder / "wav.ark", folder / "pack.scp") as pack:
        for utt, size in sorted(sizes.items()):
            pack.write(utt, np.arange(size, dtype=np.int16), RATE)
    datadir.write(str(folder), wav=table.read(folder / "pack.scp"), utt2spk={utt: utt[:2] for utt in sizes}, utt2num_samples=sizes,
                  utt2dur={utt: size / RATE for utt, size in sizes.items()}, utt2session={utt: utt[-2:] for utt in sizes})
    (folder / "pack.scp").unlink()
    return folder


@pytest.mark.parametrize("seed", [0, 1717])
def test_shares(data, tmp_path, monkeypatch, capsys, seed):
    (data / "notes.txt").write_text("what was recorded where\n")
    call(divide_data_dir, monkeypatch, "--seed", seed, "train=0.7 valid=0.2 test=0.1", data, tmp_path / "out")
    parts = {name: set(datadir.validate(str(tmp_path / "out" / name))["utt2spk"]) for name in ("train", "valid", "test")}
    assert capsys.readouterr().out.count(": notes.txt, wav.ark\n") == 1
    assert [len(utts) for utts in parts.values()] == [7, 2, 1] and set().union(*parts.values()) == set(table.read(data / "wav.scp"))
    assert parts["test"] != {max(table.read(data / "wav.scp"))}
    shares = divide_data_dir.parse("train=.7 valid=.2 test=.1")
    again = divide_data_dir.divide(sorted(table.read(data / "wav.scp"), reverse=True), shares, seed)
    assert {name: set(utts) for name, utts in again.items()} == parts, "the order of the utterances has no say"
    other = divide_data_dir.divide(list(table.read(data / "wav.scp")), {"train": 0.7}, seed + 1)
    assert set(other["train"]) != parts["train"]


@pytest.mark.parametrize(("shares", "words"), [
    ("train=0.7 test=0.4", ("1.1 together",)), ("train", ("'train' is not NAME=SHARE",)), ("train=0", ("'train=0'",)),
    ("a=0.1 a=0.2", ("'a=0.2'", "a name of its own")), ("../x=0.5", ("'../x=0.5'",)),
    ("train=nan", ("'train=nan'",)), ("", ("one at least",)),
    ("train=0.99 test=0.01", ("test=0.01 is no utterance of 10",))])
def test_shares_that_make_no_sense(data, tmp_path, monkeypatch, shares, words):
    with pytest.raises(InputError) as caught:
        call(divide_data_dir, monkeypatch, shares, data, tmp_path / "out")
    assert all(word in str(caught.value) for word in words), str(caught.value)
    assert not (tmp_path / "out").exists()


def test_first_seconds_are_read_where_they_lie(data, tmp_path, monkeypatch, capsys):
    """Utterances of 0.5 s and more stay, exactly 0.5 s of each; a directory that has segments already is cut further."""
    call(cut_data_dir, monkeypatch, "--first", "0.5", data, tmp_path / "out")
    said = capsys.readouterr().out
    assert "has 6 utterances, of the 10 of" in said and (
        "cut_data_dir.sh: WARNING: 4 of 10 utterances of data (first: s0-u0) are shorter than 0.5 s and left out; use a smaller --first, "
        "or train on the whole utterances with data.short=repeat.\n") in said
    tables = datadir.validate(str(tmp_path / "out"), check_files=True)
    assert set(tables) == {"wav.scp", "utt2spk", "spk2utt", "utt2session", "segments"}
    for utt, clip in clips.read(tmp_path / "out").items():
        assert np.array_equal(clips.load(clip).samples, np.arange(8000)), utt
    index = UtteranceIndex(tmp_path / "out", "wave")
    assert set(index.length.tolist()) == {8000} and len(index.keys) == 6
    one = cuts.first(str(data), str(tmp_path / "most"), 0.15).notes
    assert one[-1].startswith("1 of 10 utterances of data (first: s0-u0) is shorter than 0.15 s"), "a tenth is no reason for a warning"
    assert not any("left out" in note for note in cuts.first(str(data), str(tmp_path / "all"), 0.1).notes)
    times = {path: path.stat().st_mtime_ns for path in (tmp_path / "out").iterdir()}
    call(cut_data_dir, monkeypatch, "--first", "0.5", data, tmp_path / "out")
    assert {path: path.stat().st_mtime_ns for path in (tmp_path / "out").iterdir()} == times
    table.write(tmp_path / "out/segments", {utt: f"{utt} 0.25 0.5" for utt in table.read(tmp_path / "out/wav.scp")})
    cuts.first(str(tmp_path / "out"), str(tmp_path / "again"), 0.125)
    assert {tuple(clips.load(clip).samples[[0, -1]]) for clip in clips.read(tmp_path / "again").values()} == {(4000, 5999)}


def test_long_utterances_become_pieces(data, tmp_path, monkeypatch):
    """All samples once, in order; each piece has what was known of its utterance."""
    call(cut_data_dir, monkeypatch, "--pieces", "0.45", data, tmp_path / "out")
    tables = datadir.validate(str(tmp_path / "out"), check_files=True)
    assert set(tables) == {"wav.scp", "utt2spk", "spk2utt", "utt2session", "segments"}
    cut = {f"s{i % 3}-u{i}": 3 if i == 9 else 2 for i in range(4, 10)}
    assert set(tables["utt2spk"]) == {"s0-u0", "s1-u1", "s2-u2", "s0-u3", *(f"{utt}-00{k + 1}" for utt, n in cut.items() for k in range(n))}
    assert all(tables["utt2session"][utt] == utt[3:5] and spk == utt[:2] for utt, spk in tables["utt2spk"].items())
    got = {}
    for utt, clip in clips.read(tmp_path / "out").items():
        got[utt[:5]] = np.concatenate([got.get(utt[:5], np.empty(0, np.int16)), clips.load(clip).samples])
    assert all(np.array_equal(x, np.arange(1600 * (int(utt[-1]) + 1))) for utt, x in got.items()) and len(got) == 10
    call(cut_data_dir, monkeypatch, "--pieces", "0.2", tmp_path / "out", tmp_path / "again")
    parts = clips.read(tmp_path / "again")
    assert sum(len(clips.load(clip).samples) for clip in parts.values()) == 1600 * 55 and "s0-u9-001-002" in parts


def test_a_crop_from_each_end(data, tmp_path, monkeypatch, capsys):
    """They never overlap, and the utterance is their label; halves below 0.5 s are left out."""
    table.write(data / "spk2gender", dict.fromkeys(("s0", "s1", "s2"), "f"))
    monkeypatch.setattr(cuts, "SHORTEST", 0.2)
    call(cut_data_dir, monkeypatch, "--ends", "0.3", data, tmp_path / "out")
    assert "WARNING: 3 of 10 utterances of data (first: s0-u0) are shorter than 0.4 s and left out" in capsys.readouterr().out
    tables = datadir.validate(str(tmp_path / "out"), check_files=True)
    assert "spk2gender" not in tables and datadir.label_source(tmp_path / "out") == "recording"
    assert tables["utt2spk"] == {f"s{i % 3}-u{i}-{end}": f"s{i % 3}-u{i}" for i in range(3, 10) for end in "ab"}
    for utt, clip in clips.read(tmp_path / "out").items():
        size = 1600 * (int(utt[4]) + 1)
        length, x = min(4800, size // 2), clips.load(clip).samples
        assert np.array_equal(x, np.arange(size)[:length] if utt.endswith("a") else np.arange(size)[size - length:]), utt


def test_a_piece_may_not_have_the_name_of_an_utterance(data, tmp_path, monkeypatch):
    for name in ("wav.scp", "utt2spk", "utt2session", "utt2dur", "utt2num_samples"):
        known = table.read(data / name)
        table.write(data / name, {**known, "s0-u9-001": known["s0-u3"]})
    table.write(data / "spk2utt", datadir.invert(table.read(data / "utt2spk")))
    with pytest.raises(InputError, match="two parts would be called s0-u9-001; rename"):
        call(cut_data_dir, monkeypatch, "--pieces", "0.9", data, tmp_path / "out")


@pytest.mark.parametrize("option", ["--first=1.1", "--first=0", "--pieces=-1", "--ends=3e9", "--ends=1"])
def test_seconds_that_make_no_sense(data, tmp_path, monkeypatch, option):
    if option == "--ends=1":
        monkeypatch.setattr(cuts, "SHORTEST", 0.6)
    with pytest.raises(InputError, match=r"above 0|no utterance of"):
        call(cut_data_dir, monkeypatch, option, data, tmp_path / "out")
    assert not (tmp_path / "out").exists()
