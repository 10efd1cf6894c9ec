"""What is no recording, or no model: one sentence, from Python and from the command line alike."""
import subprocess
import sys

import numpy as np
import pytest
import small_models
import soundfile
import torch
from recipe_copy import ROOT
from small_models import voice, wav

import sslspk
from sslspk import cli
from sslspk.io import table
from sslspk.train import checkpoint

NAN = np.array([0.1, np.nan] * 4000, np.float32)


def files(folder):
    """Bad recordings by kind: file, and what is said of it."""
    (folder / "notes.txt").write_text("no audio at all " * 40)
    (folder / "empty.wav").write_bytes(b"")
    whole = (folder / "good.wav").read_bytes()
    (folder / "cut.wav").write_bytes(whole[:len(whole) // 2])
    wav(folder / "short.wav", voice(0.05))
    wav(folder / "silence.wav", np.zeros(16000, np.int16))
    wav(folder / "two.wav", np.stack([voice(0.5), voice(0.5, 200)], 1))
    wav(folder / "header.wav", np.zeros(0, np.int16))
    (folder / "folder").mkdir()
    soundfile.write(folder / "nan.wav", NAN, 16000, subtype="FLOAT")
    soundfile.write(folder / "scale.wav", NAN[::2] * 3e5 * np.sign(np.sin(np.arange(4000))), 16000, subtype="FLOAT")
    soundfile.write(folder / "slow.wav", voice(1.0)[:800], 800)
    return {"notes.txt": "cannot be decoded", "empty.wav": "is 0 bytes long", "cut.wav": "is truncated", "short.wav": "lasts 0.050 s",
            "silence.wav": "holds no speech (nothing but zeros)", "two.wav": "has 2 channels; choose one", "header.wav": "holds no samples",
            "nan.wav": "holds NaN or infinite samples", "scale.wav": "float samples on another scale", "slow.wav": "800 samples a second",
            "gone.wav": "is not there; give the path of an audio file"}


KINDS = [*(f"{name}.wav" for name in ("empty", "cut", "short", "silence", "two", "header", "nan", "scale", "slow", "gone")), "notes.txt"]


@pytest.fixture(scope="module")
def place(tmp_path_factory):
    folder = tmp_path_factory.mktemp("bad")
    wav(folder / "good.wav", voice(0.5))
    small_models.write(folder)
    return folder, files(folder), sslspk.load(folder)


def sentence(call, folder):
    """What a call is refused with: one sentence of at most 160 characters beside the folder's path."""
    with pytest.raises(sslspk.InputError) as caught:
        call()
    said = str(caught.value)
    assert len(said.replace(f"{folder}/", "")) <= 160 and "\n" not in said and said.endswith("."), said
    return said


@pytest.mark.parametrize("name", KINDS)
def test_a_bad_recording(place, name, tmp_path):
    folder, said, model = place
    assert said.keys() == set(KINDS)
    good, bad, out = str(folder / "good.wav"), str(folder / name), tmp_path / "out.csv"
    (tmp_path / "list").write_text(f"{good} {bad} target\n{good} {good} nontarget\n")
    shared = ["--model", str(folder)]
    calls = {"embed": lambda: model.embed(bad), "list": lambda: model.embed([good, bad]), "frames": lambda: model.frames(bad),
             "windows": lambda: model.embed(bad, window=0.2), "compare": lambda: model.compare(good, bad),
             "sslspk embed": lambda: cli.run(["embed", *shared, "--out", str(out), good, bad]),
             "sslspk compare": lambda: cli.run(["compare", *shared, good, bad]),
             "sslspk score": lambda: cli.run(["score", *shared, str(tmp_path / "list")])}
    for kind, call in calls.items():
        found = sentence(call, folder)
        assert said[name] in found and name in found, kind
    assert not out.exists()


@pytest.mark.parametrize(("x", "rate", "said"), [
    (NAN, 16000, "the array holds NaN or infinite samples"), (np.zeros(16000, np.int16), 16000, "the array holds no speech"),
    (np.zeros(0, np.float32), 16000, "the array holds no samples"), (voice(0.05), 16000, "the array lasts 0.050 s"),
    (np.stack([voice(0.5)] * 2), 16000, "the array has 2 channels; choose one"), (voice(0.5), None, "needs its sampling rate"),
    (voice(0.5), 16000.5, "needs its sampling rate"), (voice(0.5), 8, "needs its sampling rate"),
    (voice(0.5), "16k", "needs its sampling rate"),
    (voice(0.5), float("nan"), "needs its sampling rate"), (voice(0.5).astype(np.int64), 16000, "is int64 (8000,)"),
    (voice(0.5).astype(np.float32), 16000, "on another scale"), (np.zeros((2, 3, 4)), 16000, "of shape (S,) or (S, channels)"),
    (np.ones((200, 200)), 16000, "has 200 channels, which are too many"),
    ({"a": 1}, None, "a recording is a path, or an array with its rate, not 'dict'"),
    (None, None, "not 'NoneType'")])
def test_a_bad_array(place, x, rate, said):
    folder, _, model = place
    assert said in sentence(lambda: model.embed(x, rate), folder)
    if isinstance(x, np.ndarray):
        listed = sentence(lambda: model.embed([voice(0.5), x], [16000, rate]), folder)
        assert said.replace("the array", "array 2 of the list") in listed


@pytest.mark.parametrize(("options", "said"), [
    ({"channel": 2}, "asks for number 3"), ({"channel": -1}, "there is no channel -1"), ({"channel": "left"}, "there is no channel 'left'"),
    ({"channel": True}, "there is no channel True"), ({"window": 0}, "window 0 must be"), ({"shift": 1}, "a shift needs a window"),
    ({"window": 0.5, "shift": 0}, "shift 0 must be a number"), ({"window": float("nan")}, "window nan must be a number"),
    ({"window": "1"}, "window '1' must be a number"), ({"rate": [16000, 8000], "x": ["a.wav"]}, "recordings: 1, rates: 2")])
def test_bad_options(place, options, said):
    folder, _, model = place
    options = {"x": str(folder / "two.wav"), "channel": 0} | options
    assert said in sentence(lambda: model.embed(options.pop("x"), **options), folder)


def broken_models(folder):
    """Files that are no model, and what is said of them."""
    whole = (folder / "final.pt").read_bytes()
    content = checkpoint.load(folder / "final.pt")
    made = {"cut": (whole[:len(whole) // 2], "not a readable model"), "text": (b"hello" * 100, "not a readable model"),
            "none": (b"", "not a readable"), "later": (content | {"format": 2}, "by a later version of sslspk (its format is 2, known is"),
            "key": (content | {"config": content["config"] | {"novel": 1}}, "novel"), "step": ({"step": 3}, "give the run's final.pt")}
    for name, (what, _) in made.items():
        if isinstance(what, bytes):
            (folder / f"{name}.pt").write_bytes(what)
        else:
            torch.save(what, folder / f"{name}.pt")
    (folder / "no_model").mkdir(exist_ok=True)
    return {**{f"{name}.pt": said for name, (_, said) in made.items()}, "no_model": "cannot be read (No such file or directory)",
            "gone.pt": "cannot be read (No such file or directory)"}


@pytest.mark.parametrize("name", ["cut.pt", "text.pt", "none.pt", "later.pt", "key.pt", "step.pt", "no_model", "gone.pt"])
def test_a_bad_model(place, name):
    folder, *_ = place
    said = broken_models(folder)[name]
    path, good = str(folder / name), str(folder / "good.wav")
    for call in (lambda: sslspk.load(path), lambda: cli.run(["embed", "--model", path, good]), lambda: cli.run(["info", path])):
        assert said in sentence(call, folder)


@pytest.mark.parametrize("device", ["cuda:64", "tpu", "meta", "", 3.5])
def test_a_device_that_is_not_there(place, device):
    assert "device" in sentence(lambda: sslspk.load(place[0], device), place[0])


def test_no_model_and_nothing_to_embed(place, monkeypatch, tmp_path):
    folder, *_ = place
    monkeypatch.delenv("SSLSPK_MODEL", raising=False)
    assert "which model? Give --model FILE" in sentence(lambda: cli.run(["embed", str(folder / "good.wav")]), folder)
    empty, model = tmp_path / "empty", ["--model", str(folder)]
    empty.mkdir()
    assert "holds no audio" in sentence(lambda: cli.run(["embed", *model, str(empty)]), tmp_path)
    monkeypatch.setattr("sys.stdin", [])
    assert "there is no recording" in sentence(lambda: cli.run(["embed", *model, "-"]), folder)
    twice = [str(folder / "good.wav")] * 2
    assert "is given twice" in sentence(lambda: cli.run(["embed", *model, *twice]), folder)
    (tmp_path / "x.csv").mkdir()
    out = ["--out", str(tmp_path / "x.csv")]
    assert "is a folder; choose another name" in sentence(lambda: cli.run(["embed", *model, *out, twice[0]]), tmp_path)


def test_a_segment_without_a_channel_of_two(place, tmp_path):
    """A data directory names the channel in segments; where it does not, the command line must."""
    folder, _, model = place
    for name, tail in (("with", " 1"), ("without", "")):
        (tmp_path / name).mkdir()
        table.write(tmp_path / name / "wav.scp", {"r": str(folder / "two.wav")})
        table.write(tmp_path / name / "segments", {"u": f"r 0.1 0.4{tail}"})
    out = ["embed", "--model", str(folder), "--out", str(tmp_path / "x.npy")]
    assert "has 2 channels" in sentence(lambda: cli.run([*out, str(tmp_path / "without")]), folder)
    cli.run([*out, str(tmp_path / "with")])
    part = voice(0.5, 200)[1600:6400]
    np.testing.assert_allclose(np.load(tmp_path / "x.npy")[0], model.embed(part, 16000), atol=1e-6)


def test_the_program_says_it_in_one_line(place, tmp_path):
    """One whole run: no traceback, exit status 1."""
    folder, *_ = place
    done = subprocess.run([sys.executable, "-m", "sslspk.cli", "embed", "--model", folder, folder / "notes.txt"], cwd=ROOT, text=True,
                          capture_output=True, check=False)
    assert done.returncode == 1 and not done.stdout and len(done.stderr.splitlines()) == 1 and "cannot be decoded" in done.stderr
