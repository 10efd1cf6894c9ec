"""Synthetic IEMOCAP and ADReSS: layouts, determinism, balance, and that feeling and illness are where they claim to be."""
import hashlib
import re
import subprocess
import sys
from collections import Counter
from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest
import soundfile

ROOT = Path(__file__).resolve().parents[1]
PROGRAM = ROOT / "tools" / "make_synth_corpus.py"
sys.path.insert(0, str(ROOT / "tools"))

from synth import adress, chat, emotion, ratings  # noqa: E402
from synth.layout import generator  # noqa: E402

SMALL = ("--only", "iemocap adress", "--emotion-utts", "12", "--ad-participants", "4", "--ad-turns", "2", "--seconds", "0.6", "0.9")
TURN = re.compile(r"\[(\d+\.\d{4}) - (\d+\.\d{4})\]\t(Ses0\dM?F?_\w+)\t(\w{3})\t\[\d\.\d{4}, \d\.\d{4}, \d\.\d{4}\]")


def make(out: Path, *more: str, expect: int = 0) -> subprocess.CompletedProcess:
    done = subprocess.run([sys.executable, PROGRAM, out, *SMALL, *more], capture_output=True, text=True, cwd=ROOT)
    assert done.returncode == expect, done.stderr
    return done


def digest(folder: Path) -> dict[str, str]:
    files = sorted(p for p in folder.rglob("*") if p.is_file() and p.name != ".busy")   # the lock says who made it
    return {str(p.relative_to(folder)): hashlib.md5(p.read_bytes()).hexdigest() for p in files}


@pytest.fixture(scope="module")
def corpora(tmp_path_factory):
    out = tmp_path_factory.mktemp("synth")
    make(out, "--nj", "2")
    return out


def check_wav(path: Path) -> np.ndarray:
    info = soundfile.info(path)
    assert (info.samplerate, info.channels, info.subtype) == (16000, 1, "PCM_16")
    wave = soundfile.read(path)[0]
    assert 0.01 < np.abs(wave).max() < 0.99 and wave.std() > 0.002
    return wave


def test_only_what_is_asked_for_and_the_bytes_do_not_depend_on_the_jobs(corpora, tmp_path):
    assert sorted(p.name for p in corpora.glob("[!.]*")) == ["ADReSS", "IEMOCAP"]
    make(tmp_path / "one", "--nj", "1")
    assert digest(tmp_path / "one") == digest(corpora)
    make(tmp_path / "other", "--seed", "1")
    ours, theirs = digest(corpora), digest(tmp_path / "other")
    assert not {ours[k] for k in ours if k.endswith(".wav")} & {theirs[k] for k in theirs if k.endswith(".wav")}


def read_iemocap(folder: Path) -> dict[str, tuple[str, float]]:
    """turn -> (label, seconds)."""
    out = {}
    for path in sorted(folder.glob("Session[1-5]/dialog/EmoEvaluation/*.txt")):
        head, blank, *rest = path.read_text().split("\n")
        assert head == "% [START_TIME - END_TIME] TURN_NAME EMOTION [V, A, D]" and blank == ""
        end = 0.0
        for block in "\n".join(rest).strip().split("\n\n"):
            verdict, *votes = block.split("\n")
            start, stop, turn, label = TURN.fullmatch(verdict).groups()
            assert end < float(start) < float(stop)
            assert [v[:5] for v in votes] == ["C-E2:", "C-E3:", "C-E4:", f"C-{path.name[5]}1:", "A-E3:", "A-E4:"]
            words = Counter(v.split("\t")[1] for v in votes[:3]).most_common(1)[0]
            assert words[1] == 1 if label == "xxx" else words == (f"{ratings.NAMES[label]};", words[1]) and words[1] > 1
            end = float(stop)
            assert turn not in out and turn.startswith(f"{path.stem}_")
            out[turn] = label, end - float(start)
    return out


