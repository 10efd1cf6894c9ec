"""How far a long loop has come, on stderr: a bar on a terminal; elsewhere, as in a log file, a plain line now and then."""
import sys
import time
from collections.abc import Callable, Iterable, Iterator
from typing import TYPE_CHECKING, TextIO

if TYPE_CHECKING:
    from tqdm import tqdm

FIRST, EVERY = 30.0, 60.0   # seconds to the first line, and from one line to the next


def over(items: Iterable, unit: str, total: int | None = None, *, wanted: bool | None = None, stream: TextIO | None = None,
         clock: Callable[[], float] = time.monotonic) -> Iterator:
    """The items, one at a time.

    unit: what they are, in the plural ("utterances"). total: how many there are; None: len(items), or unknown. stream: stderr unless
    given. wanted: True: a bar also off a terminal, in a notebook; False: nothing at all. clock: of seconds.
    Off a terminal a loop of less than 30 s writes nothing.
    """
    stream = stream or sys.stderr
    if wanted is False:
        yield from items
        return
    if total is None and hasattr(items, "__len__"):
        total = len(items)
    if wanted or stream.isatty():
        from tqdm import tqdm
        yield from tqdm(items, total=total, unit=f" {unit}", file=stream)
        return
    begun = clock()
    due = begun + FIRST
    for done, item in enumerate(items):   # of which `done` are done
        now = clock()
        if done and now >= due:
            print(line(done, total, unit, now - begun), file=stream, flush=True)
            due = now + EVERY
        yield item


def bar(total: int, unit: str, start: int = 0, shown: bool = True) -> "tqdm":
    """A bar that the caller moves by `update`, for a loop that `over` cannot drive. Off a terminal it writes nothing."""
    from tqdm import tqdm
    return tqdm(total=total, initial=start, unit=f" {unit}", disable=None if shown else True, leave=False)


def end_bars() -> None:
    """End the line of each bar that is still running, so that what is printed next begins on its own line."""
    if "tqdm" in sys.modules:
        for one in list(getattr(sys.modules["tqdm"].tqdm, "_instances", ())):
            one.leave = True   # which ends its line
            one.close()


def line(done: int, total: int | None, unit: str, seconds: float) -> str:
    """What is said after so many seconds: "1200 of 5000 utterances, 41 a second, 1 min left"."""
    if total is None:
        return f"{done} {unit}, {_speed(done / seconds)}"
    return f"{done} of {total} {unit}, {_speed(done / seconds)}, {_span(max(total - done, 0) * seconds / done)} left"


def _speed(per_second: float) -> str:
    """In the smallest of a second, a minute and an hour in which at least one is done."""
    factor, span = next(((factor, span) for factor, span in ((1, "a second"), (60, "a minute")) if per_second * factor >= 1),
                        (3600, "an hour"))
    number = per_second * factor
    return f"{number:.0f} {span}" if number >= 10 else f"{number:.1f} {span}"


def _span(seconds: float) -> str:
    minutes = round(seconds / 60)
    if minutes < 1:
        return f"{seconds:.0f} s"
    return f"{minutes} min" if minutes < 60 else f"{minutes // 60} h {minutes % 60} min"
