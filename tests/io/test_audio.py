"""Audio of every kind, broken audio, and packed archives."""
import os

import av
import kaldiio
import numpy as np
import pytest
import soundfile
from scipy.signal import resample_poly

from sslspk.errors import InputError
from sslspk.io import audio, table

RATE = 16000


def tone(seconds=1.0, rate=RATE, seed=0):
    rng = np.random.default_rng(seed)
    t = np.arange(int(seconds * rate)) / rate
    return np.int16(8000 * np.sin(2 * np.pi * 220 * t) + 500 * rng.standard_normal(len(t)))


def write_m4a(path, samples, rate=RATE, options=None):
    """AAC of int16 samples (S,) or (S, 2); its edit list says how much padding the encoder put before them."""
    layout = "mono" if samples.ndim == 1 else "stereo"
    with av.open(str(path), "w", format="mp4", options=options or {}) as container:
        stream = container.add_stream("aac", rate=rate, layout=layout)
        stream.bit_rate = 96000
        frame = av.AudioFrame.from_ndarray(samples.reshape(1, -1), format="s16", layout=layout)
        frame.sample_rate, frame.pts = rate, 0
        container.mux(stream.encode(frame))
        container.mux(stream.encode(None))


@pytest.fixture(params=["a.wav", "a.flac", "a.WAV"])
def lossless(request, tmp_path):
    path = str(tmp_path / request.param)
    soundfile.write(path, tone(), RATE, subtype="PCM_16")
    return path


def test_lossless_files_are_read_exactly(lossless):
    samples, rate = audio.read(lossless)
    np.testing.assert_array_equal(samples, tone())
    assert (samples.dtype, rate) == (np.int16, RATE)
    assert audio.info(lossless) == (RATE, RATE, 1)
    np.testing.assert_array_equal(audio.read_segment(lossless, 300, 200), tone()[300:500])


def test_the_first_of_several_channels(tmp_path):
    path = str(tmp_path / "a.wav")
    soundfile.write(path, np.stack([tone(), tone(seed=1)], 1), RATE)
    np.testing.assert_array_equal(audio.read(path)[0], tone())
    assert audio.load(path).channels == 2
    assert audio.info(path) == (RATE, RATE, 2)


@pytest.mark.parametrize("subtype", ["FLOAT", "DOUBLE", "PCM_24", "PCM_32"])
def test_other_sample_formats_come_in_16_bit_scale(tmp_path, subtype):
    path = str(tmp_path / "a.wav")
    soundfile.write(path, tone() / 32768, RATE, subtype=subtype)
    assert np.abs(audio.read(path)[0].astype(int) - tone()).max() <= 1


def test_floats_are_rounded_and_clipped(tmp_path):
    path = str(tmp_path / "a.wav")
    soundfile.write(path, np.array([0.0, 2.0, -2.0, 0.75 / 32768]), RATE, subtype="DOUBLE")
    assert audio.read(path)[0].tolist() == [0, 32767, -32768, 1]


@pytest.mark.parametrize("name", ["a.ogg", "a.m4a"])
def test_lossy_files_come_close(tmp_path, name):
    path = str(tmp_path / name)
    write_m4a(path, tone()) if name == "a.m4a" else soundfile.write(path, tone(), RATE)
    samples, rate = audio.read(path)
    assert rate == RATE
    assert abs(len(samples) - RATE) <= 2048
    n = min(len(samples), RATE)
    assert np.corrcoef(samples[:n], tone()[:n])[0, 1] > 0.97
    assert audio.info(path) == (len(samples), RATE, 1)
    np.testing.assert_array_equal(audio.read_segment(path, 500, 200), samples[500:700])


def cut(path, keep):
    with open(path, "rb+") as file:
        file.truncate(int(os.path.getsize(path) * keep))


@pytest.mark.parametrize("name", ["a.wav", "a.flac", "a.ogg", "a.m4a", "moov_first.m4a"])
@pytest.mark.parametrize("keep", [0.9, 0.5, 0.01])
def test_truncated_files_are_named(tmp_path, name, keep):
    path = str(tmp_path / name)
    if name.endswith("m4a"):
        write_m4a(path, tone(3), options={"movflags": "faststart"} if name != "a.m4a" else None)
    else:
        soundfile.write(path, tone(3), RATE)
    cut(path, keep)
    with pytest.raises(InputError) as caught:
        audio.read(path)
    assert path in str(caught.value)
    assert "truncated" in str(caught.value) or "decoded" in str(caught.value)


@pytest.mark.parametrize("name", ["a.wav", "a.flac", "a.ogg", "a.m4a"])
@pytest.mark.parametrize(("content", "message"), [
    (b"", "is 0 bytes long"),
    (b"this is no audio at all, whatever its name says" * 20, "cannot be decoded"),
])
def test_empty_and_undecodable_files_are_named(tmp_path, name, content, message):
    path = tmp_path / name
    path.write_bytes(content)
    for read in (audio.read, audio.info):
        with pytest.raises(InputError, match=message) as caught:
            read(str(path))
        assert str(path) in str(caught.value)


def test_header_without_samples_and_missing_file(tmp_path):
    path = str(tmp_path / "a.wav")
    soundfile.write(path, np.zeros(0, np.int16), RATE)
    with pytest.raises(InputError, match="holds no samples"):
        audio.read(path)
    with pytest.raises(InputError, match=r"nowhere\.wav"):
        audio.read(str(tmp_path / "nowhere.wav"))


def test_nan_samples(tmp_path):
    path = str(tmp_path / "a.wav")
    soundfile.write(path, np.array([0.0, np.nan]), RATE, subtype="FLOAT")
    with pytest.raises(InputError, match="NaN"):
        audio.read(path)


