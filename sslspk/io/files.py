"""Atomic writing of files, and reading at an offset from files that stay open."""
import contextlib
import errno
import fcntl
import glob
import hashlib
import os
import re
import stat
import time
import uuid
from collections.abc import Iterator, Sequence
from typing import IO

from sslspk import reading
from sslspk.errors import InputError, named, shown, unreadable

MAX_OPEN = 64
RANGE = re.compile(r"(.+)\[([-0-9:,]*)\]")
IN_SCP = "check the path in the scp file"
OFFSET_DIGITS = 18   # more would not fit into 63 bits, and are part of the file's name
OLD = 86400.0   # seconds
_open_files: dict[str, "SharedFile"] = {}
_tidied: set[tuple[str, str]] = set()   # (folder, name) of files whose leftovers were removed


@contextlib.contextmanager
def atomic_write(path: str | os.PathLike, mode: str = "w") -> Iterator[IO]:
    """Yield a temporary file that is renamed to `path` if the block succeeds, and removed if it fails.

    mode: "w" (UTF-8 text, newlines as written) or "wb". Missing parent directories are made.
    Raises OSError; one about a full disk names the file.
    """
    path = os.fspath(path)
    folder, name = os.path.split(path)
    if folder:
        os.makedirs(folder, exist_ok=True)
    _remove_litter(folder or ".", name)
    temporary, opened = _open_temporary(folder, name, mode)
    try:
        with opened as file:
            yield file
            file.flush()
            os.fsync(file.fileno())
        os.replace(temporary, path)
    except OSError as err:
        if err.filename is None and err.errno in (errno.ENOSPC, errno.EDQUOT, errno.EFBIG, errno.EIO):
            err.filename = path
        raise
    finally:
        with contextlib.suppress(FileNotFoundError):
            os.unlink(temporary)
    _open_files.pop(os.path.abspath(path), None)
    sync_folder(folder or ".")


def _open_temporary(folder: str, name: str, mode: str) -> tuple[str, IO]:
    """A new file for atomic_write, locked while it is open: the lock shows other processes that its writer is alive."""
    text = {} if "b" in mode else {"encoding": "utf-8", "newline": "\n"}
    while True:
        temporary = os.path.join(folder, f".{name}.{_host_digits()}{uuid.uuid4().hex[:8]}.tmp")
        file = open(temporary, mode.replace("w", "x"), **text)  # noqa: SIM115
        with contextlib.suppress(OSError):   # not every file system has locks
            fcntl.flock(file, fcntl.LOCK_EX)
        if os.fstat(file.fileno()).st_nlink:
            return temporary, file
        file.close()   # another process removed it before it was locked


def _remove_litter(folder: str, name: str) -> None:
    """Remove temporary files that a killed atomic_write of this file left behind; done once per process and file.

    Locks may not reach other machines, so leftovers of those must also be old.
    """
    if (folder, name) in _tidied:
        return
    _tidied.add((folder, name))
    for path in glob.glob(os.path.join(glob.escape(folder), f".{glob.escape(name)}.????????????.tmp")):
        with contextlib.suppress(OSError), open(path, "r+b") as left:   # its writer is alive, or we may not remove it
            fcntl.flock(left, fcntl.LOCK_EX | fcntl.LOCK_NB)
            if path[-16:-12] == _host_digits() or time.time() - os.fstat(left.fileno()).st_mtime > OLD:
                os.unlink(path)


def _host_digits() -> str:
    return hashlib.md5(os.uname().nodename.encode(), usedforsecurity=False).hexdigest()[:4]


def sync_folder(folder: str) -> None:
    """Make a rename durable; some network file systems cannot sync a directory, which is not an error."""
    handle = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(handle)
    except OSError as err:
        if err.errno not in (errno.EINVAL, errno.ENOTSUP, errno.EBADF):
            raise
    finally:
        os.close(handle)


def md5(path: str | os.PathLike) -> str:
    """MD5 of a file's bytes, as 32 hexadecimal digits. Raises InputError if the file cannot be read."""
    digest = hashlib.md5(usedforsecurity=False)
    for block in reading.blocks(path):
        digest.update(block)
    return digest.hexdigest()


