"""Samples that cannot be speech, speech that is clipped, and which channel is taken."""
import subprocess
import sys

import numpy as np
import pytest
import soundfile
from test_audio import RATE, tone

from sslspk.errors import InputError
from sslspk.io import audio, channel, clips, quality, table
from sslspk.io.survey import Options, Source, examine

DEAD = {
    "all zeros": (np.zeros(RATE, np.int16), "nothing but zeros"),
    "a constant": (np.full(RATE, -700, np.int16), "nothing but the value -700"),
    "dither": (np.arange(RATE) % 3 - 1, "its samples lie between -1 and 1"),
    "int16 in floats": (tone().astype(np.float32), "float samples on another scale"),
    "a square": (np.sign(tone()).astype(np.float32) * 2, "of its samples are clipped"),
}
ALIVE = {
    "speech": tone(), "quiet": tone() // 2000, "mu-law": (tone() // 1024 * 1024).astype(np.int16), "floats over 1": 3 * tone() / 32768,
    "a click": np.eye(1, RATE, 99)[0] * 0.9, "zeros and speech": np.concatenate([np.zeros(9 * RATE, np.int16), tone()]),
}


def write(path, samples):
    samples = np.asarray(samples)
    subtype = "PCM_16" if samples.dtype.kind == "i" else "FLOAT"
    soundfile.write(path, samples.astype(np.int16) if subtype == "PCM_16" else samples, RATE, subtype=subtype)
    return str(path)


def look(folder, samples, **options):
    path = write(folder / "a.wav", samples)
    return examine(Source("u", "s", path, "u"), Options(str(folder / "copies"), "wav", True, 1, **options))


@pytest.mark.parametrize("name", DEAD)
def test_what_cannot_be_speech_is_left_out_and_stops_a_step(tmp_path, name):
    samples, message = DEAD[name]
    assert message in look(tmp_path, samples).reason
    with pytest.raises(InputError, match=rf"u1: .*a\.wav holds no speech \(.*{message}"):
        clips.utterance("u1", clips.Clip(str(tmp_path / "a.wav")), RATE)


def test_a_dead_channel_beside_a_sound_one_is_told(tmp_path):
    both = np.stack([np.zeros(RATE, np.int16), tone()], 1)
    message = "nothing but zeros; of its 2 channels --channel chooses another"
    assert message in look(tmp_path, both).reason and not look(tmp_path, both, channel=1).reason
    with pytest.raises(InputError, match=message):
        clips.utterance("u1", clips.Clip(str(tmp_path / "a.wav")), RATE)


@pytest.mark.parametrize("name", ALIVE)
def test_what_may_be_speech_passes(tmp_path, name):
    outcome = look(tmp_path, ALIVE[name])
    assert not outcome.reason and not outcome.note
    assert len(clips.utterance("u1", clips.Clip(str(tmp_path / "a.wav")), RATE)) == len(ALIVE[name])


