"""Kaldi data directories."""
import os
import random

import pytest

from sslspk.errors import InputError
from sslspk.io import datadir, derive, files, repair, table


def contents(folder):
    return {name: table.read(os.path.join(folder, name)) for name in sorted(os.listdir(folder))
            if not name.startswith(".") and os.path.isfile(os.path.join(folder, name))}


@pytest.fixture
def data(tmp_path):
    """Three speakers with 2, 3 and 4 utterances, given in random order."""
    utts = [f"s{spk}-u{n}" for spk in range(3) for n in range(spk + 2)]
    random.Random(0).shuffle(utts)
    folder = str(tmp_path / "data")
    datadir.write(folder, wav={utt: f"/audio/{utt}.wav" for utt in utts}, utt2spk={utt: utt[:2] for utt in utts},
                  utt2dur=dict.fromkeys(utts, 1.5), utt2num_frames=dict.fromkeys(utts, 148),
                  feats={utt: f"f.ark:{i}" for i, utt in enumerate(utts)},
                  spk2gender={"s0": "f", "s1": "m", "s2": "f"})
    return folder


def test_what_is_written_is_valid(data):
    tables = datadir.validate(data, need=("wav.scp", "feats.scp"))
    assert sorted(tables) == ["feats.scp", "spk2gender", "spk2utt", "utt2dur", "utt2num_frames", "utt2spk", "wav.scp"]
    assert tables["spk2utt"] == {"s0": "s0-u0 s0-u1", "s1": "s1-u0 s1-u1 s1-u2", "s2": "s2-u0 s2-u1 s2-u2 s2-u3"}
    assert list(tables["wav.scp"]) == sorted(tables["wav.scp"])
    assert tables["utt2dur"]["s0-u0"] == "1.5"


def test_write_removes_tables_of_an_earlier_time(data):
    datadir.write(data, wav={"a": "a.wav"}, utt2spk={"a": "a"})
    assert sorted(contents(data)) == ["spk2utt", "utt2spk", "wav.scp"]


def test_write_refuses_tables_that_disagree_before_it_writes(tmp_path):
    folder = str(tmp_path / "new")
    with pytest.raises(InputError, match="utt2dur lacks b"):
        datadir.write(folder, wav={"a": "x", "b": "y"}, utt2spk={"a": "s", "b": "s"}, utt2dur={"a": 1})
    with pytest.raises(InputError, match="no utterance"):
        datadir.write(folder, wav={}, utt2spk={})
    assert not os.path.exists(folder)


@pytest.mark.parametrize(("name", "old", "new", "message"), [
    ("wav.scp", "s0-u1 /audio/s0-u1.wav\n", "", "wav.scp lacks s0-u1, which"),
    ("utt2spk", "s0-u1 s0\n", "", "has s0-u1, which"),
    ("feats.scp", "s0-u1 ", "s0-u2 ", "feats.scp lacks s0-u1"),
    ("utt2dur", "s0-u1 1.5\n", "", "utt2dur lacks s0-u1"),
    ("spk2utt", "s0-u0 s0-u1", "s0-u0", "the utterances of s0"),
    ("spk2utt", "s0 s0-u0 s0-u1\n", "", "spk2utt lacks s0"),
    ("spk2gender", "s0 f\n", "", "spk2gender lacks s0"),
    ("wav.scp", "/audio/s0-u1.wav", "sox a.wav -t wav - |", "wav.scp:2: s0-u1 is a shell command"),
    ("feats.scp", "s0-u1 ", "s0-u1 copy-feats |", "feats.scp:2: s0-u1 is a shell command"),
    ("utt2dur", "s0-u1 1.5", "s0-u1 long", "utt2dur:2: the value of s0-u1 is 'long'"),
    ("utt2dur", "s0-u1 1.5", "s0-u1 nan", "utt2dur:2: the value of s0-u1 is 'nan'"),
    ("utt2num_frames", "s0-u1 148", "s0-u1 14.8", "utt2num_frames:2: the value of s0-u1 is '14.8'"),
    ("wav.scp", "s0-u1", "s0-u0", "wav.scp:2: s0-u0 is there twice"),
    ("utt2spk", "s1-u0 s1\n", "\n", "utt2spk:3: a blank line"),
])
def test_each_bad_entry_is_named(data, name, old, new, message):
    path = os.path.join(data, name)
    with open(path) as file:
        text = file.read()
    assert old in text
    with open(path, "w") as file:
        # what stood behind a replaced feats.scp key stays behind the pipe, where it does not matter
        file.write(text.replace(old, new, 1) if "copy-feats" not in new else f"{text.splitlines()[0]}\ns0-u1 copy-feats |\n"
                   + "".join(line + "\n" for line in text.splitlines()[2:]))
    with pytest.raises(InputError) as caught:
        datadir.validate(data)
    assert message in str(caught.value)


