"""local/prepare_adress.py on a tiny corpus with the original's oddities, run as a user runs it."""
import os
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import soundfile

from sslspk.errors import InputError
from sslspk.io import adress, audio, datadir

ROOT = Path(__file__).resolve().parents[1]
ENV = {**os.environ, "PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": "1"}
PEOPLE = {"S001": "train/cc", "S002": "train/cc", "S079": "train/cd", "S080": "train/cd", "S160": "test", "S161": "test"}
# PAR speaks at 100-600, 700-900 (too short), 1000-1500 and 1600-1900 ms, and once nobody knows when.
TRANSCRIPT = """\ufeff@UTF8
@Begin
@Participants:\tPAR Participant, INV Investigator, INV2 Helper
@ID:\teng|Pitt|PAR|57;|male|Control||Participant|||
@Comment:\tno tier, though it has a
\tmark \x151_9999\x15
*INV:\twhat do you see ? \x150_90\x15
*PAR:\tthe boy is &uh taking a cookie off the
\tshelf . \x15100_600\x15
%mor:\tdet|the n|boy \x151_2222\x15
%gra:\t1|2|DET 2|3|SUBJ
\t3|0|ROOT \x151_3333\x15
*PAR:\tyes . \x15700_900\x15
*PAR:\tno times here .
*INV2:\tmhm . \x15950_990\x15
*PAR:\twater \x151000_1500\x15 is running . \x151600_1900\x15

@End
"""


def prepare(*args):
    return subprocess.run([sys.executable, str(ROOT / "local/prepare_adress.py"), "--nj", "1", *map(str, args)], env=ENV,
                          capture_output=True, text=True, check=False)


def good(*args):
    done = prepare(*args)
    assert (done.returncode, done.stderr) == (0, "")
    return done.stdout


def refused(*args):
    """The one sentence of a refusal."""
    done = prepare(*args)
    assert done.returncode == 1
    assert done.stderr.count("\n") == 1 and "Traceback" not in done.stderr
    return done.stderr


def put(path, seed, rate=44100, seconds=0.1):
    path.parent.mkdir(parents=True, exist_ok=True)
    soundfile.write(path, np.random.default_rng(seed).integers(-9000, 9000, round(seconds * rate), np.int16), rate, subtype="PCM_16")


def place(root, person, kind, name):
    part, _, group = PEOPLE[person].partition("/")
    return root / part / kind / group / name


def cha(root, person):
    return place(root, person, "transcription", f"{person}.cha")


def full(root, person):
    return place(root, person, "Full_wave_enhanced_audio", f"{person}.wav")


def chunk(root, person, times="100-600", rest="1-1-0-0"):
    return place(root, person, "Normalised_audio-chunks", f"{person}_{times}-{rest}.wav")


def change(path, old, new):
    text = path.read_text()
    assert old in text
    path.write_text(text.replace(old, new))


@pytest.fixture
def corpus(tmp_path):
    """Two people in each of train/cc, train/cd and test: full recordings of 2 s at 44.1 kHz, two chunks each, transcripts."""
    root = tmp_path / "ADReSS"
    for seed, person in enumerate(PEOPLE):
        put(full(root, person), seed, seconds=2)
        put(chunk(root, person), seed)
        put(chunk(root, person, "1000-1500", "2-1-0-0"), seed + 50)
        cha(root, person).parent.mkdir(parents=True, exist_ok=True)
        cha(root, person).write_text(TRANSCRIPT)
    full(root, "S001").with_name("._S001.wav").write_bytes(b"\x00")
    (root / "train/cc_meta_data.txt").write_text("ID   ; age ; gender ; mmse\nS001 ; 74 ; male ; 29\nS002 ; 61 ; female ; NA\n")
    (root / "train/cd_meta_data.txt").write_text("ID   ; age ; gender ; mmse\nS079 ; 57 ; female ; 18\r\nS080 ; 66 ;  male ; 9 \r\n\r\n")
    (root / "test/meta_data.txt").write_text("ID   ; age ; gender\nS160 ; 70 ; male\nS161 ; 71 ; female\n")
    (root / "test/test_results.txt").write_text("ID ; Label ; mmse\nS160 ; 0 ; 30\nS161 ; 1 ; NA\n")
    return root


