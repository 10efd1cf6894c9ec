"""Data directories made from others: a subset, parts for jobs, a union, and a copy with other speakers."""
import bisect
import itertools
import os
from collections.abc import Collection, Iterable, Mapping
from typing import NamedTuple

import numpy as np

from sslspk.errors import InputError
from sslspk.io import clips, datadir, extras, files, quick, segments, table
from sslspk.io.datadir import RECORDING, SPEAKER, SPK2UTT, UTT2SPK, UTTERANCE, WAV, Tables

NO_KEY = "not copied (no tables of the ids of {})"


class Made(NamedTuple):
    """How many utterances a new directory has, and notes about files that were not copied."""

    count: int
    notes: list[str]


def subset(folder: str, out: str, utts: Iterable[str] | None = None, speakers: Iterable[str] | None = None) -> Made:
    """Write the part of a directory with these utterances, or with all utterances of these speakers.

    Raises InputError naming an id that the directory does not have, or if nothing is left.
    """
    if utts is not None and datadir.is_large(folder):
        utts = list(utts)
        count = _large_subset(folder, out, utts)
        if count:
            return Made(count, [])
    tables = datadir.read(folder)
    if utts is None and UTT2SPK not in tables:
        raise datadir.missing(folder, UTT2SPK)
    names, utt2spk = _utterances(folder, tables), tables.get(UTT2SPK, {})
    wanted, known, what = (utts, names, UTTERANCE) if utts is not None else (speakers or (), set(utt2spk.values()), SPEAKER)
    wanted = set(wanted)
    unknown = min(wanted - set(known), default=None)
    if unknown is not None or not wanted:
        raise InputError(f"{folder} has no {what} {table.named(unknown)}; correct the list." if wanted
                         else f"the list of {what}s for {out} is empty; give at least one.")
    keep = wanted if utts is not None else {utt for utt, spk in utt2spk.items() if spk in wanted}
    return Made(len(keep), write(folder, out, tables, tables, sorted(keep), datadir.label_source(folder)))


