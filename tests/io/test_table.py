"""Kaldi's tables."""
import pytest
from hypothesis import given
from hypothesis import strategies as st

from sslspk.errors import InputError
from sslspk.io import table

ODD_BLANKS = ["\u00a0", "\u0085", "\u1680", "\u2028", "\u2029", "\u3000"]   # which str.split() and str.splitlines() part words and lines at
WORD = st.text(st.characters(blacklist_categories=("Cc", "Cs"), blacklist_characters=" \ufeff") | st.sampled_from(ODD_BLANKS),
               min_size=1, max_size=8)


@given(st.dictionaries(WORD, st.lists(WORD, min_size=1, max_size=3).map(" ".join), min_size=1))
def test_what_is_written_is_read(tmp_path_factory, mapping):
    path = tmp_path_factory.mktemp("table") / "t"
    table.write(path, mapping)
    assert table.read(path) == mapping
    keys = [line.split(b" ", 1)[0] for line in path.read_bytes().split(b"\n")[:-1]]
    assert keys == sorted(keys)  # bytes compare as LC_ALL=C sort does


def test_values_keep_their_inner_blanks(tmp_path):
    (tmp_path / "t").write_text("a  x  y \nb\tz\n")
    assert table.read(tmp_path / "t") == {"a": "x  y", "b": "z"}


@pytest.mark.parametrize(("content", "message"), [
    (b"", "is empty"),
    (b"a 1\n\nb 2\n", "t:2: a blank line"),
    (b"a 1\nb 2", "t:2: the last line does not end"),
    (b"a 1\nb \0\0\n", "t:2: zero bytes"),
    (b"\n", "t:1: a blank line"),
    (b"a 1\nb\nc 3\n", "t:2: b has no value"),
    (b"a 1\nb \n", "t:2: b has no value"),
    (b"a 1\n b 2\n", "t:2: the line starts with a blank"),
    (b"a 1\nb 2\nb 3\n", "t:3: b is there twice"),
    (b"b 1\na 2\nb 3\n", "t:3: b is there twice"),
    (b"a 1\nc 2\nb 3\n", "t:3: b comes after c"),
    (b"a 1\nB 2\n", "t:2: B comes after a"),
    (b"a 1\nb \xff\n", "t:2: not UTF-8"),
    *((b"a 1\nb" + bytes([code]) + b"c 2\n", "t:2: a control character") for code in (1, 11, 12, 13, 28, 29, 30, 31, 127)),
    (b"a 1\rb 2\r", "t:1: a control character"),
    (b"\xef\xbb\xbf", "is empty"),
])
def test_bad_lines_are_named(tmp_path, content, message):
    (tmp_path / "t").write_bytes(content)
    with pytest.raises(InputError) as caught:
        table.read(tmp_path / "t")
    assert message in str(caught.value)


def test_missing_file_is_named(tmp_path):
    with pytest.raises(InputError, match=r"wav\.scp cannot be read"):
        table.read(tmp_path / "wav.scp")


@pytest.mark.parametrize("start", [b"", b"\xef\xbb\xbf"])
@pytest.mark.parametrize("end", [b"\n", b"\r\n"])
@pytest.mark.parametrize("blank", [b" ", b"\t", b" \t "])
def test_what_other_programs_write_loses_nothing(tmp_path, start, end, blank):
    (tmp_path / "t").write_bytes(start + b"a" + blank + b"x y" + end + "b\u00a0c".encode() + blank + b"z" + end)
    expected = {"a": "x y", "b\u00a0c": "z"}
    assert table.read(tmp_path / "t") == expected == table.read_loose(tmp_path / "t").entries


def test_a_transcript_may_be_empty(tmp_path):
    for content in (b"a\nb \nc x\n", b"a\r\nb \r\nc x\r\n"):
        (tmp_path / "text").write_bytes(content)
        assert table.read(tmp_path / "text", empty=True) == {"a": "", "b": "", "c": "x"}
        assert table.read_loose(tmp_path / "text", empty=True).entries == {"a": "", "b": "", "c": "x"}
    table.write(tmp_path / "text", {"b": "", "a": "x"}, empty=True)
    assert (tmp_path / "text").read_bytes() == b"a x\nb \n"


@pytest.mark.parametrize("mapping", [{"a b": "x"}, {"": "x"}, {"a": ""}, {"a": "x\ny"}, {" a": "x"}, {"a\x0c": "x"}, {"a": "x\x1cy"},
                                     {"\ufeffa": "x"}, {"a": "caf\udce9.wav"}])
def test_unwritable_entries(tmp_path, mapping):
    with pytest.raises(InputError):
        table.write(tmp_path / "t", mapping)
    assert not list(tmp_path.iterdir())


def test_read_loose_saves_what_it_can(tmp_path):
    (tmp_path / "t").write_text("b 2\n\n a 1\nc\nb 2\nd 4")
    assert table.read_loose(tmp_path / "t") == (
        {"b": "2", "a": "1", "d": "4"}, {"blank line": ["line 2"], "no value": ["c"], "repeated": ["b"]},
        {"last line without an end, perhaps cut short": ["line 6"]})
    (tmp_path / "t").write_text("b 2\nb 3\n")
    with pytest.raises(InputError, match="t:2: b has two different values"):
        table.read_loose(tmp_path / "t")


def test_an_unchanged_table_is_left_alone(tmp_path):
    path = tmp_path / "utt2spk"
    table.write(path, {"b": "2", "a": "é"})
    before = path.stat()
    table.write(path, {"a": "é", "b": 2})
    assert path.stat().st_mtime_ns == before.st_mtime_ns and path.stat().st_ino == before.st_ino
    table.write(path, {"a": "é", "b": 3})
    assert table.read(path) == {"a": "é", "b": "3"}
