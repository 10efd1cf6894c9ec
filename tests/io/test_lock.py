"""Who is said to hold a lock."""
import os
import subprocess
import sys

import pytest

from sslspk.io import lock

HOST = os.uname().nodename
HOLD = """import fcntl, sys
file = open(sys.argv[1], "a+")
{take}(file, fcntl.LOCK_EX)
print("held", flush=True)
sys.stdin.read()
"""


@pytest.fixture(params=["fcntl.flock", "fcntl.lockf"])
def held(request, tmp_path):
    """A lock file and the process that holds it, which has not written its name there."""
    path = tmp_path / ".busy"
    process = subprocess.Popen([sys.executable, "-c", HOLD.format(take=request.param), path], stdin=subprocess.PIPE, stdout=subprocess.PIPE)
    assert process.stdout.readline() == b"held\n"
    yield path, process
    process.communicate()


@pytest.mark.parametrize("said", ["", "process 1 (init) on {HOST} since 2020-01-01 00:00:00\n",
                                  "process 7 (x) on far since 2020-01-01 00:00:00"])
def test_the_holder_is_named_whatever_the_file_says(held, said):
    path, process = held
    path.write_text(said.format(HOST=HOST))
    named = lock.holder(str(path))
    assert named.startswith(f"process {process.pid} ({os.path.basename(sys.executable)} -c import fcntl") and named.endswith(f") on {HOST}")
    assert len(named) < lock.SHOWN + 60


@pytest.mark.parametrize(("said", "expected"), [
    ("process 7 (steps/x.sh) on far since 2020-01-01 00:00:00\n", "process 7 (steps/x.sh) on far"),
    (f"process 7 (steps/x.sh) on {HOST} since 2020-01-01 00:00:00\n", "a process that cannot be seen from here"),
    ("\0\0", "a process that cannot be seen from here"),
])
def test_what_a_file_says_counts_of_other_machines_alone(tmp_path, said, expected):
    (tmp_path / ".busy").write_text(said)
    assert lock.holder(str(tmp_path / ".busy")) == expected


def test_one_writer_at_a_time_signs(tmp_path):
    with lock.alone(tmp_path):
        assert lock.holder(str(tmp_path / ".busy")).startswith(f"process {os.getpid()} (")
        assert (tmp_path / ".busy").read_text().startswith(f"process {os.getpid()} (")
