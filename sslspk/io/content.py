"""The bytes of a recording, in a file or in memory, and the sentences about what is wrong with them."""
import errno
import io
import os

from sslspk.errors import InputError, named
from sslspk.io import files


class Content:
    """A recording's bytes for positioned reads, without its name: what it is and whether it is whole is found from them alone.

    source: path of a regular file, or the bytes themselves. where: what messages call it. span: (first byte, number of bytes) of the
    part of an archive that is meant. Raises InputError for a file that is missing, empty, or no regular file.
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
        """The bytes for libsndfile: in memory, a part of a file, or a file by a name that says nothing, since libsndfile takes a name for
        a hint at what a file holds."""
        if self.file is None:
            return io.BytesIO(self.data)
        return Stream(self) if self.start else f"/dev/fd/{self.file.fd}"


class Stream:
    """A file object over the first `end` bytes of a content (None: all), at its beginning, for av and libsndfile.

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