def test_iemocap_layout(corpora):
    folder = corpora / "IEMOCAP"
    turns = read_iemocap(folder)
    wavs = {p.stem: p for p in folder.glob("Session?/sentences/wav/*/*.wav")}
    assert set(wavs) == set(turns) and len(turns) == 5 * 2 * 12
    for turn, path in wavs.items():
        dialog = turn.rpartition("_")[0]
        assert path.parent.name == dialog and path.parts[-5] == f"Session{int(turn[3:5])}"
        assert re.fullmatch(r"Ses0[1-5][FM]_(impro\d\d|script\d\d_\d)_[FM]\d{3}", turn)
        assert len(check_wav(path)) / 16000 == pytest.approx(turns[turn][1], abs=2e-4)
    speaking = {(turn.rpartition("_")[0], turn[-4]) for turn in turns}
    assert speaking == {(d, g) for d, _ in speaking for g in "FM"}
    for session in range(1, 6):
        scenes = [d for d, g in speaking if g == "F" and d.startswith(f"Ses0{session}")]
        assert {"impro" in d for d in scenes} == {True, False} and {d[5] for d in scenes} == {"F", "M"}


def test_iemocap_traps_and_balance(corpora):
    folder = corpora / "IEMOCAP"
    for name, rows in (("Categorical", "_cat.txt"), ("Attribute", "_atr.txt"), ("Self-evaluation", "_cat.txt")):
        files = list(folder.glob(f"Session?/dialog/EmoEvaluation/{name}/*"))
        assert files and all(p.name.endswith(rows) and p.read_text().startswith("Ses0") for p in files)
    turns = read_iemocap(folder)
    counts = Counter(label for label, _ in turns.values())
    assert counts == {"ang": 20, "sad": 20, "hap": 20, "neu": 28, "exc": 10, "fru": 10, "xxx": 10, "sur": 1, "oth": 1}
    for actor in {(turn[3:5], turn[-4]) for turn in turns}:
        said = {label for turn, (label, _) in turns.items() if (turn[3:5], turn[-4]) == actor}
        assert {"ang", "hap", "neu", "sad", "exc", "fru", "xxx"} <= said


def test_emotion_is_told_by_loudness_and_pitch(corpora):
    turns = read_iemocap(corpora / "IEMOCAP")
    level: dict[str, list[float]] = {}
    for path in (corpora / "IEMOCAP").glob("Session?/sentences/wav/*/*.wav"):
        level.setdefault(turns[path.stem][0], []).append(20 * np.log10(check_wav(path).std()))
    means = {label: np.mean(level[label]) for label in ("ang", "hap", "neu", "sad")}
    assert means["ang"] > means["hap"] + 3 > means["neu"] + 3 > means["sad"] + 6, means
    assert max(level["sad"]) > min(level["neu"]), "no overlap: a threshold would tell them apart"

    rng = np.random.default_rng(0)
    actor = emotion.cast(1, "F", 0)
    voices = {label: [emotion.perform(actor, label, rng)[0] for _ in range(50)] for label in ("ang", "hap", "neu", "sad")}
    pitch, spread, rate = ({label: np.mean([getattr(v, name) for v in voices[label]]) for label in voices}
                           for name in ("pitch", "pitch_range", "rate"))
    for higher, lower in pairwise(("hap", "ang", "neu", "sad")):
        assert pitch[higher] > 1.05 * pitch[lower] and spread[higher] > 1.15 * spread[lower]
    assert rate["ang"] > rate["neu"] > rate["sad"]
    assert {v.open_quotient for vs in voices.values() for v in vs} == {actor.voice.open_quotient}


def rows_of(path: Path) -> list[list[str]]:
    return [[field.strip() for field in line.split(";")] for line in path.read_text().splitlines()]


