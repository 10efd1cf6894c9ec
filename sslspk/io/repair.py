"""Repairs a data directory: removes unusable entries from all tables together, and names them."""
import os
from collections.abc import Mapping
from typing import NamedTuple

from sslspk.errors import InputError
from sslspk.io import commit, datadir, extras, files, segments, table
from sslspk.io.datadir import RECORDING, SPEAKER, SPK2UTT, UTT2SPK, UTTERANCE

BACKUP = ".backup"
Reasons = dict[tuple[str, str, str], list[str]]   # (table, what was done, why) -> the ids


class Fixed(NamedTuple):
    """How many utterances remain, and what was done: one sentence per table and reason."""

    count: int
    notes: list[str]


def fix(folder: str) -> Fixed:
    """Sort all tables, drop repeated, blank and incomplete lines, and keep the utterances that are in every table.

    spk2utt is made again; a missing utt2spk is made from spk2utt. All files change at once, and folder/.backup keeps the old
    versions. Raises InputError if one key has two values, or nothing is left.
    """
    if datadir.is_large(folder):
        from sslspk.io import quick  # imports numpy
        sound = quick.look(folder)
        if sound is not None and sound.raw and not extras.any_there(folder):
            return Fixed(len(sound.utterances), [])
    names = datadir.table_names(folder)
    reasons: Reasons = {}
    tables = {name: _loose(folder, name, reasons) for name in names if name != SPK2UTT}
    if SPK2UTT in names and UTT2SPK not in names:
        tables[UTT2SPK] = _from_spk2utt(folder, reasons)
    _drop_bad_segments(folder, tables, reasons)
    if datadir.leading(tables) is None:
        raise InputError(f"{folder} holds no table of utterances (wav.scp, feats.scp); run the stage that prepares it.")
    keep = _keep(tables)
    if not keep:
        raise InputError(f"{folder}: no utterance is in all of {', '.join(sorted(tables))}; run the stages that make them again.")
    ids = _known(tables)
    fixed = _reduced(tables, keep, reasons)
    kept = _known(fixed)
    contents = {name: table.encode(os.path.join(folder, name), content, name in datadir.EMPTY) for name, content in fixed.items()}
    further = extras.find(folder, ids)
    lists = extras.part(further, ids, kept)
    for name, (kind, lines) in further.lists.items():
        gone = set(ids[kind]) - set(kept[kind])
        if lost := [table.words(line)[0] for line in lines if not gone.isdisjoint(table.words(line))]:
            reasons[name, "dropped", "lines about what is left out"] = lost
    _write(folder, {**lists, **contents}, [name for name in further.lists if name not in lists])
    notes = [f"{name}: {what} {len(found)}, {why}: {extras.some(found)}" for (name, what, why), found in sorted(reasons.items())]
    return Fixed(len(keep), notes + extras.left_out(further.unknown, "left as they were (no tables of its ids)"))


def _loose(folder: str, name: str, reasons: Reasons) -> dict[str, str]:
    found = table.read_loose(os.path.join(folder, name), name in datadir.EMPTY)
    for what, keys in found.dropped.items():
        reasons[name, "dropped", what] = keys
    for what, keys in found.kept.items():
        reasons[name, "kept", what] = keys
    return found.entries


def _from_spk2utt(folder: str, reasons: Reasons) -> dict[str, str]:
    spoken: dict[str, str] = {}
    for spk, utts in _loose(folder, SPK2UTT, reasons).items():
        for utt in table.words(utts):
            if spoken.setdefault(utt, spk) != spk:
                raise InputError(f"{folder}/{SPK2UTT}: {table.named(utt)} has two speakers, {table.named(spoken[utt])} and "
                                 f"{table.named(spk)}; remove the wrong one.")
    reasons[UTT2SPK, "made", f"from {SPK2UTT}"] = list(spoken)
    return spoken