@pytest.mark.parametrize(("name", "remedy"), [("utt2spk", "steps/cluster.sh"), ("spk2utt", "utils/fix_data_dir.sh"),
                                              ("wav.scp", "the step that makes it")])
def test_missing_tables_are_named(data, name, remedy):
    os.unlink(os.path.join(data, name))
    with pytest.raises(InputError, match=f"{name} is missing; .*{remedy}"):
        datadir.validate(data, need=("wav.scp", "utt2spk", "spk2utt"))


def test_missing_directory_and_vad(data):
    with pytest.raises(InputError, match="nowhere is not a data directory"):
        datadir.validate("/nowhere")
    with pytest.raises(InputError, match=r"vad\.scp is missing"):
        datadir.validate(data, need=("vad.scp",))


def test_pipes_and_files(tmp_path):
    folder, wav = str(tmp_path / "d"), tmp_path / "a.wav"
    datadir.write(folder, wav={"a": f"{wav}:44", "b": "cat x |"}, utt2spk={"a": "a", "b": "b"})
    with pytest.raises(InputError, match="shell command"):
        datadir.validate(folder)
    datadir.validate(folder, allow_pipes=True)
    with pytest.raises(InputError, match=r"wav\.scp:1: a names .*a\.wav, which is not there"):
        datadir.validate(folder, allow_pipes=True, check_files=True)
    wav.write_bytes(b"x")
    datadir.validate(folder, allow_pipes=True, check_files=True)


def test_fix_repairs_what_can_be_repaired(data):
    with open(os.path.join(data, "wav.scp")) as file:
        lines = file.readlines()
    with open(os.path.join(data, "wav.scp"), "w") as file:
        file.writelines([*lines[3:], "\n", lines[0], lines[0], "s2-u3\n"])
    os.unlink(os.path.join(data, "spk2utt"))
    count, notes = repair.fix(data)
    tables = datadir.validate(data)
    kept = ["s0-u0", "s1-u1", "s1-u2", "s2-u0", "s2-u1", "s2-u2", "s2-u3"]
    assert list(tables["wav.scp"]) == list(tables["utt2dur"]) == kept
    assert count == 7 and notes == [
        "feats.scp: dropped 2, not in wav.scp: s0-u1, s1-u0", "utt2dur: dropped 2, not in wav.scp: s0-u1, s1-u0",
        "utt2num_frames: dropped 2, not in wav.scp: s0-u1, s1-u0", "utt2spk: dropped 2, not in wav.scp: s0-u1, s1-u0",
        "wav.scp: dropped 1, blank line: line 7", "wav.scp: dropped 1, no value: s2-u3", "wav.scp: dropped 1, repeated: s0-u0"]
    assert os.path.exists(os.path.join(data, ".backup", "wav.scp"))


def test_fix_drops_speakers_without_an_entry(data):
    table.write(os.path.join(data, "spk2gender"), {"s0": "f", "s9": "m"})
    repair.fix(data)
    tables = datadir.validate(data)
    assert tables["spk2gender"] == {"s0": "f"}
    assert list(tables["utt2spk"]) == ["s0-u0", "s0-u1"]
    table.write(os.path.join(data, "utt2dur"), {"zz": 1})
    with pytest.raises(InputError, match="no utterance is in all of"):
        repair.fix(data)


