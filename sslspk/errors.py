"""How every program of this toolkit refuses bad input: one sentence on stderr and a non-zero exit status."""
import argparse
import atexit
import contextlib
import errno
import math
import os
import re
import reprlib
import select
import signal
import sys
import threading
from collections.abc import Callable
from typing import NoReturn

from sslspk import progress
from sslspk.launch import threads

MESSAGE = 400   # most characters of a sentence, of which a path may be half
SPEECHLESS = os.EX_IOERR   # exit status (74) of a program whose disk is so full that its error cannot be written either
SPACE = "free some space or choose another place, then run the same command again"
RIGHTS = "ask its owner for that right (chmod), or choose another place"
DISK = "the disk or the network file system fails; try again, or tell its administrator"
DESCRIPTORS = "too few file descriptors; raise their number (ulimit -n 4096), or lower --nj or data.workers, and run the same command again"
REMEDIES = {   # of what the operating system refuses, reading or writing
    errno.ENOSPC: SPACE, errno.EDQUOT: SPACE, errno.EFBIG: SPACE, errno.EACCES: RIGHTS, errno.EPERM: RIGHTS,
    errno.EROFS: "nothing can be written there; choose another place", errno.EIO: DISK, errno.ESTALE: DISK,
    errno.EMFILE: DESCRIPTORS, errno.ENFILE: DESCRIPTORS, errno.ENOMEM: "free some memory, and run the same command again",
    errno.ENAMETOOLONG: "choose a shorter name", errno.ELOOP: "symbolic links lead round in a circle; correct them",
    errno.ENOTDIR: "a part of this path is a file; correct the path", errno.EISDIR: "a folder is in the place of a file; correct the name",
    errno.EEXIST: "a file is in the place of a folder; correct the name, or move it away",
    errno.ENOENT: "check the name, or run the step that makes it",
}
UNWRITABLE = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG, errno.EROFS)
MEMORY_SIGNS = ("allocate memory", "out of memory")   # of torch's errors, on a CPU and on a GPU
CLOSED = 128 + signal.SIGPIPE   # exit status where the reader of the output has gone
EXHAUSTED = (errno.EMFILE, errno.ENFILE, errno.ENOMEM)


class InputError(Exception):
    """Bad input. The message is one sentence that names file, line or key, and the remedy."""


class MachineError(Exception):
    """The machine lacks something, such as memory or disk space; the input is not to blame. The message is one sentence."""


def unreadable(err: OSError, path: object, kind: str | None, remedy: str) -> Exception:
    """What to raise for a file that the system does not let us read. kind: what stands there, where it is no file ("a socket")."""
    if err.errno in EXHAUSTED:
        return MachineError(f"{named(path)} cannot be opened ({err.strerror}): {REMEDIES[err.errno]}.")
    if kind:
        return InputError(f"{named(path)} is {kind}, not a file; {remedy}.")
    remedy = remedy if err.errno == errno.ENOENT else REMEDIES.get(err.errno, remedy)
    return InputError(f"{named(path)} cannot be read ({err.strerror}); {remedy}.")


def named(path: object, limit: int = 160) -> str:
    """A path as a message names it: its end where it is very long, quoted where it could not be printed."""
    text = os.fspath(path) if isinstance(path, str | os.PathLike) else str(path)
    text = text if len(text) <= limit else "..." + text[3 - limit:]
    return text if text.isprintable() else ascii(text)


def shown(value: object, limit: int = 80) -> str:
    """A value of the input as a message quotes it: its repr in at most `limit` characters, whatever its size and depth."""
    if isinstance(value, int) and value.bit_length() > 4 * limit:
        return f"a number of {value.bit_length()} bits"   # Python refuses to print one of some thousand digits
    short = reprlib.Repr()
    short.maxstring = short.maxother = short.maxlong = limit
    text = short.repr(value)
    return text if len(text) <= limit else text[:limit - 3] + "..."


def counted(count: int, noun: str) -> str:
    """A number with its noun, as a message says it: 1 class, 2 classes."""
    return f"{count} {noun if count == 1 else noun + ('es' if noun.endswith('s') else 's')}"


def left_out(count: int, total: int, first: str, data: object, seconds: float, remedy: str) -> str:
    """What a user is told of `count` of the `total` utterances of the directory `data`, which are short; a warning if they are more than a
    tenth. first: the name of the first one. remedy: what keeps them."""
    return (f"{'WARNING: ' if 10 * count > total else ''}{count} of {counted(total, 'utterance')} of {named(os.path.basename(data), 40)} "
            f"(first: {named(first, 40)}) {'is' if count == 1 else 'are'} shorter than {seconds:g} s and left out; {remedy}.")


def whole(text: str) -> int:
    """A whole number of the command line, as argparse's `type`: decimal digits, nine at most."""
    if not re.fullmatch(r"[-+]?[0-9]{1,9}", text):
        raise argparse.ArgumentTypeError(f"a whole number is needed, not {shown(text)}")
    return int(text)


