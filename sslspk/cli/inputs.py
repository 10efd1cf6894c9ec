"""What `sslspk embed` is given: recordings by name, from files, folders, data directories, tables and lists."""
import os
import sys
from collections.abc import Iterable
from typing import TYPE_CHECKING

from sslspk.errors import InputError, named

if TYPE_CHECKING:
    from sslspk.io.clips import Clip

STDIN = "-"


def gather(words: list[str], missing: bool = False) -> dict[str, "Clip"]:
    """Name -> where its audio lies. words: see `sslspk embed --help`. missing: files need not be there.

    Names are ids in tables, paths below a folder, else the path as it is given. Raises InputError: nothing there, a folder without audio,
    two recordings of one name.
    """
    found: dict[str, Clip] = {}
    for word in words:
        for name, source in _of(word, missing):
            if name in found:
                raise InputError(f"{named(name)} is given twice; give each recording once, or name folders one by one.")
            found[name] = source
    if not found:
        raise InputError("there is no recording in what was given; give files, folders, or - and a list of paths on stdin.")
    return found


def _of(word: str, missing: bool) -> "Iterable[tuple[str, Clip]]":
    from sslspk.io import clips, table
    if word == STDIN:
        return [_named(line, missing) for line in (line.rstrip("\r\n") for line in sys.stdin) if line]
    if os.path.isdir(word):
        return clips.read(word).items() if os.path.exists(os.path.join(word, "wav.scp")) else _folder(word)
    if word.endswith(".scp"):
        return [(utt, clips.Clip(spec)) for utt, spec in table.read(word).items()]
    return [_named(word, missing)]


def _named(path: str, missing: bool) -> "tuple[str, Clip]":
    """A recording by its path. Raises InputError where there is none, unless it may be missing."""
    from sslspk.api import recordings
    from sslspk.io import clips
    return path, clips.Clip(path) if missing else recordings.of(path).source


def _folder(folder: str) -> "list[tuple[str, Clip]]":
    """Recordings below a folder, whose names say so, sorted: (path below it, path)."""
    from sslspk.io.clips import Clip
    from sslspk.io.survey import FORMATS
    found, seen = [], set()
    for place, inner, files in os.walk(folder, followlinks=True):
        if (real := os.path.realpath(place)) in seen:   # a link that leads back
            inner.clear()
            continue
        seen.add(real)
        found += [os.path.join(place, name) for name in files if name.lower().endswith(FORMATS) and not name.startswith(".")]
    if not found:
        raise InputError(f"{named(folder)} holds no audio (*{', *'.join(FORMATS[:6])} ...) and no wav.scp; give a folder that does.")
    return [(os.path.relpath(path, folder), Clip(path)) for path in sorted(found)]
