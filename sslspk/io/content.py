"""The bytes of a recording, in a file or in memory, and the errors about damaged ones."""
import errno
import io
import os

from sslspk.errors import InputError, named
from sslspk.io import files


class Content:
    """A recording's bytes for positioned reads; its format, and whether it is whole, are found from the bytes, not from its name.

    source: path of a regular file, or the bytes themselves. where: its name in messages. span: (first byte, number of bytes) of a part
    of an archive. Raises InputError for a file that is missing, empty, or not a regular file.
    """

    def __init__(self, source: str | bytes, where: str, span: tuple[int, int] | None = None):
        self.where, self.data, self.file, self.start = named(where), b"", None, 0
        if isinstance(source, bytes):
            self.data, self.size = source, len(source)
        elif span is not None:
            self.file, (self.start, self.size) = files.shared(source), span
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
        return self.file.pread(count, self.start + offset) if count > 0 else b""

    def opened(self) -> "io.BytesIO | Stream | str":
        """The bytes for libsndfile: in memory, part of a file, or a file under a neutral name, because libsndfile guesses the format from
        the name."""
        if self.file is None:
            return io.BytesIO(self.data)
        return Stream(self) if self.start else f"/dev/fd/{self.file.fd}"


class Stream:
    """A file object over the first `end` bytes of a content (None: all), for av and libsndfile.

    Seeking to a bad position, from a damaged header, returns a negative number as the system does: av would print an exception.
    """

    def __init__(self, content: Content, end: int | None = None):
        self._content, self._place, self._end = content, 0, content.size if end is None else end

    def read(self, count: int) -> bytes:
        """Up to `count` bytes."""
        data = self._content.at(self._place, min(count, self._end - self._place))
        self._place += len(data)
        return data

    def seek(self, offset: int, whence: int = os.SEEK_SET) -> int:
        """The new position, or a negative number."""
        place = offset + (0, self._place, self._end)[whence]
        if place < 0:
            return -errno.EINVAL
        self._place = min(place, self._end)
        return self._place

    def tell(self) -> int:
        """The position."""
        return self._place


def truncated(where: str, found: str) -> InputError:
    """The error for a recording that ends early."""
    return InputError(f"{where} is truncated ({found}); copy or download it again, or leave it out.")


class Damaged(InputError):
    """One decoder cannot read this recording; another one perhaps can."""


def damaged(where: str, found: str) -> Damaged:
    """The error for a recording that cannot be decoded."""
    return Damaged(f"{where} cannot be decoded ({found.rstrip('. ')}); convert it to wav or flac, or leave it out.")