def split(folder: str, n: int, per_utt: bool = False, work: str | None = None) -> list[str]:
    """Split a directory into `n` parts of nearly equal size, in order: folder/split{n}/{1..n}; returns their names.

    work: a folder for split{n}; the directory itself is then only read.

    The parts hold only tables. Speakers stay whole unless that leaves a part empty or a quarter larger than the average.
    per_utt: ignore speakers; the parts are folder/split{n}utt/{1..n}, as Kaldi names them.
    Raises InputError if there are fewer utterances than parts, or the directory cannot be written and there is no `work`.
    """
    large = quick.look(folder, copied=True) if datadir.is_large(folder) else None
    tables = {} if large else datadir.read(folder)
    utts = [] if large else list(_utterances(folder, tables))
    total = len(large.utterances) if large else len(utts)
    if not 1 <= n <= total:
        raise InputError(f"{folder} has {total} utterances, which cannot be split into {n} parts; give --nj between 1 and {total}.")
    bounds = [part * total // n for part in range(n + 1)]
    if not per_utt and large and large.speakers is not None:
        bounds = _speaker_bounds(large.starts.tolist(), bounds)
    elif not per_utt and UTT2SPK in tables:
        bounds = _speaker_bounds(_changes(list(tables[UTT2SPK].values())), bounds)
    place = os.path.join(work or folder, f"split{n}utt" if per_utt else f"split{n}")
    parts = [os.path.join(place, str(part + 1)) for part in range(n)]
    if not work and not os.access(folder, os.W_OK):
        raise InputError(f"{folder} cannot be written; name another folder for its pieces with --work DIR.")
    os.makedirs(place, exist_ok=True)
    with files.atomic_write(os.path.join(place, clips.ORIGIN), "wb") as file:
        file.write(os.fsencode(folder))
    for name, (first, last) in zip(parts, itertools.pairwise(bounds), strict=True):
        if large:
            quick.write(name, large, np.arange(first, last), datadir.label_source(folder))
        else:
            write_tables(name, select(folder, tables, utts[first:last]), datadir.label_source(folder))
    return parts


def relabel(folder: str, out: str, utt2spk: Mapping[str, str], source: str) -> Made:
    """Write the utterances of a directory that `utt2spk` names, with their speakers replaced by those of `utt2spk`.

    source: what these labels are, written to out/label_source and repeated in every result of training on them. Tables about the
    old speakers are left out. Raises InputError naming an utterance that the directory does not have.
    """
    tables = datadir.read(folder)
    unknown = min(utt2spk.keys() - set(_utterances(folder, tables)), default=None)
    if unknown is not None or not utt2spk:
        raise InputError(f"{folder} has no utterance {table.named(unknown)}; cluster the embeddings of this directory." if utt2spk
                         else f"there is no label for {folder}; cluster its embeddings.")
    old = {name for name in tables if datadir.keyed_by(name) == SPEAKER}
    kept = {name: content for name, content in tables.items() if name not in old}
    notes = extras.left_out(old - {SPK2UTT}, "not copied, since they describe the former speakers")
    return Made(len(utt2spk), notes + write(folder, out, tables, {**kept, UTT2SPK: utt2spk}, sorted(utt2spk), source))


def combine(out: str, *folders: str) -> Made:
    """Write the union of directories, with the tables that all of them have.

    If only some have `segments`, the recordings of the others become segments from start to end. If some have clusters in place of
    speakers, the union's label source says so ("speaker + pseudo").
    Raises InputError naming an utterance that two of them have, or a speaker or a recording about which they disagree.
    """
    parts = [datadir.validate(folder, need=(), allow_pipes=True) for folder in folders]
    if any(segments.NAME in part for part in parts):
        for part in parts:
            if WAV in part:
                part.setdefault(segments.NAME, {utt: f"{utt} 0 -1" for utt in part[WAV]})
    common = set.intersection(*(set(part) for part in parts)) - {SPK2UTT}
    if datadir.leading(common) is None:
        raise InputError(f"{' and '.join(folders)} have no table of utterances in common; run the stages that make wav.scp or feats.scp.")
    merged: dict[str, dict[str, str]] = {name: {} for name in sorted(common)}
    for folder, part in zip(folders, parts, strict=True):
        for name, content in merged.items():
            _add(content, part[name], f"{folder}/{name}", datadir.keyed_by(name, segments.NAME in merged) == UTTERANCE)
    utts = sorted(merged[datadir.leading(merged)])
    from sslspk.io import results  # imports pydantic
    write_tables(out, select(out, merged, utts), results.joined(*map(datadir.label_source, folders)))
    notes = [f"{name} is left out, since {extras.some([folder for folder, part in zip(folders, parts, strict=True) if name not in part])} "
             "lacks it" for name in sorted(set().union(*parts) - common - {SPK2UTT})]
    unknown = {f"{folder}/{name}" for folder, part in zip(folders, parts, strict=True) for name in _others(folder, part)}
    return Made(len(utts), notes + extras.left_out(unknown, "not copied, since they are no tables"))


def _add(union: dict[str, str], more: Mapping[str, str], name: str, unique: bool) -> None:
    """Add the entries of one more directory. unique: no key may repeat; otherwise a repeated key must have the same value."""
    for key in sorted(union.keys() & more.keys()):
        if unique:
            raise InputError(f"{name}: {table.named(key)} is in another directory too; give the copies a prefix, or leave one "
                             "directory out.")
        if union[key] != more[key]:
            raise InputError(f"{name}: {table.named(key)} has another value in another directory; give one of them another id.")
    union.update(more)


def _utterances(folder: str, tables: Tables) -> Collection[str]:
    name = datadir.leading(tables)
    if name is None:
        raise InputError(f"{folder} holds no table of utterances (wav.scp, feats.scp); run the stage that prepares it.")
    return tables[name]


def _ids(tables: Tables, utts: Collection[str]) -> dict[str, Collection[str]]:
    """The ids of each kind (utterance, recording, speaker) for these utterances."""
    speakers = {tables[UTT2SPK][utt] for utt in utts} if UTT2SPK in tables else set()
    return {UTTERANCE: utts, RECORDING: datadir.recordings(tables, utts), SPEAKER: speakers}


def _others(folder: str, tables: Tables) -> list[str]:
    """Names of files that are neither tables nor written by our steps."""
    found = extras.find(folder, _ids(tables, _utterances(folder, tables)))
    return [*found.lists, *found.whole, *found.unknown]


def select(folder: str, tables: Tables, keep: Collection[str]) -> dict[str, dict[str, object]]:
    """The lines of `tables` about the utterances `keep` (sorted), their recordings and their speakers."""
    try:
        ids, segmented = _ids(tables, keep), segments.NAME in tables
        found = {name: {key: content[key] for key in ids[datadir.keyed_by(name, segmented)]}
                 for name, content in tables.items() if name != SPK2UTT}
    except KeyError:
        datadir.check_keys(folder, tables)   # raises an error that says what is wrong
        raise
    return found if UTT2SPK not in found else {**found, SPK2UTT: datadir.invert(found[UTT2SPK])}


def write(folder: str, out: str, whole: Tables, tables: Tables, keep: Collection[str], source: str) -> list[str]:
    """Write the lines of `tables` about the utterances `keep` (sorted) of a directory with the tables `whole`, and its other lists;
    returns notes about files that are not copied."""
    ids, kept = _ids(whole, _utterances(folder, whole)), _ids(tables, keep)
    further = extras.find(folder, ids)
    if whole.get(UTT2SPK) != tables.get(UTT2SPK):
        del kept[SPEAKER]   # files about the old speakers do not fit the new ones
    lists = extras.part(further, ids, kept)
    write_tables(out, select(folder, tables, keep), source, lists)
    return [*extras.left_out(further.unknown, NO_KEY.format(folder)),
            *extras.left_out(further.lists.keys() - lists.keys(), "not copied, since no line is about these utterances alone")]


def write_tables(out: str, tables: Tables, source: str, lists: Mapping[str, bytes] | None = None) -> None:
    os.makedirs(out, exist_ok=True)
    datadir.write_tables(out, tables, source, set(datadir.table_names(out)) - tables.keys(), lists)


def _large_subset(folder: str, out: str, utts: list[str]) -> int | None:
    """`subset` of a large directory: the number of utterances, or None if anything is irregular."""
    found = None if extras.any_there(folder) else quick.look(folder, copied=True)
    rows = None if found is None else quick.rows_of(found, utts)
    if rows is None:
        return None
    quick.write(out, found, rows, datadir.label_source(folder))
    return len(rows)


def _changes(speakers: list[str]) -> list[int]:
    """The indices at which the speaker changes, and the end."""
    return [0, *(i for i, (a, b) in enumerate(itertools.pairwise(speakers), 1) if a != b), len(speakers)]


def _speaker_bounds(changes: list[int], bounds: list[int]) -> list[int]:
    """Move each bound to the nearest change of speaker, unless the parts would become too unequal."""
    moved = []
    for bound in bounds:
        place = bisect.bisect_left(changes, bound)
        moved.append(min(changes[max(place - 1, 0):place + 1], key=lambda change, bound=bound: abs(change - bound)))
    sizes = [last - first for first, last in itertools.pairwise(moved)]
    return moved if min(sizes) > 0 and max(sizes) * (len(bounds) - 1) <= 1.25 * changes[-1] else bounds