@pytest.mark.parametrize("n", [1, 2, 3, 5, 9])
@pytest.mark.parametrize("per_utt", [False, True])
def test_split_covers_everything_once(data, n, per_utt):
    whole = contents(data)
    made = derive.split(data, n, per_utt)
    assert made == [f"{data}/split{n}{'utt' if per_utt else ''}/{part}" for part in range(1, n + 1)]
    merged = {}
    for part in made:
        for name, content in datadir.validate(part).items():
            if name != "spk2utt":
                merged.setdefault(name, {}).update(content)
    assert merged == {name: content for name, content in whole.items() if name != "spk2utt"}
    sizes = [len(table.read(f"{part}/wav.scp")) for part in made]
    assert min(sizes) > 0
    assert max(sizes) - min(sizes) <= 1 or (not per_utt and max(sizes) * n <= 1.25 * sum(sizes))


def test_split_keeps_speakers_whole_when_that_is_even(tmp_path):
    utts = [f"s{i}-u{j}" for i in range(4) for j in range(5)]
    folder = str(tmp_path / "d")
    datadir.write(folder, wav=dict.fromkeys(utts, "x.wav"), utt2spk={utt: utt[:2] for utt in utts})
    for part in derive.split(folder, 4):
        assert len(table.read(f"{part}/spk2utt")) == 1
    with pytest.raises(InputError, match="has 20 utterances, which cannot be split into 21 parts"):
        derive.split(folder, 21)


def test_subset(data, tmp_path):
    out = str(tmp_path / "out")
    assert derive.subset(data, out, utts=["s2-u1", "s0-u0"]) == (2, [])
    assert list(datadir.validate(out)["wav.scp"]) == ["s0-u0", "s2-u1"]
    assert list(table.read(f"{out}/spk2gender")) == ["s0", "s2"]
    assert derive.subset(data, out, speakers=["s1"]).count == 3
    assert datadir.validate(out)["spk2utt"] == {"s1": "s1-u0 s1-u1 s1-u2"}
    for wrong in ({"utts": ["zz"]}, {"speakers": ["zz"]}):
        with pytest.raises(InputError, match="zz"):
            derive.subset(data, out, **wrong)
    with pytest.raises(InputError, match="is empty"):
        derive.subset(data, out, utts=[])


def test_combine(data, tmp_path):
    one, two, out = (str(tmp_path / name) for name in ("one", "two", "out"))
    derive.subset(data, one, utts=["s0-u0", "s1-u0"])
    derive.subset(data, two, utts=["s1-u1", "s2-u0"])
    os.unlink(f"{two}/feats.scp")
    assert derive.combine(out, one, two) == (4, [f"feats.scp is left out, since {two} lacks it"])
    tables = datadir.validate(out)
    assert tables["spk2utt"] == {"s0": "s0-u0", "s1": "s1-u0 s1-u1", "s2": "s2-u0"}
    assert "feats.scp" not in tables and list(tables["spk2gender"]) == ["s0", "s1", "s2"]
    with pytest.raises(InputError, match="s0-u0 is in another directory too"):
        derive.combine(out, one, data)


def test_relabel(data, tmp_path):
    """Clusters in place of speakers; utterances without one are left out, and the copy says what its labels are."""
    out = str(tmp_path / "out")
    labels = {"s0-u1": "c2", "s1-u0": "c1", "s2-u3": "c2"}
    assert datadir.label_source(data) == "speaker"
    assert derive.relabel(data, out, labels, "pseudo") == (
        3, ["not copied, since they describe the former speakers: spk2gender"]) and datadir.label_source(out) == "pseudo"
    tables = datadir.validate(out, need=("wav.scp", "feats.scp"))
    assert tables["utt2spk"] == labels and tables["spk2utt"] == {"c1": "s1-u0", "c2": "s0-u1 s2-u3"}
    assert tables["wav.scp"]["s2-u3"] == "/audio/s2-u3.wav" and "spk2gender" not in tables
    for wrong, named in (({"s9-u0": "c1"}, "no utterance s9-u0"), ({}, "no label")):
        with pytest.raises(InputError, match=named):
            derive.relabel(data, str(tmp_path / "no"), wrong, "pseudo")
    assert not (tmp_path / "no").exists()


