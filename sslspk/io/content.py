"""The bytes of a recording, in a file or in memory, and the sentences about what is wrong with them."""
import io
from typing import IO

from sslspk.errors import InputError, named
from sslspk.io import files


class Content:
    """A recording's bytes for positioned reads, without its name: what it is and whether it is whole is told by them alone.

    source: path of a regular file, or the bytes themselves. where: what messages call it. Raises InputError for a file that is
    missing, empty, or no regular file.
    """

    def __init__(self, source: str | bytes, where: str):
        self.where, self.data, self.file = named(where), b"", None
        if isinstance(source, bytes):
            self.data, self.size = source, len(source)
        else:
            self.file = files.SharedFile(source)
            self.size = self.file.size()
        if not self.size:
            raise InputError(f"{self.where} is 0 bytes long; copy or download it again, or leave it out.")

    def at(self, offset: int, count: int) -> bytes:
        """Up to `count` bytes at byte `offset`; fewer at the end."""
        if self.file is None:
            return self.data[offset:offset + count]
        count = min(count, self.size - offset)
        return self.file.pread(count, offset) if count > 0 else b""

    def stream(self) -> IO[bytes]:
        """A file object over the bytes, at their beginning; good as long as the content itself."""
        if self.file is None:
            return io.BytesIO(self.data)
        stream = open(self.file.fd, "rb", buffering=0, closefd=False)  # noqa: SIM115  # the content closes what it opened
        stream.seek(0)
        return stream


def truncated(where: str, found: str) -> InputError:
    """The error for a recording that ends early."""
    return InputError(f"{where} is truncated ({found}); copy or download it again, or leave it out.")


class Damaged(InputError):
    """What one decoder cannot read; perhaps another one can."""


def damaged(where: str, found: str) -> Damaged:
    """The error for a recording that cannot be decoded."""
    return Damaged(f"{where} cannot be decoded ({found.rstrip('. ')}); convert it to wav or flac, or leave it out.")