def test_chunks_are_what_is_taken_by_default(corpus, tmp_path):
    said = good(corpus, tmp_path / "data")
    train, test = (datadir.validate(str(tmp_path / f"data/adress_{part}"), check_files=True) for part in ("train", "test"))
    assert set(train) == {"wav.scp", "utt2spk", "spk2utt", "utt2dur", "utt2num_samples", "utt2diagnosis", "spk2age", "spk2gender",
                          "spk2mmse"}
    assert list(train["utt2spk"].items())[:3] == [("S001-0000100-0000600", "S001"), ("S001-0001000-0001500", "S001"),
                                                  ("S002-0000100-0000600", "S002")]
    assert train["utt2diagnosis"] == {utt: "cc" if utt < "S003" else "cd" for utt in train["utt2spk"]}
    assert train["spk2age"] == {"S001": "74", "S002": "61", "S079": "57", "S080": "66"}
    assert train["spk2gender"] == {"S001": "m", "S002": "f", "S079": "f", "S080": "m"}
    assert train["spk2mmse"] == {"S001": "29", "S002": "NA", "S079": "18", "S080": "9"}
    assert test["utt2diagnosis"] == {f"{person}-{times}": group for person, group in (("S160", "cc"), ("S161", "cd"))
                                     for times in ("0000100-0000600", "0001000-0001500")}
    assert test["spk2mmse"] == {"S160": "30", "S161": "NA"}
    assert "adress_train: 8 utterances, 4 participants" in said and "8 resampled to 16000 Hz (8 of 44100 Hz)" in said
    assert "adress_train: 2 participants without dementia (cc) and 2 with (cd)" in said
    assert "adress_test: 1 participants without dementia (cc) and 1 with (cd)" in said


def test_chunks_of_the_same_times_are_told_apart(corpus, tmp_path):
    put(chunk(corpus, "S001", rest="3-2-0-0"), 9)
    good("--parts", "train", corpus, tmp_path / "data")
    assert [utt for utt in datadir.read(str(tmp_path / "data/adress_train"))["utt2spk"] if utt.startswith("S001")] == [
        "S001-0000100-0000600-1-1-0-0", "S001-0000100-0000600-3-2-0-0", "S001-0001000-0001500"]


def test_the_participants_turns_are_cut_out(corpus, tmp_path):
    said = good("--speech", "participant", corpus, tmp_path / "data")
    found = datadir.validate(str(tmp_path / "data/adress_train"), check_files=True)
    assert [utt for utt in found["utt2spk"] if found["utt2spk"][utt] == "S079"] == [
        f"S079-{times}" for times in ("0000100-0000600", "0001000-0001500", "0001600-0001900")]
    utt = "S079-0001000-0001500"
    assert found["wav.scp"][utt] == str(tmp_path / f"data/adress_wav/train/participant/{utt}.wav")
    samples, rate = audio.read(found["wav.scp"][utt])
    whole = soundfile.read(full(corpus, "S079"), dtype="int16")[0]
    assert rate == 16000 and np.array_equal(samples, audio.resample(whole[44100:66150], 44100, 16000))
    assert found["utt2num_samples"][utt] == "8000" == str(len(samples))
    assert "12 resampled to 16000 Hz" in said and "12 converted now and 0 kept" in said
    assert "4 of the participants' turns are too short and left out" in said
    assert "4 of the participants' turns are without times and left out" in said
    said = good("--speech", "participant", "--min-seconds", "0.2", corpus, tmp_path / "short")
    assert "adress_train: 16 utterances" in said and "too short" not in said


