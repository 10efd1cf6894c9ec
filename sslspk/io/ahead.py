"""Reading ahead: what comes next is read by a thread while the caller works on what came before."""
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from typing import TypeVar

Item = TypeVar("Item")
LIMIT = 1 << 22   # numbers that wait for the caller: four minutes of audio, or 130 recordings of 4 s with 80 features
MOST = 256        # items that wait for the caller
END = object()


def ahead(items: Iterable[Item], size: Callable[[Item], int], limit: int = LIMIT) -> Iterator[Item]:
    """The items in their order, drawn from `items` by a thread of their own.

    size: how many numbers an item holds. limit: as many items wait for the caller as would hold so many numbers if all were as large as
    the largest so far, but at least one. An error in `items` is raised where the item would have come. The thread ends with the last
    item, or when the caller takes no more.
    """
    source, waiting, largest = iter(items), deque[Future](), 1
    with ThreadPoolExecutor(1, "reads ahead") as thread:
        waiting.append(thread.submit(next, source, END))
        try:
            while (item := waiting.popleft().result()) is not END:
                largest = max(largest, size(item))
                for _ in range(len(waiting), min(MOST, max(1, limit // largest))):
                    waiting.append(thread.submit(next, source, END))
                yield item
        finally:
            thread.shutdown(wait=False, cancel_futures=True)   # else `with` would wait for all that was asked for
