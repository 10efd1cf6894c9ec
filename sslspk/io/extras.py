"""Files of a data directory that are not tables: lists whose lines begin with its ids are copied with it, other files only named."""
import os
import re
from collections.abc import Collection, Iterable, Mapping
from typing import NamedTuple

from sslspk.errors import InputError
from sslspk.io import datadir, table

WHOLE = ("frame_shift",)                                              # hold for every utterance
OWN = re.compile(r"\..*|split[0-9]+(utt)?|ark|data|log|q|conf|label_source|bad_files\.txt")   # written by steps next to the tables
MAX_BYTES = 1 << 28
MAX_NAMED = 5


class Extras(NamedTuple):
    """lists: name -> (what it is keyed by, its lines). whole: name -> bytes of a file that holds for all. unknown: other names."""

    lists: dict[str, tuple[str, list[str]]]
    whole: dict[str, bytes]
    unknown: list[str]


def find(folder: str, ids: Mapping[str, Collection[str]]) -> Extras:
    """The files of a data directory other than its tables. ids: the ids of each kind ("utterance", "recording", "speaker").

    A file is a list if the first word of every line is an id. Trial lists do not count: a part of one is a different list.
    """
    lists, whole, unknown = {}, {}, []
    for name in sorted(os.listdir(folder)):
        path = os.path.join(folder, name)
        if OWN.fullmatch(name) or (datadir.keyed_by(name) and not os.path.isdir(path)):
            continue
        if name in WHOLE and os.path.isfile(path):
            whole[name] = table.content(path)
        elif found := None if name.startswith("trials") else _keyed(path, ids):
            lists[name] = found
        else:
            unknown.append(name)
    return Extras(lists, whole, unknown)


def names(folder: str) -> list[str]:
    """Files and folders of a data directory, sorted, other than tables, trial lists and what steps write."""
    return sorted(name for name in os.listdir(folder) if not OWN.fullmatch(name) and not name.startswith("trials")
                  and (os.path.isdir(os.path.join(folder, name)) or not datadir.keyed_by(name)))


def any_there(folder: str) -> bool:
    """Whether a data directory holds anything other than its tables and what steps write."""
    tables = set(datadir.table_names(folder))
    return any(name not in tables and not OWN.fullmatch(name) for name in os.listdir(folder))


def part(extras: Extras, ids: Mapping[str, Collection[str]], kept: Mapping[str, Collection[str]]) -> dict[str, bytes]:
    """The lists for the ids `kept` of `ids`: only lines that name no other id of this kind; empty lists are left out."""
    found = dict(extras.whole)
    for name, (kind, lines) in extras.lists.items():
        gone = set(ids[kind]) - set(kept.get(kind, ()))
        text = "".join(f"{line}\n" for line in lines if gone.isdisjoint(table.words(line)))
        if text:
            found[name] = text.encode()
    return found


def left_out(names: Iterable[str], what: str) -> list[str]:
    """The note about files that are not copied; none if there are none."""
    names = sorted(names)
    return [f"{what}: {some(names)}"] if names else []


def some(names: Collection[str]) -> str:
    """The first few names, and how many more there are."""
    shown = ", ".join(map(table.named, list(names)[:MAX_NAMED]))
    return shown + (f" and {len(names) - MAX_NAMED} more" if len(names) > MAX_NAMED else "")


def _keyed(path: str, ids: Mapping[str, Collection[str]]) -> tuple[str, list[str]] | None:
    """What a file is keyed by, and its lines; None for a folder, a file that is not text, or lines that do not begin with ids."""
    if not os.path.isfile(path) or not 0 < os.path.getsize(path) <= MAX_BYTES:
        return None
    try:
        lines = [line for line in table.read_lines(path) if line.strip(table.BLANKS)]
    except InputError:   # not text
        return None
    first = {table.words(line)[0] for line in lines}
    kind = next((kind for kind, known in ids.items() if first and first <= set(known)), None)
    return None if kind is None else (kind, lines)