def test_cut_turns_at_the_right_rate_are_the_bytes_of_the_recording(corpus, tmp_path):
    put(full(corpus, "S001"), 5, rate=16000, seconds=1.85)  # the last turn reaches 50 ms beyond the end
    good("--speech", "participant", "--format", "flac", "--out-wav", tmp_path / "cut", "--parts", "train", corpus, tmp_path / "data")
    whole = soundfile.read(full(corpus, "S001"), dtype="int16")[0]
    for first, last in ((100, 600), (1000, 1500), (1600, 1850)):
        path = tmp_path / f"cut/train/participant/S001-{first:07d}-{1900 if last == 1850 else last:07d}.flac"
        assert np.array_equal(audio.read(str(path))[0], whole[16 * first:16 * last])


def test_a_second_run_goes_on_where_the_first_stopped(corpus, tmp_path):
    run = ("--speech", "participant", "--parts", "train", corpus, tmp_path / "data")
    good(*run)
    times = {path: path.stat().st_mtime_ns for path in (tmp_path / "data").rglob("*")}
    assert "0 converted now and 12 kept" in good(*run)
    assert {path: path.stat().st_mtime_ns for path in (tmp_path / "data").rglob("*")} == times
    copies = tmp_path / "data/adress_wav/train/participant"
    content = {path.name: path.read_bytes() for path in copies.iterdir()}
    (copies / "S001-0000100-0000600.wav").unlink()
    (copies / "S002-0000100-0000600.wav").write_bytes(b"RIFF")
    assert "2 converted now and 10 kept" in good(*run)
    assert {path.name: path.read_bytes() for path in copies.iterdir()} == content
    said = good("--parts", "train", corpus, tmp_path / "data")  # chunks of the same names are other audio
    assert "8 converted now and 0 kept" in said


def test_full_recordings(corpus, tmp_path):
    put(full(corpus, "S001"), 5, rate=16000)
    shutil.rmtree(corpus / "train/transcription")
    shutil.rmtree(corpus / "train/Normalised_audio-chunks")
    good("--speech", "all", "--parts", "train", corpus, tmp_path / "data")
    found = datadir.validate(str(tmp_path / "data/adress_train"), check_files=True)
    assert found["utt2spk"] == {f"{person}-full": person for person in ("S001", "S002", "S079", "S080")}
    assert found["wav.scp"]["S001-full"] == str(full(corpus, "S001")) and found["utt2num_samples"]["S002-full"] == "32000"
    assert os.listdir(tmp_path / "data/adress_wav/train") == ["all"]


def test_the_test_set_needs_its_labels_the_training_set_not(corpus, tmp_path):
    (corpus / "test/test_results.txt").unlink()
    said = refused(corpus, tmp_path / "data")
    assert "test_results.txt is not there" in said and "--parts train" in said and "DementiaBank" in said
    shutil.rmtree(corpus / "test")
    assert "8 utterances" in good("--parts", "train", corpus, tmp_path / "data")
    assert sorted(os.listdir(tmp_path / "data")) == ["adress_train", "adress_wav"]


def test_labels_without_mmse(corpus, tmp_path):
    (corpus / "test/test_results.txt").write_text("ID;Label\nS160;1\nS161;0\n")
    good("--parts", "test", corpus, tmp_path / "data")
    found = datadir.read(str(tmp_path / "data/adress_test"))
    assert found["spk2mmse"] == {"S160": "NA", "S161": "NA"} and found["utt2diagnosis"]["S160-0000100-0000600"] == "cd"


def test_bad_recordings_are_listed_and_left_out(corpus, tmp_path):
    for number in range(40):
        put(chunk(corpus, "S001", f"{number}000-{number}999", "9-1-0-0"), number, rate=16000)
    for times, rest in (("100-600", "1-1-0-0"), ("1000-1500", "2-1-0-0")):
        chunk(corpus, "S161", times, rest).write_bytes(b"")
    said = good(corpus, tmp_path / "data")
    assert "bad recordings: 2 of 4" in said and "nothing is left of S161, all of whose recordings are bad" in said
    assert set(datadir.validate(str(tmp_path / "data/adress_test"))["spk2mmse"]) == {"S160"}
    chunk(corpus, "S160").write_bytes(b"")
    assert "bad recordings: 3 of 52, more than 5%" in refused(corpus, tmp_path / "data")