def count(text: str) -> int:
    """One from 0 on."""
    if whole(text) < 0:
        raise argparse.ArgumentTypeError(f"a whole number from 0 on is needed, not {shown(text)}")
    return int(text)


def real(text: str) -> float:
    """A finite number of the command line, as argparse's `type`."""
    if not (re.fullmatch(r"[-+0-9.eE]{1,40}", text) and re.fullmatch(r"[-+]?([0-9]+\.?[0-9]*|\.[0-9]+)([eE][-+]?[0-9]+)?", text)
            and math.isfinite(float(text))):
        raise argparse.ArgumentTypeError(f"a number is needed, not {shown(text)}")
    return float(text)


def sentence(err: Exception) -> str:
    """The message of an error as it is printed: one line of bounded length, whatever of the input it quotes."""
    text = str(err)
    text = text if len(text) <= 4 * MESSAGE else text[:2 * MESSAGE] + text[-2 * MESSAGE:]
    text = "".join(mark if mark.isprintable() else ascii(mark)[1:-1] for mark in text)
    text = re.sub(rf"\S{{{MESSAGE // 2},}}", lambda word: word[0][:60] + "..." + word[0][-20:], text)
    return text if len(text) <= MESSAGE else text[:MESSAGE * 2 // 3] + " ... " + text[-MESSAGE // 4:]


def leave(status: int) -> NoReturn:
    """End this process with `status`; what is registered with atexit is done, and nothing that was printed is lost.

    Where torch was loaded, Python does not tidy up. That takes half a second of a CPU, a third of a short program's time.
    """
    if "torch" not in sys.modules:
        sys.exit(status)
    atexit._run_exitfuncs()   # loader workers, tensorboard
    for stream in (sys.stdout, sys.stderr):
        with contextlib.suppress(OSError):   # the exit status already reports this
            if stream is not None:
                stream.flush()
    os._exit(status)


def entry(main: Callable[[], int | None], leave: Callable[[int], NoReturn] = leave) -> None:
    """Run a program's `main` and `leave` with its status. Bad input, and what the machine refuses, end in one sentence, not in a
    traceback. A RecursionError is a fault of the program: every reader of outside data refuses what is nested too deeply."""
    name = os.path.basename(sys.argv[0])
    threads.wait_briefly()
    threading.excepthook = _in_thread
    try:
        status = main() or 0
        if sys.stdout is not None:
            sys.stdout.flush()
    except BrokenPipeError as err:
        status = CLOSED if _stdout_is_closed() else _tell(f"{name}: error: {of_machine(err)}")
    except (InputError, MachineError) as err:
        status = _tell(f"{name}: error: {sentence(err)}")
    except (OSError, MemoryError, RuntimeError) as err:
        said = of_machine(err)
        if said is None:
            raise
        status = _tell(f"{name}: error: {said}")
    except KeyboardInterrupt:
        status = 130
    leave(status)


def of_machine(err: BaseException) -> str | None:
    """The sentence for what is the machine's fault and no program's: a refusal of the system, too little memory; None: another fault."""
    text = str(err)
    if isinstance(err, MemoryError) or (isinstance(err, RuntimeError) and any(sign in text for sign in MEMORY_SIGNS)):
        return "too little memory; free some, or use less (data.batch_size, data.workers, --nj), then run the same command again."
    if isinstance(err, BrokenPipeError):
        return "a program that this one talks with has ended (Broken pipe); see its own message, then run the same command again."
    if not isinstance(err, OSError) or err.errno not in REMEDIES:
        return None
    what = f"{'write' if err.errno in UNWRITABLE else 'use'} {named(err.filename) + ' ' if err.filename else ''}({err.strerror})"
    return f"cannot {what}; {REMEDIES[err.errno]}."


def _stdout_is_closed() -> bool:
    """Whether it is the reader of this program's output that has gone (`| head`), which needs no words."""
    poll = select.poll()
    try:
        poll.register(sys.stdout.fileno(), 0)
    except (AttributeError, OSError, ValueError):   # no stdout, or none of the system's
        return False
    closed = any(event & (select.POLLERR | select.POLLHUP) for _, event in poll.poll(0))
    if closed:
        sys.stdout = open(os.devnull, "w")  # noqa: SIM115  # at its end Python would try again
    return closed


def _tell(sentence: str) -> int:
    """Print it on stderr, on a line of its own; returns the exit status."""
    try:
        progress.end_bars()
        print(sentence, file=sys.stderr)
        return 1
    except OSError:
        sys.stderr = open(os.devnull, "w")  # noqa: SIM115  # at its end Python would try again, and end with a status of its own
        return SPEECHLESS


def _in_thread(args: threading.ExceptHookArgs) -> None:
    """Ignore write errors in TensorBoard's thread; the main thread reports them."""
    if not (isinstance(args.exc_value, OSError) and args.exc_value.errno in UNWRITABLE):
        threading.__excepthook__(args)
