"""Work on several cores: threads, since what is heavy here is in BLAS and LAPACK, which let go of the interpreter.

The pieces are the same whatever the number of threads, and what comes of them is added in their order: so is the result.
"""
import itertools
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import TypeVar

T = TypeVar("T")
PIECES = 32


def pieces(count: int) -> list[slice]:
    """`count` rows cut into at most PIECES runs of nearly equal length."""
    bounds = [i * count // PIECES for i in range(PIECES + 1)]
    return [slice(first, last) for first, last in itertools.pairwise(bounds) if last > first]


def over_pieces(pool: ThreadPoolExecutor, work: Callable[[slice], T], count: int) -> Iterator[T]:
    """What `work` makes of each piece of `count` rows, in their order."""
    return pool.map(work, pieces(count))