def test_times_beyond_the_recording_are_a_bad_recording(corpus, tmp_path):
    put(full(corpus, "S002"), 1, seconds=1.2)
    assert "bad recordings: 2 of 12" in refused("--speech", "participant", "--parts", "train", corpus, tmp_path / "data")
    assert (tmp_path / "data/adress_train/bad_files.txt").read_text() == "".join(
        f"{full(corpus, 'S002')}\tends at 1.200 s, before the end of {times} ms; correct the times, or get the recording again.\n"
        for times in ("1000-1500", "1600-1900"))


CC, CD, META, RESULTS = "train/cc_meta_data.txt", "train/cd_meta_data.txt", "test/meta_data.txt", "test/test_results.txt"


@pytest.mark.parametrize(("damage", "words"), [
    (lambda root: shutil.rmtree(root), ("adress was looked for in", "is not a folder", "DementiaBank")),
    (lambda root: shutil.rmtree(root / "train/Normalised_audio-chunks/cd"),
     ("train/Normalised_audio-chunks/cd", "there is none", "--speech")),
    (lambda root: shutil.rmtree(root / "test/Normalised_audio-chunks"), ("ADReSS's test recordings", "there is none", "--parts")),
    (lambda root: (root / CC).unlink(), ("cc_meta_data.txt, which is not there", "DementiaBank")),
    (lambda root: (root / META).unlink(), ("test/meta_data.txt, which is not there", "DementiaBank")),
    (lambda root: change(root / CC, "S001 ; 74 ; male ; 29\n", ""),
     ("S001_100-600-1-1-0-0.wav: S001 has no line in train/cc_meta_data.txt", "add it")),
    (lambda root: change(root / CC, "S002", "S003"), ("S002 has no line in train/cc_meta_data.txt", "remove the recordings")),
    (lambda root: (root / CC).write_text((root / CC).read_text() + "S004 ; 70 ; male ; 30\n"),
     ("cc_meta_data.txt:4: S004 has no recording in", "Normalised_audio-chunks", "remove the line")),
    (lambda root: change(root / CC, "female", "woman"), ("cc_meta_data.txt:3: the gender of S002 is 'woman'", "male or female")),
    (lambda root: change(root / CC, "29", "good"), ("cc_meta_data.txt:2: the mmse is 'good'", "a number or NA")),
    (lambda root: change(root / CC, "74", "old"), ("cc_meta_data.txt:2: the age is 'old'", "a number or NA")),
    (lambda root: change(root / CC, "; 29", ""), ("cc_meta_data.txt:2: 3 fields where the header has 4", "correct")),
    (lambda root: change(root / CC, "; mmse", "; score"), ("cc_meta_data.txt:1: the header has no column mmse", "semicolons")),
    (lambda root: change(root / CC, "S002", "S001"), ("cc_meta_data.txt:3: 'S001' is there twice", "correct")),
    (lambda root: change(root / CD, "S079", "S001"), ("cd_meta_data.txt:2: S001 is in", "cc_meta_data.txt:2 too", "remove")),
    (lambda root: change(root / RESULTS, "S161 ; 1", "S161 ; 2"), ("test_results.txt:3: the label of S161 is '2'", "0 (no dementia)")),
    (lambda root: change(root / RESULTS, "30", "?"), ("test_results.txt:2: the mmse is '?'", "a number or NA")),
    (lambda root: change(root / RESULTS, "S161 ; 1 ; NA\n", ""), ("meta_data.txt:3: S161 has no line in", "test_results.txt", "add it")),
    (lambda root: change(root / META, "S161 ; 71 ; female\n", ""), ("test_results.txt:3: S161 has no line in", "meta_data.txt", "add")),
    (lambda root: [change(root / name, "S160", "S001") for name in (META, RESULTS)],
     ("test/meta_data.txt:2: S001 is in the training set too", "cc_meta_data.txt:2", "remove")),
    (lambda root: chunk(root, "S001").rename(chunk(root, "S001").with_name("noise.wav")), ("noise.wav is not called as", "rename")),
], ids=["no corpus", "no class folder", "no test folder", "no metadata", "no test metadata", "no line", "another person",
        "no recording", "gender", "mmse", "age", "short line", "header", "twice", "both classes", "label", "test mmse", "no label",
        "label of nobody", "train and test", "name"])
