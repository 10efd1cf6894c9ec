"""Kaldi's `segments`: utterances that are parts of recordings, through every tool that reads or writes a data directory."""
import sys

import numpy as np
import pytest
import soundfile

from sslspk.bin import augment_data, make_feats, pack_audio
from sslspk.data.index import UtteranceIndex
from sslspk.data.views import read as read_view
from sslspk.errors import InputError
from sslspk.features import extract
from sslspk.features.config import FeatureOptions
from sslspk.features.fbank import Extractor
from sslspk.io import ark, audio, clips, datadir, derive, repair, table

RATE = 8000
SEGMENTS = {"a-1": "r1 0 1", "a-2": "r1 0.99995 2.50001", "b-1": "r2 0.3 -1", "b-2": "r3 1.2 1.3001e0", "c-1": "r3 0 2.1"}
SPEAKERS = {utt: utt[0] for utt in SEGMENTS}


@pytest.fixture
def data(tmp_path):
    """Three recordings, 3, 2 and 2 s long, whose samples say where they come from; r3 is cut 0.1 s beyond its end."""
    wav = {}
    for i, seconds in enumerate((3, 2, 2), 1):
        wav[f"r{i}"] = str(tmp_path / f"r{i}.wav")
        soundfile.write(wav[f"r{i}"], samples(i, seconds), RATE)
    folder = tmp_path / "data"
    datadir.write(str(folder), wav=wav, utt2spk=SPEAKERS, segments=SEGMENTS, reco2dur={"r1": 3, "r2": 2, "r3": 2},
                  reco2file_and_channel={reco: f"{reco} A" for reco in wav}, text=dict.fromkeys(SEGMENTS, "x"))
    return folder


def samples(i, seconds):
    return (i * 10000 + np.arange(seconds * RATE) % 5000).astype(np.int16)


def expected():
    """What Kaldi's extract-segments cuts: samples int(start * rate) to int(end * rate)."""
    return {"a-1": samples(1, 3)[:8000], "a-2": samples(1, 3)[7999:20000], "b-1": samples(2, 2)[2400:], "b-2": samples(3, 2)[9600:10400],
            "c-1": samples(3, 2)}


def call(monkeypatch, program, *words):
    monkeypatch.setattr(sys, "argv", [program.__name__, *map(str, words)])
    return program.main()


def test_the_audio_of_each_utterance_is_its_part_of_the_recording(data):
    for utt, clip in clips.read(data).items():
        found = clips.load(clip)
        np.testing.assert_array_equal(found.samples, expected()[utt])
        assert found.rate == RATE


def test_a_segment_after_another_does_not_change_what_is_read(data):
    both = clips.read(data)
    first = clips.load(both["a-1"]).samples
    first[:] = 0
    np.testing.assert_array_equal(clips.load(both["a-1"]).samples, expected()["a-1"])


MALFORMED = ("r1 1 1", "r1 2 1", "r1 -1 1", "r1 0 nan", "r1 0 inf", "r1 0", "r1 0 1 2 3", "r1 0 1 A", "r1 0 1_0", "r1 x 1")


@pytest.mark.parametrize(("value", "message"), [
    ("r1 0 3.5", "ends beyond its recording"), ("r1 3 3.2", "ends beyond its recording"), ("r1 0 99", "ends beyond its recording"),
    ("r1 1 1.0001", "holds no sample"), ("r9 0 1", "which .*wav.scp lacks"), *((value, "is not") for value in MALFORMED),
])
def test_a_bad_line_is_named(data, value, message):
    table.write(data / "segments", {**SEGMENTS, "b-1": value})
    with pytest.raises(InputError, match=rf"segments:3: .*{message}"):
        clips.load(clips.read(data)["b-1"])


@pytest.mark.parametrize("work", [None, "elsewhere"])
def test_a_piece_names_the_table_that_it_was_taken_from(data, tmp_path, work):
    """The pieces may lie in another folder than the directory's own, which then stays as it is."""
    before, place = sorted(data.iterdir()), tmp_path / work if work else data
    derive.split(str(data), 2, work=work and str(place))
    assert not work or sorted(data.iterdir()) == before
    for line in (place / "split2/1/segments").read_text().splitlines():
        utt = line.split()[0]
        clip = clips.read(place / "split2/1")[utt]._replace(start=1e6, end=None)
        with pytest.raises(InputError, match=rf"^{data}/segments: the segment ends beyond"):
            clips.load(clip)


