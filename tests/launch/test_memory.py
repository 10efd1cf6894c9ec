"""Freed memory is kept, as the kernel's own count of page faults says."""
import os
import subprocess
import sys

import pytest

PROGRAM = """import resource, sys
import numpy as np
from sslspk.launch import memory
if sys.argv[1] == "keep":
    memory.keep_freed()
np.ones(8 << 20).sum()
before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
for _ in range(5):
    np.ones(8 << 20).sum()   # 64 MiB
print(resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before)
"""


def faults(what, **given):
    plain = {key: value for key, value in os.environ.items() if not key.startswith("MALLOC_")}
    return int(subprocess.run([sys.executable, "-c", PROGRAM, what], env={**plain, **given}, text=True, capture_output=True,
                              check=True).stdout)


@pytest.mark.skipif("glibc" not in os.confstr("CS_GNU_LIBC_VERSION"), reason="only glibc's malloc is told")
def test_a_buffer_is_used_again_unless_the_user_has_a_say():
    kept, plain, said = faults("keep"), faults("leave"), faults("keep", MALLOC_ARENA_MAX="4")
    # five buffers are 160 faults where the kernel gives huge pages, and 81,920 where it does not
    assert kept < 50 and min(plain, said) >= 150, (kept, plain, said)
