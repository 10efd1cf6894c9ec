"""local/prepare_librispeech.py on a tiny corpus with the original's oddities, and the synthetic corpus of this layout."""
import os
import runpy
import shutil
import subprocess
import sys
from collections import Counter
from pathlib import Path

import numpy as np
import pytest
import soundfile

from sslspk.corpora import librispeech
from sslspk.errors import InputError
from sslspk.io import datadir, table

ROOT = Path(__file__).resolve().parents[1]
PEOPLE = {"train-clean-100": {"19": "F", "1034": "M"}, "train-other-500": {"20": "M"}, "dev-clean": {"84": "F"}, "test-other": {"367": "M"}}


def put(path, seed, rate=16000, channels=1, form=None):
    path.parent.mkdir(parents=True, exist_ok=True)
    wave = np.random.default_rng(seed).integers(-9000, 9000, (rate // 10, channels), np.int16)
    soundfile.write(path, wave, rate, **({"subtype": "PCM_16"} if form is None else {"format": form}))


@pytest.fixture
def corpus(tmp_path):
    """Five speakers of two chapters with three recordings each; one name holds a bar, a folder beside the speakers is none."""
    root = tmp_path / "LibriSpeech"
    lines = ["; a comment | with | bars", ";ID  |SEX| SUBSET           |MINUTES| NAME"]
    for subset, people in PEOPLE.items():
        for speaker, sex in people.items():
            lines.append(f"{speaker:<5}| {sex} | {subset:<17}| 25.03 | {'|CBW|Simon' if speaker == '20' else f'Name {speaker}'}")
            for chapter in (f"{speaker}1", "198"):
                for i in range(3):
                    put(root / subset / speaker / chapter / f"{speaker}-{chapter}-{i:04d}.flac", i)
                (root / subset / speaker / chapter / f"{speaker}-{chapter}.trans.txt").write_text("A LINE\n")
    (root / "train-clean-100/notes").mkdir()
    (root / "SPEAKERS.TXT").write_text("\n".join(lines) + "\n")
    return root


def prepare(monkeypatch, *words):
    """The program's main, in this process."""
    monkeypatch.setattr(sys, "argv", ["prepare_librispeech.py", "--nj", "1", *map(str, words)])
    runpy.run_path(str(ROOT / "local/prepare_librispeech.py"))["main"]()


def said(capsys):
    return capsys.readouterr().out


def test_tables_and_report(corpus, tmp_path, monkeypatch, capsys):
    prepare(monkeypatch, corpus.parent, tmp_path / "data")   # the folder that LibriSpeech/ lies in will do
    out = said(capsys)
    assert "librispeech_train: 18 utterances, 3 speakers" in out and "librispeech_test: 6 utterances, 1 speaker," in out
    found = datadir.validate(str(tmp_path / "data/librispeech_train"), check_files=True)
    assert set(found) == {"wav.scp", "utt2spk", "spk2utt", "utt2dur", "utt2num_samples", "utt2session", "spk2gender"}
    assert found["spk2gender"] == {"19": "f", "20": "m", "1034": "m"}
    assert found["utt2session"]["1034-10341-0002"] == "10341" and found["utt2spk"]["19-198-0000"] == "19"
    assert found["wav.scp"]["20-198-0001"] == str(corpus / "train-other-500/20/198/20-198-0001.flac")
    assert datadir.read(str(tmp_path / "data/librispeech_dev"))["spk2gender"] == {"84": "f"}
    before = {path: path.stat().st_mtime_ns for path in (tmp_path / "data").rglob("*")}
    prepare(monkeypatch, corpus, tmp_path / "data")
    assert {path: path.stat().st_mtime_ns for path in (tmp_path / "data").rglob("*")} == before


def test_subsets_are_chosen(corpus, tmp_path, monkeypatch):
    prepare(monkeypatch, "--subsets", "train-other-500, dev-clean", corpus, tmp_path / "data")
    assert {path.name for path in (tmp_path / "data").iterdir()} == {"librispeech_train", "librispeech_dev"}
    assert set(table.read(tmp_path / "data/librispeech_train/utt2spk").values()) == {"20"}
    prepare(monkeypatch, "--subsets", "test", corpus, tmp_path / "tested")   # all of a kind, where the other kinds may lack
    assert [path.name for path in (tmp_path / "tested").iterdir()] == ["librispeech_test"]


def test_what_a_file_holds_is_told_by_its_content(corpus, tmp_path, monkeypatch, capsys):
    """wav and ogg under the name of flac, another rate, two channels; the names in the tables stay."""
    place = corpus / "dev-clean/84/198"
    put(place / "84-198-0000.flac", 1, form="WAV")
    put(place / "84-198-0001.flac", 1, form="OGG")
    put(place / "84-198-0002.flac", 1, rate=44100, channels=2)
    prepare(monkeypatch, "--subsets", "dev-clean", corpus, tmp_path / "data")
    found = datadir.validate(str(tmp_path / "data/librispeech_dev"), check_files=True)
    assert len(found["wav.scp"]) == 6 and found["wav.scp"]["84-198-0000"] == str(place / "84-198-0000.flac")
    assert found["wav.scp"]["84-198-0002"] == str(tmp_path / "data/librispeech_wav/dev-clean/84/198/84-198-0002.wav")
    out = said(capsys)
    assert "1 resampled to 16000 Hz (1 of 44100 Hz)" in out and "1 of several channels reduced" in out


def test_bad_recordings_are_listed_and_left_out(corpus, tmp_path, monkeypatch, capsys):
    bad = corpus / "test-other/367/198/367-198-0001.flac"
    bad.write_bytes(bad.read_bytes()[:100])
    prepare(monkeypatch, corpus, tmp_path / "data")
    assert "bad recordings: 1 of 6" in said(capsys)
    assert (tmp_path / "data/librispeech_test/bad_files.txt").read_text().startswith(f"{bad}\t")
    assert len(table.read(tmp_path / "data/librispeech_test/wav.scp")) == 5


def line(root, old, new):
    text = (root / "SPEAKERS.TXT").read_text()
    assert old in text
    (root / "SPEAKERS.TXT").write_text(text.replace(old, new))


@pytest.mark.parametrize(("damage", "options", "words"), [
    (lambda root: shutil.rmtree(root), (), ("librispeech was looked for in", "not a folder", "OpenSLR")),
    (lambda root: (root / "SPEAKERS.TXT").unlink(), (), ("SPEAKERS.TXT, which is not there", "OpenSLR")),
    (lambda root: line(root, "1034 | M", ";034 | M"), (), ("SPEAKERS.TXT: speaker 1034 of train-clean-100 is missing", "add the line")),
    (lambda root: line(root, "84   | F | dev-clean", "84   | F | dev-other"), (),
     ("SPEAKERS.TXT:6: speaker 84 is of dev-other, but lies in", "dev-clean")),
    (lambda root: line(root, "84   | F", "84   | X"), (), ("SPEAKERS.TXT:6:", "'84   |", "id | sex | subset")),
    (lambda root: line(root, "84   | F | dev-clean", "84   | F | dev-dirty"), (), ("SPEAKERS.TXT:6:", "correct the line")),
    (lambda root: line(root, "367  | M | test-other       | 25.03 | Name 367", "367"), (), ("SPEAKERS.TXT:7: '367' is not",)),
    (lambda root: line(root, "1034 | M", "19   | M"), (), ("SPEAKERS.TXT:4: speaker 19 is also in line 3",)),
    (lambda root: shutil.rmtree(root / "dev-clean"), (), ("holds no subset dev-*", "--subsets")),
    (lambda root: shutil.rmtree(root / "dev-clean"), ("--subsets", "dev test"), ("holds no subset dev-*", "--subsets")),
    (lambda root: None, ("--subsets", "train-clean-360"), ("--subsets: train-clean-360 is not in", "train-clean-360.tar.gz")),
    (lambda root: None, ("--subsets", "train-clean"), ("'train-clean' is no subset", "train-clean-100")),
    (lambda root: shutil.rmtree(root / "test-other/367"), (), ("test-other holds no recording", "unpack")),
    (lambda root: (root / "dev-clean/84/198/84-198-0000.flac").rename(root / "dev-clean/84/198/84-199-0000.flac"), (),
     ("84-199-0000.flac", "84-198-NUMBER", "rename")),
], ids=["no corpus", "no SPEAKERS.TXT", "unknown speaker", "other subset", "no sex", "no such subset", "short line", "twice", "no dev",
        "no dev-*", "subset not there", "unknown subset", "empty subset", "other chapter"])
def test_what_is_wrong_is_named_before_any_work(corpus, tmp_path, monkeypatch, damage, options, words):
    damage(corpus)
    with pytest.raises(InputError) as caught:
        prepare(monkeypatch, *options, corpus, tmp_path / "data")
    assert all(word in str(caught.value) for word in words) and "\n" not in str(caught.value), str(caught.value)
    assert len(str(caught.value).replace(str(corpus.parent), "/home/someone/corpora")) <= 160, str(caught.value)
    assert not (tmp_path / "data").exists()


def test_as_a_command(corpus, tmp_path):
    words = [sys.executable, ROOT / "local/prepare_librispeech.py", "--subsets", "nothing", corpus, tmp_path / "data"]
    done = subprocess.run(list(map(str, words)), env={**os.environ, "PYTHONPATH": ""}, capture_output=True, text=True, check=False)
    assert done.returncode == 1 and done.stderr.count("\n") == 1 and "'nothing'" in done.stderr


def test_the_synthetic_corpus_has_this_layout(tmp_path):
    words = [sys.executable, ROOT / "tools/make_synth_corpus.py", "--only", "librispeech", "--libri-speakers", "4", "--chapters", "2",
             "--utts", "2", "--seconds", "0.6", "0.8", "--nj", "1", tmp_path]
    subprocess.run(list(map(str, words)), check=True, capture_output=True)
    root = tmp_path / "LibriSpeech"
    speakers = librispeech.read_speakers(str(root / "SPEAKERS.TXT"))
    assert Counter(one.subset for one in speakers.values()) == dict.fromkeys(("train-clean-100", "dev-clean", "test-clean"), 4)
    assert Counter(one.gender for one in speakers.values()) == {"f": 6, "m": 6}
    chosen = librispeech.choose(str(root), "")
    found = {role: librispeech.scan(str(root), names, speakers, "SPEAKERS.TXT", 1) for role, names in chosen.items()}
    assert {role: len(sources) for role, sources in found.items()} == dict.fromkeys(("train", "dev", "test"), 16)
    info = soundfile.info(found["train"][0].path)
    assert (info.format, info.samplerate, info.channels) == ("FLAC", 16000, 1) and 0.6 <= info.duration <= 0.8001
    assert len({soundfile.read(source.path)[0].tobytes() for sources in found.values() for source in sources}) == 48
