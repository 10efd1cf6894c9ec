"""Archives, model files and lists whose headers lie, or that never end: one sentence, at once, with little memory."""
import resource
import struct
import time

import numpy as np
import pytest

from sslspk.errors import InputError
from sslspk.io import ark, columns, embeddings, kaldi_model, merge, predictions, scores, trials

READERS = {"load": ark.load, "shape": ark.shape, "end": ark.end, "rows": lambda spec: ark.load_rows(spec, 0, 1),
           "merge": lambda spec: merge.check_whole({"u": spec})}


def entry(kind, *sizes, width=4):
    return b"\0B" + kind + b" " + b"".join(bytes([width]) + struct.pack("<i", size) for size in sizes)


def compressed(kind, rows, cols):
    return b"\0B" + kind + b" " + struct.pack("<ffii", 0, 1, rows, cols)


HEADERS = {
    "negative rows": entry(b"FM", -3, 2), "negative both": entry(b"FM", -3, -2), "huge": entry(b"FM", 2**31 - 1, 2**31 - 1),
    "huge doubles": entry(b"DM", 2**31 - 1, 2**31 - 1), "rows without columns": entry(b"FM", 2**31 - 1, 0),
    "negative vector": entry(b"FV", -1),
    "huge vector": entry(b"DV", 2**31 - 1), "eight-byte sizes": entry(b"FM", 2, 2, width=8), "negative CM": compressed(b"CM", -5, 5),
    "huge CM": compressed(b"CM", 2**31 - 1, 2**31 - 1), "huge CM2": compressed(b"CM2", 2**31 - 1, 2),
    "huge CM3": compressed(b"CM3", 2, 2**31 - 1),
    "pipe of pickles": b"\0BPICKLE \4" + b"c" * 40,
}


def refused(read, *words, said, memory=200 << 20):
    """The message of the one sentence that `read` ends with, at once and in little memory."""
    before, begin = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss, time.process_time()
    with pytest.raises(InputError, match=said) as caught:
        read(*words)
    assert time.process_time() - begin < 5
    assert (resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before) * 1024 < memory
    assert str(caught.value).isprintable() and len(str(caught.value)) < 400
    return str(caught.value)


@pytest.mark.parametrize("read", READERS.values(), ids=READERS)
@pytest.mark.parametrize("header", HEADERS.values(), ids=HEADERS)
def test_a_header_that_lies_is_refused(tmp_path, read, header):
    (tmp_path / "x.ark").write_bytes(b"u " + header + b"\0" * 64)
    refused(read, f"{tmp_path}/x.ark:2", said=r"truncated|not a whole matrix|more than any utterance")


@pytest.mark.parametrize("read", READERS.values(), ids=READERS)
@pytest.mark.parametrize("offset", ["1", "100000", "4294967296", "999999999999999999"])
def test_an_offset_that_is_wrong_is_refused(tmp_path, read, offset):
    (tmp_path / "x.ark").write_bytes(b"u " + entry(b"FV", 3) + struct.pack("<3f", 1, 2, 3))
    assert ark.load(f"{tmp_path}/x.ark:2").tolist() == [1, 2, 3]
    refused(read, f"{tmp_path}/x.ark:{offset}", said=r"truncated|not a whole|does not point")


@pytest.mark.parametrize("offset", ["-5", "9" * 30, "9" * 5000, "1e3", "\u0663"])
def test_an_offset_that_is_no_number_belongs_to_the_name(tmp_path, offset):
    (tmp_path / "x.ark").write_bytes(b"u " + entry(b"FV", 3) + b"\0" * 12)
    refused(ark.load, f"{tmp_path}/x.ark:{offset}", said=r"cannot be read \((No such file|File name too long)")


@pytest.mark.parametrize("read", READERS.values(), ids=READERS)
@pytest.mark.parametrize("head", [b"", b"[", b" [ 1 2", b"\0B", b"u \0B"])
def test_an_archive_of_zeros_is_refused_unread(tmp_path, read, head):
    with (tmp_path / "z.ark").open("wb") as file:
        file.write(b"x" * 10 + head)
        file.truncate(2 << 30)
    refused(read, f"{tmp_path}/z.ark:10", said=r"z.ark:10 (is not|does not|is truncated)")


