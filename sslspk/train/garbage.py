"""Python's garbage collector during a training: it runs at steps of our choice, the same on all ranks.

Left to itself it runs in the midst of a step, on each rank in another one, and the others wait for that rank. Reference counts free nearly
all memory at once; what is left, objects that refer to each other in a circle, is collected every EVERY steps.
"""
import contextlib
import gc
from collections.abc import Iterator

EVERY = 100   # steps


@contextlib.contextmanager
def by_hand() -> Iterator[None]:
    """While this lasts only `collect` collects, and looks at nothing that was there before."""
    before = gc.isenabled()
    gc.collect()
    gc.freeze()   # what was imported and prepared stays to the end anyway
    gc.disable()
    try:
        yield
    finally:
        gc.unfreeze()
        if before:
            gc.enable()


def collect(step: int) -> None:
    """To be called after each step."""
    if step % EVERY == 0:
        gc.collect()