def _drop_bad_segments(folder: str, tables: dict[str, dict[str, str]], reasons: Reasons) -> None:
    """Remove segments that cannot be parsed, or that are of unknown recordings."""
    if segments.NAME not in tables:
        return
    parsed = {utt: segments.parse(value) for utt, value in tables[segments.NAME].items()}
    bad = [utt for utt, segment in parsed.items() if segment is None]
    if bad:
        reasons[segments.NAME, "dropped", f"not \"{segments.FORM}\""] = bad
    tables[segments.NAME] = {utt: value for utt, value in tables[segments.NAME].items() if parsed[utt] is not None}
    for name in tables:
        if datadir.keyed_by(name, segmented=True) == RECORDING:
            lost = [utt for utt, segment in parsed.items() if segment is not None and segment.recording not in tables[name]]
            if lost:
                reasons[segments.NAME, "dropped", f"of recordings that {name} lacks"] = lost
            for utt in lost:
                tables[segments.NAME].pop(utt, None)


def _keep(tables: Mapping[str, Mapping[str, str]]) -> set[str]:
    """The utterances that are in every table keyed by utterance, and whose speaker is in every table keyed by speaker."""
    segmented = segments.NAME in tables
    keep = set.intersection(*(set(content) for name, content in tables.items() if datadir.keyed_by(name, segmented) == UTTERANCE))
    for name, content in tables.items():
        if datadir.keyed_by(name) == SPEAKER:
            if UTT2SPK not in tables:
                raise InputError(f"{name} is there without {UTT2SPK}, which says who speaks; {datadir.MAKE_SPEAKERS}.")
            keep = {utt for utt in keep if tables[UTT2SPK][utt] in content}
    return keep


def _known(tables: Mapping[str, Mapping[str, str]]) -> dict[str, set[str]]:
    """All ids in the tables, by kind."""
    segmented, found = segments.NAME in tables, {UTTERANCE: set(), RECORDING: set(), SPEAKER: set(tables.get(UTT2SPK, {}).values())}
    for name, content in tables.items():
        found[datadir.keyed_by(name, segmented)].update(content)
    return found


def _reduced(tables: dict[str, dict[str, str]], keep: set[str], reasons: Reasons) -> dict[str, dict[str, str]]:
    """The tables with only the utterances `keep`, and spk2utt; adds what each table loses to `reasons`."""
    segmented = segments.NAME in tables
    speakers = {tables[UTT2SPK][utt] for utt in keep} if UTT2SPK in tables else set()
    wanted = {UTTERANCE: keep, RECORDING: datadir.recordings(tables, keep), SPEAKER: speakers}
    fixed = {}
    for name, content in tables.items():
        kind = datadir.keyed_by(name, segmented)
        fixed[name] = {key: value for key, value in content.items() if key in wanted[kind]}
        for key in sorted(content.keys() - fixed[name].keys()):
            reasons.setdefault((name, "dropped", _why(key, kind, tables, segmented)), []).append(key)
    if UTT2SPK in fixed:
        fixed[SPK2UTT] = datadir.invert(fixed[UTT2SPK])
    return fixed


def _why(key: str, kind: str, tables: Mapping[str, Mapping[str, str]], segmented: bool) -> str:
    """The table because of which an id is dropped."""
    if kind != UTTERANCE:
        return f"no utterance of this {kind} is left"
    lacking = next((name for name in sorted(tables) if datadir.keyed_by(name, segmented) == UTTERANCE and key not in tables[name]), None)
    if lacking:
        return f"not in {lacking}"
    lacking = next(name for name in sorted(tables) if datadir.keyed_by(name) == SPEAKER and tables[UTT2SPK][key] not in tables[name])
    return f"of speakers that {lacking} lacks"


def _write(folder: str, contents: Mapping[str, bytes], remove: list[str]) -> None:
    """Change all files at once; first copy those that change to the backup."""
    for name in [*contents, *remove]:
        path = os.path.join(folder, name)
        if os.path.isfile(path) and (name in remove or files.read_bytes(path) != contents[name]):
            with files.atomic_write(os.path.join(folder, BACKUP, name), "wb") as file:
                file.write(files.read_bytes(path))
    commit.write(folder, contents, remove)
