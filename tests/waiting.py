"""What tests of other processes share: waiting for what they do, signals that reach them, their logs."""
import signal
import subprocess
import time
from collections.abc import Callable
from pathlib import Path


def wait_for(condition: Callable[[], object], seconds: float = 120, process: subprocess.Popen | None = None) -> None:
    """Until `condition` holds, which nothing could bring about any more once `process` has ended."""
    end = time.monotonic() + seconds
    while not condition():
        assert process is None or process.poll() is None, process.stdout.read()[-3000:]
        assert time.monotonic() < end, "did not happen in time"
        time.sleep(0.02)


def listen() -> None:
    """As preexec_fn: undo what nohup or a background job left ignored."""
    for number in (signal.SIGINT, signal.SIGHUP):
        signal.signal(number, signal.SIG_DFL)


def body(log: Path) -> str:
    """What a launcher's job wrote, without the header and the footer of its log."""
    return "\n".join(text for text in log.read_text().splitlines() if not text.startswith("#"))
