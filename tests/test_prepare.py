"""local/prepare_*.py on tiny corpora in the layouts of the originals, run as a user runs them."""
import os
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import av
import numpy as np
import pytest
import soundfile

from sslspk.io import audio, datadir, table

ROOT = Path(__file__).resolve().parents[1]
ENV = {**os.environ, "PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": "1"}
PEOPLE = {"id10001": ("m", "dev"), "id10002": ("f", "dev"), "id10270": ("m", "test"), "id10271": ("f", "test")}


def program(name, *args, nj=1):
    return [sys.executable, str(ROOT / f"local/prepare_{name}.py"), "--nj", str(nj), *map(str, args)]


def prepare(name, *args, nj=1):
    return subprocess.run(program(name, *args, nj=nj), env=ENV, capture_output=True, text=True, check=False)


def good(name, *args, nj=1):
    done = prepare(name, *args, nj=nj)
    assert (done.returncode, done.stderr) == (0, "")
    return done.stdout


def refused(name, *args):
    """The one sentence of a refusal."""
    done = prepare(name, *args)
    assert done.returncode == 1
    assert done.stderr.count("\n") == 1 and "Traceback" not in done.stderr
    return done.stderr


def put(path, seed, rate=16000, channels=1, samples=1600):
    path.parent.mkdir(parents=True, exist_ok=True)
    wave = np.random.default_rng(seed).integers(-9000, 9000, (samples, channels), np.int16)
    soundfile.write(path, wave, rate, subtype="PCM_16")


def put_m4a(path, seed, samples=4000):
    path.parent.mkdir(parents=True, exist_ok=True)
    wave = np.random.default_rng(seed).uniform(-0.3, 0.3, (1, samples)).astype(np.float32)
    with av.open(str(path), "w", format="mp4") as box:
        stream = box.add_stream("aac", rate=16000, layout="mono")
        frame = av.AudioFrame.from_ndarray(wave, format="fltp", layout="mono")
        frame.sample_rate = 16000
        for item in (frame, None):
            box.mux(stream.encode(item))


def names():
    """Ten recordings of each of four speakers: (part, "idNNNNN/video/NNNNN")."""
    return [(part, f"{speaker}/v-{video}_x/{number:05d}") for speaker, (_, part) in PEOPLE.items()
            for video in range(2) for number in range(1, 6)]


@pytest.fixture
def vox1(tmp_path):
    """VoxCeleb1: 20 dev and 20 test recordings."""
    root = tmp_path / "VoxCeleb1"
    for seed, (part, name) in enumerate(names()):
        put(root / part / "wav" / f"{name}.wav", seed)
    rows = [f"{speaker}\tSome_One\t{gender}\tUK\t{part}" for speaker, (gender, part) in PEOPLE.items()]
    (root / "vox1_meta.csv").write_text("\n".join(["VoxCeleb1 ID\tVGGFace1 ID\tGender\tNationality\tSet", *rows]))
    (root / "veri_test2.txt").write_text("1 id10270/v-0_x/00001.wav id10270/v-1_x/00001.wav\n"
                                         "0 id10270/v-0_x/00002.wav id10271/v-1_x/00003.wav\n"
                                         "1 id10271/v-0_x/00002.wav id10271/v-1_x/00003.wav")
    return root


@pytest.fixture
def vox2(tmp_path):
    """VoxCeleb2: 20 dev recordings in m4a, comma-separated metadata with byte order mark and trailing blanks."""
    root = tmp_path / "VoxCeleb2"
    for seed, (part, name) in enumerate(names()):
        if part == "dev":
            put_m4a(root / "dev/aac" / f"{name}.m4a", seed)
    rows = [f"{speaker} ,n{speaker[2:]} ,{gender} ,{part} \n" for speaker, (gender, part) in PEOPLE.items()]
    (root / "vox2_meta.csv").write_text("\ufeffVoxCeleb2 ID ,VGGFace2 ID ,Gender ,Set \n" + "".join(rows))
    return root


def tables(folder):
    return {name: (folder / name).read_bytes() for name in datadir.table_names(str(folder))}


def bad_files(folder):
    return dict(line.split("\t") for line in (folder / "bad_files.txt").read_text().splitlines())


