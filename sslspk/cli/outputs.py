"""Where `sslspk embed` writes: csv, npy, Kaldi's archives, or a folder that steps/score.sh reads."""
import contextlib
import csv
import os
import sys
from collections.abc import Iterable, Iterator
from typing import IO, TYPE_CHECKING

from sslspk.errors import InputError, named

if TYPE_CHECKING:
    import numpy as np

    Row = tuple[str, tuple[float, float] | None, np.ndarray]

ENDS = (".csv", ".npy", ".ark", ".scp")
HELP = ("FILE.csv; FILE.npy, the matrix, beside FILE.txt, a name a line; FILE.ark or FILE.scp, Kaldi's archive and table; any other name: "
        "a folder for xvector.ark, xvector.scp and provenance.json (default: csv on stdout)")


def check(out: str | None, names: Iterable[str]) -> None:
    """Refuse at once what could not be written at the end: a name that is taken, or recordings whose names a table cannot hold."""
    if out and not is_folder(out) and os.path.isdir(out):
        raise InputError(f"{named(out)} is a folder; choose another name for --out.")
    if out and is_folder(out) and os.path.lexists(out) and not os.path.isdir(out):
        raise InputError(f"{named(out)} is a file; --out takes a folder, or a name that ends in {', '.join(ENDS)}.")
    kaldi = out is not None and os.path.splitext(out)[1] not in (".csv", ".npy")
    for name in names:
        if not name.isprintable() or (kaldi and " " in name):   # undecodable bytes of a name are not printable either
            raise InputError(f"{named(name)} has a blank or an odd letter in its name, which {out or 'the output'} cannot hold; rename it.")


def is_folder(out: str) -> bool:
    """Whether --out names a folder rather than a file of one of the forms."""
    return os.path.splitext(out)[1] not in ENDS


def order(out: str | None, names: Iterable[str], windows: bool) -> list[str]:
    """The order in which rows must come: as they are, or for Kaldi's tables sorted as their ids will be."""
    if not out or os.path.splitext(out)[1] in (".csv", ".npy"):
        return list(names)
    return sorted(names, key=lambda name: name + "-" * windows)


def write(out: str | None, rows: "Iterable[Row]") -> int:
    """All rows, (name, first and last second or None, embedding (D,)), whole or not at all; returns how many there were."""
    end = os.path.splitext(out)[1] if out else ".csv"
    if end == ".csv":
        return _csv(out, rows)
    return _npy(out, rows) if end == ".npy" else _ark(out, rows)


def key(name: str, times: tuple[float, float] | None) -> str:
    """The id of a window: that of the recording, and hundredths of seconds."""
    return name if times is None else f"{name}-{round(100 * times[0]):07d}-{round(100 * times[1]):07d}"


@contextlib.contextmanager
def _text(path: str | None) -> Iterator[IO]:
    from sslspk.io import files
    if path is None:
        yield sys.stdout
    else:
        with files.atomic_write(path) as file:
            yield file


def _csv(out: str | None, rows: "Iterable[Row]") -> int:
    """A line of heads; name, first and last second where there are windows, and the embedding with nine digits, which float32 needs."""
    count = 0
    with _text(out) as file:
        writer = csv.writer(file, lineterminator="\n")
        for name, times, x in rows:
            if not count:
                writer.writerow(["name", *(["start", "end"] if times else []), *(f"x{i}" for i in range(len(x)))])
            writer.writerow([name, *(f"{second:.3f}" for second in times or ()), *(f"{value:.9g}" for value in x.tolist())])
            count += 1
    return count


def _npy(out: str, rows: "Iterable[Row]") -> int:
    import numpy as np

    from sslspk.io import files
    rows = list(rows)
    with files.atomic_write(os.path.splitext(out)[0] + ".txt") as file:
        file.writelines(" ".join([name, *(f"{second:.3f}" for second in times or ())]) + "\n" for name, times, _ in rows)
    with files.atomic_write(out, "wb") as file:
        np.save(file, np.stack([x for _, _, x in rows]))
    return len(rows)


def _ark(out: str, rows: "Iterable[Row]") -> int:
    """Rows come as `order` has it."""
    from sslspk.io import ark
    stem, count = os.path.splitext(out)[0] if not is_folder(out) else os.path.join(out, "xvector"), 0
    with ark.Writer(f"{stem}.ark", f"{stem}.scp") as writer:
        for name, times, x in rows:
            writer.write(key(name, times), x)
            count += 1
    return count
