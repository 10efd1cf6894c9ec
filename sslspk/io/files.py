"""Files that are whole or absent, and reads at an offset for which a process keeps its files open."""
import contextlib
import errno
import fcntl
import hashlib
import json
import os
import sys
import time
import uuid
from collections.abc import Iterator
from typing import IO

from sslspk.errors import InputError

MAX_OPEN = 64
_open_files: dict[str, "SharedFile"] = {}


@contextlib.contextmanager
def atomic_write(path: str | os.PathLike, mode: str = "w") -> Iterator[IO]:
    """Yield a file that takes the name `path` when the block ends well and leaves nothing when it does not.

    mode: "w" (UTF-8 text, newlines as written) or "wb". Missing parent directories are made.
    Raises: OSError; one about a full disk carries the name of the file.
    """
    path = os.fspath(path)
    folder, name = os.path.split(path)
    if folder:
        os.makedirs(folder, exist_ok=True)
    temporary = os.path.join(folder, f".{name}.{uuid.uuid4().hex[:12]}.tmp")
    text = {} if "b" in mode else {"encoding": "utf-8", "newline": "\n"}
    try:
        with open(temporary, mode.replace("w", "x"), **text) as file:
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
    _sync_folder(folder or ".")


@contextlib.contextmanager
def alone(folder: str | os.PathLike) -> Iterator[None]:
    """Hold a folder against other programs that would write it, as done_lock of utils/done.sh does; wait for one that is at work there."""
    os.makedirs(folder, exist_ok=True)
    with open(os.path.join(folder, ".busy"), "a+") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            file.seek(0)
            print(f"{os.fspath(folder)} is being written by {file.read().strip()}; waiting for its end", file=sys.stderr)
            fcntl.flock(file, fcntl.LOCK_EX)
        sign(file)
        yield


def refuse_zero_bytes(path: str, data: bytes, remedy: str) -> None:
    """Raises InputError, naming the line, where `data` of a text file holds some."""
    if b"\0" in data:
        line = data.count(b"\n", 0, data.index(b"\0")) + 1
        raise InputError(f"{path}:{line}: zero bytes, as a crash of the machine or a full disk leaves them; {remedy}.")


def sign(file: IO) -> None:
    """Write into a lock file (opened with a+) who holds it, for those who meet it."""
    file.truncate(0)
    file.write(f"process {os.getpid()} on {os.uname().nodename} since {time.strftime('%Y-%m-%d %H:%M:%S')}\n")
    file.flush()


def _sync_folder(folder: str) -> None:
    """Make a rename durable; some network file systems cannot sync a directory, and there the rename itself must do."""
    handle = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(handle)
    except OSError as err:
        if err.errno not in (errno.EINVAL, errno.ENOTSUP, errno.EBADF):
            raise
    finally:
        os.close(handle)


def md5(path: str | os.PathLike) -> str:
    """MD5 of a file's bytes, as 32 hexadecimal digits. Raises InputError when the file cannot be read."""
    digest = hashlib.md5(usedforsecurity=False)
    try:
        with open(path, "rb") as file:
            while block := file.read(1 << 20):
                digest.update(block)
    except OSError as err:
        raise InputError(f"{os.fspath(path)} cannot be read ({err.strerror}); check the name.") from err
    return digest.hexdigest()


def version(path: str | os.PathLike) -> str:
    """Size and modification time of a file, by which the stamps of utils/done.sh know it, too. Raises InputError when it is missing."""
    try:
        found = os.stat(path)
    except OSError as err:
        raise InputError(f"{os.fspath(path)} cannot be read ({err.strerror}); check the name, or run the step that makes it.") from err
    return f"{found.st_size} {found.st_mtime_ns}"


def read_bytes(path: str | os.PathLike) -> bytes:
    """The whole file. Raises InputError naming it when it is missing or cannot be read."""
    try:
        with open(path, "rb") as file:
            return file.read()
    except OSError as err:
        raise InputError(f"{os.fspath(path)} cannot be read ({err.strerror}); check the name, "
                         "or run the stage that makes it.") from err


def read_object(path: str | os.PathLike) -> dict:
    """The keys of a JSON file. Raises InputError when it is not a JSON object."""
    try:
        found = json.loads(read_bytes(path))
    except ValueError as err:
        raise InputError(f"{os.fspath(path)} is not valid JSON ({err}); write it again.") from err
    if not isinstance(found, dict):
        raise InputError(f"{os.fspath(path)} must hold one JSON object, not a {type(found).__name__}.")
    return found


class SharedFile:
    """A file kept open for positioned reads. It closes when nobody holds it, so that dropping it from the table of
    open files cannot close it under another thread; `kind` is for the reader's own use."""

    __slots__ = ("fd", "kind", "path")

    def __init__(self, path: str):
        self.path, self.kind = path, None
        self.fd = os.open(path, os.O_RDONLY | os.O_CLOEXEC)

    def __del__(self):
        if hasattr(self, "fd"):
            os.close(self.fd)

    def pread(self, count: int, offset: int) -> bytes:
        """Up to `count` bytes at byte `offset` in one system call. Raises InputError naming the file."""
        try:
            return os.pread(self.fd, count, offset)
        except OSError as err:
            raise InputError(f"{self.path} cannot be read ({err.strerror}); check the disk it is on.") from err


def shared(path: str) -> SharedFile:
    """The file, opened at the first call. Forked workers may use what they inherit: no file position is shared.

    Raises InputError naming the file when it cannot be opened.
    """
    key = os.path.abspath(path)
    file = _open_files.get(key)
    if file is None:
        try:
            file = SharedFile(key)
        except OSError as err:
            raise InputError(f"{path} cannot be opened ({err.strerror}); check the path in the scp file.") from err
        while len(_open_files) >= MAX_OPEN:
            _open_files.pop(next(iter(_open_files)), None)
        _open_files[key] = file
    return file


def size(path: str) -> int:
    """Size of a file in bytes. Raises InputError naming it when it is missing."""
    try:
        return os.stat(path).st_size
    except OSError as err:
        raise InputError(f"{path} cannot be read ({err.strerror}); check the path in the scp file.") from err


def part(path: str, count: int, offset: int = 0) -> bytes:
    """Up to `count` bytes at byte `offset` of a file that is not kept open. Raises InputError naming the file."""
    try:
        with open(path, "rb", buffering=0) as file:
            file.seek(offset)
            return file.read(count)
    except OSError as err:
        raise InputError(f"{path} cannot be read ({err.strerror}); check the path in the scp file.") from err


def split_spec(spec: str) -> tuple[str, int | None]:
    """Kaldi's extended file name: "x.ark:123" is ("x.ark", 123), "x.wav" is ("x.wav", None)."""
    path, colon, offset = spec.rpartition(":")
    if colon and path and offset.isascii() and offset.isdigit():
        return path, int(offset)
    return spec, None


def is_pipe(spec: str) -> bool:
    """Whether an scp entry is a shell command ("sox x.wav -t wav - |") rather than a file."""
    return spec.rstrip().endswith("|") or spec.lstrip().startswith("|")