def test_adress_tables(corpora):
    folder = corpora / "ADReSS"
    head, *cc = rows_of(folder / "train" / "cc_meta_data.txt")
    assert head == ["ID", "age", "gender", "mmse"] == rows_of(folder / "train" / "cd_meta_data.txt")[0]
    cd = rows_of(folder / "train" / "cd_meta_data.txt")[1:]
    assert [r[0] for r in cc + cd] == [*(f"S{i:03d}" for i in range(1, 5)), *(f"S{i:03d}" for i in range(79, 83))]
    for (_, age, gender, healthy), (_, other_age, other_gender, ill) in zip(cc, cd, strict=True):
        assert gender == other_gender and int(age) // 5 == int(other_age) // 5
        assert int(ill) < 26 and (healthy == "NA" or int(healthy) >= 26)
    assert [r[3] for r in cc].count("NA") == 1
    assert len({len(line) for line in (folder / "train" / "cd_meta_data.txt").read_text().splitlines()[1:]}) == 1
    head, *meta = rows_of(folder / "test" / "meta_data.txt")
    title, *results = rows_of(folder / "test" / "test_results.txt")
    assert head == ["ID", "age", "gender"] and title == ["ID", "Label", "mmse"]
    assert [r[0] for r in meta] == [r[0] for r in results] == [f"S{i}" for i in range(160, 164)]
    assert Counter(r[1] for r in results) == {"0": 2, "1": 2} and all((int(r[2]) >= 26) == (r[1] == "0") for r in results)


def test_adress_files(corpora):
    folder = corpora / "ADReSS"
    kinds = ("Full_wave_enhanced_audio", "Normalised_audio-chunks", "transcription")
    assert sorted(p.name for p in (folder / "test").iterdir()) == sorted([*kinds, "meta_data.txt", "test_results.txt"])
    for group, sub in (("train", "cc"), ("train", "cd"), ("test", "")):
        full, chunks, text = (folder / group / kind / sub for kind in kinds)
        people = sorted(p.stem for p in full.iterdir())
        assert people == sorted(p.stem for p in text.iterdir()) == sorted({p.name[:4] for p in chunks.iterdir()}) and len(people) == 4
        for person in people:
            whole = check_wav(full / f"{person}.wav")
            spoken = turns_of((text / f"{person}.cha").read_text())
            pieces = sorted(chunks.glob(f"{person}_*"), key=lambda p: int(p.name.split("-")[2]))
            times = [tuple(map(int, re.fullmatch(rf"{person}_(\d+)-(\d+)-{k}-1-0-0\.wav", p.name).groups()))
                     for k, p in enumerate(pieces, 1)]
            assert times == [(a, b) for code, a, b in spoken if code == "PAR"] and len(times) == 2
            for path, (start, end) in zip(pieces, times, strict=True):
                chunk, source = check_wav(path), whole[16 * start : 16 * end]
                assert np.corrcoef(chunk, source)[0, 1] > 0.999 and chunk.std() == pytest.approx(0.05, rel=0.3)
            for code, start, end in spoken:
                assert whole[16 * start : 16 * end].std() > 2 * whole[: 16 * spoken[0][1]].std(), f"{code} is not heard"


def turns_of(text: str) -> list[tuple[str, int, int]]:
    """Read a transcript: (who, start, end in ms) of each turn, with all the rules of the form checked."""
    assert text.startswith("@UTF8\n@Begin\n@Languages:\teng\n@Participants:\tPAR Participant, INV Investigator\n@ID:\teng|Pitt|PAR|")
    assert text.endswith("\n@End\n") and "\n\t\x15" in text, "no mark stands on a continuation line"
    assert all(line[:1] in "@*%\t" and len(line) < 90 for line in text.splitlines())
    assert len(re.findall(r"^@ID:\teng\|Pitt\|(?:[^|\n]*\|){7}[^|\n]*\|$", text, re.M)) == 2
    joined = text.replace("\n\t", " ")
    turns = [(w, int(a), int(b)) for w, a, b in re.findall(r"^\*(PAR|INV):\t[^\x15\n]+ [.?] \x15(\d+)_(\d+)\x15$", joined, re.M)]
    assert len(turns) == joined.count("\n*") and {t[0] for t in turns} == {"PAR", "INV"}
    assert joined.count("\n%mor:\t") == joined.count("\n%gra:\t") == [t[0] for t in turns].count("PAR")
    for mor, gra in re.findall(r"^%mor:\t(.*)\n%gra:\t(.*)$", joined, re.M):
        arcs = [arc.split("|") for arc in gra.split(" ")]
        assert [a[0] for a in arcs] == [str(i) for i in range(1, len(mor.split(" ")) + 1)] and [a[2] for a in arcs].count("ROOT") == 1
        assert all(0 <= int(a[1]) <= len(arcs) and a[1] != a[0] for a in arcs)
    assert all(a[2] <= b[1] for a, b in pairwise(turns)) and all(t[1] < t[2] for t in turns)
    return turns