def test_what_is_missing_is_named(corpus, tmp_path, damage, words):
    damage(corpus)
    said = refused(corpus, tmp_path / "data")
    assert all(word in said for word in words), said
    assert not (tmp_path / "data").exists()


@pytest.mark.parametrize(("damage", "words"), [
    (lambda root: shutil.rmtree(root / "test/transcription"), ("test/transcription/S160.cha is not there", "--speech")),
    (lambda root: cha(root, "S080").write_text("*PAR:\tno times .\n*INV:\tmhm . \x15100_900\x15\n"),
     ("train/transcription/cd/S080.cha has no *PAR: line with times", "--speech")),
    (lambda root: change(cha(root, "S001"), "100_600", "600_100"), ("S001.cha:9: the time mark 600_100 ends before it begins", "correct")),
    (lambda root: change(cha(root, "S001"), "\tshelf", "shelf"), ("S001.cha:9: a line of a CHAT transcript begins with", "correct")),
    (lambda root: cha(root, "S001").write_text("*PAR:\toh . \x15100_300\x15\n"), ("S001.cha: no turn of PAR is as long as 0.3 s", "--min")),
    (lambda root: full(root, "S161").unlink(), ("meta_data.txt:3: S161 has no recording in", "Full_wave_enhanced_audio")),
    (lambda root: full(root, "S161").rename(full(root, "S161").with_name("x y.wav")), ("x y.wav is not called as S001.wav", "rename")),
    (lambda root: put(full(root, "S161").parent / "again/S161.wav", 1), ("are both the full recording of S161", "remove one")),
], ids=["no transcript", "no times", "backwards", "no CHAT", "all short", "no recording", "name", "two recordings"])
def test_what_cutting_needs_is_named(corpus, tmp_path, damage, words):
    damage(corpus)
    said = refused("--speech", "participant", corpus, tmp_path / "data")
    assert all(word in said for word in words), said
    assert not (tmp_path / "data").exists()


def test_options_that_make_no_sense(corpus, tmp_path):
    assert "--speech chunks cuts none" in refused("--min-seconds", "1", corpus, tmp_path / "data")
    assert "there is no part 'dev'" in refused("--parts", "dev", corpus, tmp_path / "data")
    assert prepare("--speech", "participant", "--min-seconds", "-1", corpus, tmp_path / "data").returncode == 2


def test_transcripts(tmp_path):
    path = tmp_path / "S001.cha"
    path.write_text(TRANSCRIPT)
    assert adress.read_chat(str(path)) == adress.Turns([(100, 600), (700, 900), (1000, 1500), (1600, 1900)], untimed=1)
    path.write_bytes(TRANSCRIPT.replace("\n", "\r\n").replace("yes", "y\u2028es").encode().replace(b"mhm", b"\xff"))
    assert len(adress.read_chat(str(path)).spans) == 4
    path.write_text('*PAR:\tolder form . \x15%snd:"S001_12"_3000_4500\x15\n*PAR:\tthe same again . \x153000_4500\x15\n')
    assert adress.read_chat(str(path)) == adress.Turns([(3000, 4500)], untimed=0)
    with pytest.raises(InputError, match=r"none\.cha is not there"):
        adress.read_chat(str(tmp_path / "none.cha"))
