"""Files of a data directory that are not tables. Lists whose lines begin with its ids are copied with it; other files are named."""
import os
import re
from collections.abc import Collection, Iterable, Mapping
from typing import NamedTuple

from sslspk.errors import InputError
from sslspk.io import datadir, table

WHOLE = ("frame_shift",)                                              # said of every utterance
OWN = re.compile(r"\..*|split[0-9]+(utt)?|ark|data|log|q|conf|label_source|bad_files\.txt")   # what steps write beside the tables
MAX_BYTES = 1 << 28
MAX_NAMED = 5


class Extras(NamedTuple):
    """lists: name -> what it is keyed by and its lines. whole: name -> the bytes of what holds for all. unknown: names of the rest."""

    lists: dict[str, tuple[str, list[str]]]
    whole: dict[str, bytes]
    unknown: list[str]


def find(folder: str, ids: Mapping[str, Collection[str]]) -> Extras:
    """What a data directory holds beside its tables. ids: what there is of each kind ("utterance", "recording", "speaker").

    A list is known by its content: the first word of each of its lines is an id. Trial lists are not: a part of one is another list.
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
    """Files and folders of a data directory that are no tables, no trial lists, and not what steps write; sorted."""
    return sorted(name for name in os.listdir(folder) if not OWN.fullmatch(name) and not name.startswith("trials")
                  and (os.path.isdir(os.path.join(folder, name)) or not datadir.keyed_by(name)))


def any_there(folder: str) -> bool:
    """Whether a data directory holds anything but its tables and what steps write beside them."""
    tables = set(datadir.table_names(folder))
    return any(name not in tables and not OWN.fullmatch(name) for name in os.listdir(folder))


def part(extras: Extras, ids: Mapping[str, Collection[str]], kept: Mapping[str, Collection[str]]) -> dict[str, bytes]:
    """The lists for the ids `kept` of `ids`: lines that name no other id of their kind; a list without a line left is not there."""
    found = dict(extras.whole)
    for name, (kind, lines) in extras.lists.items():
        gone = set(ids[kind]) - set(kept.get(kind, ()))
        text = "".join(f"{line}\n" for line in lines if gone.isdisjoint(table.words(line)))
        if text:
            found[name] = text.encode()
    return found


def left_out(names: Iterable[str], what: str) -> list[str]:
    """The note about files that do not go along, none where there are none."""
    names = sorted(names)
    return [f"{what}: {some(names)}"] if names else []


def some(names: Collection[str]) -> str:
    """A few of the names, and how many more there are."""
    shown = ", ".join(map(table.named, list(names)[:MAX_NAMED]))
    return shown + (f" and {len(names) - MAX_NAMED} more" if len(names) > MAX_NAMED else "")


def _keyed(path: str, ids: Mapping[str, Collection[str]]) -> tuple[str, list[str]] | None:
    """What a file is keyed by, and its lines; None for a folder, for what is no text, and for lines that begin with no id."""
    if not os.path.isfile(path) or not 0 < os.path.getsize(path) <= MAX_BYTES:
        return None
    try:
        lines = [line for line in table.read_lines(path) if line.strip(table.BLANKS)]
    except InputError:   # no text
        return None
    first = {table.words(line)[0] for line in lines}
    kind = next((kind for kind, known in ids.items() if first and first <= set(known)), None)
    return None if kind is None else (kind, lines)
