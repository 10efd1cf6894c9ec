"""Waiting for what other processes do."""
import subprocess
import time
from collections.abc import Callable


def wait_for(condition: Callable[[], object], seconds: float = 120, process: subprocess.Popen | None = None) -> None:
    """Until `condition` holds, which nothing could bring about any more once `process` has ended."""
    end = time.monotonic() + seconds
    while not condition():
        assert process is None or process.poll() is None, process.stdout.read()[-3000:]
        assert time.monotonic() < end, "did not happen in time"
        time.sleep(0.02)
