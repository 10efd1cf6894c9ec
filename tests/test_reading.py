"""Files from outside: what is no file, what is too large, and JSON that no program wrote, each in one sentence and at once."""
import os
import resource
import socket

import pytest

from sslspk import reading
from sslspk.errors import InputError, MachineError
from sslspk.io import files

READERS = {"read": reading.read, "text": reading.text, "json": reading.json_object, "md5": files.md5,
           "shared": lambda path: files.shared(str(path)),
           "part": lambda path: files.part(str(path), 4), "size": lambda path: files.size(str(path)), "version": files.version}
MEGABYTE = 1 << 20


def pipe(path):
    os.mkfifo(path)


def sock(path):
    with socket.socket(socket.AF_UNIX) as server:
        server.bind(str(path))


def circle(path):
    path.symlink_to(path.name)


def nested(path):
    path.write_text("")
    path.rename(path.with_name("file"))
    path.symlink_to("file/inner")


@pytest.mark.parametrize("read", READERS.values(), ids=READERS)
@pytest.mark.parametrize(("make", "said"), [
    (lambda path: path.mkdir(), "is a folder, not a file"), (pipe, "is a pipe, not a file"), (sock, "is a socket, not a file"),
    (lambda path: path.symlink_to("/dev/zero"), "is a device, not a file"), (circle, "symbolic links lead round in a circle"),
    (nested, "a part of this path is a file"), (lambda path: None, "No such file"),
], ids=["folder", "pipe", "socket", "device", "circle", "below a file", "missing"])
def test_what_is_no_file_is_refused_at_once(tmp_path, monkeypatch, read, make, said):
    monkeypatch.chdir(tmp_path)   # a socket's name must be short
    make(tmp_path / "x")
    with pytest.raises(InputError, match=said) as caught:
        read(tmp_path / "x")
    assert str(tmp_path / "x") in str(caught.value)


@pytest.mark.parametrize("read", READERS.values(), ids=READERS)
@pytest.mark.parametrize("name", ["x" * 300, "a\0b", "\ud800"], ids=["long", "zero byte", "half a character"])
def test_what_is_no_name_is_refused(tmp_path, read, name):
    with pytest.raises(InputError) as caught:
        read(f"{tmp_path}/{name}")
    assert len(str(caught.value)) < 300 and str(caught.value).isprintable()


@pytest.mark.parametrize("read", [reading.read, lambda path: files.shared(str(path))])
def test_too_few_descriptors_are_no_fault_of_the_file(tmp_path, read):
    (tmp_path / "x").write_text("x")
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (3, hard))
    try:
        with pytest.raises(MachineError, match="too few file descriptors; raise their number"):
            read(tmp_path / "x")
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))


def test_a_file_without_end_is_not_read_to_its_end(tmp_path):
    with (tmp_path / "x").open("wb") as file:
        file.truncate(1 << 40)
    for read in (reading.text, reading.json_object, lambda path: reading.text_bytes(path, None)):
        with pytest.raises(InputError, match=r"larger than 16 MB|zero bytes"):
            read(tmp_path / "x")


def test_text_is_unicode_of_bounded_lines(tmp_path):
    path = tmp_path / "x"
    path.write_bytes(b"\xef\xbb\xbfa\nb\xc3\xa9\n")
    assert reading.text(path) == "a\nb\u00e9\n"
    for data, said in ((b"a\n\xff\n", "x:2: not UTF-8"), (b"a\nb\0\n", "x:2: zero bytes"),
                       (b"a\n" + b"b" * 4096, "x:2: a line of more than 1 KB")):
        path.write_bytes(data)
        with pytest.raises(InputError, match=said):
            reading.text(path, longest=1024)
    path.write_bytes(b"abc\n" * 1000)
    assert len(reading.text(path, longest=1024)) == 4000


@pytest.mark.parametrize(("text", "said"), [
    ("[" * 200000, "nested too deeply"), ('{"a":' * 200000, "nested too deeply"), ('{"a": NaN}', "NaN is not a number"),
    ('{"a": [-Infinity]}', "Infinity is not a number"), ('{"a": 1e999}', "too large a number"),
    ('{"a": 1' + "0" * 5000 + "}", "a number of 5001 digits"),
    ('{"a": 1, "b": {"c": 1, "c": 2}}', "the key 'c' stands there twice"),
    ('{"%s": 1, "%s": 1}' % (("k" * 10**6,) * 2), "stands there twice"),
    ('{"a": "\\ud800"}', "not Unicode text"), ("{", "Expecting property name"), ("", "Expecting value"), ("\0" * 5000, "Expecting value"),
    ("[]", "one JSON object, not a list"), ("null", "one JSON object, not a NoneType"), ('{"a": 1} x', "Extra data"),
])
def test_json_that_no_program_wrote_is_refused(tmp_path, text, said):
    (tmp_path / "x.json").write_text(text)
    with pytest.raises(InputError, match=said) as caught:
        reading.json_object(tmp_path / "x.json")
    assert str(caught.value).startswith(f"{tmp_path}/x.json") and len(str(caught.value)) - len(str(tmp_path)) <= 200


@pytest.mark.parametrize("data", [b"\xff\xfe{", b'{"a": "\xff"}', '{"a": 1}'.encode("utf-16")[:-1]])
def test_json_in_no_encoding_is_refused(tmp_path, data):
    (tmp_path / "x.json").write_bytes(data)
    with pytest.raises(InputError, match="not Unicode text"):
        reading.json_object(tmp_path / "x.json")


def test_json_of_our_own_is_read(tmp_path):
    (tmp_path / "x.json").write_text('{"a": [1, -2.5e-3, null, true], "b": {"c": "\\u00e9 \\ud83d\\ude00"}}')
    assert reading.json_object(tmp_path / "x.json") == {"a": [1, -0.0025, None, True], "b": {"c": "\u00e9 \U0001f600"}}
