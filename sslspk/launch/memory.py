"""How freed memory is reused. Standard library only."""
import ctypes
import os

TRIM_THRESHOLD, TOP_PAD, MMAP_MAX = -1, -2, -4   # of malloc.h
KEPT = 2 ** 31 - 1   # bytes, the most that mallopt takes


def keep_freed() -> None:
    """From here on this process keeps the memory that it frees, for its next use. Without effect where the C library is not glibc.

    glibc gives a buffer above 32 MiB back to the kernel at once and gets a new one, filled with zeros, for the next: a quarter of a
    training's CPU time (tools/bench/freed_memory.py). A MALLOC_* variable set by the user takes precedence.
    """
    if any(key.startswith("MALLOC_") for key in os.environ):
        return
    mallopt = getattr(ctypes.CDLL(None), "mallopt", None)
    if mallopt is not None:
        mallopt(MMAP_MAX, 0)
        mallopt(TRIM_THRESHOLD, KEPT)
        mallopt(TOP_PAD, 64 << 20)