def test_a_header_of_unknown_length_is_a_pipes_and_good(tmp_path):
    path = str(tmp_path / "a.wav")
    soundfile.write(path, tone(), RATE)
    with open(path, "rb+") as file:
        for place in (4, 40):
            file.seek(place)
            file.write(b"\xff\xff\xff\xff")
    np.testing.assert_array_equal(audio.read(path)[0], tone())


def test_pipes_run_only_when_allowed(tmp_path):
    path = str(tmp_path / "a.wav")
    soundfile.write(path, tone(), RATE)
    with pytest.raises(InputError, match="shell command"):
        audio.read(f"cat {path} |")
    np.testing.assert_array_equal(audio.read(f"cat {path} |", allow_pipes=True)[0], tone())
    with pytest.raises(InputError, match="status 3"):
        audio.read("exit 3 |", allow_pipes=True)


def test_segments_beyond_the_end(lossless):
    with pytest.raises(InputError, match="holds 16000 samples"):
        audio.read_segment(lossless, 15990, 11)
    assert len(audio.read_segment(lossless, 15990, 10)) == 10


@pytest.mark.parametrize(("source", "goal"), [(8000, 16000), (44100, 16000), (16000, 8000)])
def test_resampling(source, goal):
    samples = tone(0.5, source)
    wave = resample_poly(samples.astype(np.float64), goal, source)
    resampled = audio.resample(samples, source, goal)
    assert resampled.dtype == np.int16
    assert np.abs(resampled - wave).max() <= 0.51
    loud = audio.resample(np.int16(32767 * np.sign(np.sin(np.arange(4000) / 9))), source, goal)
    assert loud.max() == 32767 and loud.min() == -32768  # the overshoot is clipped, not wrapped
    assert audio.resample(samples, source, source) is samples


def test_keep_voiced_against_a_loop():
    samples = np.arange(1650, dtype=np.int16)
    voiced = np.array([1, 0, 0, 1, 1, 0, 1, 0, 1.0])
    expected = [x for x in samples if voiced[min(x // 160, 8)]]
    assert audio.keep_voiced(samples, voiced, RATE).tolist() == expected
    odd = np.arange(2205, dtype=np.int16)  # 220.5 samples per frame
    assert len(audio.keep_voiced(odd, np.ones(10), 22050)) == 2205
    assert audio.keep_voiced(odd, np.array([0, 1] + [0] * 8), 22050).tolist() == list(range(220, 441))
    with pytest.raises(InputError, match="VAD covers 9 frames"):
        audio.keep_voiced(np.zeros(16000, np.int16), voiced, RATE)


@pytest.fixture(params=["pcm", "flac"])
def packed(request, tmp_path):
    """Three recordings in one archive: (specs, samples)."""
    content = {f"u{i}": tone(0.2 + i / 10, seed=i) for i in range(3)}
    with audio.PackWriter(tmp_path / "wav.ark", tmp_path / "wav.scp", request.param) as pack:
        for utt, samples in content.items():
            pack.write(utt, samples, RATE)
    return table.read(tmp_path / "wav.scp"), content


def test_packed_audio_comes_back(packed):
    specs, content = packed
    for utt, samples in content.items():
        np.testing.assert_array_equal(audio.read(specs[utt])[0], samples)
        assert audio.info(specs[utt]) == (len(samples), RATE, 1)
        for start, count in ((0, len(samples)), (1, 10), (len(samples) - 7, 7), (5, 0)):
            segment = audio.read_segment(specs[utt], start, count)
            np.testing.assert_array_equal(segment, samples[start:start + count])
            assert segment.dtype == np.int16 and segment.flags.writeable


def test_kaldiio_reads_packed_audio(packed):
    specs, content = packed
    for utt, samples in content.items():
        rate, read = kaldiio.load_mat(specs[utt])
        assert rate == RATE
        np.testing.assert_array_equal(read if read.dtype == np.int16 else np.rint(read * 32768), samples)


def test_kaldis_wav_archive_is_read(tmp_path):
    kaldiio.save_ark(f"{tmp_path}/k.ark", {"a": (RATE, tone()), "b": (8000, tone(seed=1))}, scp=f"{tmp_path}/k.scp")
    specs = table.read(tmp_path / "k.scp")
    np.testing.assert_array_equal(audio.read(specs["b"])[0], tone(seed=1))
    np.testing.assert_array_equal(audio.read_segment(specs["b"], 9, 9), tone(seed=1)[9:18])
    assert audio.info(specs["b"])[1] == 8000


def test_a_cut_archive_is_named(packed):
    specs, content = packed
    path = specs["u2"].rpartition(":")[0]
    cut(path, 0.9)
    count = len(content["u2"])
    for read in (lambda: audio.read(specs["u2"]), lambda: audio.read_segment(specs["u2"], 0, count)):
        with pytest.raises(InputError, match=r"wav\.ark:\d+ is truncated"):
            read()
    np.testing.assert_array_equal(audio.read(specs["u0"])[0], content["u0"])


def test_a_wrong_offset_is_named(packed):
    specs, _ = packed
    path = specs["u0"].rpartition(":")[0]
    with pytest.raises(InputError, match="does not point at packed audio"):
        audio.read(f"{path}:9")


def test_no_archive_appears_when_packing_fails(tmp_path):
    with pytest.raises(ValueError, match="int16"), audio.PackWriter(tmp_path / "a.ark", tmp_path / "a.scp") as pack:
        pack.write("u", tone(), RATE)
        pack.write("v", tone().astype(float), RATE)
    assert os.listdir(tmp_path) == []
    with pytest.raises(InputError, match="mp3"):
        audio.PackWriter(tmp_path / "a.ark", tmp_path / "a.scp", "mp3")
