"""Checks large data directories and makes subsets of them as arrays: a million lines in seconds.

It takes only directories whose tables are regular (see `lines`), keyed by utterance or by speaker, sorted by speaker too, and in
agreement. For others `look` returns None; `datadir`, `derive` and `repair` then work line by line, or say what is wrong.
"""
import itertools
import os
from collections.abc import Iterable
from typing import NamedTuple

import numpy as np

from sslspk.errors import InputError
from sslspk.io import commit, datadir, lines, segments
from sslspk.io.datadir import SPEAKER, SPK2UTT, UTT2SPK, UTTERANCE

KEYS = 1 << 16     # turned into text together
MOST_DIGITS = 12   # of a length in seconds, with its dot


class Sound(NamedTuple):
    """names: of all tables. utterances (N,), speakers (S,): their names, fixed-width bytes; speakers is None without utt2spk.

    tables: their lines on the disk, where that was asked for. starts (S + 1,): where the utterances of each speaker begin. raw: whether
    writing the files would not change them.
    """

    names: list[str]
    tables: dict[str, lines.Stored]
    utterances: np.ndarray
    speakers: np.ndarray | None
    starts: np.ndarray
    raw: bool


def look(folder: str, ignore: Iterable[str] = (), copied: bool = False) -> Sound | None:
    """The content of a sound directory of regular tables, None for others.

    copied: lines of the tables are to be copied; None also for tables whose bytes are not those of the lines.
    """
    names = [name for name in datadir.table_names(folder) if name not in set(ignore)]
    kinds = {name: datadir.keyed_by(name) for name in names}
    if segments.NAME in names or "text" in names or not set(kinds.values()) <= {UTTERANCE, SPEAKER}:
        return None
    if UTTERANCE not in kinds.values() or (SPK2UTT in names) != (UTT2SPK in names):
        return None
    first, tables, starts, raw, spoken = None, {}, np.zeros(0, np.int64), True, None
    for name in sorted(names, key=lambda name: (kinds[name] == SPEAKER, -os.path.getsize(os.path.join(folder, name)))):
        found = None   # frees the previous table, a larger one: the next one takes its place in memory
        try:
            found = lines.read(os.path.join(folder, name))
        except InputError:
            return None
        if found is None or (copied and not found.raw) or not _values_are_sound(name, found):
            return None
        first = found.key if first is None else first
        if name == UTT2SPK:
            values, at = found.runs()
            starts, spoken = np.append(at, len(found)), np.array([value.encode() for value in values])
            if not (spoken[:-1] < spoken[1:]).all():
                return None
        expected = first if kinds[name] == UTTERANCE else spoken
        if expected is None or not np.array_equal(expected, found.key) or (name == SPK2UTT and not _is_inverse(found, first, starts)):
            return None
        raw = raw and found.raw
        if copied:
            tables[name] = found.stored()
    return Sound(names, tables, first, spoken, starts, raw)


def _values_are_sound(name: str, found: lines.Lines) -> bool:
    """Whether `datadir.validate` would accept the values."""
    if name in datadir.SCP_TABLES:
        return not any(len(lines.places(found.data, ord(byte))) for byte in "|[")
    if name in ("utt2num_frames", "utt2num_samples"):
        return found.numbers() is not None
    if name not in ("utt2dur", "reco2dur"):
        return True
    start, stop = found.blank + 1, found.end
    if (stop - start).max() > MOST_DIGITS:
        return False
    for rows in found.blocks(MOST_DIGITS):
        cells = lines.matrix(found.data, start[rows], stop[rows], MOST_DIGITS)
        digit, dot = (cells >= lines.ZERO) & (cells <= lines.NINE), cells == ord(".")
        if not (digit[:, 0].all() and (digit | dot | (cells == 0)).all() and (dot.sum(1) <= 1).all()):
            return False
    return True


def _is_inverse(spk2utt: lines.Lines, utts: np.ndarray, starts: np.ndarray) -> bool:
    """Whether the values list the utterances in order, split by speaker at `starts`."""
    words = np.append(lines.places(spk2utt.data, ord(" ")), spk2utt.end[-1])
    at = np.searchsorted(words, spk2utt.blank)
    if not np.array_equal(np.append(at, len(words) - 1), starts):
        return False
    begin, stop = words[:-1] + 1, words[1:].copy()
    stop[starts[1:] - 1] = spk2utt.end
    width = utts.dtype.itemsize
    return int((stop - begin).max()) <= width and all(
        np.array_equal(lines.fixed(spk2utt.data, begin[i:i + 50_000], stop[i:i + 50_000], width), utts[i:i + 50_000])
        for i in range(0, len(utts), 50_000))


def utterances(folder: str, name: str) -> list[str] | None:
    """The keys of a regular table; None for other tables."""
    found = lines.read(os.path.join(folder, name))
    if found is None:
        return None
    keys = found.key
    del found   # else the table would be in memory beside the list
    return [key.decode() for block in range(0, len(keys), KEYS) for key in keys[block:block + KEYS].tolist()]


def rows_of(found: Sound, utts: Iterable[str]) -> np.ndarray | None:
    """The lines of these utterances, int64 (n,), ascending; None if there are none, or one is unknown."""
    keys = found.utterances
    wanted = sorted({utt.encode("utf-8", "surrogateescape") for utt in utts})
    if not wanted or max(map(len, wanted)) > keys.dtype.itemsize or any(utt.endswith(b"\0") for utt in wanted):
        return None
    wanted = np.array(wanted, keys.dtype)
    rows = np.searchsorted(keys, wanted)
    return rows if rows[-1] < len(keys) and np.array_equal(keys[rows], wanted) else None


def write(out: str, found: Sound, rows: np.ndarray, source: str) -> None:
    """Write a directory of the utterances on lines `rows` (n,), ascending; source: what the labels are, for `datadir.write_tables`."""
    contents = {name: content.take(rows) for name, content in found.tables.items() if datadir.keyed_by(name) == UTTERANCE}
    if found.speakers is not None:
        counts = np.bincount(np.searchsorted(found.starts, rows, side="right") - 1, minlength=len(found.speakers))
        mine = np.flatnonzero(counts)
        contents |= {name: content.take(mine) for name, content in found.tables.items() if datadir.keyed_by(name) == SPEAKER}
        utts, names = iter(found.utterances[rows].tolist()), found.speakers[mine].tolist()
        contents[SPK2UTT] = b"".join(b"%s %s\n" % (name, b" ".join(itertools.islice(utts, n)))
                                     for name, n in zip(names, counts[mine].tolist(), strict=True))
    os.makedirs(out, exist_ok=True)
    gone = set(datadir.table_names(out)) - contents.keys()
    if source == "speaker":
        gone.add(datadir.LABEL_SOURCE)
    else:
        contents[datadir.LABEL_SOURCE] = f"{source}\n".encode()
    commit.write(out, contents, gone)
