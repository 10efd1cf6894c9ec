"""An input with its right outcome, and what a program did with it."""
import contextlib
import importlib
import io
import sys
from collections.abc import Callable
from pathlib import Path
from types import TracebackType
from typing import NamedTuple

Check = Callable[["Outcome"], str | None]


class Outcome(NamedTuple):
    """How a program ended: its exit status, what it printed, and the exception that reached its entry (None: none did)."""

    status: int
    out: str
    err: str
    error: BaseException | None = None


class Case(NamedTuple):
    """One input, made in the current folder.

    what: the input in a line. run: gives it to a program. accepted: looks at an acceptance and says what is wrong with it (None:
    nothing); None: the input must be refused. refusable: whether a refusal is right. names: a refusal names one of these.
    """

    what: str
    run: Callable[[], Outcome]
    accepted: Check | None = None
    refusable: bool = True
    names: tuple[str, ...] = ()


class Hung(BaseException):
    """Raised in the middle of an input that takes too long; no program catches it."""


class Held:
    """A context that holds whatever exception leaves its block."""

    error: BaseException | None = None

    def __enter__(self) -> "Held":
        return self

    def __exit__(self, kind: type | None, error: BaseException | None, trace: TracebackType | None) -> bool:
        self.error = error
        return not isinstance(error, KeyboardInterrupt | GeneratorExit)


class Ended(BaseException):
    """A program called its `leave`."""


def _leave(status: int) -> None:
    raise Ended(status)


def as_program(name: str, main: Callable[[], int | None], words: list[str]) -> Outcome:
    """Run a `main` as a command line would: with these words, and with the toolkit's own handling of errors."""
    from sslspk.errors import entry
    before, out, err = sys.argv, io.StringIO(), io.StringIO()
    sys.argv = [name, *words]
    held = Held()
    try:
        with contextlib.redirect_stdout(out), contextlib.redirect_stderr(err), held:
            entry(main, _leave)
    finally:
        sys.argv = before
    if isinstance(held.error, Ended | SystemExit):
        status = held.error.args[0] if held.error.args else 0
        if isinstance(status, str):
            err.write(status + "\n")
            status = 1
        return Outcome(int(status or 0), out.getvalue(), err.getvalue())
    return Outcome(1, out.getvalue(), err.getvalue(), held.error)


def program(module: str, *words: object) -> Callable[[], Outcome]:
    """A program of the toolkit, given words; its module is imported in this process."""
    def run() -> Outcome:
        return as_program(module.rpartition(".")[2], importlib.import_module(module).main, [str(word) for word in words])
    return run


def function(call: Callable[[], object], name: str = "call") -> Callable[[], Outcome]:
    """A function of the toolkit as a program that prints the repr of what it returns."""
    def main() -> None:
        print(repr(call()))
    return lambda: as_program(name, main, [])


def said(*parts: object) -> Check:
    """Accepted where all of these are in the output."""
    def check(outcome: Outcome) -> str | None:
        lost = [str(part) for part in parts if str(part) not in outcome.out]
        return f"the output has no {lost[0][:80]!r}: {outcome.out[-160:]!r}" if lost else None
    return check


def either(*answers: object) -> Check:
    """Accepted where the output, stripped, is one of these."""
    def check(outcome: Outcome) -> str | None:
        return None if outcome.out.strip() in [str(answer)
            for answer in answers] else f"the output is {outcome.out.strip()[-160:]!r}, not {answers[0]!r}"
    return check


def anything(outcome: Outcome) -> str | None:
    """Accepted whatever comes out: the input says nothing about the result."""


def write(path: str | Path, content: str | bytes) -> Path:
    """Write a file of an input and the folders above it."""
    path = Path(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(content.encode("utf-8", "surrogateescape") if isinstance(content, str) else content)
    return path
