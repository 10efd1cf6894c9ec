"""Recordings of a user: a folder, or a table (CSV) that names them. The speakers may be unknown."""
import csv
import io
import itertools
import os
import random
import re
from collections.abc import Iterable, Mapping
from typing import NamedTuple

import numpy as np

from sslspk import reading
from sslspk.errors import InputError, counted, named, shown
from sslspk.io import datadir, derive, prepare, segments, table
from sslspk.io import trials as trial_list
from sslspk.io.survey import Source
from sslspk.io.trials import Trials

COLUMNS = ("path", "utterance", "speaker", "start", "end")
PATHS = "utt2path"    # table of a data directory: the path of each recording as the user gave it
RECORDINGS = "utt2recording"   # the recording of each utterance, where models are judged
MAX_TABLE = 1 << 30   # bytes of a CSV
NO_ID = re.compile(r"[^\w.+=-]")


class Recording(NamedTuple):
    """A recording, or a part of it: its id, its path as in the folder or the table, and the speaker, "" if unknown."""

    source: Source
    path: str


def name_of(path: str) -> str:
    """The id of a recording called `path`: without ending, folders parted by hyphens, what no id should have replaced by "_"."""
    return "-".join(NO_ID.sub("_", part) for part in os.path.splitext(path)[0].split(os.sep) if part not in ("", ".", ".."))


def scan(folder: str, speakers: str = "none") -> list[Recording]:
    """Every recording below a folder. speakers: "folder": those of the folders right below; "none": speakers are unknown.

    Raises InputError: no recording, a recording in no such folder, or a folder that is not there.
    """
    if not os.path.isdir(folder):
        raise InputError(f"there is no folder {named(folder)}; give the one that holds your recordings.")
    found = []
    for path in prepare.find_audio(os.path.abspath(folder)):
        short = os.path.relpath(path, folder)
        speaker = short.split(os.sep)[0] if speakers == "folder" else ""
        if speaker == short:
            raise InputError(f"{named(path)} lies in no speaker's folder; move it, or do without --speakers folder.")
        name = name_of(short)
        found.append(Recording(Source(name, NO_ID.sub("_", speaker), path, name), short))
    if not found:
        raise InputError(f"{named(folder)} holds no audio (wav, flac, mp3, m4a, ogg ...); give the folder of your recordings.")
    return found


def read_table(path: str) -> list[Recording]:
    """The recordings of a CSV with a line of headings: path, and if wanted utterance, speaker, start and end (seconds).

    A path is relative to the table's folder. Columns are parted by commas, semicolons or tabs; seconds may have a decimal comma.
    Other columns are not read, and one line on stdout names them.
    Raises InputError naming the line: no column path, one that is there twice, a missing value, times that cannot be, a file that is not
    there.
    """
    if path.lower().endswith(prepare.FORMATS):
        raise InputError(f"{named(path)} is a recording; give the folder that holds it, or a table (CSV) that names it.")
    data = reading.text_bytes(path, MAX_TABLE)
    try:
        text = data.decode("utf-8")
    except UnicodeDecodeError as err:
        line = data.count(b"\n", 0, err.start) + 1
        raise InputError(f'{named(path)}:{line}: not UTF-8; save the table again, in Excel as "CSV UTF-8".') from None
    first = text.partition("\n")[0]
    rows = csv.reader(io.StringIO(text), delimiter=max(",;\t", key=first.count))
    if first.startswith("sep="):   # for Excel, before the headings
        next(rows)
    heads = [head.strip().lower() for head in next(rows, [])]
    _check_columns(heads, f"{named(path)}:{max(rows.line_num, 1)}")
    found = []
    try:
        for row in rows:
            if any(cell.strip() for cell in row):
                found.append(_row(dict(zip(heads, map(str.strip, row), strict=False)), f"{named(path)}:{rows.line_num}", path))
    except csv.Error as err:
        raise InputError(f"{named(path)}:{rows.line_num}: {err}; save the table as CSV again.") from None
    if not found:
        raise InputError(f"{named(path)} names no recording; write one a line below the headings.")
    unknown = next((one for one in found if not one.source.spk), None)
    if unknown and any(one.source.spk for one in found):
        raise InputError(f"{named(path)}: {shown(unknown.path)} has no speaker where others have; give every line one, or none.")
    return found


def _check_columns(heads: list[str], where: str) -> None:
    """Refuse headings without path, or with a column twice; print which are not read."""
    if "path" not in heads:
        raise InputError(f"{where}: the table has no column path; call the one of the files' names that, not {shown(','.join(heads), 40)}.")
    twice = next((head for head in COLUMNS if heads.count(head) > 1), None)
    if twice:
        raise InputError(f"{where}: the column {twice} is there twice; remove one, or call it something else.")
    others = [head for head in heads if head and head not in COLUMNS]
    if others:
        print(f"{where}: not read: {shown(', '.join(others))} (columns that are read: {', '.join(COLUMNS)})")


