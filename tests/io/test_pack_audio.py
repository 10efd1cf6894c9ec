"""steps/pack_audio.sh and its program, run as a user runs them."""
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import soundfile

from sslspk.io import ark, audio, datadir, derive, table

ROOT = Path(__file__).parent.parent.parent


def recording(n, rate=16000):
    return np.random.default_rng(n).integers(-9000, 9000, rate // 2 + 800 * n).astype(np.int16)


@pytest.fixture
def recipe(tmp_path):
    """A recipe directory with five recordings: two speakers, one recording at 8 kHz, one in stereo."""
    for name in ("steps", "utils"):
        os.symlink(ROOT / name, tmp_path / name)
    wav = {}
    for n in range(5):
        path, rate = tmp_path / f"{n}.wav", 8000 if n == 1 else 16000
        samples = recording(n, rate)
        soundfile.write(path, np.stack([samples, samples[::-1]], 1) if n == 2 else samples, rate)
        wav[f"s{n % 2}-u{n}"] = str(path)
    utts = list(wav)
    datadir.write(str(tmp_path / "data"), wav=wav, utt2spk={utt: utt[:2] for utt in utts},
                  utt2session={utt: "x" for utt in utts}, spk2gender={"s0": "f", "s1": "m"})
    return tmp_path


def pack(recipe, *words):
    env = {**os.environ, "PATH": f"{Path(sys.executable).parent}:{os.environ['PATH']}", "PYTHONPATH": str(ROOT),
           "LC_ALL": "C", "OMP_NUM_THREADS": "1"}
    return subprocess.run(["steps/pack_audio.sh", *words], cwd=recipe, env=env, text=True, capture_output=True, check=False)


def write_vad(recipe, marks):
    with ark.Writer(recipe / "vad.ark", recipe / "data" / "vad.scp") as writer:
        for utt, frames in sorted(marks.items()):
            writer.write(utt, frames)


@pytest.mark.parametrize("form", ["pcm", "flac"])
def test_packing_gives_a_whole_data_directory(recipe, form):
    done = pack(recipe, "--nj", "2", "--format", form, "data", "out")
    assert done.returncode == 0, done.stderr
    assert "packed 5 utterances into out; 1 resampled, 1 reduced to their first channel" in done.stdout
    tables = datadir.validate(str(recipe / "out"), check_files=True)
    assert sorted(tables) == ["spk2gender", "spk2utt", "utt2dur", "utt2num_samples", "utt2session", "utt2spk", "wav.scp"]
    archives = {spec.rpartition(":")[0] for spec in tables["wav.scp"].values()}
    assert len(archives) == 2
    for utt, spec in tables["wav.scp"].items():
        n = int(utt[-1])
        expected = recording(n) if n != 1 else audio.resample(recording(1, 8000), 8000, 16000)
        np.testing.assert_array_equal(audio.read(spec)[0], expected)
        assert int(tables["utt2num_samples"][utt]) == len(expected)
        assert abs(float(tables["utt2dur"][utt]) - len(expected) / 16000) < 1e-4


def test_what_is_not_copied_is_named(recipe):
    for name in ("ctm", "reco2dur", "trials_x"):
        (recipe / "data" / name).write_text("".join(f"{utt} 1\n" for utt in table.read(recipe / "data/wav.scp")))
    done = pack(recipe, "data", "out")
    assert "steps/pack_audio.sh: not copied to out: ctm reco2dur\n" in done.stdout, done.stdout + done.stderr
    assert (recipe / "out/trials_x").exists() and not (recipe / "out/ctm").exists()


def test_a_second_run_skips_and_changes_are_seen(recipe):
    assert pack(recipe, "data", "out").returncode == 0
    before = (recipe / "out" / "wav.scp").stat().st_mtime_ns
    table.write(recipe / "data" / "spk2gender", {"s0": "m", "s1": "m"})
    again = pack(recipe, "--nj", "2", "data", "out")
    assert again.returncode == 0 and "up to date, skipped" in again.stdout
    assert (recipe / "out" / "wav.scp").stat().st_mtime_ns == before
    assert table.read(recipe / "out" / "spk2gender")["s0"] == "m"
    derive.subset(str(recipe / "data"), str(recipe / "data"), utts=["s0-u0", "s1-u1"])
    assert "packed 2 utterances" in pack(recipe, "data", "out").stdout
    assert list(datadir.validate(str(recipe / "out"))["wav.scp"]) == ["s0-u0", "s1-u1"]
    assert len(list((recipe / "out" / "ark").glob("*.ark"))) == 2


def test_silence_is_cut(recipe):
    rng = np.random.default_rng(7)
    marks = {f"s{n % 2}-u{n}": (rng.random(48 + 5 * n) > 0.4).astype(np.float32) for n in range(5)}
    marks["s1-u3"][:] = 0
    missing = pack(recipe, "--vad", "true", "data", "out")
    assert missing.returncode == 1 and "vad.scp is missing" in missing.stderr
    write_vad(recipe, marks)
    done = pack(recipe, "--vad", "true", "data", "out")
    assert done.returncode == 0, done.stderr
    assert "1 kept whole for want of a voiced frame" in done.stdout
    tables = datadir.validate(str(recipe / "out"))
    assert "vad.scp" not in tables
    samples, marked = recording(4), marks["s0-u4"]
    frame = np.minimum(np.arange(len(samples)) // 160, len(marked) - 1)
    np.testing.assert_array_equal(audio.read(tables["wav.scp"]["s0-u4"])[0], samples[marked[frame] > 0])
    np.testing.assert_array_equal(audio.read(tables["wav.scp"]["s1-u3"])[0], recording(3))
    plain = pack(recipe, "--vad", "false", "data", "out")
    assert "0.0 s of silence cut" in plain.stdout
    assert "vad.scp" in datadir.validate(str(recipe / "out"))


def spoil(recipe, how):
    path, data = recipe / "3.wav", recipe / "data"
    if how == "cut":
        path.write_bytes(path.read_bytes()[:-100])
    elif how == "gone":
        path.unlink()
    elif how == "pipe":
        table.write(data / "wav.scp", {**table.read(data / "wav.scp"), "s1-u3": f"cat {path} |"})
    elif how == "vad":
        write_vad(recipe, {f"s{n % 2}-u{n}": np.ones(20 if n == 3 else 48 + 5 * n) for n in range(5)})


@pytest.mark.parametrize("how", ["cut", "gone", "pipe", "vad"])
def test_a_bad_entry_stops_the_step_and_is_named(recipe, how):
    assert pack(recipe, "data", "out").returncode == 0
    spoil(recipe, how)
    os.utime(recipe / "data" / "wav.scp")
    done = pack(recipe, "--vad", "true" if how == "vad" else "false", "data", "out")
    assert done.returncode == 1
    assert "s1-u3" in done.stderr + done.stdout
    assert "Traceback" not in done.stderr
    assert how == "pipe" or not (recipe / "out" / "wav.scp").exists()  # nothing that looks finished is left
    assert not (recipe / "out" / ".done").exists()


def test_a_pipe_runs_when_it_is_allowed(recipe):
    spoil(recipe, "pipe")
    done = pack(recipe, "--allow-pipes", "true", "data", "out")
    assert done.returncode == 0, done.stderr
    np.testing.assert_array_equal(audio.read(table.read(recipe / "out" / "wav.scp")["s1-u3"])[0], recording(3))


@pytest.mark.parametrize(("words", "message"), [
    (("data",), "usage"),
    (("nowhere", "out"), "there is no data directory nowhere"),
    (("data", "data"), "OUT is DATA itself"),
    (("data", "mine"), "mine is a data directory that this step did not make"),
    (("--format", "mp3", "data", "out"), "--format takes pcm or flac, not 'mp3'"),
    (("--vad", "yes", "data", "out"), "--vad takes true or false"),
    (("--nj", "0", "data", "out"), "--nj takes a whole number"),
])
def test_mistakes_on_the_command_line(recipe, words, message):
    derive.subset(str(recipe / "data"), str(recipe / "mine"), utts=["s0-u0"])
    done = pack(recipe, *words)
    assert done.returncode == 1
    assert message in done.stderr
    assert len(table.read(recipe / "mine" / "wav.scp")) == 1


def test_help_is_fast_and_needs_no_torch():
    done = subprocess.run([sys.executable, "-X", "importtime", "-m", "sslspk.bin.pack_audio", "--help"], cwd=ROOT,
                          capture_output=True, text=True, check=True)
    assert "--format" in done.stdout
    assert not any(name in done.stderr for name in (" torch", " scipy", " soundfile", " numpy"))


def test_what_the_labels_are_goes_along(recipe):
    derive.relabel(str(recipe / "data"), str(recipe / "clustered"), dict.fromkeys(table.read(recipe / "data/utt2spk"), "c1"), "pseudo")
    for source, expected in (("clustered", "pseudo"), ("data", "speaker"), ("clustered", "pseudo")):
        done = pack(recipe, "--nj", "1", source, "out")
        assert done.returncode == 0 and datadir.label_source(recipe / "out") == expected, done.stderr
