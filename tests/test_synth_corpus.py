"""The synthetic corpus: layouts, determinism, trials, and that its voices and rooms are what they claim to be."""
import hashlib
import subprocess
import sys
from collections import Counter
from pathlib import Path

import numpy as np
import pytest
import soundfile

ROOT = Path(__file__).resolve().parents[1]
PROGRAM = ROOT / "tools" / "make_synth_corpus.py"
sys.path.insert(0, str(ROOT / "tools"))

from synth import channel, phones, speaker, truth, voice  # noqa: E402

from sslspk.io import table  # noqa: E402
from sslspk.io.alignments import Alignments  # noqa: E402

SMALL = ("--speakers", "6", "--test-speakers", "4", "--sessions", "2", "--utts", "2", "--seconds", "1", "1.5",
         "--voxceleb2-speakers", "2", "--musan-files", "6", "--rooms", "2", "--rirs", "2")


def make(out: Path, *more: str, expect: int = 0) -> subprocess.CompletedProcess:
    done = subprocess.run([sys.executable, PROGRAM, out, *SMALL, *more], capture_output=True, text=True, cwd=ROOT)
    assert done.returncode == expect, done.stderr
    return done


def digest(folder: Path) -> dict[str, str]:
    files = sorted(p for p in folder.rglob("*") if p.is_file() and p.name != ".busy")
    return {str(p.relative_to(folder)): hashlib.md5(p.read_bytes()).hexdigest() for p in files}


@pytest.fixture(scope="module")
def corpus(tmp_path_factory):
    out = tmp_path_factory.mktemp("synth")
    make(out, "--nj", "2")
    return out


def test_bytes_depend_on_the_seed_and_not_on_the_jobs(corpus, tmp_path):
    make(tmp_path / "one", "--nj", "1")
    assert digest(tmp_path / "one") == digest(corpus)
    make(tmp_path / "other", "--seed", "1", "--voxceleb2", "false")
    ours, theirs = digest(corpus), digest(tmp_path / "other")
    assert not {ours[k] for k in ours if k.endswith(".wav")} & {theirs[k] for k in theirs if k.endswith(".wav")}
    assert not (tmp_path / "other" / "VoxCeleb2").exists()


def test_voxceleb1_layout(corpus):
    folder = corpus / "VoxCeleb1"
    head, *rows = [line.split("\t") for line in (folder / "vox1_meta.csv").read_text().splitlines()]
    assert head == ["VoxCeleb1 ID", "VGGFace1 ID", "Gender", "Nationality", "Set"]
    assert Counter(r[4] for r in rows) == {"dev": 6, "test": 4} and Counter(r[2] for r in rows) == {"m": 5, "f": 5}
    for split in ("dev", "test"):
        people = {p.name for p in (folder / split / "wav").iterdir()}
        assert people == {r[0] for r in rows if r[4] == split}
    files = sorted(folder.glob("*/wav/id1????/*/?????.wav"))
    assert len(files) == 10 * 2 * 2 and all(len(p.parent.name) == 11 for p in files)
    for path in files:
        info = soundfile.info(path)
        assert (info.samplerate, info.channels, info.subtype) == (16000, 1, "PCM_16")
        assert 1.0 <= info.duration <= 1.5001
        wave = soundfile.read(path)[0]
        assert 0.05 < np.abs(wave).max() < 0.9 and wave.std() > 0.004


def test_trials(corpus):
    folder = corpus / "VoxCeleb1"
    rows = [line.split(" ") for line in (folder / "veri_test2.txt").read_text().splitlines()]
    gender = {r[0]: r[2] for r in (line.split("\t") for line in (folder / "vox1_meta.csv").read_text().splitlines())}
    assert len({frozenset(r[1:]) for r in rows}) == len(rows)
    same = Counter()
    for label, enrol, test in rows:
        assert (folder / "test" / "wav" / enrol).is_file() and (folder / "test" / "wav" / test).is_file()
        (a, video_a, _), (b, video_b, _) = enrol.split("/"), test.split("/")
        assert (label == "1") == (a == b)
        if label == "1":
            assert video_a != video_b
        else:
            same[gender[a] == gender[b]] += 1
    assert same[True] == same[False] == sum(r[0] == "1" for r in rows) == 4 * 4


