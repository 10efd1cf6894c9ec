"""Tars of wespeaker, WebDataset and Lhotse Shar become data directories whose audio is read where it lies."""
import gzip
import io
import json
import os
import struct
import tarfile

import numpy as np
import pytest
import recipe_copy
import soundfile
from recipe_copy import run, sh
from tones import conf_text

from sslspk.bin import import_shards
from sslspk.corpora import shards
from sslspk.errors import InputError
from sslspk.io import ark, audio, datadir, files, table

RATE, SPEAKERS, EACH = 16000, 4, 3


def tone(speaker, n):
    rng = np.random.default_rng([speaker, n])
    wave = 3000 * np.sin(2 * np.pi * (150 + 60 * speaker) * np.arange(8000 + 900 * n) / RATE)
    return (wave + rng.normal(0, 800, len(wave))).astype(np.int16)


RECORDINGS = {f"s{spk}-u{n}": tone(spk, n) for spk in range(SPEAKERS) for n in range(EACH)}


def encoded(samples, form="WAV", rate=RATE):
    buffer = io.BytesIO()
    soundfile.write(buffer, samples, rate, format=form, subtype="PCM_16")
    return buffer.getvalue()


def write_tar(path, members):
    """members: (name, bytes) in their order."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with tarfile.open(path, "w") as archive:
        for name, data in members:
            info = tarfile.TarInfo(name)
            info.size = len(data)
            archive.addfile(info, io.BytesIO(data))
    return path


def halves():
    """The recordings in two shards, in an order that is not theirs."""
    mixed = np.random.default_rng(0).permutation(sorted(RECORDINGS)).tolist()
    return mixed[::2], mixed[1::2]


def wespeaker(folder):
    for i, names in enumerate(halves()):
        members = [(f"{name}.{end}", data) for name in names
                   for end, data in (("spk", name[:2].encode()), ("wav", encoded(RECORDINGS[name])))]
        write_tar(folder / f"shards_{i:09d}.tar", members)
    (folder / "shard.list").write_text("shards_000000000.tar\nshards_000000001.tar\n")
    return folder / "shard.list"


def webdataset(folder):
    for i, names in enumerate(halves()):
        members = [(f"./{name}.{end}", data) for name in names
                   for end, data in (("audio.flac", encoded(RECORDINGS[name], "FLAC")),
                                     ("json", json.dumps({"speaker_id": name[:2], "text": "a b"}).encode()))]
        write_tar(folder / f"train-{i:06d}.tar", members)
    return folder


def shar(folder, packed=True, index=False):
    for i, names in enumerate(halves()):
        write_tar(folder / f"recording.{i:06d}.tar", [(f"{name}.{end}", data) for name in names for end, data in (
            ("flac", encoded(RECORDINGS[name], "FLAC")), ("json", json.dumps({"id": name, "sources": [{"type": "shar"}]}).encode()))])
        cuts = "".join(json.dumps({"id": name, "start": 0, "duration": 0.5, "channel": 0, "type": "MonoCut",
                                   "supervisions": [{"id": "x", "speaker": name[:2]}]}) + "\n" for name in names)
        if packed:
            (folder / f"cuts.{i:06d}.jsonl.gz").write_bytes(gzip.compress(cuts.encode()))
        else:
            (folder / f"cuts.{i:06d}.jsonl").write_text(cuts)
        if index:
            size = os.path.getsize(folder / f"recording.{i:06d}.tar")
            (folder / f"recording.{i:06d}.tar.idx").write_bytes(struct.pack("<2Q", 0, size))
    return folder


KINDS = {"wespeaker": wespeaker, "webdataset": webdataset, "shar": shar,
         "shar with indices": lambda folder: shar(folder, packed=False, index=True)}


@pytest.fixture(scope="module")
def recipe(tmp_path_factory):
    recipe = recipe_copy.make(tmp_path_factory.mktemp("shards"))
    (recipe / "conf/tiny.yaml").write_text(conf_text(steps=3, log_every=1, save_every=1))
    return recipe


def gather(monkeypatch, source, out, *options, jobs=1):
    """What steps/import_shards.sh does, in this process."""
    for what in (*(("--job", job) for job in range(1, jobs + 1)), ("--gather",)):
        words = ["import_shards", *what, *options, "--jobs", jobs, source, out]
        monkeypatch.setattr("sys.argv", [str(word) for word in words])
        import_shards.main()


@pytest.mark.parametrize("kind", KINDS)
def test_each_kind_becomes_a_data_directory(tmp_path, kind, monkeypatch, capsys):
    """Samples, lengths and speakers are those of the recordings, and no audio was written."""
    gather(monkeypatch, KINDS[kind](tmp_path / "shards"), tmp_path / "data", jobs=2)
    assert "12 utterances in 2 tars, 4 speakers" in capsys.readouterr().out
    name = (lambda utt: utt.removesuffix(".audio")) if kind == "webdataset" else str
    wav = table.read(tmp_path / "data/wav.scp")
    assert {name(utt) for utt in wav} == set(RECORDINGS)
    for utt, spec in wav.items():
        assert files.split_spec(spec)[0].endswith(".tar")
        samples, rate = audio.read(spec)
        assert rate == RATE and samples.tobytes() == RECORDINGS[name(utt)].tobytes()
        assert audio.read_segment(spec, 1000, 500).tobytes() == RECORDINGS[name(utt)][1000:1500].tobytes()
    assert table.read(tmp_path / "data/utt2num_samples") == {utt: str(len(RECORDINGS[name(utt)])) for utt in wav}
    assert table.read(tmp_path / "data/utt2spk") == {utt: utt[:2] for utt in wav}
    assert {utt: float(text) for utt, text in table.read(tmp_path / "data/utt2dur").items()} == \
        {utt: round(len(RECORDINGS[name(utt)]) / RATE, 4) for utt in wav}
    datadir.validate(str(tmp_path / "data"))
    assert {path.name for path in (tmp_path / "data").iterdir() if not path.name.startswith(".")} == \
        {"wav.scp", "utt2num_samples", "utt2dur", "utt2spk", "spk2utt"}


def test_from_shards_to_embeddings_as_from_files(recipe, tmp_path, monkeypatch):
    """Features, training and embeddings of a directory of shards are, to the bit, those of the recordings as files."""
    (tmp_path / "wav").mkdir()
    for name, samples in RECORDINGS.items():
        soundfile.write(tmp_path / f"wav/{name}.wav", samples, RATE)
    datadir.write(str(recipe / "data/files"), wav={name: str(tmp_path / f"wav/{name}.wav") for name in RECORDINGS},
                  utt2spk={name: name[:2] for name in RECORDINGS}, utt2num_samples={name: len(x) for name, x in RECORDINGS.items()})
    run(recipe, "steps/import_shards.sh", "--nj", "2", wespeaker(tmp_path / "shards"), "data/shards")
    assert not list((recipe / "data/shards").glob(".part*"))
    for data in ("files", "shards"):
        run(recipe, "steps/train.sh", "--conf", "conf/tiny.yaml", f"data/{data}", f"exp/{data}")
        run(recipe, "steps/extract_embeddings.sh", "--nj", "2", f"data/{data}", f"exp/{data}", f"exp/{data}/emb")
        run(recipe, "steps/make_feats.sh", "--nj", "2", "--conf", "conf/fbank.yaml", f"data/{data}")
    monkeypatch.chdir(recipe)   # archives are named from here
    for name in ("exp/{}/emb/xvector.scp", "data/{}/feats.scp"):
        one, two = (np.concatenate([ark.load(spec).ravel() for spec in table.read(name.format(data)).values()])
                    for data in ("files", "shards"))
        assert one.tobytes() == two.tobytes() and np.ptp(one) > 0
    assert "is up to date, skipped" in run(recipe, "steps/import_shards.sh", tmp_path / "shards/shard.list", "data/shards")


def listed(path, **options):
    return [one for shard in shards.find(str(path)) for one in shards.samples(shard, **options)]


WAV = encoded(RECORDINGS["s0-u0"])


@pytest.mark.parametrize(("members", "speaker", "expected"), [
    ([("a.wav", WAV), ("a.cls", b"17")], "auto", "17"),
    ([("d/a.json", b'{"spk": 3}'), ("d/a.wav", WAV)], "auto", "3"),
    ([("a.wav", WAV), ("a.json", b'{"meta": {"who": "Ann B."}}')], "json:meta.who", "Ann_B."),
    ([("a.wav", WAV), ("a.txt", b"ann\n"), ("a.spk", b"other")], "txt", "ann"),
    ([("a.wav", WAV), ("a.txt", b"ann\n")], "none", ""),
    ([("._a.wav", b"of a Mac"), ("a.wav", WAV), ("a.spk", b"s")], "auto", "s"),
])
def test_where_the_speaker_stands(tmp_path, members, speaker, expected):
    sample, = listed(write_tar(tmp_path / "a.tar", members), speaker=speaker)
    assert sample.speaker == expected and audio.read(sample.spec)[0].tobytes() == RECORDINGS["s0-u0"].tobytes()


@pytest.mark.parametrize(("members", "said"), [
    ([("a.wav", WAV), ("b.spk", b"s")], "'a' has no speaker .*--speaker none"),
    ([("a.wav", WAV), ("a.json", b'{"speaker": ""}')], "'a' has no speaker"),
    ([("a.wav", WAV), ("a.json", b'{"speaker": ')], "a.json' is not valid JSON"),
    ([("a.wav", WAV), ("a.spk", b"\xff\xfe")], "a.spk' is no UTF-8"),
    ([("a.wav", WAV), ("a.spk", b"s"), ("a.flac", WAV)], "two recordings 'a'"),
    ([("a.npy", WAV), ("a.spk", b"s")], r"holds no audio of a known format \(but '\.npy, \.spk'\)"),
    ([], "holds no audio"),
])
def test_a_tar_that_cannot_be_used(tmp_path, members, said):
    with pytest.raises(InputError, match=said):
        listed(write_tar(tmp_path / "a.tar", members))


def cuts_of(tmp_path, *cuts):
    write_tar(tmp_path / "recording.0.tar", [("a.flac", encoded(RECORDINGS["s0-u0"], "FLAC")), ("a.json", b"{}")])
    (tmp_path / "cuts.0.jsonl").write_text("".join(json.dumps(cut) + "\n" for cut in cuts))
    return tmp_path


GOOD = {"id": "a", "supervisions": [{"speaker": "s"}]}


@pytest.mark.parametrize(("cuts", "said"), [
    ([GOOD, GOOD], "cuts.0.jsonl:2: .* there twice"),
    ([{"supervisions": []}], "cuts.0.jsonl:1 is no cut"),
    ([GOOD | {"start": 1.5}], "begins 1.5 s after"),
    ([GOOD | {"supervisions": [{"speaker": "s"}, {"speaker": "t"}]}], "has 2 speakers"),
    ([GOOD, {"id": "b"}], "^b is in only one of"),
    ([{"id": "b"}], "^a is in only one of"),
    ([GOOD | {"supervisions": []}], "'a' has no speaker"),
])
def test_cuts_that_cannot_be_used(tmp_path, cuts, said):
    with pytest.raises(InputError, match=said):
        listed(cuts_of(tmp_path, *cuts))


def test_a_cut_without_a_recording_and_a_cut_manifest(tmp_path):
    folder = cuts_of(tmp_path, GOOD, {"id": "b"})
    write_tar(folder / "recording.0.tar", [("a.flac", encoded(RECORDINGS["s0-u0"], "FLAC")), ("a.json", b"{}"), ("b.nodata", b""),
                                           ("b.nometa", b"")])
    assert [(one.name, one.speaker, bool(one.spec)) for one in listed(folder)] == [("a", "s", True), ("b", "", False)]
    (folder / "cuts.0.jsonl.gz").write_bytes(gzip.compress((folder / "cuts.0.jsonl").read_bytes())[:-9])
    with pytest.raises(InputError, match="truncated, or no gzip"):
        listed(folder / "cuts.0.jsonl.gz")


@pytest.mark.parametrize(("name", "content", "said"), [
    ("shard.list", "s3://bucket/a.tar\n", "shard.list:1: .* is no file; download"),
    ("shard.list", "\nmissing.tar\n", "shard.list:2: there is no file"),
    ("shard.list", "a.tar\na.tar\n", "twice"),
    ("a.tar.idx", "12345678", "is not of this tar"),
    ("cuts.7.jsonl", "", "recording.7.tar, which is not beside it"),
])
def test_manifests_that_cannot_be_used(tmp_path, name, content, said):
    write_tar(tmp_path / "a.tar", [("a.wav", WAV), ("a.spk", b"s")])
    (tmp_path / name).write_text(content)
    with pytest.raises(InputError, match=said):
        listed(tmp_path / name.removesuffix(".idx"))


def test_what_stops_an_import(tmp_path, monkeypatch, capsys):
    """One name in two tars, which an id with the shard's name mends; a codec that nothing reads; a compressed tar."""
    one = write_tar(tmp_path / "shards/one.tar", [("a.wav", WAV), ("a.spk", b"s")])
    two = write_tar(tmp_path / "shards/two.tar", [("a.wav", WAV), ("a.spk", b"t")])
    with pytest.raises(InputError, match=r"'a' is in .*one\.tar:512 and .*two\.tar:512; .*--prefix shard"):
        gather(monkeypatch, tmp_path / "shards", tmp_path / "data")
    gather(monkeypatch, tmp_path / "shards", tmp_path / "named", "--prefix", "shard")
    assert table.read(tmp_path / "named/utt2spk") == {"one-a": "s", "two-a": "t"}
    write_tar(two, [("b.mp3", b"ID3 no audio" * 100), ("b.spk", b"t")])
    with pytest.raises(InputError, match="1 of 2 recordings cannot be used"):
        gather(monkeypatch, tmp_path / "shards", tmp_path / "data")
    assert f"{two}:512\t" in (tmp_path / "data/bad_files.txt").read_text() and not (tmp_path / "data/wav.scp").exists()
    write_tar(two, [("b.wav", encoded(RECORDINGS["s0-u0"], rate=8000)), ("b.spk", b"t")])
    gather(monkeypatch, tmp_path / "shards", tmp_path / "data", "--check", "full", "--prefix", "speaker", "--speaker", "auto")
    assert "1 have 8000 Hz; steps/pack_audio.sh" in capsys.readouterr().out
    assert list(table.read(tmp_path / "data/wav.scp")) == ["s-a", "t-b"]
    one.write_bytes(gzip.compress(b"x"))
    with pytest.raises(InputError, match=r"one\.tar is compressed \(gzip\)"):
        gather(monkeypatch, tmp_path / "shards", tmp_path / "data")


def test_a_few_bad_recordings_are_left_out(tmp_path, monkeypatch):
    members = [(f"u{n:02}.{end}", data) for n in range(30) for end, data in (("wav", WAV[:40] if n == 7 else WAV), ("spk", b"s"))]
    gather(monkeypatch, write_tar(tmp_path / "a.tar", members), tmp_path / "data", "--speaker", "none")
    assert len(table.read(tmp_path / "data/wav.scp")) == 29 and not (tmp_path / "data/utt2spk").exists()
    assert "truncated" in (tmp_path / "data/bad_files.txt").read_text()


def test_the_step_says_in_one_sentence_what_is_wrong(recipe, tmp_path):
    tar = write_tar(tmp_path / "a.tar", [("a.wav", WAV), ("a.spk", b"s")])
    os.truncate(tar, 3000)
    done = sh(recipe, "steps/import_shards.sh", "--nj", "1", tar, tmp_path / "data")
    assert done.returncode == 1 and "a.tar is truncated" in done.stderr + done.stdout and "Traceback" not in done.stderr + done.stdout
    assert not (tmp_path / "data/wav.scp").exists()