def test_true_labels_never_keep_the_mark_of_clusters(data, tmp_path):
    """Whatever writes over a relabelled directory says what its own labels are."""
    out, labels = str(tmp_path / "out"), {"s0-u1": "c2", "s1-u0": "c1", "s2-u3": "c2"}
    for write in (lambda: derive.combine(out, data), lambda: derive.subset(data, out, speakers=["s1"]),
                  lambda: datadir.write(out, wav={"a": "a.wav"}, utt2spk={"a": "a"})):
        derive.relabel(data, out, labels, "pseudo")
        write()
        assert datadir.label_source(out) == "speaker" and not os.path.exists(f"{out}/{datadir.LABEL_SOURCE}")


def test_the_mark_of_clusters_goes_along(data, tmp_path):
    clustered, out = str(tmp_path / "clustered"), str(tmp_path / "out")
    derive.relabel(data, clustered, {"s0-u1": "c2", "s1-u0": "c1", "s2-u3": "c2"}, "pseudo + speaker (15 %)")
    derive.subset(clustered, out, speakers=["c2"])
    made = derive.split(clustered, 2)
    assert {datadir.label_source(folder) for folder in (out, *made)} == {"pseudo + speaker (15 %)"}
    repair.fix(clustered)
    assert datadir.label_source(clustered) == "pseudo + speaker (15 %)"
    rest = str(tmp_path / "rest")
    derive.subset(data, rest, utts=["s0-u0", "s1-u1"])
    derive.combine(str(tmp_path / "both"), rest, clustered)
    assert datadir.label_source(tmp_path / "both") == "speaker + pseudo + speaker (15 %)"
    datadir.write(out, wav={"a": "a.wav"}, utt2spk={"a": "a"}, labels="pseudo")
    assert datadir.label_source(out) == "pseudo"


def test_a_run_that_is_cut_off_never_makes_true_labels_look_like_clusters(data, tmp_path, monkeypatch):
    out = str(tmp_path / "out")
    derive.relabel(data, out, {"s0-u1": "c2", "s1-u0": "c1"}, "pseudo")

    def full_disk(path, mode="w"):
        raise OSError("no space left")
    monkeypatch.setattr(files, "atomic_write", full_disk)
    for write in (lambda: derive.subset(data, out, speakers=["s1"]), lambda: derive.relabel(data, out, {"s0-u1": "c"}, "other")):
        with pytest.raises(OSError, match="no space"):
            write()
        assert datadir.label_source(out) == "pseudo" and datadir.read_table(out, "utt2spk") == {"s0-u1": "c2", "s1-u0": "c1"}


@pytest.mark.parametrize("name", ["text", "wav.scp", "utt2dur", "spk2utt"])
def test_a_folder_in_the_place_of_a_table_is_refused_by_every_tool(tmp_path, name):
    folder = tmp_path / "data"
    datadir.write(str(folder), wav={"u1": "/a.wav"}, utt2spk={"u1": "s"}, utt2dur={"u1": "1.0"}, text={"u1": "hello"})
    (folder / name).unlink()
    (folder / name).mkdir()
    for call in (lambda: datadir.validate(str(folder), need=()), lambda: datadir.read(str(folder))):
        with pytest.raises(InputError, match=f"{name} is a folder, not a file"):
            call()


@pytest.mark.parametrize("text", ["1_0", "\u0661", "nan", "inf", "-1", "0x1"])
def test_a_length_is_a_plain_decimal_number(tmp_path, text):
    folder = tmp_path / "data"
    datadir.write(str(folder), wav={"u1": "/a.wav"}, utt2spk={"u1": "s"}, utt2dur={"u1": text})
    with pytest.raises(InputError, match="utt2dur:1: the value of u1"):
        datadir.validate(str(folder))
