"""Stamps of finished steps: those that earlier versions wrote stay valid."""
import os

import pytest

from sslspk.launch import stamps

TIME = 1_700_000_000_123_456_789   # nanoseconds


@pytest.fixture
def files(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "d").mkdir()
    texts = {"f.scp": "a x.ark:3\nb x.ark:9[0:4]\nc y.ark\n", "x.ark": "hi\n", "d/one": "q\n", "d/.hid": "z\n", "res": "res\n"}
    for name, text in texts.items():
        (tmp_path / name).write_text(text)
        os.utime(tmp_path / name, ns=(TIME, TIME))
    return tmp_path


def test_digests_are_those_of_earlier_versions(files):
    """As stat, md5sum and awk gave them, when this was a shell script."""
    assert stamps.digest_of_inputs(b"opts x", [b"f.scp", b"d", b"nowhere"]) == b"7ec018d65601f555e45d3d4391dbea9f"
    assert stamps.digest_of_outputs([b"res", b"f.scp"]) == b"c4c2f78681ec857b3429a297ea6dbfef"


def test_a_hidden_file_does_not_count_and_an_archive_does(files):
    before = stamps.digest_of_inputs(b"", [b"f.scp", b"d"])
    (files / "d/.hid").write_text("other")
    assert stamps.digest_of_inputs(b"", [b"f.scp", b"d"]) == before
    (files / "x.ark").write_text("ho\n")
    os.utime(files / "x.ark", ns=(TIME, TIME))
    assert stamps.digest_of_inputs(b"", [b"f.scp", b"d"]) != before


@pytest.mark.parametrize(("text", "shown"), [
    (b"a: 1\n", b""), (b"\xef\xbb\xbfbase: b.yaml\na: 1\n", b"k: 2\n"), (b"a: 1\r\nbase:  b.yaml # c\r\n", b"k: 2\n"),
    (b"base: none.yaml\n", b"missing ./none.yaml\n"), (b"base: a.yaml\n", b"missing ./a.yaml\n")])
def test_a_configuration_stands_for_its_bases(files, text, shown):
    (files / "a.yaml").write_bytes(text)
    (files / "b.yaml").write_text("k: 2\n")
    found = stamps.conf_text(b"a.yaml")
    assert found.startswith(text) and found.endswith(shown)