def test_voxceleb1(vox1, tmp_path):
    said = good("voxceleb1", vox1, tmp_path / "data")
    test = datadir.validate(str(tmp_path / "data/voxceleb1_test"), check_files=True)
    assert set(test) == {"wav.scp", "utt2spk", "spk2utt", "utt2dur", "utt2num_samples", "utt2session", "spk2gender"}
    utt = "id10270-v-1_x-00004"
    assert {name: test[name][utt] for name in ("wav.scp", "utt2spk", "utt2dur", "utt2num_samples", "utt2session")} == {
        "wav.scp": str(vox1 / "test/wav/id10270/v-1_x/00004.wav"), "utt2spk": "id10270", "utt2dur": "0.100",
        "utt2num_samples": "1600", "utt2session": "v-1_x"}
    assert test["spk2gender"] == {"id10270": "m", "id10271": "f"}
    assert len(table.read(tmp_path / "data/voxceleb1_dev/wav.scp")) == 20
    assert (tmp_path / "data/voxceleb1_test/trials_veri_test2").read_text() == (
        "id10270-v-0_x-00001 id10270-v-1_x-00001 target\nid10270-v-0_x-00002 id10271-v-1_x-00003 nontarget\n"
        "id10271-v-0_x-00002 id10271-v-1_x-00003 target\n")
    assert "voxceleb1_test: 20 utterances, 2 speakers" in said and "3 trials, 2 target and 1 nontarget" in said
    assert not list(tmp_path.glob("data/*/bad_files.txt")) and not (tmp_path / "data/voxceleb1").exists()


def test_both_archives_unpacked_in_one_place(vox1, tmp_path):
    good("voxceleb1", vox1, tmp_path / "data")
    (vox1 / "wav").mkdir()
    for part in ("dev", "test"):
        for speaker in (vox1 / part / "wav").iterdir():
            speaker.rename(vox1 / "wav" / speaker.name)
        shutil.rmtree(vox1 / part)
    good("voxceleb1", vox1, tmp_path / "merged")
    for part in ("dev", "test"):
        expected, found = (tables(tmp_path / data / f"voxceleb1_{part}") for data in ("data", "merged"))
        expected["wav.scp"] = expected["wav.scp"].replace(f"/{part}/wav/".encode(), b"/wav/")
        assert found == expected


def test_lists_about_all_speakers(vox1, tmp_path):
    lists = tmp_path / "lists"
    lists.mkdir()
    (lists / "list_test_hard2.txt").write_text("0 id10001/v-0_x/00001.wav id10270/v-0_x/00001.wav\r\n")
    (lists / "voxsrc2021_val.txt").write_text("1 voxceleb1/id10002/v-0_x/00001.wav voxceleb1/id10002/v-1_x/00001.wav\n")
    good("voxceleb1", "--lists", lists, vox1, tmp_path / "data")
    both = tmp_path / "data/voxceleb1"
    assert len(datadir.validate(str(both), check_files=True)["utt2spk"]) == 40
    assert (both / "trials_list_test_hard2").read_text() == "id10001-v-0_x-00001 id10270-v-0_x-00001 nontarget\n"
    assert (both / "trials_voxsrc2021_val").read_text() == "id10002-v-0_x-00001 id10002-v-1_x-00001 target\n"
    said = good("voxceleb1", "--lists", lists, "--parts", "test", vox1, tmp_path / "test_only")
    assert "list_test_hard2.txt is passed over" in said
    assert os.listdir(tmp_path / "test_only") == ["voxceleb1_test"]


def test_bad_recordings_up_to_five_percent(vox1, tmp_path):
    empty, cut, noise = (vox1 / "test/wav" / name for name in
                         ("id10270/v-0_x/00002.wav", "id10271/v-1_x/00001.wav", "id10271/v-1_x/00002.wav"))
    empty.write_bytes(b"")
    cut.write_bytes(cut.read_bytes()[:-2])
    said = good("voxceleb1", vox1, tmp_path / "data")
    found = bad_files(tmp_path / "data/voxceleb1_test")
    assert "0 bytes" in found[str(empty)] and "truncated" in found[str(cut)] and len(found) == 2
    utts = table.read(tmp_path / "data/voxceleb1_test/wav.scp")
    assert len(utts) == 18 and "id10270-v-0_x-00002" not in utts
    assert "bad recordings: 2 of 20, left out" in said and "trials dropped because they name bad recordings: 1 of 3" in said
    assert (tmp_path / "data/voxceleb1_test/trials_veri_test2").read_text().count("\n") == 2

    noise.write_bytes(b"<html>404</html>" * 99)
    said = refused("voxceleb1", vox1, tmp_path / "data")
    assert "bad recordings: 3 of 40, more than 5%" in said and "voxceleb1_test/bad_files.txt" in said
    assert "cannot be decoded" in bad_files(tmp_path / "data/voxceleb1_test")[str(noise)]

    for number, path in enumerate((empty, cut, noise)):
        put(path, number)
    good("voxceleb1", vox1, tmp_path / "data")
    assert not (tmp_path / "data/voxceleb1_test/bad_files.txt").exists()
    assert (tmp_path / "data/voxceleb1_test/trials_veri_test2").read_text().count("\n") == 3


