"""local/prepare_iemocap.py on a tiny corpus with the original's oddities, run as a user runs it."""
import os
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import soundfile

from sslspk.errors import InputError
from sslspk.io import datadir, iemocap

ROOT = Path(__file__).resolve().parents[1]
ENV = {**os.environ, "PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": "1"}
DIALOGS = {"Ses{:02d}F_impro01": ("neu", "hap", "sad", "ang", "exc", "xxx"), "Ses{:02d}M_script01_1b": ("ang", "fru", "neu", "exc")}


def prepare(*args):
    return subprocess.run([sys.executable, str(ROOT / "local/prepare_iemocap.py"), "--nj", "1", *map(str, args)], env=ENV,
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


def put(path, seed, rate=16000, channels=1):
    path.parent.mkdir(parents=True, exist_ok=True)
    wave = np.random.default_rng(seed).integers(-9000, 9000, (rate // 10, channels), np.int16)
    soundfile.write(path, wave, rate, subtype="PCM_16")


def evaluation(root, dialog):
    return root / f"Session{int(dialog[3:5])}/dialog/EmoEvaluation/{dialog}.txt"


def wav(root, turn):
    return root / f"Session{int(turn[3:5])}/sentences/wav/{turn.rpartition('_')[0]}/{turn}.wav"


def change(path, old, new):
    text = path.read_text()
    assert old in text
    path.write_text(text.replace(old, new))


@pytest.fixture
def corpus(tmp_path):
    """Five sessions of an improvised and a scripted dialog, 10 turns together: 50 turns, 30 of the four classes.

    Turns alternate between the woman and the man, who are numbered apart.
    """
    root = tmp_path / "IEMOCAP"
    for session in range(1, 6):
        for name, codes in DIALOGS.items():
            dialog, text = name.format(session), "% [START_TIME - END_TIME] TURN_NAME EMOTION [V, A, D]\n\n"
            for place, code in enumerate(codes):
                turn = f"{dialog}_{'FM'[place % 2]}{place // 2:03d}"
                text += (f"[{place}.2901 - {place}.3901]\t{turn}\t{code}\t[2.5000, 2.5000, 2.5000]\n"
                         f"C-E2:\tNeutral; Anger;\t()\nC-F1:\tbad [1.0 - 2.0];\t()\nA-E3:\tval 3; act 2; dom  2;\t()\n\n")
                put(wav(root, turn), place)
            path = evaluation(root, dialog)
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(text)
            path.with_name(f"._{dialog}.txt").write_bytes(b"\x00\x05\x16\x07[0 - 1]\n")
            for folder in ("Attribute", "Categorical", "Self-evaluation"):
                (path.parent / folder).mkdir(exist_ok=True)
                (path.parent / folder / f"{dialog}_e2.txt").write_text("[a line of another form\n")
            wav(root, turn).with_name(f"._{turn}.wav").write_bytes(b"\x00")
    return root


def test_tables_and_report(corpus, tmp_path):
    for name in ("Ses02F_impro01_FXX0", "Ses02F_impro01_M044"):
        put(wav(corpus, name), 3)
    said = good(corpus, tmp_path / "data")
    found = datadir.validate(str(tmp_path / "data/iemocap"), check_files=True)
    assert set(found) == {"wav.scp", "utt2spk", "spk2utt", "utt2dur", "utt2num_samples", "utt2emotion", "utt2session", "utt2kind",
                          "spk2gender"}
    assert len(found["utt2spk"]) == 30 and len(found["spk2utt"]) == 10
    man = "Ses03M-Ses03F_impro01_M001"  # the man of a dialog whose name says F
    assert {name: found[name][man] for name in ("utt2spk", "utt2emotion", "utt2session", "utt2kind")} == {
        "utt2spk": "Ses03M", "utt2emotion": "angry", "utt2session": "Ses03", "utt2kind": "improvised"}
    assert found["wav.scp"][man] == str(wav(corpus, "Ses03F_impro01_M001"))
    assert found["utt2kind"]["Ses05F-Ses05M_script01_1b_F001"] == "scripted"
    assert found["utt2emotion"]["Ses05F-Ses05M_script01_1b_F001"] == "neutral"
    assert found["spk2gender"] == {f"Ses0{session}{letter}": letter.lower() for session in range(1, 6) for letter in "FM"}
    assert "30 utterances, 10 speakers" in said and "  10 angry, 5 happy, 10 neutral, 5 sad\n" in said
    assert "20 turns with other labels left out: 10 excited, 5 frustrated, 5 undecided" in said
    assert "2 recordings without a label line left out" in said


def test_excited_turns_count_as_happy_when_asked(corpus, tmp_path):
    said = good("--merge-excited", "true", corpus, tmp_path / "data")
    found = datadir.read(str(tmp_path / "data/iemocap"))["utt2emotion"]
    assert len(found) == 40 and found["Ses01F-Ses01F_impro01_F002"] == "happy" == found["Ses01M-Ses01F_impro01_M000"]
    assert "10 angry, 15 happy, 10 neutral, 5 sad" in said
    assert "10 turns with other labels left out: 5 frustrated, 5 undecided" in said


@pytest.mark.parametrize(("kind", "classes", "count", "line"), [
    ("improvised", "angry happy neutral sad", 20, "20 turns that are not improvised left out"),
    ("scripted", "neutral frustrated angry", 15, "30 turns that are not scripted left out")])
def test_kinds_and_classes(corpus, tmp_path, kind, classes, count, line):
    said = good("--kind", kind, "--classes", classes, corpus, tmp_path / "data")
    found = datadir.read(str(tmp_path / "data/iemocap"))
    assert len(found["utt2kind"]) == count and set(found["utt2kind"].values()) == {kind}
    assert set(found["utt2emotion"].values()) == set(classes.split()) and line in said


def test_excited_may_be_a_class_of_its_own(corpus, tmp_path):
    good("--classes", "excited happy", corpus, tmp_path / "data")
    assert len(datadir.read(str(tmp_path / "data/iemocap"))["utt2emotion"]) == 15


def test_a_second_run_leaves_finished_work_alone(corpus, tmp_path):
    put(wav(corpus, "Ses01F_impro01_F000"), 1, rate=48000, channels=2)
    assert "1 resampled to 16000 Hz (1 of 48000 Hz)" in good(corpus, tmp_path / "data")
    times = {path: path.stat().st_mtime_ns for path in (tmp_path / "data").rglob("*")}
    assert tmp_path / "data/iemocap_wav/Ses01/Ses01F_impro01_F000.wav" in times
    assert "0 converted now and 1 kept" in good(corpus, tmp_path / "data")
    assert {path: path.stat().st_mtime_ns for path in (tmp_path / "data").rglob("*")} == times
    evaluation(corpus, "Ses01F_impro01").write_bytes(evaluation(corpus, "Ses01F_impro01").read_bytes().replace(b"\n", b"\r\n"))
    good(corpus, tmp_path / "data")
    assert {path: path.stat().st_mtime_ns for path in (tmp_path / "data").rglob("*")} == times


def test_bad_recordings_are_listed_and_left_out(corpus, tmp_path):
    bad = wav(corpus, "Ses04F_impro01_F000")
    bad.write_bytes(b"")
    said = good(corpus, tmp_path / "data")
    assert "bad recordings: 1 of 30" in said and "10 angry, 5 happy, 9 neutral, 5 sad" in said
    assert (tmp_path / "data/iemocap/bad_files.txt").read_text().startswith(f"{bad}\t")
    wav(corpus, "Ses04F_impro01_M000").write_bytes(b"")
    assert "bad recordings: 2 of 30, more than 5%" in refused(corpus, tmp_path / "data")


def test_a_turn_of_another_label_needs_no_recording(corpus, tmp_path):
    wav(corpus, "Ses04F_impro01_M002").unlink()  # xxx
    assert "30 utterances" in good(corpus, tmp_path / "data")


FIRST, SECOND = "Ses01F_impro01_F000\tneu", "Ses01F_impro01_M000\thap"


@pytest.mark.parametrize(("damage", "words"), [
    (lambda root: shutil.rmtree(root), ("iemocap was looked for in", "is not a folder", "Southern California")),
    (lambda root: shutil.rmtree(root / "Session4"), ("session 4", "Session4, which is not a folder", "Southern California")),
    (lambda root: shutil.rmtree(root / "Session2/dialog/EmoEvaluation"), ("session 2", "EmoEvaluation, which is not a folder", "unpack")),
    (lambda root: shutil.rmtree(root / "Session2/sentences"), ("session 2", "sentences/wav, which is not a folder", "unpack")),
    (lambda root: [path.unlink() for path in (root / "Session2/dialog/EmoEvaluation").glob("Ses*")],
     ("EmoEvaluation holds no file of labels", "Ses02F_impro01.txt", "unpack")),
    (lambda root: wav(root, "Ses01F_impro01_F000").unlink(),
     ("Ses01F_impro01.txt:3", "(neutral)", "Ses01F_impro01_F000.wav", "remove the line")),
    (lambda root: change(evaluation(root, "Ses01F_impro01"), FIRST, FIRST.replace("neu", "bor")),
     ("Ses01F_impro01.txt:3", "'bor'", "ang hap", "correct")),
    (lambda root: change(evaluation(root, "Ses01F_impro01"), f"{SECOND}\t", "Ses01F_impro01_M000\t"),
     ("Ses01F_impro01.txt:8", "a label line must be", "correct")),
    (lambda root: change(evaluation(root, "Ses01F_impro01"), SECOND, SECOND.replace("impro01", "impro02")),
     ("Ses01F_impro01.txt:8", "Ses01F_impro02_M000 is not the name of a turn of dialog Ses01F_impro01", "correct")),
    (lambda root: evaluation(root, "Ses01F_impro01").rename(root / "Session2/dialog/EmoEvaluation/Ses01F_impro01.txt"),
     ("Session2", "Ses01F_impro01.txt:3", "in Ses02", "move the file")),
    (lambda root: change(evaluation(root, "Ses01F_impro01"), SECOND, FIRST.replace("neu", "sad")),
     ("Ses01F_impro01.txt:8", "is sad here and neutral at", "Ses01F_impro01.txt:3", "remove")),
    (lambda root: [change(evaluation(root, f"Ses0{k}F_impro01"), "\tsad\t", "\tfea\t") for k in range(1, 6)],
     ("no turn of the corpus is labelled sad", "--classes")),
], ids=["no corpus", "no session", "no EmoEvaluation", "no wav folder", "no label files", "no wav", "unknown label", "short line",
        "other dialog", "other session", "two labels", "no such class"])
def test_what_is_missing_is_named(corpus, tmp_path, damage, words):
    damage(corpus)
    said = refused(corpus, tmp_path / "data")
    assert all(word in said for word in words), said
    assert not (tmp_path / "data").exists()


@pytest.mark.parametrize(("options", "words"), [
    (("--classes", "angry bored"), ("'bored'", "choose from angry happy excited")),
    (("--classes", "angry angry"), ("at least two",)),
    (("--classes", "angry happy excited", "--merge-excited", "true"), ("--merge-excited true", "not excited")),
    (("--classes", "angry sad", "--merge-excited", "true"), ("--merge-excited true", "must hold happy")),
    (("--classes", "sad angry", "--kind", "scripted"), ("no scripted turn", "labelled sad", "--kind")),
], ids=["unknown", "one", "excited twice", "no happy", "no such class of the kind"])
def test_options_that_make_no_sense(corpus, tmp_path, options, words):
    said = refused(*options, corpus, tmp_path / "data")
    assert all(word in said for word in words), said


def test_every_code_of_the_corpus_is_known(corpus):
    path = evaluation(corpus, "Ses05F_impro01")
    words = {"ang": "angry", "hap": "happy", "exc": "excited", "neu": "neutral", "sad": "sad", "fru": "frustrated", "fea": "fearful",
             "sur": "surprised", "dis": "disgusted", "oth": "other", "xxx": "undecided"}
    path.write_text("".join(f"[1.0 - 2.0]\tSes05F_impro01_M{place:03d}\t{code}\t[1.0, 2.0, 3.0]\n" for place, code in enumerate(words)))
    found = [turn for turn in iemocap.read_labels(str(corpus)) if turn.turn.startswith("Ses05F")]
    assert [turn.emotion for turn in found] == list(words.values())
    assert {(turn.speaker, turn.gender, turn.session) for turn in found} == {("Ses05M", "m", "Ses05")}
    assert [turn.where for turn in found][2] == f"{path}:3"
    with pytest.raises(InputError, match="no turn of the corpus"):
        iemocap.choose(found, ("angry", "bored"), "all", False)
