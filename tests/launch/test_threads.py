"""How threads wait, as libgomp itself says it."""
import glob
import importlib.util
import os
import subprocess
import sys

import pytest

PROGRAM = """import ctypes, sys
from sslspk.errors import entry
entry(lambda: print(ctypes.CDLL(sys.argv[1]).omp_get_max_threads()))
"""


@pytest.mark.parametrize(("given", "expected"), [
    ({}, "'10000'"), ({"GOMP_SPINCOUNT": "77"}, "'77'"), ({"OMP_WAIT_POLICY": "active"}, "'30000000000'"),
    ({"OMP_WAIT_POLICY": "passive"}, "'0'"),
])
def test_a_program_spins_briefly_unless_told_otherwise(given, expected):
    libgomp, = glob.glob(f"{importlib.util.find_spec('torch').submodule_search_locations[0]}/lib/libgomp*")
    plain = {key: value for key, value in os.environ.items() if not key.startswith(("OMP_", "GOMP_"))}
    done = subprocess.run([sys.executable, "-c", PROGRAM, libgomp], env={**plain, **given, "OMP_DISPLAY_ENV": "verbose"}, text=True,
                          capture_output=True, check=True)
    said, = (line.partition("=")[2].strip() for line in done.stderr.splitlines() if "GOMP_SPINCOUNT" in line)
    assert said == expected and int(done.stdout) == len(os.sched_getaffinity(0))
