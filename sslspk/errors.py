"""The one way in which a program of this toolkit refuses bad input: one sentence on stderr and a non-zero exit."""
import errno
import os
import sys
from collections.abc import Callable
from typing import NoReturn


class InputError(Exception):
    """Bad input. The message is one sentence that names file, line or key, and the remedy."""


def entry(main: Callable[[], int | None], leave: Callable[[int], NoReturn] = sys.exit) -> None:
    """Run a program's `main` and `leave` with its status; bad input and a full disk end in one sentence, not in a traceback."""
    name = os.path.basename(sys.argv[0])
    try:
        status = main() or 0
    except InputError as err:
        print(f"{name}: error: {err}", file=sys.stderr)
        status = 1
    except OSError as err:
        if err.errno not in (errno.ENOSPC, errno.EDQUOT, errno.EFBIG, errno.EROFS, errno.EACCES):
            raise
        where = f" ({err.filename})" if err.filename else ""
        print(f"{name}: error: cannot write{where}: {err.strerror}; free some space or choose another place, "
              "then run the same command again.", file=sys.stderr)
        status = 1
    except KeyboardInterrupt:
        status = 130
    leave(status)
