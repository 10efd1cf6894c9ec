"""How a program tells what stopped it."""
import argparse
import errno
import os
import subprocess
import sys
import threading

import pytest
from recipe_copy import ROOT

from sslspk.errors import CLOSED, InputError, MachineError, count, counted, entry, real, sentence, shown, whole

THREADS = """
import threading
from sslspk.errors import entry
def fail(err):
    raise err
def main():
    for err in (OSError(28, "No space left on device"), ValueError("a bug")):
        thread = threading.Thread(target=fail, args=(err,))
        thread.start()
        thread.join()
    raise OSError(28, "No space left on device", "x")
entry(main)
"""


def test_a_thread_that_cannot_write_leaves_it_to_the_program_to_tell(tmp_path):
    done = subprocess.run([sys.executable, "-c", THREADS], text=True, capture_output=True, env={**os.environ, "PYTHONPATH": str(ROOT)})
    assert done.returncode == 1 and done.stderr.splitlines()[-1].startswith("-c: error: cannot write x (No space left")
    assert done.stderr.count("Traceback") == 1 and "ValueError: a bug" in done.stderr


def test_a_quoted_value_is_short_whatever_its_size_and_depth():
    deep = "x"
    for _ in range(40):
        deep = [deep] * 9   # 9^40 leaves
    for value in ("a" * 10**6, b"\0" * 10**6, 10**5000, deep, {"k" * 1000: deep}, "two\nlines"):
        assert len(shown(value)) <= 80 and "\n" not in shown(value)
    assert [counted(n, noun) for n, noun in ((0, "trial"), (1, "class"), (2, "class"))] == ["0 trials", "1 class", "2 classes"]
    assert shown("lr") == "'lr'" and shown(3) == "3" and shown(["a", 1]) == "['a', 1]"


def told(main, capsys):
    """(exit status, what is on stderr) of a program whose main this is."""
    left = []
    hook = threading.excepthook
    try:
        entry(main, left.append)
    finally:
        threading.excepthook = hook
    return left[0], capsys.readouterr().err


def raising(err):
    def main():
        raise err
    return main


@pytest.mark.parametrize(("number", "said"), [
    (errno.ENOSPC, "cannot write x (No space left on device); free some space"),
    (errno.EDQUOT, "cannot write x (Disk quota exceeded); free some"),
    (errno.EROFS, "cannot write x (Read-only file system); nothing can be written there"),
    (errno.EACCES, "cannot use x (Permission denied); ask its owner for that right"),
    (errno.EPERM, "cannot use x (Operation not permitted); ask its owner"),
    (errno.EMFILE, "cannot use x (Too many open files); too few file desc"),
    (errno.ENFILE, "ulimit -n"), (errno.ENAMETOOLONG, "cannot use x (File name too long); choose a shorter name"),
    (errno.EISDIR, "a folder is in the place of a file"), (errno.ENOTDIR, "a part of this path is a file"),
    (errno.EEXIST, "file is in the place of"),
    (errno.ELOOP, "symbolic links lead round in a circle"), (errno.EIO, "the disk or the network file system fails"),
    (errno.ENOENT, "check the name"), (errno.ENOMEM, "free some memory"),
])
def test_each_refusal_of_the_system_has_its_own_remedy(capsys, number, said):
    status, err = told(raising(OSError(number, os.strerror(number), "x")), capsys)
    assert status == 1 and said in err and err.count("\n") == 1 and len(err) < 200
    assert ("free some space" in err) == (number in (errno.ENOSPC, errno.EDQUOT))
    _, err = told(raising(OSError(number, os.strerror(number), "d/" * 5000)), capsys)
    assert len(err) < 400


@pytest.mark.parametrize(("err", "said"), [
    (MemoryError(), "too little memory"),
    (RuntimeError("[enforce fail] DefaultCPUAllocator: can't allocate memory: 8 bytes"), "too little memory"),
    (RuntimeError("CUDA out of memory. Tried to allocate 2 GiB"), "too little memory"),
    (MachineError("no descriptors."), "no descriptors."),
    (BrokenPipeError(errno.EPIPE, "Broken pipe"), "has ended (Broken pipe)"),
])
def test_what_the_machine_lacks_is_one_sentence(capsys, err, said):
    status, told_err = told(raising(err), capsys)
    assert status == 1 and said in told_err and told_err.count("\n") == 1


