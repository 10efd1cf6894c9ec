"""Archives of matrices: Kaldi's own bytes, kaldiio both ways, and cut files."""
import os
from pathlib import Path

import kaldiio
import numpy as np
import pytest

from sslspk.errors import InputError
from sslspk.io import ark, merge

GOLDEN = Path(__file__).parent.parent / "golden" / "ark"
KEY = "spk3-u3"
START = len(KEY) + 1


def write(folder, arrays, compress=False):
    with ark.Writer(folder / "x.ark", folder / "x.scp", compress) as writer:
        for key, array in arrays.items():
            writer.write(key, array)
    return ark.read_scp(folder / "x.scp")


@pytest.fixture
def kaldi_matrix():
    """Kaldi's own matrix, from its text form."""
    rows = (GOLDEN / "fm.txt").read_text().split("[")[1].replace("]", "").strip().splitlines()
    return np.array([[float(x) for x in row.split()] for row in rows], np.float32)


def test_kaldis_binary_matrix_is_read(kaldi_matrix):
    loaded = ark.load(f"{GOLDEN}/fm.ark:{START}")
    np.testing.assert_allclose(loaded, kaldi_matrix, rtol=1e-6)
    assert loaded.dtype == np.float32
    assert ark.shape(f"{GOLDEN}/fm.ark:{START}") == kaldi_matrix.shape


def test_kaldis_text_matrix_is_read(kaldi_matrix):
    np.testing.assert_allclose(ark.load(f"{GOLDEN}/fm.txt:{START}"), kaldi_matrix, rtol=1e-6)


def test_kaldis_compressed_matrix_is_read():
    packed = ark.load(f"{GOLDEN}/cm_speech.ark:{START}")
    expanded = ark.load(f"{GOLDEN}/cm_speech_expanded.ark:{START}")
    np.testing.assert_allclose(packed, expanded, atol=2e-5)
    np.testing.assert_array_equal(ark.load_rows(f"{GOLDEN}/cm_speech.ark:{START}", 5, 7), packed[5:12])


@pytest.mark.parametrize(("compress", "golden"), [(False, "fm.ark"), (True, "cm_speech.ark")])
def test_our_bytes_are_kaldis(tmp_path, compress, golden):
    write(tmp_path, {KEY: ark.load(f"{GOLDEN}/fm.ark:{START}")}, compress)
    assert (tmp_path / "x.ark").read_bytes() == (GOLDEN / golden).read_bytes()


@pytest.mark.parametrize("compress", [False, True])
def test_kaldiio_reads_what_we_write(tmp_path, compress):
    rng = np.random.default_rng(1)
    arrays = {"a": rng.standard_normal((50, 7)), "b": rng.standard_normal((3, 7)), "c": rng.standard_normal(9),
              "d": np.zeros((0, 7)), "e": np.full((20, 2), 3.0)}
    scp = write(tmp_path, arrays, compress)
    for key, array in arrays.items():
        theirs, ours = kaldiio.load_mat(scp[key]), ark.load(scp[key])
        np.testing.assert_array_equal(theirs, ours)
        expected = array if array.size else np.zeros((0, 0))  # Kaldi cannot read 0 rows of 7 columns
        np.testing.assert_allclose(ours, expected, atol=0.05 if compress else 1e-6)
        assert ours.shape == expected.shape == ark.shape(scp[key])
        assert ours.flags.writeable and ours.dtype == np.float32


@pytest.mark.parametrize("method", [2, 3, 5])
def test_what_kaldiio_writes_is_read(tmp_path, method):
    matrix = np.random.default_rng(2).standard_normal((30, 4)).astype(np.float32)
    kaldiio.save_ark(f"{tmp_path}/x.ark", {"a": matrix}, scp=f"{tmp_path}/x.scp", compression_method=method)
    spec = ark.read_scp(tmp_path / "x.scp")["a"]
    np.testing.assert_array_equal(ark.load(spec), kaldiio.load_mat(spec))
    np.testing.assert_array_equal(ark.load_rows(spec, 10, 3), ark.load(spec)[10:13])
    assert ark.shape(spec) == (30, 4)


@pytest.mark.parametrize(("span", "rows", "columns"), [
    ("0:9", slice(0, 10), slice(None)), ("3:3", slice(3, 4), slice(None)), ("2:5,0:3", slice(2, 6), slice(0, 4)),
    (":,1:2", slice(None), slice(1, 3)), (":", slice(None), slice(None)), ("4:6,:", slice(4, 7), slice(None)),
])
@pytest.mark.parametrize("golden", ["fm.ark", "fm.txt", "cm_speech.ark"])
def test_a_range_is_that_part_of_kaldis_matrix(golden, span, rows, columns):
    entry = f"{GOLDEN}/{golden}:{START}"
    expected, spec = ark.load(entry)[rows, columns], f"{entry}[{span}]"
    np.testing.assert_array_equal(ark.load(spec), expected)
    assert ark.load(spec).flags.c_contiguous and ark.load(spec).flags.writeable
    if golden != "fm.txt":   # of text only the whole is read
        assert ark.shape(spec) == expected.shape and ark.end(spec) == ark.end(entry)
        np.testing.assert_array_equal(ark.load_rows(spec, len(expected) - 1, 1), expected[-1:])
        with pytest.raises(InputError, match=f"has {len(expected)} rows"):
            ark.load_rows(spec, 0, len(expected) + 1)


