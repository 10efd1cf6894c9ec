"""Large data directories as arrays: the same bytes as line by line, and nothing is taken for sound that `datadir.validate` refuses."""
import random
from pathlib import Path

import numpy as np
import pytest

from sslspk.data import kept
from sslspk.data.index import UtteranceIndex
from sslspk.errors import InputError
from sslspk.io import datadir, derive, lines, quick, repair, table

UTTS = [f"s{s}-u{u}" for s in range(7) for u in range(1 + s % 3)]


@pytest.fixture
def data(tmp_path):
    folder = tmp_path / "data"
    size = {utt: 16000 + 7 * i for i, utt in enumerate(UTTS)}
    datadir.write(str(folder), wav={utt: f"/x/a{i % 3}.ark:{i * 1000}" if i % 4 else f"/x/{utt}.wav" for i, utt in enumerate(UTTS)},
                  utt2spk={utt: utt[:2] for utt in UTTS}, utt2num_samples=size, utt2dur={utt: n / 16000 for utt, n in size.items()},
                  utt2lang=dict.fromkeys(UTTS, "en"), spk2gender={utt[:2]: "f" for utt in UTTS})
    return folder


def contents(folder):
    return {str(path.relative_to(folder)): path.read_bytes() for path in sorted(Path(folder).rglob("*")) if path.is_file()}


@pytest.fixture
def large(monkeypatch):
    """Every directory is large enough; called with False none is."""
    def switch(on):
        monkeypatch.setattr(datadir, "LARGE", 0 if on else 1 << 40)
    return switch


def test_a_sound_directory_is_seen_to_be_sound(data):
    found = quick.look(str(data), copied=True)
    assert [name.decode() for name in found.utterances] == UTTS and len(found.speakers) == 7 and found.raw
    assert found.names == datadir.table_names(str(data))
    assert found.starts.tolist() == [UTTS.index(next(u for u in UTTS if u[:2] == f"s{s}")) for s in range(7)] + [len(UTTS)]


@pytest.mark.parametrize("way", ["split", "split per utterance", "subset", "fix", "utterances"])
def test_both_ways_write_the_same(data, tmp_path, large, way):
    results = []
    few = random.Random(1).sample(UTTS, 5)
    (data / "label_source").write_text("pseudo\n")
    for on in (False, True):
        large(on)
        place = tmp_path / str(on)
        if way.startswith("split"):
            done = [path.removeprefix(str(place)) for path in derive.split(str(data), 3, way != "split", str(place))]
        elif way == "subset":
            done = derive.subset(str(data), str(place), utts=iter(few))
        else:
            done = repair.fix(str(data)) if way == "fix" else datadir.utterances(str(data))
        results.append((done, contents(place), contents(data)))
    assert results[0] == results[1] and (way in ("fix", "utterances") or results[1][1])


def change(name, old, new):
    def edit(data):
        text = (data / name).read_text()
        assert old in text
        (data / name).write_text(text.replace(old, new, 1))
    return edit


