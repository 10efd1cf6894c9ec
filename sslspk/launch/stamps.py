"""Whether a step has already been done with the same options and inputs: the programs behind utils/done.sh (standard library alone).

    python3 -I -S sslspk/launch/stamps.py COMMAND NAME      words on stdin, each ended by a NUL; NAME: the script, for its messages

fresh  STAMP_DIR OPTIONS INPUT... [-- OUTPUT...]: status 0 where nothing has changed since mark; otherwise 1, and the stamp is removed
mark   STAMP_DIR OPTIONS INPUT... [-- OUTPUT...]: writes STAMP_DIR/.done
digest OPTIONS INPUT...: prints what the stamp says of them
conf   YAML...: prints these files and those that their `base:` names

.done has two lines, md5 of options and inputs, and of outputs. Of an input its name, size and time count and, below 8 MB, its content; an
scp file stands for its archives as well, a directory for the visible files right inside it. Of an output its content and archives count.
"""
import hashlib
import os
import re
import stat
import sys
from collections.abc import Iterable, Iterator, Sequence

SMALL = 8_000_000     # bytes of a file whose content counts, whatever its time says
CONF_BYTES = 1_048_577
DEPTH = 16            # of `base:` files; the program refuses longer chains in a sentence
ARCHIVE = re.compile(rb":[0-9]+(\[[-0-9:,]*\])?$")
BASE = re.compile(rb"^base:")


def main(command: str, name: str) -> int:
    words = sys.stdin.buffer.read().split(b"\0")[:-1]
    if command == "conf":
        for path in words:
            sys.stdout.buffer.write(conf_text(path))
        return 0
    if command == "digest":
        print(digest_of_inputs(words[0], words[1:]).decode())
        return 0
    folder, options, *paths = words
    end = paths.index(b"--") if b"--" in paths else len(paths)
    inputs, outputs = paths[:end], paths[end + 1:]
    stamp = os.path.join(folder, b".done")
    try:
        reason = stale(stamp, options, inputs, outputs) if command == "fresh" else mark(stamp, options, inputs, outputs)
    except OSError as err:
        reason = f"error: {os.fsdecode(stamp)}: {err.strerror}; solve that, then run the same command again."
    if reason:
        print(f"{name}: {reason}", file=sys.stdout if command == "fresh" else sys.stderr)
    return 0 if reason is None else 1


def stale(stamp: bytes, options: bytes, inputs: Sequence[bytes], outputs: Sequence[bytes]) -> str | None:
    """None where the work is done; else why it is done again ("": nothing to say), and the stamp is gone."""
    if not os.path.isfile(stamp):
        return ""
    with open(stamp, "rb") as file:
        was = file.read().splitlines()
    if was[:1] != [digest_of_inputs(options, inputs)]:
        reason = ""
    elif empty := next((path for path in outputs if not _size(path)), None):
        reason = f"{os.fsdecode(empty)} is gone or empty; it is made again"
    elif len(was) > 1 and was[1] != digest_of_outputs(outputs):   # a stamp of one line was written before outputs were looked at
        reason = f"what {os.fsdecode(os.path.dirname(stamp))} says was finished is not as it was left; it is made again"
    else:
        return None
    # A step that fails half-way must not look finished when the old options come back.
    os.unlink(stamp)
    return reason


def mark(stamp: bytes, options: bytes, inputs: Sequence[bytes], outputs: Sequence[bytes]) -> str | None:
    """Write the stamp, whole or not at all; why it cannot be."""
    folder = os.path.dirname(stamp)
    gone = next((path for path in inputs if not os.path.exists(path)), None)
    if gone is not None:
        return (f"error: cannot mark {os.fsdecode(folder)} as done because its input {os.fsdecode(gone)} is gone; bring it back and run "
                "again.")
    try:
        os.makedirs(folder, exist_ok=True)
        with open(stamp + b".tmp", "wb") as file:   # one that a killed step left is written over: the lock is held
            file.write(digest_of_inputs(options, inputs) + b"\n" + digest_of_outputs(outputs) + b"\n")
        os.replace(stamp + b".tmp", stamp)
    except OSError:
        return f"error: cannot write {os.fsdecode(stamp)}; free some space or check the permissions, then run the same command again."
    return None


