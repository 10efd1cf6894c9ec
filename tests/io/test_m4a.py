"""AAC and ALAC in .m4a files: channels, sample formats, and every kind of damage."""
import av
import numpy as np
import pytest
from test_audio import RATE, tone, write_m4a

from sslspk.errors import InputError
from sslspk.io import audio


def test_stereo_m4a(tmp_path):
    path = str(tmp_path / "a.m4a")
    write_m4a(path, np.stack([tone(), np.zeros(RATE, np.int16)], 1), 44100)
    samples, rate, channels, _ = audio.load(path)
    assert (rate, channels) == (44100, 2)
    assert np.corrcoef(samples[:16000], tone())[0, 1] > 0.9


@pytest.mark.parametrize("options", [None, {"movflags": "faststart"}], ids=["moov_last", "moov_first"])
def test_a_damaged_m4a_is_read_or_refused(tmp_path, options):
    """Bytes overwritten anywhere, most of them in the boxes that describe the audio: never another error."""
    whole, path = tmp_path / "whole.m4a", tmp_path / "damaged.m4a"
    write_m4a(whole, tone(0.5), options=options)
    good, refused = np.fromfile(whole, np.uint8), 0
    boxes = whole.read_bytes().find(b"moov")
    for seed in range(50):
        rng, bad = np.random.default_rng(seed), good.copy()
        first, last = (boxes, min(boxes + 700, len(bad))) if seed % 4 else (0, len(bad))
        bad[rng.integers(first, last, rng.choice([1, 4, 30]))] ^= rng.integers(1, 256, dtype=np.uint8)
        bad.tofile(path)
        try:
            assert len(audio.read(str(path))[0]) > 0
        except InputError as err:
            assert str(path) in str(err)
            refused += 1
    assert 15 < refused < 50


@pytest.mark.parametrize("layout, count", [("5.1", 6), ("7.1", 8)])
def test_an_m4a_of_many_channels(tmp_path, layout, count):
    """The eight planes of a frame fill the decoder's table to its end, where a reader must stop."""
    path = str(tmp_path / "a.m4a")
    samples = np.stack([tone(), *np.zeros((count - 1, RATE), np.int16)]).T
    with av.open(path, "w", format="mp4") as container:
        stream = container.add_stream("aac", rate=RATE, layout=layout)
        frame = av.AudioFrame.from_ndarray(np.ascontiguousarray(samples).reshape(1, -1), format="s16", layout=layout)
        frame.sample_rate, frame.pts = RATE, 0
        container.mux(stream.encode(frame))
        container.mux(stream.encode(None))
    found, rate, channels, _ = audio.load(path)
    assert (rate, channels) == (RATE, count)
    assert np.corrcoef(found[:16000], tone())[0, 1] > 0.9


@pytest.mark.parametrize("form, subtype", [("s16p", "s16"), ("s32p", "s32")])
def test_a_lossless_m4a_is_read_exactly(tmp_path, form, subtype):
    path = str(tmp_path / "a.m4a")
    with av.open(path, "w", format="mp4") as container:
        stream = container.add_stream("alac", rate=RATE, layout="mono")
        stream.codec_context.format = form
        samples = tone()[None] if subtype == "s16" else tone()[None].astype(np.int32) << 16
        frame = av.AudioFrame.from_ndarray(samples, format=form, layout="mono")
        frame.sample_rate, frame.pts = RATE, 0
        container.mux(stream.encode(frame))
        container.mux(stream.encode(None))
    np.testing.assert_array_equal(audio.read(path)[0], tone())


def test_an_m4a_whose_codec_is_unknown_is_refused(tmp_path):
    path = tmp_path / "a.m4a"
    write_m4a(path, tone(0.5))
    path.write_bytes(path.read_bytes().replace(b"mp4a", b"zzzz").replace(b"esds", b"zzzz"))
    with pytest.raises(InputError, match=r"a\.m4a (holds no audio that can be decoded|cannot be decoded)"):
        audio.read(str(path))


def test_tags_that_are_no_text_do_not_matter(tmp_path):
    path = tmp_path / "a.m4a"
    write_m4a(path, tone(0.5))
    data = path.read_bytes()
    place = data.find(b"Lavf")
    assert place > 0
    path.write_bytes(data[:place] + b"\xff\xfe\x80\xff" + data[place + 4:])
    assert audio.read(str(path))[1] == RATE
