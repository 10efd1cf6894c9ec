"""Reading ahead: what comes next is read by a thread while the caller works on what came before."""
import threading
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Generic, TypeVar

Item = TypeVar("Item")
LIMIT = 1 << 25   # numbers that wait for the caller: half an hour of audio (64 MB), about as much as is encoded together
END = object()


def ahead(items: Iterable[Item], size: Callable[[Item], int], limit: int = LIMIT) -> Iterator[Item]:
    """The items in their order, drawn from `items` by a thread of their own.

    size: how many numbers an item holds. limit: so many of them wait for the caller at most, or one item where that is larger, and one item
    is in the reader's hands. An error in `items` is raised where the item would have come. The thread ends with the last item, or when the
    caller takes no more.
    """
    store: _Store[Item] = _Store(limit)
    with ThreadPoolExecutor(1, "reads ahead") as thread:
        reading = thread.submit(store.fill, items, size)
        reading.add_done_callback(lambda _: store.end())
        try:
            while (item := store.take()) is not END:
                yield item
            reading.result()   # raises what the reading has raised
        finally:
            store.end()


class _Store(Generic[Item]):
    """What has been read and not yet been taken."""

    def __init__(self, limit: int):
        self.limit, self.held, self.ended = limit, 0, False
        self.waiting: deque[tuple[Item, int]] = deque()
        self.moved = threading.Condition()

    def fill(self, items: Iterable[Item], size: Callable[[Item], int]) -> None:
        """The thread's work: take each item and put it down, once there is room, until nobody wants more."""
        for item in items:
            many = size(item)
            with self.moved:
                self.moved.wait_for(lambda many=many: self.ended or not self.waiting or self.held + many <= self.limit)
                if self.ended:
                    return
                self.waiting.append((item, many))
                self.held += many
                self.moved.notify_all()

    def take(self) -> Item:
        """The next item, or END."""
        with self.moved:
            self.moved.wait_for(lambda: self.waiting or self.ended)
            if not self.waiting:
                return END
            item, many = self.waiting.popleft()
            self.held -= many
            self.moved.notify_all()
            return item

    def end(self) -> None:
        """Nothing more comes, or nothing more is wanted."""
        with self.moved:
            self.ended = True
            self.moved.notify_all()