ODD = {
    "a tab": change("utt2spk", "s0-u0 s0", "s0-u0\ts0"), "two blanks": change("utt2spk", "s0-u0 s0", "s0-u0  s0"),
    "a blank at the end": change("utt2spk", "s0-u0 s0", "s0-u0 s0 "), "a blank before": change("utt2spk", "s0-u0 s0", " s0-u0 s0"),
    "no value": change("utt2lang", "s0-u0 en", "s0-u0"), "an empty line": change("utt2lang", "s0-u0 en\n", "s0-u0 en\n\n"),
    "no end": lambda data: (data / "utt2lang").write_text((data / "utt2lang").read_text()[:-1]),
    "unsorted": change("utt2lang", "s1-u0 en\ns1-u1 en\n", "s1-u1 en\ns1-u0 en\n"),
    "twice": change("utt2lang", "s0-u0 en", "s0-u0 en\ns0-u0 en"),
    "one less": change("utt2lang", "s1-u0 en\n", ""), "another speaker": change("spk2utt", "s1 s1-u0 s1-u1", "s1 s1-u1 s1-u0"),
    "one of spk2utt less": change("spk2utt", "s1-u0 s1-u1", "s1-u0"), "letters": change("utt2dur", "1.0", "1.o"),
    "two dots": change("utt2dur", "1.0", "1.0.0"), "a dot first": change("utt2dur", "1.0", ".0"),
    "a sign": change("utt2num_samples", " 1", " -1"),
    "a point": change("utt2num_samples", "16000", "16000.0"), "a pipe": change("wav.scp", "/x/s0-u0.wav", "cat /x |"),
    "a speaker's line less": change("spk2gender", "s1 f\n", ""), "letters beyond ASCII": change("utt2lang", "en", "中"),
    "speakers out of order": lambda data: [change("utt2spk", "s0-u0 s0", "s0-u0 s9")(data), change("spk2utt", "s0 s0-u0\n", "")(data),
                                           change("spk2gender", "s0 f\n", "")(data),
                                           (data / "spk2utt").write_text((data / "spk2utt").read_text() + "s9 s0-u0\n"),
                                           (data / "spk2gender").write_text((data / "spk2gender").read_text() + "s9 f\n")],
    "segments": lambda data: (data / "segments").write_text("".join(f"{utt} {utt} 0 1\n" for utt in UTTS)),
    "zero bytes": lambda data: (data / "utt2lang").write_bytes(bytes(40)),
    "an empty table": lambda data: (data / "utt2lang").write_text(""),
    "a folder": lambda data: [(data / "utt2dur").unlink(), (data / "utt2dur").mkdir()],
    "no utt2spk": lambda data: (data / "utt2spk").unlink(), "no spk2utt": lambda data: (data / "spk2utt").unlink(),
}


@pytest.mark.parametrize("what", ODD)
def test_what_is_out_of_the_ordinary_goes_the_slow_way(data, tmp_path, large, what):
    ODD[what](data)
    assert quick.look(str(data)) is None
    results = []
    for on in (False, True):
        large(on)
        place = str(tmp_path / str(on))
        for call in (lambda: datadir.validate(str(data)), lambda place=place: derive.subset(str(data), place, utts=UTTS[2:4])):
            try:
                results.append(str(call()))
            except InputError as err:
                results.append(str(err))
    assert results[:2] == results[2:]


def test_crlf_is_read_but_the_file_is_not_as_it_would_be_written(data):
    (data / "utt2lang").write_bytes((data / "utt2lang").read_bytes().replace(b"\n", b"\r\n"))
    assert not quick.look(str(data)).raw and repair.fix(str(data)).count == len(UTTS) and b"\r" not in (data / "utt2lang").read_bytes()


def test_unknown_utterances_are_named_and_none_are_refused(data, tmp_path, large):
    large(True)
    for wrong, named in ((["s0-u0", "zz"], "zz"), (["s0-u0\0"], "s0-u0"), ([], "empty")):
        with pytest.raises(InputError, match=named):
            derive.subset(str(data), str(tmp_path / "out"), utts=wrong)


def test_a_note_about_other_files_is_not_lost(data, tmp_path, large):
    large(True)
    (data / "trials").write_text("a b\n")
    assert "trials" in str(repair.fix(str(data)).notes)
    assert "trials" in str(derive.subset(str(data), str(tmp_path / "out"), utts=UTTS[:2]).notes)


def test_numbers_and_runs(tmp_path):
    values = {"a": "7", "b": "7", "c": "123456789012345", "d": "0012"}
    table.write(tmp_path / "x", values)
    found = lines.read(tmp_path / "x")
    assert found.numbers().tolist() == [7, 7, 123456789012345, 12]
    assert found.runs()[0] == ["7", "123456789012345", "0012"] and found.runs()[1].tolist() == [0, 2, 3]
    assert found.stored().take(np.array([1, 3])) == b"b 7\nd 0012\n"
    for wrong in ("1234567890123456", "1x", "-1", "1.0"):
        table.write(tmp_path / "x", {**values, "a": wrong})
        assert lines.read(tmp_path / "x").numbers() is None