def test_voxceleb2_layout(corpus):
    import av

    folder = corpus / "VoxCeleb2"
    text = (folder / "vox2_meta.csv").read_text(encoding="utf-8")
    assert text.startswith("\ufeffVoxCeleb2 ID ,VGGFace2 ID ,Gender ,Set \n")
    people = [[field.strip() for field in line.split(",")] for line in text.splitlines()[1:]]
    files = sorted(folder.glob("*/aac/id0????/*/?????.m4a"))
    assert len(files) == 3 * 2 * 2 and {p.parts[-3] for p in files} == {r[0] for r in people}
    with av.open(str(files[0])) as box:
        stream = box.streams.audio[0]
        assert (stream.codec_context.name, stream.rate, stream.channels) == ("aac", 16000, 1)
        samples = np.concatenate([f.to_ndarray()[0] for f in box.decode(stream)])
    assert 1.0 <= len(samples) / 16000 <= 1.7 and samples.std() > 0.004


def test_musan_layout(corpus):
    folder = corpus / "musan"
    for kind in ("noise", "music", "speech"):
        files = sorted((folder / kind).glob("*/*.wav"))
        assert len(files) == 6 and (files[0].parent / "LICENSE").is_file()
        notes = (files[0].parent / "ANNOTATIONS").read_text().splitlines()
        assert [line.split()[0] for line in notes] == [p.stem for p in files]
        for path in files:
            info = soundfile.info(path)
            assert (info.samplerate, info.channels) == (16000, 1) and info.duration > 5


def test_rirs_layout(corpus):
    folder = corpus / "RIRS_NOISES"
    listed = [folder / f"simulated_rirs/{size}room/rir_list" for size in ("small", "medium", "large")]
    for rooms in [*listed, folder / "real_rirs_isotropic_noises/rir_list", folder / "real_rirs_isotropic_noises/noise_list"]:
        lines = rooms.read_text().splitlines()
        assert lines
        for line in lines:
            words = line.split()
            assert "--rir-id" in words or "--noise-id" in words
            info = soundfile.info(corpus / words[-1])
            assert info.samplerate == 16000 and info.channels == (8 if "real" in rooms.parent.name else 1)
    assert len(list((folder / "simulated_rirs").glob("*/Room???/Room???-?????.wav"))) == 3 * 2 * 2


def test_a_rerun_keeps_what_is_there_and_other_options_replace_it(corpus, tmp_path):
    make(tmp_path)
    before = (tmp_path / "VoxCeleb1" / "veri_test2.txt").stat()
    assert make(tmp_path).stdout.count("skipped") == 4
    assert (tmp_path / "VoxCeleb1" / "veri_test2.txt").stat().st_mtime_ns == before.st_mtime_ns
    make(tmp_path, "--utts", "1")
    assert len(list(tmp_path.glob("VoxCeleb1/*/wav/*/*/*.wav"))) == 20
    assert not list(tmp_path.glob(".*.part"))


def test_a_corpus_of_someone_else_is_not_touched(tmp_path):
    (tmp_path / "musan").mkdir()
    (tmp_path / "musan" / "mine").write_text("")
    assert "was not made by this program" in make(tmp_path, expect=1).stderr
    assert [p.name for p in (tmp_path / "musan").iterdir()] == ["mine"]


@pytest.mark.parametrize("wrong", [("--sessions", "1"), ("--test-speakers", "3"), ("--seconds", "3", "2"), ("--nj", "0")])
def test_impossible_sizes(tmp_path, wrong):
    done = make(tmp_path / "out", *wrong, expect=1)
    assert wrong[0] in done.stderr and len(done.stderr.splitlines()) == 1


def test_phones_fill_the_time():
    numbers, frames = phones.sequence(3.0, 1.0, np.random.default_rng(0))
    assert len(numbers) == len(frames) and frames.min() >= 1 and frames.sum() == 3.0 / phones.FRAME + 2
    assert phones.PHONES[numbers[0]] == phones.PAUSE and 20 <= len(phones.PHONES) <= 30


