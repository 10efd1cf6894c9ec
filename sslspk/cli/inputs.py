"""What `sslspk embed` is given: recordings by name, from files, folders, data directories, tables and lists."""
import os
import sys
from collections.abc import Iterable

from sslspk.errors import InputError, named

STDIN = "-"


def gather(words: list[str], lines: Iterable[str] | None = None) -> dict[str, object]:
    """Name -> path, or sslspk.io.clips.Clip of a data directory. words: see `sslspk embed --help`; lines: in place of the standard input.

    Names are ids in tables, paths below a folder, else the path as it is given. Raises InputError: nothing there, a folder without audio,
    two recordings of one name.
    """
    found: dict[str, object] = {}
    for word in words:
        for name, source in _of(word, sys.stdin if lines is None else lines):
            if name in found:
                raise InputError(f"{named(name)} is given twice; give each recording once, or name folders one by one.")
            found[name] = source
    if not found:
        raise InputError("there is no recording in what was given; give files, folders, or - and a list of paths on stdin.")
    return found


def _of(word: str, lines: Iterable[str]) -> Iterable[tuple[str, object]]:
    from sslspk.io import clips, table
    if word == STDIN:
        return [(line, line) for line in (line.rstrip("\r\n") for line in lines) if line]
    if os.path.isdir(word):
        return clips.read(word).items() if os.path.exists(os.path.join(word, "wav.scp")) else _folder(word)
    if word.endswith(".scp"):
        return [(utt, clips.Clip(spec)) for utt, spec in table.read(word).items()]
    return [(word, word)]


def _folder(folder: str) -> list[tuple[str, str]]:
    """Recordings below a folder, whose names say so, sorted: (path below it, path)."""
    from sslspk.io.survey import FORMATS
    found = []
    for place, inner, files in os.walk(folder, followlinks=True):
        inner.sort()
        found += [os.path.join(place, name) for name in files if name.lower().endswith(FORMATS) and not name.startswith(".")]
    if not found:
        raise InputError(f"{named(folder)} holds no audio (*{', *'.join(FORMATS[:6])} ...) and no wav.scp; give a folder that does.")
    return [(os.path.relpath(path, folder), path) for path in sorted(found)]
