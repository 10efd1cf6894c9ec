"""The one way in which a program of this toolkit refuses bad input: one sentence on stderr and a non-zero exit."""
import errno
import os
import reprlib
import sys
import threading
from collections.abc import Callable
from typing import NoReturn

UNWRITABLE = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG, errno.EROFS, errno.EACCES)
SPEECHLESS = os.EX_IOERR   # exit status (74) of a program whose disk is so full that its error cannot be written either


class InputError(Exception):
    """Bad input. The message is one sentence that names file, line or key, and the remedy."""


def shown(value: object, limit: int = 80) -> str:
    """A value of the input as a message quotes it: its repr in at most `limit` characters, whatever its size and depth."""
    if isinstance(value, int) and value.bit_length() > 4 * limit:
        return f"a number of {value.bit_length()} bits"   # Python refuses to print one of some thousand digits
    short = reprlib.Repr()
    short.maxstring = short.maxother = short.maxlong = limit
    text = short.repr(value)
    return text if len(text) <= limit else text[:limit - 3] + "..."


def entry(main: Callable[[], int | None], leave: Callable[[int], NoReturn] = sys.exit) -> None:
    """Run a program's `main` and `leave` with its status; bad input and a full disk end in one sentence, not in a traceback."""
    name = os.path.basename(sys.argv[0])
    threading.excepthook = _in_thread
    try:
        status = main() or 0
    except InputError as err:
        status = _tell(f"{name}: error: {err}")
    except OSError as err:
        if err.errno not in UNWRITABLE:
            raise
        where = f" ({err.filename})" if err.filename else ""
        status = _tell(f"{name}: error: cannot write{where}: {err.strerror}; free some space or choose another place, "
                       "then run the same command again.")
    except KeyboardInterrupt:
        status = 130
    leave(status)


def _tell(sentence: str) -> int:
    """Print it on stderr; returns the exit status."""
    try:
        print(sentence, file=sys.stderr)
        return 1
    except OSError:
        sys.stderr = open(os.devnull, "w")  # noqa: SIM115  # at its end Python would try again, and end with a status of its own
        return SPEECHLESS


def _in_thread(args: threading.ExceptHookArgs) -> None:
    """What a thread cannot write the main thread hears of, and tells: tensorboard's."""
    if not (isinstance(args.exc_value, OSError) and args.exc_value.errno in UNWRITABLE):
        threading.__excepthook__(args)
