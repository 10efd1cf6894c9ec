"""Records whether silence was removed from audio, which must be the same in training and extraction.

steps/pack_audio.sh --vad true leaves a mark next to each archive, and so do the steps that make features or noisy copies of it. Every
data directory that names the archive finds the mark.
"""
import contextlib
import os
import re
from collections import Counter
from collections.abc import Iterable

from sslspk.io.clips import Clip

MARK = ".silence_cut"   # after the name of an archive


def mark(archive: str | os.PathLike, cut: bool) -> None:
    """Mark a newly written archive as cut (silence removed from all its audio), or remove its mark."""
    path = f"{os.fspath(archive)}{MARK}"
    if cut:
        with open(path, "w"):
            pass
    else:
        with contextlib.suppress(FileNotFoundError):
            os.unlink(path)


def count_cut(specs: Iterable[str | Clip]) -> tuple[int, int]:
    """The number of entries of wav.scp or feats.scp whose silence was cut, and the number of all entries."""
    archives: Counter[str] = Counter()
    for source in specs:
        found = re.match(r"(.*\.ark)(:\d+(\[.*\])?)?$", source if isinstance(source, str) else source.spec)
        archives[found[1] if found else ""] += 1
    return sum(number for path, number in archives.items() if path and os.path.exists(path + MARK)), archives.total()


def all_cut(specs: Iterable[str | Clip]) -> bool:
    cut, number = count_cut(specs)
    return 0 < cut == number


def warning(what: str, vad: bool, specs: Iterable[str | Clip], data: object) -> str:
    """The warning if audio does not match `vad` of a configuration, "" if it does. what: the model, or the training."""
    cut, number = count_cut(specs)
    if vad and cut < number:
        return f"warning: {what} expects audio without silence (vad: true), but {number - cut} of {number} in {data} still have it; " \
               "use steps/pack_audio.sh --vad true."
    if cut and not vad:
        return f"warning: {what} expects audio with its silence (vad: false), but {cut} of {number} in {data} have lost it; use the " \
               "directory that was packed."
    return ""