def test_other_rates_and_channels_are_converted_and_counted(vox1, tmp_path):
    fast, stereo = vox1 / "dev/wav/id10001/v-0_x/00001.wav", vox1 / "dev/wav/id10002/v-0_x/00001.wav"
    put(fast, 1, rate=44100, samples=4410)
    put(stereo, 2, channels=2)
    kept = []
    for form in ("wav", "flac", "flac"):
        said = good("voxceleb1", "--out-wav", tmp_path / "copies", "--format", form, vox1, tmp_path / "data")
        assert "1 resampled to 16000 Hz (1 of 44100 Hz)" in said
        assert "1 of several channels reduced to the first" in said
        kept.append("0 converted now and 2 kept" in said)
        wav = table.read(tmp_path / "data/voxceleb1_dev/wav.scp")
        assert wav["id10002-v-0_x-00001"] == str(tmp_path / "copies/dev/id10002/v-0_x/00001") + f".{form}"
        samples, rate = audio.read(wav["id10002-v-0_x-00001"])
        assert rate == 16000 and np.array_equal(samples, soundfile.read(stereo, dtype="int16")[0][:, 0])
        samples, rate = audio.read(wav["id10001-v-0_x-00001"])
        assert rate == 16000 and np.array_equal(samples, audio.resample(audio.read(str(fast))[0], 44100, 16000))
    assert kept == [False, False, True]


def test_a_second_run_leaves_finished_work_alone(vox1, tmp_path):
    good("voxceleb1", vox1, tmp_path / "data")
    folder = tmp_path / "data/voxceleb1_test"
    (folder / "vad.scp").write_text((folder / "wav.scp").read_text())  # as a later step would
    before = {path.name: path.stat().st_mtime_ns for path in folder.iterdir()}
    good("voxceleb1", vox1, tmp_path / "data")
    assert {path.name: path.stat().st_mtime_ns for path in folder.iterdir()} == before
    (folder / "utt2dur").unlink()   # as a kill of steps/make_feats.sh leaves it, which puts another one there
    good("voxceleb1", vox1, tmp_path / "data")
    after = {path.name: path.stat().st_mtime_ns for path in folder.iterdir()}
    assert after.pop("utt2dur") > before.pop("utt2dur") and after == before
    (vox1 / "test/wav/id10270/v-0_x/00005.wav").unlink()
    good("voxceleb1", vox1, tmp_path / "data")
    assert not (folder / "vad.scp").exists() and len(table.read(folder / "wav.scp")) == 19


@pytest.mark.parametrize(("damage", "words"), [
    (lambda root: shutil.rmtree(root / "test"), ("VoxCeleb1's test part", "vox1_test_wav", "Oxford")),
    (lambda root: (root / "veri_test2.txt").unlink(), ("veri_test2.txt", "--lists", "Oxford")),
    (lambda root: (root / "vox1_meta.csv").unlink(), ("vox1_meta.csv", "Oxford")),
    (lambda root: (root / "veri_test2.txt").write_text("1 id10270/v-0_x/00001.wav id10270/v-0_x/00002.wav\n"
                                                       "0 id10270/v-0_x/00001.wav id10999/v-0_x/00002.wav"),
     ("veri_test2.txt:2", "id10999/v-0_x/00002.wav")),
    (lambda root: (root / "veri_test2.txt").write_text("1 id10270/v-0_x/00001.wav\n"),
     ("veri_test2.txt has no labels", "target|nontarget")),
    (lambda root: (root / "dev/wav/id10001").rename(root / "dev/wav/id10003"), ("vox1_meta.csv", "id10003")),
    (lambda root: shutil.rmtree(root), ("voxceleb1 was looked for in", "is not a folder", "Oxford")),
], ids=["no part", "no list", "no metadata", "unknown utterance", "short line", "unknown speaker", "no corpus"])
def test_what_is_missing_is_named(vox1, tmp_path, damage, words):
    damage(vox1)
    said = refused("voxceleb1", vox1, tmp_path / "data")
    assert all(word in said for word in words)
    assert not (tmp_path / "data").exists()