def test_clipped_speech_is_kept_and_named(tmp_path):
    samples = np.clip(tone().astype(int) * 5, -32768, 32767).astype(np.int16)
    share = np.mean((samples == 32767) | (samples == -32768))
    assert quality.CLIPPED < share < quality.SQUARE
    outcome = look(tmp_path, samples)
    assert not outcome.reason and outcome.note == f"{share:.1%} of its samples are clipped"
    softer = (samples // 2).astype(np.int16)   # clipped first, then made softer
    assert quality.suspect(softer) == outcome.note


def pack(folder, *words):
    """The program on folder/wav.scp: (exit status, stdout, stderr)."""
    command = [sys.executable, "-m", "sslspk.bin.pack_audio", *words, folder, folder / "p.ark", folder / "p.scp"]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    return done.returncode, done.stdout, done.stderr


def test_packing_names_all_that_cannot_be_speech(tmp_path):
    clipped = np.clip(tone().astype(int) * 5, -32768, 32767).astype(np.int16)
    wav = {f"u{n}": write(tmp_path / f"{n}.wav", samples) for n, samples in enumerate(
        [tone(), DEAD["all zeros"][0], clipped, DEAD["int16 in floats"][0]])}
    table.write(tmp_path / "wav.scp", wav)
    status, said, error = pack(tmp_path)
    assert status == 1 and "2 of 4 recordings cannot be speech (u1: nothing but zeros); leave out what the log names" in error
    assert "u1 cannot be speech: nothing but zeros" in said and "u3 cannot be speech: float samples on another scale" in said
    assert not (tmp_path / "p.scp").exists() and not (tmp_path / "p.ark").exists()
    table.write(tmp_path / "wav.scp", {utt: wav[utt] for utt in ("u0", "u2")})
    status, said, error = pack(tmp_path)
    assert status == 0 and "u2 is kept, but" in said and "clipped 1" in said, error


STEREO = np.stack([tone(), tone(seed=5) // 2], 1)
CHANNELS = {"first": STEREO[:, 0], 0: STEREO[:, 0], 1: STEREO[:, 1], "mix": np.rint(STEREO.mean(1)).astype(np.int16)}


@pytest.mark.parametrize("chosen", CHANNELS)
@pytest.mark.parametrize("extension", ["wav", "flac"])
def test_a_channel_is_chosen(tmp_path, extension, chosen):
    path = str(tmp_path / f"a.{extension}")
    soundfile.write(path, STEREO, RATE)
    np.testing.assert_array_equal(audio.load(path, channel=chosen).samples, CHANNELS[chosen])
    outcome = examine(Source("u", "s", path, "u"), Options(str(tmp_path / "copies"), "wav", True, 1, chosen))
    assert outcome.channels == 2
    np.testing.assert_array_equal(audio.read(outcome.path)[0], CHANNELS[chosen])


def test_another_channel_is_converted_again(tmp_path):
    soundfile.write(tmp_path / "a.wav", STEREO, RATE)
    source = Source("u", "s", str(tmp_path / "a.wav"), "u")
    hows = [examine(source, Options(str(tmp_path / "copies"), "wav", True, 1, chosen)).how for chosen in ("first", "first", 1, 1, "mix")]
    assert hows == ["converted", "kept", "converted", "kept", "converted"]


def test_a_channel_that_is_not_there(tmp_path):
    soundfile.write(tmp_path / "a.wav", STEREO, RATE)
    with pytest.raises(InputError, match=r"a\.wav has 2 channels, and channel 2 asks for number 3; count from 0"):
        audio.load(str(tmp_path / "a.wav"), channel=2)


@pytest.mark.parametrize("text", ["-1", "left", "1.0", "", "1000", "²"])
def test_what_is_no_channel(text):
    with pytest.raises(ValueError):
        channel.parse(text)


def test_the_first_of_several_is_told_once(tmp_path, capsys, monkeypatch):
    monkeypatch.setattr(channel, "_said", set())
    for name in ("a.wav", "b.wav"):
        soundfile.write(tmp_path / name, STEREO, RATE)
    audio.load(str(tmp_path / "a.wav"), channel=0)
    assert capsys.readouterr().err == ""
    for name in ("a.wav", "b.wav", "a.wav"):
        audio.load(str(tmp_path / name))
    assert capsys.readouterr().err.count("has 2 channels, and the first is taken") == 1


def test_packing_takes_a_channel(tmp_path):
    soundfile.write(tmp_path / "a.wav", STEREO, RATE)
    table.write(tmp_path / "wav.scp", {"u": str(tmp_path / "a.wav")})
    status, _, error = pack(tmp_path, "--channel", "1")
    assert status == 0, error
    np.testing.assert_array_equal(audio.read(table.read(tmp_path / "p.scp")["u"])[0], STEREO[:, 1])
    assert pack(tmp_path, "--channel", "left")[0] == 2


def test_a_rate_at_which_there_is_no_speech_is_refused_before_it_is_resampled(tmp_path):
    soundfile.write(tmp_path / "x.wav", tone(), 1, subtype="PCM_16")   # 16,000 times as long at 16 kHz
    with pytest.raises(InputError, match="has 1 samples a second"):
        audio.load(str(tmp_path / "x.wav"))
