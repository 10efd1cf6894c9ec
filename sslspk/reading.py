"""Reads files that users give: only regular files of limited size; errors are one sentence.

A folder, a pipe, a socket or a device in the place of a file is refused at once: opening one never waits, and reading never grows
without end.
"""
import json
import os
import stat

from sslspk.errors import InputError, named, shown, unreadable

REMEDY = "check the name, or run the step that makes it"
TEXT_BYTES = 16 << 20     # of a configuration or a JSON file: far more than any that a program or a hand writes
DIGITS = 40               # of a whole number in JSON
BLOCK = 16 << 20          # bytes that are looked at before more are read
BOM = b"\xef\xbb\xbf"
KINDS = ((stat.S_ISDIR, "a folder"), (stat.S_ISFIFO, "a pipe"), (stat.S_ISSOCK, "a socket"), (stat.S_ISCHR, "a device"),
         (stat.S_ISBLK, "a device"))


def descriptor(path: str | os.PathLike, remedy: str = REMEDY) -> int:
    """A file descriptor for reading, of a regular file. Raises InputError naming what cannot be opened or is of another kind."""
    try:
        handle = os.open(path, os.O_RDONLY | os.O_CLOEXEC | os.O_NONBLOCK | os.O_NOCTTY)
    except ValueError:   # a zero byte, or half a surrogate pair, in the name
        raise InputError(f"{shown(os.fspath(path))} is no name that a file can have; {remedy}.") from None
    except OSError as err:
        raise unreadable(err, path, _kind(path), remedy) from err
    found = os.fstat(handle)
    if not stat.S_ISREG(found.st_mode):
        os.close(handle)
        raise InputError(f"{named(path)} is {kind_of(found.st_mode)}, not a file; {remedy}.")
    return handle


def kind_of(mode: int) -> str:
    """What a file's mode says it is, as a message calls it."""
    return next((name for is_kind, name in KINDS if is_kind(mode)), "no regular file")


def _kind(path: str | os.PathLike) -> str | None:
    """What stands at a path that could not be opened, where that is no regular file (a socket says only 'no such device')."""
    try:
        mode = os.stat(path).st_mode
    except OSError:
        return None
    return None if stat.S_ISREG(mode) else kind_of(mode)


def read(path: str | os.PathLike, most: int | None = None, remedy: str = REMEDY) -> bytes:
    """The whole file, of at most `most` bytes (None: any size). Raises InputError naming it when it cannot be read or is larger."""
    return b"".join(blocks(path, most, remedy))


def blocks(path: str | os.PathLike, most: int | None = None, remedy: str = REMEDY):
    """The file in pieces of up to BLOCK bytes, so that a reader may refuse it early. Raises as `read` does."""
    with open(descriptor(path, remedy), "rb", buffering=0) as file:
        if most is not None and os.fstat(file.fileno()).st_size > most:   # a large one is not even begun
            raise _too_large(path, most, remedy)
        total = 0
        while True:
            try:
                block = file.read(BLOCK)
            except OSError as err:
                raise unreadable(err, path, None, remedy) from err
            total += len(block)
            if most is not None and total > most:
                raise _too_large(path, most, remedy)
            if not block:
                return
            yield block


def _too_large(path: str | os.PathLike, most: int, remedy: str) -> InputError:
    return InputError(f"{named(path)} is larger than {most >> 20} MB, so it is no file of this kind; {remedy}.")


def text(path: str | os.PathLike, most: int | None = TEXT_BYTES, remedy: str = REMEDY, longest: int | None = None) -> str:
    """The whole file as text (UTF-8; a byte order mark is taken off). longest: bytes of a line, None: any number.

    Raises InputError, naming the line, for zero bytes, for what is not UTF-8 and for a longer line; and as `read` does.
    """
    data = text_bytes(path, most, remedy, longest)
    try:
        return data.decode("utf-8")
    except UnicodeDecodeError as err:
        line = data.count(b"\n", 0, err.start) + 1
        raise InputError(f"{named(path)}:{line}: not UTF-8 text; convert or rename this entry.") from None


def text_bytes(path: str | os.PathLike, most: int | None = None, remedy: str = REMEDY, longest: int | None = None) -> bytes:
    """The same, not yet decoded. Zero bytes and lines that do not end are found after the first block of them, not at the file's end."""
    found: list[bytes] = []
    for block in blocks(path, most, remedy):
        at = block.find(b"\0")
        if at >= 0:
            line = sum(piece.count(b"\n") for piece in found) + block.count(b"\n", 0, at) + 1
            raise InputError(f"{named(path)}:{line}: zero bytes, as a crash of the machine or a full disk leaves them; {remedy}.")
        if longest and (place := _long_line(block, longest)) >= 0:
            line = sum(piece.count(b"\n") for piece in found) + block.count(b"\n", 0, place) + 1
            raise InputError(f"{named(path)}:{line}: a line of more than {longest >> 10} KB; {remedy}.")
        found.append(block)
    return b"".join(found).removeprefix(BOM)


def _long_line(block: bytes, longest: int) -> int:
    """Where a stretch of `longest` bytes without a line's end begins, by looking at every such stretch; -1: nowhere."""
    for start in range(0, len(block) - longest + 1, longest):
        if block.find(b"\n", start, start + longest) < 0:
            return start
    return -1


class _Refused(ValueError):
    """Valid for Python's json, and nothing that a program of this toolkit writes."""


def json_value(data: str | bytes, where: str, remedy: str = "write it again") -> object:
    """What a JSON text holds. Refused are NaN and infinity, repeated keys, numbers of more than DIGITS digits, and half characters.

    Raises InputError that begins with `where`.
    """
    try:
        found = json.loads(data, parse_constant=_constant, parse_int=_whole, parse_float=_real, object_pairs_hook=_once)
        if b"\\ud" in (data.encode() if isinstance(data, str) else data).lower():
            json.dumps(found, ensure_ascii=False).encode()
    except RecursionError:
        raise InputError(f"{where} is not valid JSON (nested too deeply); {remedy}.") from None
    except ValueError as err:
        what = "not Unicode text" if isinstance(err, UnicodeError) else str(err)
        raise InputError(f"{where} is not valid JSON ({what[:120]}); {remedy}.") from None
    return found


def json_object(path: str | os.PathLike, remedy: str = "write it again") -> dict:
    """The keys of a JSON file. Raises InputError when it is not one JSON object (see json_value) or too large."""
    found = json_value(read(path, TEXT_BYTES), named(path), remedy)
    if not isinstance(found, dict):
        raise InputError(f"{named(path)} must hold one JSON object, not a {type(found).__name__}.")
    return found


def _constant(name: str) -> float:
    raise _Refused(f"{name} is not a number")


def _whole(digits: str) -> int:
    if len(digits) > DIGITS:
        raise _Refused(f"a number of {len(digits)} digits")
    return int(digits)


def _real(digits: str) -> float:
    value = float(digits)
    if value in (float("inf"), float("-inf")):
        raise _Refused(f"{shown(digits, 40)} is too large a number")
    return value


def _once(pairs: list[tuple[str, object]]) -> dict:
    found = dict(pairs)
    if len(found) < len(pairs):
        seen = set()
        twice = next(key for key, _ in pairs if key in seen or seen.add(key))
        raise _Refused(f"the key {shown(twice, 60)} stands there twice")
    return found