def test_voxceleb2_is_decoded_once(vox2, tmp_path):
    put(vox2 / "dev/aac/id10001/v-0_x/00001.wav", 7)  # converted beside its m4a, as some do
    flac = vox2 / "dev/flac/id10001/v-9/00001.flac"
    put(flac, 8)
    said = good("voxceleb2", vox2, tmp_path / "data")
    assert "no test part" in said and "19 converted now and 0 kept" in said
    tabs = datadir.validate(str(tmp_path / "data/voxceleb2_dev"), check_files=True)
    wav = tabs["wav.scp"]
    assert wav["id10001-v-0_x-00001"].endswith("aac/id10001/v-0_x/00001.wav")
    assert wav["id10001-v-9-00001"] == str(flac)
    utt, source = "id10002-v-1_x-00005", vox2 / "dev/aac/id10002/v-1_x/00005.m4a"
    assert wav[utt] == str(tmp_path / "data/voxceleb2_wav/dev/id10002/v-1_x/00005.wav")
    assert np.array_equal(audio.read(wav[utt])[0], audio.read(str(source))[0])
    assert int(tabs["utt2num_samples"][utt]) == len(audio.read(wav[utt])[0])

    whole = tables(tmp_path / "data/voxceleb2_dev")
    Path(wav[utt]).write_bytes(Path(wav[utt]).read_bytes()[:100])
    Path(wav["id10002-v-1_x-00004"]).unlink()
    os.utime(vox2 / "dev/aac/id10002/v-1_x/00003.m4a", (time.time() + 9, time.time() + 9))
    assert "3 converted now and 16 kept" in good("voxceleb2", vox2, tmp_path / "data")
    assert tables(tmp_path / "data/voxceleb2_dev") == whole


def test_bad_m4a(vox2, tmp_path):
    empty, cut = vox2 / "dev/aac/id10001/v-0_x/00001.m4a", vox2 / "dev/aac/id10001/v-0_x/00002.m4a"
    empty.write_bytes(b"")
    good("voxceleb2", vox2, tmp_path / "data")
    assert "0 bytes" in bad_files(tmp_path / "data/voxceleb2_dev")[str(empty)]
    cut.write_bytes(cut.read_bytes()[:-200])
    assert "bad recordings: 2 of 20" in refused("voxceleb2", vox2, tmp_path / "again")
    assert "is truncated" in bad_files(tmp_path / "again/voxceleb2_dev")[str(cut)]


def children(pid):
    return [int(child) for child in Path(f"/proc/{pid}/task/{pid}/children").read_text().split()]


def test_killed_and_started_again(vox2, tmp_path):
    for seed in range(200):
        put_m4a(vox2 / f"dev/aac/id10001/v-k/{seed:05d}.m4a", seed % 5)
    good("voxceleb2", vox2, tmp_path / "whole")
    at_once = ("import runpy, sys; from sslspk.io import survey; survey.SOON = 0; del sys.argv[0]; "   # in processes from the first on
               "runpy.run_path(sys.argv[0], run_name='__main__')")
    python, *words = program("voxceleb2", vox2, tmp_path / "data", nj=2)
    run = subprocess.Popen([python, "-c", at_once, *words], env=ENV, stdout=subprocess.DEVNULL)
    while run.poll() is None and not list(tmp_path.glob("data/voxceleb2_wav/*/*/*/*.wav")):
        time.sleep(0.01)
    workers = children(run.pid)
    run.send_signal(signal.SIGKILL)
    run.wait()
    assert workers and not (tmp_path / "data/voxceleb2_dev/wav.scp").exists()
    deadline = time.time() + 20
    while any(Path(f"/proc/{pid}/cmdline").exists() and Path(f"/proc/{pid}/cmdline").read_bytes() for pid in workers):
        assert time.time() < deadline, "a worker outlived the program"
        time.sleep(0.05)
    assert " 0 kept" not in good("voxceleb2", vox2, tmp_path / "data", nj=2)
    found, expected = (tables(tmp_path / name / "voxceleb2_dev") for name in ("data", "whole"))
    expected["wav.scp"] = expected["wav.scp"].replace(b"/whole/", b"/data/")
    assert found == expected