@pytest.mark.parametrize("block", [1, 3, 1 << 16])
def test_lines_are_copied_from_the_disk(tmp_path, monkeypatch, block):
    monkeypatch.setattr(lines, "BLOCK_LINES", block)
    table.write(tmp_path / "x", {f"k{i:02d}": "v" * (1 + i % 5) for i in range(20)})
    whole, found = (tmp_path / "x").read_bytes().splitlines(keepends=True), lines.read(tmp_path / "x").stored()
    for rows in ([0], [19], [0, 1, 2], [3, 4, 5, 6, 11, 19], list(range(20))):
        assert found.take(np.array(rows)) == b"".join(whole[row] for row in rows)
    assert found.end.dtype == np.uint32


def test_a_table_that_changes_while_it_is_copied_is_told(tmp_path):
    table.write(tmp_path / "x", {"a": "1", "b": "2"})
    found = lines.read(tmp_path / "x").stored()
    table.write(tmp_path / "x", {"a": "12", "b": "2"})
    with pytest.raises(InputError, match="x has changed while it was read; run the same command again"):
        found.take(np.array([1]))


def test_long_values_are_read_too(tmp_path):
    values = {f"k{i}": "y" * size for i, size in enumerate((1, lines.PAD, lines.PAD + 1, 3 * lines.PAD))}
    table.write(tmp_path / "x", values)
    found = lines.read(tmp_path / "x")
    assert found.runs()[0] == list(values.values()) and found.stored().take(np.arange(4)) == (tmp_path / "x").read_bytes()


def same(one, other):
    assert one.fingerprint() == other.fingerprint() and one.classes == other.classes
    for i in range(len(one.keys)):
        assert (one.keys[i], one.spec(i), one.length[i], one.label[i], one.unit(i)) == \
            (other.keys[i], other.spec(i), other.length[i], other.label[i], other.unit(i))


def test_the_index_is_the_same_both_ways(data):
    arrays = UtteranceIndex(data, "wave", labels=True, same="utt2lang")
    (data / "utt2num_samples").write_text((data / "utt2num_samples").read_text().replace(" ", "  ", 1))
    tables = UtteranceIndex(data, "wave", labels=True, same="utt2lang")
    same(arrays, tables)
    assert arrays.same.tolist() == tables.same.tolist() == [0] * len(UTTS) and arrays.num_units == len(UTTS)


def test_a_large_index_is_kept_and_mapped(tmp_path):
    """Made again when a table changes, or the file is damaged; not asked for of other labels."""
    count = kept.LEAST
    for name, value in (("wav.scp", "/x/a.ark:{}"), ("utt2num_samples", "1{}"), ("utt2spk", "s")):
        (tmp_path / name).write_text("".join(f"u{i:07d} {value.format(i)}\n" for i in range(count)))
    def made(**options):
        return UtteranceIndex(tmp_path, "wave", **options)
    first = made(labels=True)
    place, = tmp_path.glob(".index.*")
    again = made(labels=True)
    assert isinstance(again.length, np.memmap) and isinstance(first.length, np.memmap)
    fingerprint = first.fingerprint()
    assert again.classes == ["s"] and again.fingerprint() == fingerprint
    assert [again.spec(i) for i in (0, count - 1)] == ["/x/a.ark:0", f"/x/a.ark:{count - 1}"] and again.keys[7] == "u0000007"
    before = place.read_bytes()
    for damage in (before[:-1], before[:-9] + b"x" + before[-8:], before[:5] + b"x" + before[6:], b""):
        place.write_bytes(damage)
        assert made(labels=True).fingerprint() == fingerprint and place.read_bytes() == before
    assert made().classes == [] and len(list(tmp_path.glob(".index.*"))) == 2
    change("utt2num_samples", "u0000000 10\n", "u0000000 11\n")(tmp_path)
    assert made(labels=True).length[0] == 11


def test_an_index_where_nothing_can_be_written_is_not_kept(tmp_path):
    (tmp_path / "file").write_text("")
    kept.save(tmp_path / "file/x", {}, {"a": np.arange(3)})
    assert kept.load(tmp_path / "file/x", {}) is None
