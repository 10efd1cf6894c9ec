"""Mending a data directory: nothing is lost unsaid, no id changes, and all of it changes or none."""
import os
import shutil
import sys
from pathlib import Path

import pytest

from sslspk.errors import InputError
from sslspk.io import datadir, derive, repair, table

UTTS = ("a-1", "a-2", "b-1", "b\u00a0x-2")


@pytest.fixture
def data(tmp_path):
    folder = str(tmp_path / "data")
    datadir.write(folder, wav={utt: f"/audio/{utt}.wav" for utt in UTTS}, utt2spk={utt: utt[0] for utt in UTTS},
                  text={utt: "hello" for utt in UTTS}, utt2lang=dict.fromkeys(UTTS, "en"), spk2gender={"a": "f", "b": "m"},
                  **{"cmvn.scp": {"a": "c.ark:2", "b": "c.ark:9"}})
    return folder


def put(folder, name, text):
    with open(os.path.join(folder, name), "w", encoding="utf-8", newline="") as file:
        file.write(text)


def state(folder):
    return {path.name: path.read_bytes() for path in sorted(Path(folder).iterdir()) if path.is_file()}


@pytest.mark.parametrize(("name", "text"), [
    ("utt2spk", "\ufeffa-1 a\na-2 a\nb-1 b\nb\u00a0x-2 b\n"),
    ("utt2spk", "a-1 a\r\na-2 a\r\nb-1 b\r\nb\u00a0x-2 b\r\n"),
    ("utt2spk", "b\u00a0x-2\tb\n b-1  b\na-2 a \na-1 a\na-1 a\n\n"),
    ("text", "a-1\na-2 \nb-1 hello\nb\u00a0x-2 \u3000\n"),
    ("spk2utt", "b b-1\n"),
])
def test_what_other_programs_write_loses_no_utterance(data, name, text):
    put(data, name, text)
    assert repair.fix(data).count == len(UTTS)
    tables = datadir.validate(data)
    assert {tuple(content) for key, content in tables.items() if not key.startswith(("spk2", "cmvn"))} == {UTTS}
    assert tables["utt2spk"]["b\u00a0x-2"] == "b"


def test_what_is_dropped_is_said_by_table_and_reason(data):
    put(data, "wav.scp", "a-1 x.wav\na-2\nb-1 y.wav\nb\u00a0x-2 z.wav")
    put(data, "spk2gender", "a f\n")
    count, notes = repair.fix(data)
    assert count == 1 and list(table.read(f"{data}/wav.scp")) == ["a-1"]
    assert "wav.scp: dropped 1, no value: a-2" in notes
    assert "wav.scp: kept 1, last line without an end, perhaps cut short: line 4" in notes
    assert "wav.scp: dropped 2, of speakers that spk2gender lacks: b-1, 'b\\xa0x-2'" in notes
    assert "text: dropped 1, not in wav.scp: a-2" in notes
    assert "cmvn.scp: dropped 1, no utterance of this speaker is left: b" in notes
    assert table.read_lines(f"{data}/.backup/wav.scp")[0] == "a-1 x.wav"
    before = state(f"{data}/.backup")
    assert repair.fix(data) == (1, []) and state(f"{data}/.backup") == before   # nothing to mend: what was kept stays


@pytest.mark.parametrize(("name", "text", "message"), [
    ("utt2spk", "a-1 a\na-1 b\n", "utt2spk:2: a-1 has two different values"),
    ("utt2spk", "a-1\x0cx a\n", "utt2spk:1: a control character"),
    ("utt2dur", "zz 1\n", "no utterance is in all of"),
    ("utt2dur", "", "utt2dur is empty"),
])
def test_what_cannot_be_decided_changes_nothing(data, name, text, message):
    put(data, "wav.scp", "b-1 y.wav\na-1 x.wav\n")
    put(data, name, text)
    before = state(data)
    with pytest.raises(InputError, match=message):
        repair.fix(data)
    assert state(data) == before


def test_speakers_are_made_from_spk2utt_or_do_without(data):
    os.unlink(f"{data}/utt2spk")
    assert repair.fix(data) == (4, ["utt2spk: made 4, from spk2utt: a-1, a-2, b-1, 'b\\xa0x-2'"])
    assert datadir.validate(data)["utt2spk"] == {utt: utt[0] for utt in UTTS}
    for name in ("utt2spk", "spk2utt", "spk2gender", "cmvn.scp"):
        os.unlink(f"{data}/{name}")
    put(data, "text", "a-1 x\nb-1 y\n")
    assert repair.fix(data).count == 2
    assert sorted(datadir.validate(data)) == ["text", "utt2lang", "wav.scp"]


