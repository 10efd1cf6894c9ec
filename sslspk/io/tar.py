"""Tar archives read in place: finds the bytes of each member, and unpacks nothing.

A member is a header of 512 bytes, its content, and zeros up to the next multiple of 512 (POSIX.1 ustar and pax, GNU tar). An entry
"shard.tar:1536" of wav.scp, as for a packed archive, is the offset of a member's content; the header before it gives its length.
"""
from collections.abc import Iterator
from typing import NamedTuple

from sslspk.errors import InputError, named, shown
from sslspk.io import files

BLOCK = 512
TAIL = 1 << 20            # bytes after the end that are checked
MOST_BYTES = 1 << 20      # of a long name, or of a pax header
MOST_SIZE = 1 << 50       # of a member: a larger size means a damaged header
FILE, LONG_NAME, SKIPPED = (b"0", b"\0", b"7"), b"L", (b"5", b"K", b"g")
PAX = (b"x", b"X")
COMPRESSED = ((b"\x1f\x8b", "gzip", "gunzip"), (b"BZh", "bzip2", "bunzip2"), (b"\xfd7zXZ\0", "xz", "unxz"),
              (b"\x28\xb5\x2f\xfd", "zstd", "unzstd"), (b"\x04\x22\x4d\x18", "lz4", "unlz4"))


class Member(NamedTuple):
    """A regular file in a tar: its name, the offset of its first byte, and its size in bytes."""

    name: str
    offset: int
    size: int


class _Head(NamedTuple):
    name: bytes
    size: int
    kind: bytes


def size_before(block: bytes) -> int | None:
    """Size in bytes of the regular file whose header is `block` (512 bytes); None if it is no such header."""
    head = _head(block)
    return head.size if head is not None and head.kind in FILE else None


def members(path: str) -> Iterator[Member]:
    """The regular files of a tar, in order; folders are skipped.

    Raises InputError: compressed, cut short, not a tar, a damaged header, a link or another kind of member, bytes after its end.
    """
    archive = files.shared(path)
    size, place, name, length = archive.size(), 0, None, None
    while (block := archive.pread(BLOCK, place)) != bytes(BLOCK):
        head = _head(block)
        if head is None:
            raise _no_header(path, block, place)
        start, count = place + BLOCK, head.size if length is None else length
        if count > size - start:
            raise InputError(f"{named(path)} is truncated ({max(size - start, 0)} of {count} bytes of {shown(_text(head.name), 60)}); copy "
                             "or download it again.")
        place = start + count + -count % BLOCK
        if head.kind == LONG_NAME:
            name = _extra(archive, path, start, count).rstrip(b"\0")
        elif head.kind in PAX:
            said = _pax(_extra(archive, path, start, count), path, start)
            name, length = said.get(b"path", name), _number(said.get(b"size"), path, start)
        elif head.kind in FILE:
            yield Member(_text(head.name if name is None else name), start, count)
            name = length = None
        elif head.kind in SKIPPED:
            name, length = (None, None) if head.kind == b"5" else (name, length)
        else:
            raise InputError(f"{named(path)}: {shown(_text(head.name), 60)} is a link or another special member; make this tar again with "
                             "regular files (tar --dereference --hard-dereference).")
    if archive.pread(TAIL, place).strip(b"\0"):
        raise InputError(f"{named(path)} goes on behind its end (byte {place}); tars joined by cat cannot be read: keep them apart, or "
                         "join them with tar -A.")


def content(path: str, member: Member, most: int) -> bytes:
    """The bytes of a small member. Raises InputError if it has more than `most` bytes."""
    if member.size > most:
        raise InputError(f"{named(path)}: {shown(member.name, 60)} has {member.size} bytes, too many for a label; leave it out of the tar.")
    return files.shared(path).pread(member.size, member.offset)


def _head(block: bytes) -> _Head | None:
    """A parsed header; None if the checksum is wrong, so that it is no header."""
    said = _octal(block[148:156])
    if len(block) < BLOCK or said is None or said != sum(block) - sum(block[148:156]) + 8 * 32:
        return None
    size = int.from_bytes(block[125:136], "big") if block[124] == 0x80 else _octal(block[124:136])
    if size is None or size > MOST_SIZE:
        return None
    name = block[:100].split(b"\0", 1)[0]
    folder = block[345:500].split(b"\0", 1)[0] if block[257:263] == b"ustar\0" else b""
    return _Head(folder + b"/" + name if folder else name, size, block[156:157])


def _octal(field: bytes) -> int | None:
    digits = field.split(b"\0", 1)[0].strip()
    return int(digits or b"0", 8) if not digits.translate(None, b"01234567") else None


def _extra(archive: files.SharedFile, path: str, start: int, count: int) -> bytes:
    """The content of a member that describes the next one."""
    if count > MOST_BYTES:
        raise InputError(f"{named(path)} has a name or pax header of {count} bytes at byte {start}; make this tar again.")
    return archive.pread(count, start)


def _pax(data: bytes, path: str, start: int) -> dict[bytes, bytes]:
    """The records "LENGTH KEY=VALUE\\n" of a pax header."""
    found = {}
    while data:
        length, _, rest = data.partition(b" ")
        end = int(length) if length.isdigit() and len(length) < 8 else 0
        key, equals, value = data[len(length) + 1:end - 1].partition(b"=")
        if not rest or not equals or end > len(data) or data[end - 1:end] != b"\n" or key.startswith(b"GNU.sparse"):
            raise InputError(f"{named(path)} has a pax header at byte {start} that is damaged, or of a sparse file; make this tar again.")
        found[key], data = value, data[end:]
    return found


def _number(digits: bytes | None, path: str, start: int) -> int | None:
    if digits is not None and not (digits.isdigit() and len(digits) < 16):
        raise InputError(f"{named(path)} has a pax header at byte {start} without a size; make this tar again.")
    return None if digits is None else int(digits)


def _text(name: bytes) -> str:
    return name.decode("utf-8", "surrogateescape")


def _no_header(path: str, block: bytes, place: int) -> InputError:
    """The error for a place where a header should begin."""
    for magic, form, program in COMPRESSED if place == 0 else ():
        if block.startswith(magic):
            return InputError(f"{named(path)} is compressed ({form}), and so cannot be read in place; unpack it ({program}) and name the "
                              ".tar instead.")
    if len(block) < BLOCK:
        return InputError(f"{named(path)} is truncated (it ends at byte {place + len(block)} without a mark of its end); copy or download "
                          "it again.")
    what = f"damaged at byte {place}" if place else "no tar"
    return InputError(f"{named(path)} is {what}; copy or download it again, or leave it out.")