def test_the_test_set_does_not_tell(corpora):
    for path in (corpora / "ADReSS" / "test" / "transcription").iterdir():
        assert re.search(r"PAR\|\d\d;\|(fe)?male\|\|\|Participant\|\|\|\n", path.read_text())
    group = {p.parent.name: re.search(r"male\|(\w+)\|\|Participant\|", p.read_text())[1]
             for p in (corpora / "ADReSS" / "train" / "transcription").glob("*/*.cha")}
    assert group == {"cc": "Control", "cd": "ProbableAD"}


def test_illness_is_told_by_pauses_and_rate_and_overlaps():
    people = adress.plan(Path("none"), 60, 2, (1.0, 2.0), 0)
    drawn = {g: [adress.aged(p, generator(0, p.name)) for p in people[g]] for g in ("cc", "cd")}
    pause, rate = {g: np.array([d[1] for d in drawn[g]]) for g in drawn}, {g: np.array([d[0].rate for d in drawn[g]]) for g in drawn}
    assert pause["cd"].mean() > 1.5 * pause["cc"].mean() and pause["cd"].min() < pause["cc"].max()
    assert rate["cd"].mean() < 0.9 * rate["cc"].mean() and rate["cd"].max() > rate["cc"].min()


def test_a_line_is_folded_without_losing_a_word():
    text = " ".join(f"word{i}" for i in range(40))
    folded = chat.fold("*PAR", text, "\x151_2\x15", alone=True)
    assert folded.endswith("\n\t\x151_2\x15\n") and folded.replace("\n\t", " ") == f"*PAR:\t{text} \x151_2\x15\n"


def test_a_corpus_is_made_again_for_its_own_options_alone(corpora, tmp_path):
    make(tmp_path)
    assert make(tmp_path).stdout.count("skipped") == 2
    assert make(tmp_path, "--ad-turns", "1").stdout.count("IEMOCAP is there already, skipped") == 1
    assert len(list(tmp_path.glob("ADReSS/test/Normalised_audio-chunks/*.wav"))) == 4
    before = digest(tmp_path / "IEMOCAP")
    done = make(tmp_path, "--ad-turns", "1", "--only", "musan iemocap", "--musan-files", "1", "--speakers", "7")
    assert done.stdout.count("skipped") == 1 and (tmp_path / "musan").is_dir() and not (tmp_path / "VoxCeleb1").exists()
    assert digest(tmp_path / "IEMOCAP") == before == digest(corpora / "IEMOCAP")
    assert not list(tmp_path.glob(".*.part"))


@pytest.mark.parametrize("wrong", [
    ("--emotion-utts", "5"), ("--emotion-utts", "1000"), ("--ad-participants", "0"), ("--ad-participants", "79"), ("--ad-turns", "0"),
    ("--only", "iemocap timit"), ("--only", "")])
def test_impossible_sizes(tmp_path, wrong):
    done = make(tmp_path / "out", *wrong, expect=1)
    assert wrong[0] in done.stderr and len(done.stderr.splitlines()) == 1 and not (tmp_path / "out").exists()