def _row(row: Mapping[str, str], where: str, table_path: str) -> Recording:
    path, speaker = row.get("path", ""), row.get("speaker", "")
    whole = os.path.join(os.path.dirname(os.path.abspath(table_path)), path)
    if not path or not os.path.isfile(whole):
        raise InputError(f"{where}: there is no file {shown(path)}; correct the path, which is relative to the table." if path
                         else f"{where}: the line has no path; fill it in, or remove the line.")
    span, times = None, [row.get(name, "") for name in ("start", "end")]
    if any(times):
        seconds = [float(text.replace(",", ".")) if re.fullmatch(r"\d{1,7}([.,]\d{1,9})?", text) else -1.0 for text in times]
        if not 0 <= seconds[0] < seconds[1]:
            raise InputError(f"{where}: {shown(' '.join(times))} are no times; start and end are seconds, the end later than the start.")
        span = (round(1000 * seconds[0]), round(1000 * seconds[1]))
    name = name_of(path if not os.path.isabs(path) else os.path.basename(path)) + (f"-{span[0]:07d}-{span[1]:07d}" if span else "")
    utt, speaker = row.get("utterance") or name, NO_ID.sub("_", speaker)
    if NO_ID.search(utt):
        raise InputError(f"{where}: {shown(utt)} cannot be an id; use letters, digits and ._+=- alone.")
    return Recording(Source(utt, speaker, whole, name, span), path)


def tables(recordings: Mapping[str, Recording], good: Iterable[Source]) -> dict[str, dict[str, str]]:
    """utt2path of what is good; recordings: by utterance."""
    return {PATHS: {source.utt: recordings[source.utt].path for source in good}}


def recordings_of(data: str) -> dict[str, str]:
    """The recording of each utterance of a data directory: by utt2path, else by segments, else the utterance itself."""
    paths = os.path.join(data, PATHS)
    if os.path.exists(paths):
        return table.read(paths)
    parts, utts = os.path.join(data, segments.NAME), datadir.utterances(data)
    if os.path.exists(parts):
        return {utt: one.recording for utt, one in segments.check(parts, table.read(parts)).items()}
    return dict(zip(utts, utts, strict=True))


def draw(recordings: Mapping[str, str], wanted: int, most: int, seed: int) -> tuple[list[str], set[str]]:
    """The utterances on which models are judged, and the others, both sorted; no recording is in both.

    recordings: that of each utterance. Whole recordings are drawn, two at least, until they have `wanted` utterances; one that has more
    is drawn only if it must be. Of more than `most` utterances each recording gives its first ones; the later ones are in neither.
    """
    found: dict[str, list[str]] = {}
    for utt in sorted(recordings):
        found.setdefault(recordings[utt], []).append(utt)
    names, drawn, count = sorted(found), [], 0
    random.Random(seed).shuffle(names)
    names.sort(key=lambda name: len(found[name]) > wanted)
    for name in names:
        if len(drawn) >= 2 and (count >= wanted or len(found[name]) > wanted):
            break
        drawn.append(found.pop(name))
        count += len(drawn[-1])
    in_turn = [utt for turn in itertools.zip_longest(*drawn) for utt in turn if utt is not None]
    return sorted(in_turn[:most]), {utt for utts in found.values() for utt in utts}


def as_ids(trials: Trials, data: str, utts: Iterable[str], where: str) -> Trials:
    """A trial list whose names are ids of a data directory, or paths as utt2path has them, with or without ending: in ids.

    Raises InputError for a name that is neither, and for a path of several utterances.
    """
    known = {utt: utt for utt in utts}
    paths = os.path.join(data, PATHS)
    if os.path.exists(paths):
        for utt, path in table.read(paths).items():
            for name in (path, os.path.splitext(path)[0]):
                known[name] = utt if known.get(name, utt) == utt else ""   # several

    def find(names: np.ndarray) -> np.ndarray:
        lost = next((name for name in names.tolist() if not known.get(name)), None)
        if lost is not None:
            what = "several utterances" if lost in known else "no utterance"
            raise InputError(f"{named(where)} names {table.named(lost)}, which is {what} of {named(data)}; use its ids, or its paths.")
        return np.array([known[name] for name in names.tolist()])
    return Trials(find(trials.enrol), find(trials.test), trials.target)


def write_test(source: str, trials: Trials, out: str, name: str) -> list[str]:
    """The part of a data directory that a trial list is about, and the list as `out`/trials_`name`; returns its utterances, sorted.

    trials: in the directory's ids (`as_ids`).
    """
    utts = sorted({*trials.enrol.tolist(), *trials.test.tolist()})
    derive.subset(source, out, utts=utts)
    trial_list.write(os.path.join(out, f"trials_{name}"), *trials)
    print(f"{out}: {counted(len(utts), 'utterance')}, {counted(len(trials.enrol), 'trial')}")
    return utts


def read_trials(path: str, data: str) -> Trials:
    """A labelled trial list about a data directory, in its ids. Raises InputError."""
    return as_ids(trial_list.read(path), data, datadir.utterances(data), path)


def draw_trials(data: str, count: int) -> Trials:
    """Trials between the speakers of a data directory, half of them targets; of one session (utt2session) none is a target.

    Raises InputError where its tables do not allow that.
    """
    speakers, sessions = (os.path.join(data, name) for name in (datadir.UTT2SPK, "utt2session"))
    if not os.path.exists(speakers):
        raise InputError(f"{named(data)} has no utt2spk to draw trials from; give a list with --trials, or judge the model without labels "
                         "(egs/own/run.sh --models).")
    try:
        return trial_list.draw(table.read(speakers), count, utt2session=table.read(sessions) if os.path.exists(sessions) else None)
    except InputError as err:
        raise InputError(f"{named(speakers)}: {str(err).partition(';')[0]}; give a list with --trials.") from None