def digest_of_inputs(options: bytes, inputs: Iterable[bytes]) -> bytes:
    digest, files = hashlib.md5(options + b"\n", usedforsecurity=False), []
    for path in inputs:
        if os.path.isdir(path):
            files += _visible(path)
        elif os.path.exists(path):
            files.append(path)
        else:
            digest.update(b"missing " + path + b"\n")
    for line in _versions([*files, *_archives(files)]):
        digest.update(line)
    return digest.hexdigest().encode()


def digest_of_outputs(outputs: Iterable[bytes]) -> bytes:
    digest, outputs = hashlib.md5(usedforsecurity=False), list(outputs)
    for path in outputs:
        digest.update(path + b"\n")
        for block in _blocks(path):
            digest.update(block)
    for line in _versions(list(_archives(outputs))):
        digest.update(line)
    return digest.hexdigest().encode()


def _visible(folder: bytes) -> list[bytes]:
    """The files right inside a folder whose names begin with no dot, sorted."""
    found = [entry.path for entry in os.scandir(folder) if not entry.name.startswith(b".") and entry.is_file()]
    return sorted(found)


def _versions(paths: Sequence[bytes]) -> Iterator[bytes]:
    """Name, size and time of each, then the content of the small ones."""
    small = []
    for path in paths:
        try:
            found = os.stat(path)
        except OSError:
            continue
        seconds, rest = divmod(found.st_mtime_ns, 10 ** 9)
        yield b"%s %d %d.%09d\n" % (path, found.st_size, seconds, rest)
        if stat.S_ISREG(found.st_mode) and found.st_size < SMALL:
            small.append(path)
    for path in small:
        digest = hashlib.md5(usedforsecurity=False)
        for block in _blocks(path):
            digest.update(block)
        yield b"%s  %s\n" % (digest.hexdigest().encode(), path)


def _archives(paths: Iterable[bytes]) -> Iterator[bytes]:
    """The archives that the scp files among these point into, each once."""
    seen = set()
    for path in paths:
        if not path.endswith(b".scp") or not os.path.isfile(path):
            continue
        with open(path, "rb") as file:
            for line in file:
                spec = re.sub(rb"^[^ \t]*[ \t]+", b"", line.rstrip(b"\n"), count=1)
                archive = ARCHIVE.sub(b"", spec)
                if archive != spec and archive not in seen:
                    seen.add(archive)
                    if os.path.exists(archive):
                        yield archive


def _blocks(path: bytes) -> Iterator[bytes]:
    """The content of a regular file; nothing of another one, or of one that cannot be read."""
    if not os.path.isfile(path):
        return
    try:
        with open(path, "rb") as file:
            yield from iter(lambda: file.read(1 << 20), b"")
    except OSError:
        return


def _size(path: bytes) -> int:
    try:
        return os.stat(path).st_size
    except OSError:
        return 0


def conf_text(path: bytes, depth: int = 0) -> bytes:
    """A configuration, and those that it is based on. Missing files and over-long chains are listed."""
    if not os.path.isfile(path) or depth > DEPTH:
        return b"missing " + path + b"\n"
    with open(path, "rb") as file:
        text = file.read(CONF_BYTES).replace(b"\0", b"")
    bases = [re.sub(rb" #.*", b"", re.sub(rb"^base: *", b"", line)).rstrip(b" ") for line in
             (line.removesuffix(b"\r") for line in text.removeprefix(b"\xef\xbb\xbf").split(b"\n")) if BASE.match(line)]
    base = b"\n".join(bases).strip(b"\n")
    return text + (conf_text((os.path.dirname(path) or b".") + b"/" + base, depth + 1) if base else b"")


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))