def test_a_range_of_a_vector_and_one_that_is_rounded_up(tmp_path):
    scp = write(tmp_path, {"m": np.arange(40).reshape(20, 2), "v": np.arange(20)})
    assert ark.load(scp["v"] + "[2:4]").tolist() == [2, 3, 4] and ark.shape(scp["v"] + "[2:4]") == (3,)
    assert ark.load(scp["m"] + "[18:22]").tolist() == [[36, 37], [38, 39]]   # Kaldi allows three rows too many
    assert ark.shape(scp["m"] + "[18:22]") == (2, 2)


@pytest.mark.parametrize("span", ["", "5:4", "18:23", "20:21", "-1:4", "1", "1:2:3", "0:1,0:2", "0:1,", ",0:1", "0:1,0:1,0:1", "0:1,5:5",
                                  "0:" + "9" * 5000])
def test_a_range_that_is_not_there_is_refused(tmp_path, span):
    spec = write(tmp_path, {"m": np.zeros((20, 2))})["m"]
    for read in (ark.load, ark.shape, lambda spec: ark.load_rows(spec, 0, 1)):
        with pytest.raises(InputError, match=r"x\.ark:2\["):
            read(f"{spec}[{span}]")
    with pytest.raises(InputError, match="columns of a vector"):
        ark.load(write(tmp_path, {"v": np.zeros(9)})["v"] + "[0:1,0:1]")


def test_doubles_stay_doubles(tmp_path):
    matrix = np.random.default_rng(3).standard_normal((5, 4))
    kaldiio.save_ark(f"{tmp_path}/x.ark", {"a": matrix}, scp=f"{tmp_path}/x.scp")
    np.testing.assert_array_equal(ark.load(f"{tmp_path}/x.ark:2"), matrix)
    np.testing.assert_array_equal(ark.load_rows(f"{tmp_path}/x.ark:2", 1, 2), matrix[1:3])


def test_load_rows_reads_the_rows_and_no_others(tmp_path):
    matrix = np.arange(60, dtype=np.float32).reshape(20, 3)
    spec = write(tmp_path, {"a": matrix, "b": matrix})["a"]
    np.testing.assert_array_equal(ark.load_rows(spec, 18, 2), matrix[18:])
    assert ark.load_rows(spec, 4, 0).shape == (0, 3)
    for start, count in ((18, 3), (-1, 2), (21, 0)):
        with pytest.raises(InputError, match="has 20 rows"):
            ark.load_rows(spec, start, count)


def test_nothing_appears_when_writing_fails(tmp_path):
    with pytest.raises(InputError, match="u2 has NaN"), ark.Writer(tmp_path / "x.ark", tmp_path / "x.scp") as writer:
        writer.write("u1", np.zeros((3, 2)))
        writer.write("u2", np.full((3, 2), np.nan))
    assert os.listdir(tmp_path) == []


@pytest.mark.parametrize("key", ["", "a b", "a\n"])
def test_ids_that_could_not_be_read_back(tmp_path, key):
    with pytest.raises(InputError, match="the id"), ark.Writer(tmp_path / "x.ark", tmp_path / "x.scp") as writer:
        writer.write(key, np.zeros(3))


@pytest.mark.parametrize("compress", [False, True])
@pytest.mark.parametrize("cut", [1, 100, 190, 195])
def test_a_cut_archive_is_noticed(tmp_path, compress, cut):
    matrix = np.random.default_rng(4).standard_normal((40, 4))
    scp = write(tmp_path, {"a": matrix, "b": matrix[::-1]}, compress)
    merge.check_whole(scp)
    content = (tmp_path / "x.ark").read_bytes()
    (tmp_path / "cut.ark").write_bytes(content[:-cut])
    cut_scp = {key: spec.replace("x.ark", "cut.ark") for key, spec in scp.items()}
    np.testing.assert_array_equal(ark.load(cut_scp["a"]), ark.load(scp["a"]))
    for read in (lambda: ark.load(cut_scp["b"]), lambda: merge.check_whole(cut_scp), lambda: ark.load_rows(cut_scp["b"], 30, 10)):
        with pytest.raises(InputError, match=r"cut\.ark"):
            read()


@pytest.mark.parametrize("content", [b"", b"a \0B", b"a \0BFM ", b"a \0BXX \4aaaa\4bbbbcccc", b"a PKLcos\nsystem\n", b"a ["])
def test_what_is_no_matrix_is_refused(tmp_path, content):
    (tmp_path / "x.ark").write_bytes(content)
    with pytest.raises(InputError, match=r"x\.ark:2"):
        ark.load(f"{tmp_path}/x.ark:2")


def test_commands_and_missing_files_are_refused():
    with pytest.raises(InputError, match="shell command"):
        ark.load("copy-feats ark:x ark:- |")
    with pytest.raises(InputError, match=r"nowhere\.ark"):
        ark.load("/tmp/nowhere.ark:5")


def test_an_entry_that_says_it_is_larger_than_any_utterance_is_refused_though_the_file_is_so_long(tmp_path):
    with (tmp_path / "x.ark").open("wb") as file:
        file.write(b"u \0BFV \x04\xff\xff\xff\x7f")
        file.truncate(20 << 30)
    with pytest.raises(InputError, match=r"says it holds 8\.59 GB"):
        ark.load(f"{tmp_path}/x.ark:2")
