"""Work on several cores, by threads: the heavy work is in BLAS and LAPACK, which release the interpreter's lock.

The pieces do not depend on the number of threads, and their results are added in order; so the result does not depend on it either.
"""
import itertools
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import TypeVar

T = TypeVar("T")
PIECES = 32


def pieces(count: int) -> list[slice]:
    """`count` rows cut into at most PIECES slices of nearly equal length."""
    bounds = [i * count // PIECES for i in range(PIECES + 1)]
    return [slice(first, last) for first, last in itertools.pairwise(bounds) if last > first]


def over_pieces(pool: ThreadPoolExecutor, work: Callable[[slice], T], count: int) -> Iterator[T]:
    """The results of `work` on each piece of `count` rows, in order."""
    return pool.map(work, pieces(count))
