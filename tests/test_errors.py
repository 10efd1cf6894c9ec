"""How a program tells what stopped it."""
import os
import subprocess
import sys

from recipe_copy import ROOT

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
    assert done.returncode == 1 and done.stderr.splitlines()[-1].startswith("-c: error: cannot write (x): No space left")
    assert done.stderr.count("Traceback") == 1 and "ValueError: a bug" in done.stderr
