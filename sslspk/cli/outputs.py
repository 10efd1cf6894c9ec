"""Where `sslspk embed` writes: csv, npy, Kaldi's archives, or a folder that steps/score.sh reads."""
import contextlib
import csv
import os
import re
import shutil
import sys
import tempfile
from collections.abc import Iterable, Iterator
from typing import IO, TYPE_CHECKING

from sslspk.cli import overwriting
from sslspk.errors import InputError, named, shown
from sslspk.io import files

if TYPE_CHECKING:
    import numpy as np

    Row = tuple[str, tuple[float, float] | None, np.ndarray]

ENDS = (".csv", ".npy", ".ark", ".scp")
HELP = ("FILE.csv; FILE.npy, the matrix, beside FILE.txt, a name a line; FILE.ark or FILE.scp, Kaldi's archive and table; any name without "
        "such an ending: a folder for xvector.ark, xvector.scp and provenance.json (default: csv on stdout)")
ENDING = re.compile(r"\.[A-Za-z][A-Za-z0-9]+")   # of a file; not that of emb.v1 or emb.2
VERSION = re.compile(r"\.v[0-9]+")
LINE = 1 << 16   # bytes that are read of a table to see where its first entry lies
IN_MEMORY = 64 << 20   # bytes of csv that wait for the end of the work before they are printed


def check(out: str | None, names: Iterable[str], read: Iterable[str | int] = ()) -> None:
    """Refuse at once what could not be written at the end: a name that is taken, files of others, names that a table cannot hold.

    read: the files that the command reads, as of overwriting.check.
    """
    if out and not is_folder(out) and os.path.isdir(out):
        raise InputError(f"{named(out)} is a folder; choose another name for --out.")
    overwriting.check(paths(out), read)
    if out and is_folder(out):
        _check_folder(out)
    elif out and len(paths(out)) > 1:
        _check_pair(out)
    kaldi = out is not None and os.path.splitext(out)[1] not in (".csv", ".npy")
    for name in names:
        if not name.isprintable() or (kaldi and " " in name):   # undecodable bytes of a name are not printable either
            raise InputError(f"{named(name)} has a blank or an odd letter in its name, which {out or 'the output'} cannot hold; rename it.")


def _check_folder(out: str) -> None:
    end = os.path.splitext(out)[1]
    if os.path.lexists(out) and not os.path.isdir(out):
        raise InputError(f"{named(out)} is a file; --out takes a folder, or a name that ends in {', '.join(ENDS)}.")
    if ENDING.fullmatch(end) and not VERSION.fullmatch(end) and not os.path.isdir(out):
        raise InputError(f"{named(out)}: the ending {shown(end, 20)} is none of {', '.join(ENDS)}; for a folder write {named(out)}/.")
    ark, scp, provenance = paths(out)
    if os.path.lexists(scp) and not os.path.exists(provenance) and not _points_into(scp, ark):
        raise InputError(f"{named(scp)} is there, and sslspk did not write it; choose another --out, or move it away.")


def _check_pair(out: str) -> None:
    """Refuse a file of others in the place of the one that --out does not name, or of the table that it does name."""
    main, side = paths(out)
    ours = os.path.lexists(main) and (_points_into(side, main) if side.endswith(".scp") else _names_rows(side, main))
    there = next((path for path in (side, main) if os.path.lexists(path) and (path != out or path == side)), None)
    if there and not ours:
        raise InputError(f"{named(there)} is there, and sslspk did not write it; choose another --out, or move it away.")


def _points_into(scp: str, ark: str) -> bool:
    """Whether the first entry of a table lies in an archive of that name."""
    with contextlib.suppress(OSError, UnicodeDecodeError), open(scp, encoding="utf-8") as file:
        spec = file.readline(LINE).rstrip("\n").partition(" ")[2]
        return os.path.basename(files.split_spec(spec)[0]) == os.path.basename(ark)
    return False


def _names_rows(text: str, matrix: str) -> bool:
    """Whether a text has as many lines as a matrix has rows."""
    import numpy as np
    with contextlib.suppress(OSError, ValueError, EOFError), open(text, "rb") as file:
        return len(np.load(matrix, mmap_mode="r", allow_pickle=False)) == sum(1 for _ in file)
    return False


def paths(out: str | None) -> list[str]:
    """All files that `write` makes, and the provenance of a folder."""
    if not out:
        return []
    if is_folder(out):
        return [os.path.join(out, name) for name in ("xvector.ark", "xvector.scp", "provenance.json")]
    stem, end = os.path.splitext(out)
    return {".csv": [out], ".npy": [out, f"{stem}.txt"]}.get(end, [f"{stem}.ark", f"{stem}.scp"])


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
    """The file, or what is printed once all of it is there."""
    if path is None:
        with tempfile.SpooledTemporaryFile(IN_MEMORY, "w+", encoding="utf-8", newline="") as file:
            yield file
            file.seek(0)
            shutil.copyfileobj(file, sys.stdout)
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
    rows, (_, names) = list(rows), paths(out)
    with files.atomic_write(names) as file:
        file.writelines(" ".join([name, *(f"{second:.3f}" for second in times or ())]) + "\n" for name, times, _ in rows)
    with files.atomic_write(out, "wb") as file:
        np.save(file, np.stack([x for _, _, x in rows]))
    return len(rows)


def _ark(out: str, rows: "Iterable[Row]") -> int:
    """Rows come as `order` has it."""
    from sslspk.io import ark
    (archive, scp, *_), count = paths(out), 0
    with ark.Writer(archive, scp) as writer:
        for name, times, x in rows:
            writer.write(key(name, times), x)
            count += 1
    return count