def test_the_tract_is_the_product_of_its_resonators():
    """Against a slow evaluation of every resonator on the unit circle."""
    person = speaker.draw("f", np.random.default_rng(1))
    got = voice._tract(person, np.full(20, phones.INDEX["a"]))[10]
    z = np.exp(-2j * np.pi * np.arange(voice.NFFT // 2 + 1) / voice.NFFT)
    want = np.ones(len(z), complex)
    for hertz, width in zip(np.exp(person.formants[phones.INDEX["a"]]), person.bandwidths, strict=True):
        pole = np.exp(-np.pi * width / 16000 + 2j * np.pi * min(hertz, 7700) / 16000)
        want *= abs(1 - pole) ** 2 / ((1 - pole * z) * (1 - pole.conjugate() * z))
    np.testing.assert_allclose(got, want, rtol=2e-2)


def test_the_pitch_is_the_speakers():
    person = speaker.draw("m", np.random.default_rng(2))
    wave = voice._glottal(person, np.full(250, 125.0), 0.0, 16000, np.random.default_rng(0))
    spectrum = np.abs(np.fft.rfft(wave * np.hanning(len(wave))))
    assert abs(np.argmax(spectrum[60:200]) + 60 - 125) <= 2


def test_a_room_decays_by_sixty_decibels():
    wave = channel.rir(0.5, 2.0, 0.2, np.random.default_rng(0))
    assert np.argmax(wave) == int(2.0 / 340 * 16000) and wave.max() == 1.0
    energy = 10 * np.log10(np.cumsum(wave[::-1].astype(float) ** 2)[::-1])
    early, late = energy[1600], energy[4800]  # 0.2 s apart: 24 dB at 60 dB in 0.5 s
    assert 20 < early - late < 30


def test_the_noise_of_a_session_has_its_level():
    rng = np.random.default_rng(0)
    tone = np.sin(2 * np.pi * 1000 * np.arange(160000) / 16000).astype(np.float32)
    plain = channel.Channel(np.zeros(7), 1.0, 1e6, None, 20.0, 0.0, 0.5)
    got = channel.record(tone, plain, rng)
    clean = tone * (got @ tone) / (tone @ tone)
    assert abs(10 * np.log10(clean.var() / (got - clean).var()) - 20) < 7
    assert 0.3 < np.abs(got).max() <= 0.5001


def test_the_exact_phones_of_the_corpus(corpus):
    """As many labels as Kaldi's frames, in the order in which `phones` says them, but for pauses."""
    known = Alignments(corpus / "VoxCeleb1" / "phones", kind="truth", classes=len(phones.PHONES))
    said = table.read(corpus / "VoxCeleb1" / "phones" / "phones")
    assert said.keys() == table.read(corpus / "VoxCeleb1" / "phones" / "utt2spk").keys() and len(said) == 40
    for path in sorted((corpus / "VoxCeleb1").glob("*/wav/*/*/*.wav")):
        labels, words = known.of("-".join([*path.parts[-3:-1], path.stem])), said["-".join([*path.parts[-3:-1], path.stem])].split()
        assert len(labels) == 1 + (soundfile.info(path).frames - 400) // 160
        heard = [known.about.names[label] for label in labels[np.flatnonzero(np.diff(labels, prepend=-1))]]
        heard = [word for word in heard if word != "sil"]
        rest = iter(words)
        assert all(word in rest for word in heard)   # a part of the sequence: what is shorter than a frame may have none
        assert 0.7 * len(words) < len(heard)


def test_the_exact_phones_are_where_they_are_heard():
    """The high frequencies of [s], [S] and [z] fit the labels best where they are, within half a frame."""
    rustling, gaps = [phones.INDEX[name] for name in "sSz"], np.zeros(9)
    for seed in range(6):
        person = speaker.draw("mf"[seed % 2], np.random.default_rng(seed))
        wave = voice.utterance(person, 6.0, np.random.default_rng(100 + seed))
        labels = truth.frames(*voice.plan(person, 6.0, np.random.default_rng(100 + seed)), len(wave), 0)
        power = np.abs(np.fft.rfft(np.lib.stride_tricks.sliding_window_view(wave, 400)[::160] * np.hanning(400))) ** 2
        share = np.log((power[:, 70:].sum(1) + 1e-9) / (power.sum(1) + 1e-9))
        assert len(share) == len(labels)
        there = np.isin(labels[4:-4], rustling)
        for k in range(9):
            part = share[k:len(share) - 8 + k]
            gaps[k] += part[there].mean() - part[~there].mean()
    assert gaps.argmax() in (4, 5) and gaps[4] > 1.2 * max(gaps[1], gaps[7])
