"""Atomic writing and reads at an offset."""
import errno
import hashlib
import os
import subprocess
import sys

import pytest

from sslspk.errors import InputError
from sslspk.io import files


def test_a_block_that_fails_leaves_the_old_file_and_no_rubbish(tmp_path):
    path = tmp_path / "table"
    path.write_text("old\n")
    with pytest.raises(ZeroDivisionError), files.atomic_write(path) as file:
        file.write("new")
        file.write(str(1 // 0))
    assert path.read_text() == "old\n"
    assert os.listdir(tmp_path) == ["table"]


def test_the_name_appears_at_the_end_only(tmp_path):
    path = tmp_path / "new" / "folder" / "table"
    with files.atomic_write(path) as file:
        file.write("né\n")
        assert not path.exists()
    assert path.read_bytes() == "né\n".encode()


WRITER = """import sys
from sslspk.io import files
with files.atomic_write(sys.argv[1]) as file:
    file.write("half")
    file.flush()
    print("writing", flush=True)
    sys.stdin.read()
"""


def test_a_killed_write_is_tidied_up_by_the_next_and_a_living_one_left(tmp_path, monkeypatch):
    path = tmp_path / "final.pt"
    start = [sys.executable, "-c", WRITER, path], {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE}
    dead, living = (subprocess.Popen(start[0], **start[1]) for _ in range(2))
    assert dead.stdout.readline() == living.stdout.readline() == b"writing\n"
    dead.kill()
    dead.wait()
    assert len(list(tmp_path.glob(".final.pt.*.tmp"))) == 2
    monkeypatch.setattr(files, "_tidied", set())
    with files.atomic_write(path) as file:
        file.write("whole")
    assert len(list(tmp_path.glob(".final.pt.*.tmp"))) == 1 and path.read_text() == "whole"
    living.communicate(timeout=60)
    assert living.returncode == 0 and path.read_text() == "half" and os.listdir(tmp_path) == ["final.pt"]


def test_what_another_machine_is_writing_is_left_until_it_is_old(tmp_path, monkeypatch):
    other = hashlib.md5(b"another host").hexdigest()[:4]
    fresh, old, namesake = (tmp_path / f".{name}.{other}{digits * 8}.tmp" for name, digits in (("a", "0"), ("a", "1"), ("b", "2")))
    for left in (fresh, old, namesake):
        left.write_text("half")
        os.utime(left, (0, 0) if left != fresh else None)
    monkeypatch.setattr(files, "_tidied", set())
    with files.atomic_write(tmp_path / "a") as file:
        file.write("whole")
    assert sorted(os.listdir(tmp_path)) == sorted(["a", fresh.name, namesake.name])


def test_permissions_follow_the_umask(tmp_path):
    before = os.umask(0o027)
    try:
        with files.atomic_write(tmp_path / "table") as file:
            file.write("x")
    finally:
        os.umask(before)
    assert (tmp_path / "table").stat().st_mode & 0o777 == 0o640


def test_a_full_disk_is_named():
    with pytest.raises(OSError) as caught, open("/dev/full", "wb", buffering=0) as full:
        full.write(b"x")
    assert caught.value.errno == errno.ENOSPC  # what the next test relies on


def test_full_disk_error_carries_the_file(tmp_path):
    path = str(tmp_path / "big.ark")
    with pytest.raises(OSError) as caught, files.atomic_write(path, "wb"), open("/dev/full", "wb", buffering=0) as full:
        full.write(b"x")
    assert caught.value.filename == path
    assert os.listdir(tmp_path) == []


def test_md5(tmp_path):
    content = b"abc" * 1000000
    (tmp_path / "f").write_bytes(content)
    assert files.md5(tmp_path / "f") == hashlib.md5(content).hexdigest()
    with pytest.raises(InputError, match="nowhere"):
        files.md5(tmp_path / "nowhere")


def test_many_shared_files_stay_readable_and_few_stay_open(tmp_path):
    for i in range(files.MAX_OPEN + 20):
        (tmp_path / str(i)).write_bytes(b"%05d" % i)
    before = len(os.listdir("/proc/self/fd"))
    held = files.shared(str(tmp_path / "0"))
    for _ in range(2):
        for i in range(files.MAX_OPEN + 20):
            assert files.shared(str(tmp_path / str(i))).pread(3, 2) == b"%03d" % i
    assert held.pread(5, 0) == b"00000"  # dropped from the table of open files, and open still
    assert len(os.listdir("/proc/self/fd")) - before <= files.MAX_OPEN + 1


def test_a_rewritten_file_is_opened_anew(tmp_path):
    path = str(tmp_path / "a.ark")
    for content in (b"first", b"other"):
        with files.atomic_write(path, "wb") as file:
            file.write(content)
        assert files.shared(path).pread(5, 0) == content


def test_forked_readers_share_descriptors_safely(tmp_path):
    path = str(tmp_path / "a.ark")
    with open(path, "wb") as file:
        file.write(b"".join(b"%06d" % i for i in range(20000)))
    shared = files.shared(path)
    shared.pread(6, 0)
    child = os.fork()
    good = all(shared.pread(6, 6 * i) == b"%06d" % i for i in range(20000))
    if child == 0:
        os._exit(0 if good else 1)
    assert good
    assert os.waitpid(child, 0)[1] == 0


@pytest.mark.parametrize(("spec", "expected"), [
    ("a/b.ark:123", ("a/b.ark", 123)), ("b.wav", ("b.wav", None)), ("c:/b.wav", ("c:/b.wav", None)),
    ("a:b:0", ("a:b", 0)), (":5", (":5", None)), ("x.ark:", ("x.ark:", None)),
])
def test_split_spec(spec, expected):
    assert files.split_spec(spec) == expected


@pytest.mark.parametrize(("spec", "expected"), [("sox a -t wav - |", True), ("| cat", True), ("a|b.wav", False)])
def test_is_pipe(spec, expected):
    assert files.is_pipe(spec) is expected
