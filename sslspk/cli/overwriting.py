"""What a command writes must not be what it reads: refused before anything is computed."""
import os
import stat
import sys
from collections.abc import Iterable, Iterator

from sslspk import reading
from sslspk.errors import InputError, named

TABLES = ("utt2spk", "spk2utt", "segments", "wav.scp", "feats.scp", "vad.scp", "cmvn.scp", "text", "trials")   # of a data directory


def check(outputs: Iterable[str], inputs: Iterable[str | int], option: str = "--out") -> None:
    """Raise InputError where an output is a folder, a device, or one of the inputs under any name.

    inputs: paths, or descriptors of open files; they are looked at only where an output is there already.
    """
    there = {}
    for path in outputs:
        try:
            found = os.stat(path)
        except OSError:   # nothing to lose; what hinders the writing is said then
            continue
        if not stat.S_ISREG(found.st_mode):
            raise InputError(f"{named(path)} is {reading.kind_of(found.st_mode)}, not a file; choose another name for {option}.")
        there[found.st_dev, found.st_ino] = path
    for given in inputs if there else ():
        try:
            found = os.stat(given)
        except (OSError, ValueError):   # reading it will say so
            continue
        if (found.st_dev, found.st_ino) in there:
            raise InputError(f"{named(there[found.st_dev, found.st_ino])} is an input and would be overwritten; choose another {option}.")


def of_words(words: Iterable[str]) -> Iterator[str | int]:
    """The files that words of the command line name: themselves, the tables of a data directory, and the standard input for -."""
    for word in words:
        if word == "-":
            yield from _stdin()
        elif os.path.isdir(word):
            yield from (os.path.join(word, name) for name in TABLES)
        else:
            yield word


def of_specs(specs: Iterable[str]) -> Iterator[str]:
    """The files that entries of wav.scp or xvector.scp name, each once."""
    from sslspk.io import files
    seen = set()
    for spec in specs:
        path = files.split_spec(spec)[0]
        if path not in seen:
            seen.add(path)
            yield path


def of_model(name: str | None) -> Iterator[str]:
    """The files of a model, as --model names it."""
    if name:
        from sslspk.train import model, pretrained
        pair = pretrained.pair(name)
        file = pair[1] if pair else str(model.file_of(name))
        yield file
        yield from (os.path.join(os.path.dirname(file), beside) for beside in ("config.yaml", "calibration.json"))


def _stdin() -> Iterator[int]:
    try:
        yield sys.stdin.fileno()
    except (AttributeError, OSError, ValueError):   # none, or none of the system's
        return
