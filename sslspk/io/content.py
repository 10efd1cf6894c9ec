"""The bytes of a recording, in a file or in memory, and the sentences about what is wrong with them."""
import errno
import io
import os

from sslspk.errors import InputError, named
from sslspk.io import files


class Content:
    """A recording's bytes for positioned reads, without its name: what it is and whether it is whole is found from them alone.

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

    def opened(self) -> io.BytesIO | str:
        """The bytes for libsndfile: in memory, or by a name that says nothing, since it takes a name for a hint at what a file holds."""
        return io.BytesIO(self.data) if self.file is None else f"/dev/fd/{self.file.fd}"


class Stream:
    """A file object over the first `end` bytes of a content (None: all), at its beginning, for av.

    A place that a damaged header invents is answered by a negative number, as the system would, since av prints what is raised.
    """

    def __init__(self, content: Content, end: int | None = None):
        self._content, self._place, self._end = content, 0, content.size if end is None else end

    def read(self, count: int) -> bytes:
        """Up to `count` bytes."""
        data = self._content.at(self._place, min(count, self._end - self._place))
        self._place += len(data)
        return data

    def seek(self, offset: int, whence: int = os.SEEK_SET) -> int:
        """The new place, or a negative number."""
        place = offset + (0, self._place, self._end)[whence]
        if place < 0:
            return -errno.EINVAL
        self._place = min(place, self._end)
        return self._place

    def tell(self) -> int:
        """The place."""
        return self._place


def truncated(where: str, found: str) -> InputError:
    """The error for a recording that ends early."""
    return InputError(f"{where} is truncated ({found}); copy or download it again, or leave it out.")


class Damaged(InputError):
    """What one decoder cannot read; perhaps another one can."""


def damaged(where: str, found: str) -> Damaged:
    """The error for a recording that cannot be decoded."""
    return Damaged(f"{where} cannot be decoded ({found.rstrip('. ')}); convert it to wav or flac, or leave it out.")

