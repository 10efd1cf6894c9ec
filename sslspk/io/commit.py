"""Changes several files of one folder together: after an interruption at any moment, either all of them are new or none is.

The new files are written into FOLDER/.commit.tmp. Renaming it to .commit commits them: from then on `settle`, which every reader
calls, moves them into place. Where the file system has locks, a lock on the folder keeps writers and readers apart.
"""
import contextlib
import errno
import fcntl
import os
import shutil
from collections.abc import Collection, Iterator, Mapping

from sslspk.errors import InputError
from sslspk.io import files

DECIDED, DRAFT, REMOVED = ".commit", ".commit.tmp", ".removed"
LOCKLESS = (errno.ENOLCK, errno.EOPNOTSUPP, errno.EINVAL, errno.ENOSYS)


def write(folder: str, contents: Mapping[str, bytes], remove: Collection[str] = ()) -> list[str]:
    """Write these contents to the files of `folder`, and remove some; returns the names of the files that changed.

    A file that already has this content is left alone: steps compare its time to see whether their inputs have changed.
    """
    os.makedirs(folder, exist_ok=True)
    with _locked(folder):
        _finish(folder)
        changed = {name: content for name, content in contents.items() if not _holds(os.path.join(folder, name), content)}
        gone = [name for name in remove if os.path.lexists(os.path.join(folder, name))]
        if not changed and not gone:
            return []
        draft = os.path.join(folder, DRAFT)
        shutil.rmtree(draft, ignore_errors=True)
        try:
            os.mkdir(draft)
            for name, content in {**changed, REMOVED: os.fsencode("".join(f"{name}\n" for name in gone))}.items():
                with files.atomic_write(os.path.join(draft, name), "wb") as file:
                    file.write(content)
            os.rename(draft, os.path.join(folder, DECIDED))
        finally:
            shutil.rmtree(draft, ignore_errors=True)
        _finish(folder)
    return sorted([*changed, *gone])


def settle(folder: str) -> None:
    """Complete the commit of a killed `write`. Raises InputError if there is one and the folder cannot be written."""
    if not os.path.isdir(os.path.join(folder, DECIDED)):
        return
    try:
        with _locked(folder):
            _finish(folder)
    except OSError as err:
        if err.errno not in (errno.EACCES, errno.EPERM, errno.EROFS):
            raise
        raise InputError(f"{folder} is half written, since a command was killed there; run utils/fix_data_dir.sh on it as its "
                         "owner.") from err


def _finish(folder: str) -> None:
    """Move the new files into place; every step can be repeated after a kill."""
    decided = os.path.join(folder, DECIDED)
    if not os.path.isdir(decided):
        return
    with contextlib.suppress(FileNotFoundError), open(os.path.join(decided, REMOVED), "rb") as file:
        for name in map(os.fsdecode, file.read().split(b"\n")):
            if name and "/" not in name:   # a damaged list must not remove files elsewhere
                with contextlib.suppress(FileNotFoundError, IsADirectoryError):
                    os.unlink(os.path.join(folder, name))
    for name in os.listdir(decided):
        if name != REMOVED:
            os.replace(os.path.join(decided, name), os.path.join(folder, name))
    files.sync_folder(folder)
    shutil.rmtree(decided)


def _holds(path: str, content: bytes) -> bool:
    return os.path.isfile(path) and os.path.getsize(path) == len(content) and files.read_bytes(path) == content


@contextlib.contextmanager
def _locked(folder: str) -> Iterator[None]:
    handle = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        try:
            fcntl.flock(handle, fcntl.LOCK_EX)
        except OSError as err:
            if err.errno not in LOCKLESS:
                raise
        yield
    finally:
        os.close(handle)