@pytest.mark.parametrize("err", [RuntimeError("a bug"), RecursionError("a bug"), ValueError("a bug"), OSError(errno.EBADF, "a bug")])
def test_a_fault_of_the_program_keeps_its_traceback(err):
    with pytest.raises(type(err), match="a bug"):
        entry(raising(err), lambda status: None)


@pytest.mark.parametrize(("held", "leave"), [(True, True), (True, False), (False, True)])
def test_a_sentence_begins_on_a_line_of_its_own_under_a_bar(capsys, held, leave):
    from tqdm import tqdm

    def main():
        bar = tqdm(range(9), leave=leave, mininterval=0)
        if held:
            bar.update(1)
            main.bar = bar
            raise InputError("it is wrong.")
        for i in bar:
            if i == 2:
                raise InputError("it is wrong.")
    status, err = told(main, capsys)
    assert status == 1 and err.split("\n")[-2].endswith("error: it is wrong.") and "\r" not in err.split("\n")[-2]


AS_WITH_TORCH = "import sys\nsys.modules['torch'] = sys\n"   # after which a program ends without Python's tidying up


@pytest.mark.parametrize("before", ["", AS_WITH_TORCH], ids=["plain", "torch"])
@pytest.mark.parametrize(("words", "status", "said"), [("| head -n 1", CLOSED, ""),
                                                       ("> /dev/full", 1, "cannot write (No space left on device)")])
def test_an_output_that_takes_no_more_is_told_or_needs_no_words(words, status, said, before):
    program = "from sslspk.errors import entry\ndef main():\n    for _ in range(100000):\n        print('x' * 50)\nentry(main)\n"
    done = subprocess.run(["bash", "-c", f"'{sys.executable}' -c \"$1\" {words}; exit ${{PIPESTATUS[0]}}", "-", before + program],
                          text=True, capture_output=True, env={**os.environ, "PYTHONPATH": str(ROOT)})
    assert done.returncode == status and done.stderr.count("\n") == bool(said) and said in done.stderr


@pytest.mark.parametrize("before", ["", AS_WITH_TORCH], ids=["plain", "torch"])
def test_what_is_registered_is_done_and_what_is_printed_arrives(before):
    """Python's tidying up, which a program with torch does without, would call __del__."""
    program = """
import atexit, sys
from sslspk.errors import entry
class Last:
    def __del__(self):
        print("tidied up")
last = Last()
def main():
    atexit.register(print, "registered")
    print("said", end=" ")
    print("warned", end="", file=sys.stderr)
    return 3
entry(main)
"""
    environment = {key: value for key, value in os.environ.items() if key != "PYTHONUNBUFFERED"}
    done = subprocess.run([sys.executable, "-c", before + program], text=True, capture_output=True,
                          env={**environment, "PYTHONPATH": str(ROOT)})
    assert (done.returncode, done.stderr) == (3, "warned")
    assert done.stdout == "said registered\n" + ("" if before else "tidied up\n")


@pytest.mark.parametrize("quoted", ["A" * 10**6, "a b " * 10**5, "two\nlines", "\x1b[31m", "\udcff", "/a/path" * 50])
def test_a_printed_sentence_is_one_line_of_bounded_length_whatever_it_quotes(quoted):
    text = sentence(InputError(f"x.yaml:3: {quoted} is no number; correct it."))
    assert len(text) <= 400 and text.isprintable() and text.startswith("x.yaml:3: ") and text.endswith("correct it.")


def test_a_short_sentence_is_printed_as_it_is():
    said = "data/\u00fc.scp:3: 'a b' is no number; correct it."
    assert sentence(InputError(said)) == said


@pytest.mark.parametrize("text", ["", "x", "1_0", "\u0663", "\u00b2", "1.5", "9" * 5000, "A" * 5000, "0x10", " 1", "1\n"])
@pytest.mark.parametrize("kind", [whole, count])
def test_what_is_no_whole_number_is_refused_shortly(kind, text):
    with pytest.raises(argparse.ArgumentTypeError) as raised:
        kind(text)
    assert len(str(raised.value)) <= 160


@pytest.mark.parametrize("text", ["nan", "inf", "1e999", "1_0", "1,5", "A" * 5000, "", "."])
def test_what_is_no_finite_number_is_refused_shortly(text):
    with pytest.raises(argparse.ArgumentTypeError) as raised:
        real(text)
    assert len(str(raised.value)) <= 160


def test_numbers_of_the_command_line():
    assert (whole("-1"), count("007"), real("-1.5e-3"), real(".5")) == (-1, 7, -0.0015, 0.5)
    with pytest.raises(argparse.ArgumentTypeError, match="from 0 on"):
        count("-1")