def test_a_segment_may_end_a_little_after_its_recording(data):
    table.write(data / "segments", {**SEGMENTS, "b-1": "r2 1.5 2.499"})
    np.testing.assert_array_equal(clips.load(clips.read(data)["b-1"]).samples, samples(2, 2)[12000:])


def test_a_directory_with_segments_is_valid_and_one_that_disagrees_is_not(data):
    tables = datadir.validate(str(data))
    assert list(tables["wav.scp"]) == ["r1", "r2", "r3"] and list(tables["utt2spk"]) == list(SEGMENTS)
    for name, content, message in (("segments", {**SEGMENTS, "b-1": "r2 3 2"}, r"segments:3: 'r2 3 2' of b-1 is not"),
                                   ("segments", {**SEGMENTS, "b-1": "r1 1 2"}, "has r2, which .*segments lacks"),
                                   ("segments", {**SEGMENTS, "b-1": "r4 1 2"}, "lacks r4, which .*segments has"),
                                   ("reco2dur", {"r1": 3, "r2": 2}, "reco2dur lacks r3"),
                                   ("reco2dur", {"r1": 3, "r2": 2, "r3": "x"}, "reco2dur:3: the value of r3"),
                                   ("text", {"a-1": "x"}, "text lacks a-2")):
        before = (data / name).read_bytes()
        table.write(data / name, content)
        with pytest.raises(InputError, match=message):
            datadir.validate(str(data))
        (data / name).write_bytes(before)


def part(folder, utts, recordings):
    tables = datadir.validate(str(folder))
    assert list(tables["segments"]) == list(tables["text"]) == list(tables["utt2spk"]) == utts
    assert list(tables["wav.scp"]) == list(tables["reco2dur"]) == list(tables["reco2file_and_channel"]) == recordings


def test_parts_have_the_recordings_that_they_need(data, tmp_path):
    derive.subset(str(data), str(tmp_path / "some"), utts=["a-2", "c-1"])
    part(tmp_path / "some", ["a-2", "c-1"], ["r1", "r3"])
    derive.subset(str(data), str(tmp_path / "rest"), speakers=["b"])
    part(tmp_path / "rest", ["b-1", "b-2"], ["r2", "r3"])
    one, two = derive.split(str(data), 2)
    part(one, ["a-1", "a-2"], ["r1"])
    part(two, ["b-1", "b-2", "c-1"], ["r2", "r3"])
    derive.relabel(str(data), str(tmp_path / "labelled"), {"a-1": "x", "b-1": "x"}, "pseudo")
    part(tmp_path / "labelled", ["a-1", "b-1"], ["r1", "r2"])
    derive.combine(str(tmp_path / "both"), str(tmp_path / "some"), str(tmp_path / "rest"))   # r3 is in both, and the same
    part(tmp_path / "both", ["a-2", "b-1", "b-2", "c-1"], ["r1", "r2", "r3"])


def test_a_union_with_a_directory_of_whole_recordings(data, tmp_path):
    soundfile.write(tmp_path / "d-1.wav", samples(0, 1), RATE)
    datadir.write(str(tmp_path / "whole"), wav={"d-1": str(tmp_path / "d-1.wav")}, utt2spk={"d-1": "d"})
    count, notes = derive.combine(str(tmp_path / "both"), str(data), str(tmp_path / "whole"))
    assert count == 6 and [note.split()[0] for note in notes] == ["reco2dur", "reco2file_and_channel", "text"]
    np.testing.assert_array_equal(clips.load(clips.read(tmp_path / "both")["d-1"]).samples, samples(0, 1))
    table.write(tmp_path / "whole/wav.scp", {"r1": "another.wav"})
    table.write(tmp_path / "whole/utt2spk", {"r1": "d"})
    table.write(tmp_path / "whole/spk2utt", {"d": "r1"})
    with pytest.raises(InputError, match="r1 has another value in another directory"):
        derive.combine(str(tmp_path / "both"), str(data), str(tmp_path / "whole"))


def test_repair_drops_what_cannot_be_cut_and_recordings_that_nobody_needs(data):
    table.write(data / "segments", {**SEGMENTS, "a-1": "r1 5 4", "b-1": "r9 0 1"})
    count, notes = repair.fix(str(data))
    assert count == 3 and table.read(data / "segments").keys() == {"a-2", "b-2", "c-1"}
    assert 'segments: dropped 1, not "recording start end [channel]": a-1' in notes
    assert "segments: dropped 1, of recordings that wav.scp lacks: b-1" in notes
    assert "wav.scp: dropped 1, no utterance of this recording is left: r2" in notes
    assert "utt2spk: dropped 2, not in segments: a-1, b-1" in notes
    part(data, ["a-2", "b-2", "c-1"], ["r1", "r3"])