@pytest.mark.parametrize("byte", [b"1 ", b" ", b"\n", b"["])
def test_text_without_end_is_refused(tmp_path, byte):
    (tmp_path / "x.ark").write_bytes(b"[" + byte * ((40 << 20) // len(byte)))
    refused(ark.load, f"{tmp_path}/x.ark:0", said="not a whole")


def test_text_is_read_as_kaldi_writes_it(tmp_path):
    for text, expected in ((" [ 1 2.5 -3e-2 ]\n", [1, 2.5, -0.03]), (" [\n  1 2 \n  3 4.5 ]\n", [[1, 2], [3, 4.5]]),
                           (" [\n  1 2 ]\n", [[1, 2]]), (" [ ]\n", [])):
        (tmp_path / "x.ark").write_text("u " + text + "v [ 7 ]\n")
        np.testing.assert_allclose(ark.load(f"{tmp_path}/x.ark:2"), expected, rtol=1e-6)
    for text in ("[ 1 2", "[ 1 x ]", "[\n 1 2\n 3 ]", "1 2 ]", "[ 1 ( 2 ]", "[ [ 1 ] ]", "[ 1_0 ]"):
        (tmp_path / "x.ark").write_text(text)
        refused(ark.load, f"{tmp_path}/x.ark:0", said="not a whole")


PLDA = [b"\0B<Plda> ", b"DV \4\2\0\0\0" + struct.pack("<2d", 0, 0), b"DM \4\2\0\0\0\4\2\0\0\0" + struct.pack("<4d", 1, 0, 0, 1),
        b"DV \4\2\0\0\0" + struct.pack("<2d", 1, 1), b"</Plda> "]


@pytest.mark.parametrize(("part", "content", "said"), [
    (1, b"DV \4\xfe\xff\xff\xff" + b"\0" * 16, "not a whole"), (1, b"DV \4\xff\xff\xff\x7f", "not a whole"),
    (2, b"DM \4\xff\xff\xff\x7f\4\xff\xff\xff\x7f", "not a whole"),
    (2, b"DM \4\xfe\xff\xff\xff\4\xfe\xff\xff\xff" + b"\0" * 32, "not a whole"),
    (1, b"DV \4\2\0\0\0" + struct.pack("<2d", 0, np.nan), "NaN or infinite"),
    (3, b"DV \4\2\0\0\0" + struct.pack("<2d", np.inf, 1), "NaN or infinite"),
    (3, b"DV \4\2\0\0\0" + struct.pack("<2d", -1, 1), "below 0"), (0, b"\0" * 100, "not a whole"), (0, b"<Plda> [ 1 2", "not a whole"),
    (0, b"<Plda> [ 1 ] [ 1 ] [ 1 ] </Plda>", "not a whole"), (0, b" " * 5000 + b"<Plda>", "not a whole"),
])
def test_a_damaged_plda_is_refused(tmp_path, part, content, said):
    path = tmp_path / "plda"
    path.write_bytes(b"".join(PLDA))
    assert kaldi_model.read_plda(path).psi.tolist() == [1, 1]
    path.write_bytes(b"".join([*PLDA[:part], content, *PLDA[part + 1:]]))
    assert str(path) in refused(kaldi_model.read_plda, path, said=said)


def test_a_huge_file_is_no_model(tmp_path):
    with (tmp_path / "x").open("wb") as file:
        file.truncate(1 << 40)
    for read in (kaldi_model.read, kaldi_model.read_plda, scores.read, trials.read, predictions.read):
        refused(read, tmp_path / "x", said=r"not a whole|larger than|zero bytes")


def test_a_mean_that_is_not_finite_is_refused(tmp_path):
    kaldi_model.write(tmp_path / "mean.vec", np.array([1, np.nan]))
    refused(kaldi_model.read, tmp_path / "mean.vec", said="mean.vec holds NaN")


@pytest.mark.parametrize("read", [lambda path: columns.read(path, "a b c"), scores.read, trials.read])
def test_a_line_without_end_is_refused(tmp_path, read):
    (tmp_path / "x").write_bytes(b"a b 1\n" + b"c" * (1 << 20))
    refused(read, tmp_path / "x", said="x:2: a line of more than 64 KB")


def test_predictions_quote_little_of_what_they_refuse(tmp_path):
    (tmp_path / "x").write_bytes(b"a\t" * 100000)
    refused(predictions.read, tmp_path / "x", said="first line must be utt")
    (tmp_path / "x").write_bytes(b"utt\ta\tb\nu\t0.5\t\xff\n")
    refused(predictions.read, tmp_path / "x", said="x:2: not UTF-8")


@pytest.mark.parametrize("value", [1e200, -1e31, 1e-310])
def test_an_embedding_that_cannot_be_computed_with_is_refused_by_name(tmp_path, value):
    rows = {"a": (0, 1e-200, 3), "b": (0, value, 0), "c": (0, 0, 0)}
    stored = [entry(b"DV", 3) + struct.pack("<3d", *row) for row in rows.values()]
    (tmp_path / "x.ark").write_bytes(b"".join(stored))
    lines = (f"{key} {tmp_path}/x.ark:{i * len(stored[0])}\n" for i, key in enumerate(rows))
    (tmp_path / "xvector.scp").write_text("".join(lines))
    refused(embeddings.load, tmp_path, said=r"xvector.scp: the largest value of b is .*1 of 3")
    names, x = embeddings.load(tmp_path, {"a", "c"})
    assert names == ["a", "c"] and x.tolist() == [[0, 1e-200, 3], [0, 0, 0]]