def test_killed_at_any_moment_all_is_as_before_or_mended(data):
    """A child is ended at its k-th change of a file's name, for every k."""
    put(data, "wav.scp", "b-1 y.wav\na-1 x.wav\na-1 x.wav\n")
    put(data, "ctm", "a-1 1 0 0.5 hello\na-2 1 0 0.5 hello\n")
    whole = f"{data}.whole"
    shutil.copytree(data, whole)
    repair.fix(whole)
    before, after = state(data), state(whole)
    assert before["text"] != after["text"] and after["ctm"] == b"a-1 1 0 0.5 hello\n"
    seen, kills = set(), 0
    while True:
        copy = f"{data}.{kills}"
        shutil.copytree(data, copy)
        if not killed(lambda copy=copy: repair.fix(copy), kills):
            break
        datadir.table_names(copy)   # as every program does first
        assert state(copy) in (before, after)
        seen.add(state(copy) == after)
        kills += 1
    assert seen == {False, True} and kills > 20


def killed(work, at):
    """Whether a child that does `work` was ended by us, at its change number `at` of the file system."""
    child = os.fork()
    if not child:
        left = [at]

        def watch(event, args):
            if event in ("os.rename", "os.remove", "os.rmdir", "os.mkdir", "os.unlink"):
                if not left[0]:
                    os._exit(9)
                left[0] -= 1
        sys.addaudithook(watch)
        work()
        os._exit(0)
    return os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 9


LISTS = {"ctm": "a-1 1 0 0.5 hi\na-1 1 0.5 0.5 you\nb-1 1 0 1 ho\n", "spk2age.txt": "a 30\nb 40\n", "frame_shift": "0.01\n"}
UNKNOWN = {"README": "Made by hand.\n", "wav.md5": "d41d8cd98f00b204e9800998ecf8427e  a-1.wav\n", "trials": "a-1 b-1 nontarget\n"}


@pytest.mark.parametrize("tool", ["subset", "relabel", "fix"])
def test_other_files_go_along_where_their_key_is_known_and_are_named_else(data, tmp_path, tool):
    for name, text in {**LISTS, **UNKNOWN}.items():
        put(data, name, text)
    os.mkdir(f"{data}/lang")
    out = str(tmp_path / "out")
    if tool == "subset":
        notes = derive.subset(data, out, utts=["a-1", "a-2"]).notes
    elif tool == "relabel":
        notes = derive.relabel(data, out, {"a-1": "x", "a-2": "x"}, "pseudo").notes
    else:
        out = data
        put(data, "text", "a-1 x\na-2 y\n")
        notes = repair.fix(data).notes
    found = state(out)
    assert found["ctm"] == b"a-1 1 0 0.5 hi\na-1 1 0.5 0.5 you\n" and found["frame_shift"] == b"0.01\n"
    assert list(table.read(f"{out}/utt2lang")) == ["a-1", "a-2"]
    named = [note for note in notes if all(name in note for name in ("README", "wav.md5", "trials", "lang"))]
    assert len(named) == 1 and len(named[0]) < 160
    if tool == "relabel":   # a, b were the speakers of before
        assert any("cmvn.scp" in note and "spk2gender" in note for note in notes) and "cmvn.scp" not in found
        assert any("spk2age.txt" in note for note in notes) and "spk2age.txt" not in found
    else:
        assert found["cmvn.scp"] == b"a c.ark:2\n" and found["spk2age.txt"] == b"a 30\n"


def test_a_union_names_what_does_not_go_along(data, tmp_path):
    other, out = str(tmp_path / "other"), str(tmp_path / "out")
    datadir.write(other, wav={"c-1": "c.wav"}, utt2spk={"c-1": "c"}, utt2lang={"c-1": "de"})
    put(other, "README", "x\n")
    os.mkdir(f"{data}/split4")
    count, notes = derive.combine(out, data, other)
    assert count == 5 and sorted(datadir.validate(out)) == ["spk2utt", "utt2lang", "utt2spk", "wav.scp"]
    assert {note.split()[0] for note in notes} == {"cmvn.scp", "spk2gender", "text", "not"} and notes[-1].endswith("/other/README")
    assert len(notes) == 4