def version(path: str | os.PathLike) -> str:
    """Size and modification time of a file, as in the stamps of utils/done.sh. Raises InputError if it is missing."""
    found = _stat(path, reading.REMEDY)
    return f"{found.st_size} {found.st_mtime_ns}"


def read_bytes(path: str | os.PathLike) -> bytes:
    """The whole file. Raises InputError naming a file that is missing, cannot be read, or is not a regular file."""
    return reading.read(path)


def read_object(path: str | os.PathLike) -> dict:
    """The keys of a JSON file. Raises InputError when it is not a JSON object."""
    return reading.json_object(path)


class SharedFile:
    """A file kept open for positioned reads; `kind` is for the reader's own use. It closes when nothing refers to it any more,
    so removing it from the table of open files does not close it for another thread."""

    __slots__ = ("fd", "kind", "path")

    def __init__(self, path: str):
        self.path, self.kind = path, None
        self.fd = reading.descriptor(path, IN_SCP)

    def __del__(self):
        if hasattr(self, "fd"):
            os.close(self.fd)

    def pread(self, count: int, offset: int) -> bytes:
        """Up to `count` bytes at byte `offset` in one system call. Raises InputError naming the file."""
        try:
            return os.pread(self.fd, count, offset)
        except OSError as err:
            raise unreadable(err, self.path, None, IN_SCP) from err
        except (OverflowError, ValueError):   # an offset of more than 63 bits
            raise InputError(f"{named(self.path)} has no byte {shown(offset, 30)}; {IN_SCP}.") from None

    def size(self) -> int:
        """Present size of the file in bytes."""
        return os.fstat(self.fd).st_size


def shared(path: str) -> SharedFile:
    """The file, opened at the first call. Forked workers may use an inherited one, because no file position is shared.

    Raises InputError naming the file if it cannot be opened.
    """
    key = os.path.abspath(path)
    file = _open_files.get(key)
    if file is None:
        file = SharedFile(path)
        while len(_open_files) >= MAX_OPEN:
            _open_files.pop(next(iter(_open_files)), None)
        _open_files[key] = file
    return file


def size(path: str) -> int:
    """Size of a file in bytes. Raises InputError naming a file that is missing or not a regular file."""
    return _stat(path, IN_SCP).st_size


def _stat(path: str | os.PathLike, remedy: str) -> os.stat_result:
    try:
        found = os.stat(path)
    except OSError as err:
        raise unreadable(err, path, None, remedy) from err
    except ValueError:
        raise InputError(f"{shown(os.fspath(path))} is no name that a file can have; {remedy}.") from None
    if not stat.S_ISREG(found.st_mode):
        raise InputError(f"{named(path)} is {reading.kind_of(found.st_mode)}, not a file; {remedy}.")
    return found


def share(items: Sequence, job: int, jobs: int) -> Sequence:
    """The consecutive items for job `job` of `jobs`, counted from 1."""
    return items[len(items) * (job - 1) // jobs:len(items) * job // jobs]


def part(path: str, count: int, offset: int = 0) -> bytes:
    """Up to `count` bytes at byte `offset` of a file that is not kept open. Raises InputError naming the file."""
    return SharedFile(path).pread(count, offset)


def split_spec(spec: str) -> tuple[str, int | None]:
    """Kaldi's extended file name: "x.ark:123" is ("x.ark", 123), "x.wav" is ("x.wav", None)."""
    path, colon, offset = spec.rpartition(":")
    if colon and path and offset.isascii() and offset.isdigit() and len(offset) <= OFFSET_DIGITS:
        return path, int(offset)
    return spec, None


def split_range(spec: str) -> tuple[str, str]:
    """Split the entry "x.ark:20[0:9]" into ("x.ark:20", "0:9"); the second is "" without a range."""
    found = RANGE.fullmatch(spec) if spec.endswith("]") else None
    if found is None:
        return spec, ""
    if not found[2]:
        raise InputError(f"{named(spec, 90)}: [] names no rows; write [first:last], or leave it out.")
    return found[1], found[2]


def is_pipe(spec: str) -> bool:
    """Whether an scp entry is a shell command ("sox x.wav -t wav - |") rather than a file."""
    return spec.rstrip().endswith("|") or spec.lstrip().startswith("|")