def test_features_are_those_of_the_cut_recording(data, tmp_path, monkeypatch):
    derive.subset(str(data), str(tmp_path / "some"), utts=["a-2", "b-1"])
    call(monkeypatch, make_feats, "extract", "--set", f"sample_frequency={RATE}", "--set", "high_freq=0", tmp_path / "some",
         tmp_path / "f.ark", tmp_path / "f.scp")
    extractor = Extractor(FeatureOptions(sample_frequency=RATE, high_freq=0))
    for utt, spec in table.read(tmp_path / "f.scp").items():
        soundfile.write(tmp_path / "cut.wav", expected()[utt], RATE)
        alone, seconds = extract.recording(lambda wave: extractor(wave[None]), RATE, utt, clips.Clip(str(tmp_path / "cut.wav")))
        np.testing.assert_array_equal(ark.load(spec), alone[0].numpy())
        assert float(table.read(tmp_path / "f.scp.utt2dur")[utt]) == pytest.approx(seconds, abs=1e-4)


def test_packed_utterances_are_recordings_of_their_own(data, tmp_path, monkeypatch):
    derive.subset(str(data), str(tmp_path / "some"), utts=["a-1", "a-2", "b-1", "c-1"])
    call(monkeypatch, pack_audio, "--rate", RATE, tmp_path / "some", tmp_path / "p.ark", tmp_path / "p.scp")
    packed = table.read(tmp_path / "p.scp")
    assert list(packed) == ["a-1", "a-2", "b-1", "c-1"]
    for utt, spec in packed.items():
        np.testing.assert_array_equal(audio.read(spec)[0], expected()[utt])


def test_training_reads_crops_of_the_segments(data):
    index = UtteranceIndex(data, "wave", labels=True)
    assert index.length.tolist() == [len(cut) for cut in expected().values()] and index.classes == ["a", "b", "c"]
    for place, cut in enumerate(expected().values()):
        np.testing.assert_array_equal(read_view(index, "wave", place, 37, 500), cut[37:537])


def test_noisy_copies_are_recordings_beside_the_segments(data, tmp_path, monkeypatch, capsys):
    derive.subset(str(data), str(tmp_path / "some"), utts=["a-1", "b-1"])
    (tmp_path / "some/ctm").write_text("r1 1 0 1 word\n")
    with audio.PackWriter(tmp_path / "n.ark", tmp_path / "n.scp") as pack:
        for utt in ("a-1", "b-1"):
            pack.write(f"{utt}-noise1", expected()[utt] // 2, RATE)
    call(monkeypatch, augment_data, "merge", tmp_path / "some", tmp_path / "out", tmp_path / "n.scp")
    tables = datadir.validate(str(tmp_path / "out"))
    assert list(tables["wav.scp"]) == ["a-1-noise1", "b-1-noise1", "r1", "r2"] and "reco2dur" not in tables
    assert "left out, since they say nothing of the copies: reco2dur, reco2file_and_channel, ctm\n" in capsys.readouterr().out
    found = clips.read(tmp_path / "out")
    np.testing.assert_array_equal(clips.load(found["b-1"]).samples, expected()["b-1"])
    np.testing.assert_array_equal(clips.load(found["b-1-noise1"]).samples, expected()["b-1"] // 2)
    assert tables["utt2uniq"]["b-1-noise1"] == "b-1"


def test_the_channel_that_a_segment_names(tmp_path):
    left, right = samples(1, 1), samples(2, 1)
    soundfile.write(tmp_path / "call.wav", np.stack([left, right], 1), RATE)
    datadir.write(str(tmp_path / "data"), wav={"call": str(tmp_path / "call.wav")},
                  segments={"call-A": "call 0 0.5 0", "call-B": "call 0.25 -1 1", "call-C": "call 0 1 -1"})
    found = clips.read(tmp_path / "data")
    np.testing.assert_array_equal(clips.load(found["call-A"], channel=1).samples, left[:4000])
    np.testing.assert_array_equal(clips.load(found["call-B"]).samples, right[2000:])
    np.testing.assert_array_equal(clips.load(found["call-C"], channel=1).samples, right)
    with pytest.raises(InputError, match=r"segments:2 .*steps/pack_audio\.sh"):
        UtteranceIndex(tmp_path / "data", "wave")
