"""How a program tells what stopped it."""
import os
import subprocess
import sys

from recipe_copy import ROOT

from sslspk.errors import shown

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
    assert shown("lr") == "'lr'" and shown(3) == "3" and shown(["a", 1]) == "['a', 1]"
