"""Kaldi data directories: tables about the same utterances that must agree.

A table is keyed by utterance, by recording or by speaker. Without `segments` every recording of wav.scp is one utterance; with it
(lines "utterance recording start end [channel]") wav.scp and reco2* are keyed by recording. See `clips` for the audio of an utterance,
`derive` for making directories from others, and `repair` for repairing one.
"""
import os
import re
from collections.abc import Collection, Iterable, Mapping

from sslspk.errors import InputError, named, shown
from sslspk.io import commit, files, segments, table

UTTERANCE, RECORDING, SPEAKER = "utterance", "recording", "speaker"
WAV, FEATS, UTT2SPK, SPK2UTT = "wav.scp", "feats.scp", "utt2spk", "spk2utt"
SCP_TABLES = (WAV, FEATS, "vad.scp", "cmvn.scp")
KEYED = {FEATS: UTTERANCE, "vad.scp": UTTERANCE, "text": UTTERANCE, segments.NAME: UTTERANCE, "cmvn.scp": SPEAKER}
PREFIXES = {"utt2": UTTERANCE, "reco2": RECORDING, "spk2": SPEAKER}
TABLES = (*KEYED, WAV, UTT2SPK, SPK2UTT, "utt2dur", "utt2num_frames", "utt2num_samples")   # known to every tool
EMPTY = ("text",)            # tables in which a key may have no value: a transcript without words
FIX = "run utils/fix_data_dir.sh"
MAKE_SPEAKERS = "write its lines \"utterance speaker\", or make them of clusters (steps/cluster.sh, utils/relabel_data_dir.sh)"
LABEL_SOURCE = "label_source"
LARGE = 4 << 20
SECONDS = re.compile("([0-9]{1,12}(\\.[0-9]{0,40})?|\\.[0-9]{1,40})([eE][-+]?[0-9]{1,2})?")
COUNT = re.compile("[0-9]{1,15}")
Tables = Mapping[str, Mapping[str, object]]


def keyed_by(name: str, segmented: bool = False) -> str | None:
    """What a file of a data directory is keyed by; None if it is no table. segmented: the directory has `segments`."""
    if name == WAV:
        return RECORDING if segmented else UTTERANCE
    kind = KEYED.get(name) or next((kind for prefix, kind in PREFIXES.items() if name.startswith(prefix)), None)
    return UTTERANCE if kind == RECORDING and not segmented else kind


def table_names(folder: str) -> list[str]:
    """Names of the tables of a data directory, sorted. Raises InputError if there is no such directory."""
    commit.settle(folder)
    try:
        names = os.listdir(folder)
    except OSError as err:
        raise InputError(f"{folder} is not a data directory ({err.strerror}); check the name, "
                         "or run the stage that makes it.") from err
    # A folder with exactly a table's name is refused when it is read; one whose name only begins like a table's is ignored.
    return sorted(name for name in names if keyed_by(name) and (name in TABLES or not os.path.isdir(os.path.join(folder, name))))


def read_table(folder: str | os.PathLike, name: str) -> dict[str, str]:
    """One table of a data directory. Raises InputError naming file and line of a bad entry, or the tool that makes a missing table."""
    path = os.path.join(folder, name)
    if name in (UTT2SPK, SPK2UTT) and not os.path.lexists(path):
        raise missing(folder, name)
    return table.read(path, empty=name in EMPTY)


def read(folder: str) -> dict[str, dict[str, str]]:
    """All tables of a data directory, by file name. Raises InputError naming file and line of a bad entry."""
    return {name: read_table(folder, name) for name in table_names(folder)}


def missing(folder: str | os.PathLike, name: str) -> InputError:
    """The error for a missing table, naming what makes it."""
    remedy = {SPK2UTT: FIX, UTT2SPK: MAKE_SPEAKERS}.get(name, "run the step that makes it")
    return InputError(f"{os.path.join(folder, name)} is missing; {remedy}.")


def leading(tables: Collection[str]) -> str | None:
    """The table whose keys are the utterances of a directory: the first that exists of utt2spk, segments, wav.scp and so on."""
    first = (UTT2SPK, segments.NAME, WAV, FEATS)
    found = [*(name for name in first if name in tables), *sorted(name for name in tables if keyed_by(name) == UTTERANCE)]
    return found[0] if found else None


def utterances(folder: str) -> list[str]:
    """The utterances of a data directory, sorted. Raises InputError if no table names any."""
    name = leading(table_names(folder))
    if name is None:
        raise InputError(f"{folder} holds no table of utterances (wav.scp, feats.scp); run the stage that prepares it.")
    if is_large(folder):
        from sslspk.io import quick  # imports numpy
        found = quick.utterances(folder, name)
        if found is not None:
            return found
    return list(read_table(folder, name))


def is_large(folder: str) -> bool:
    """Whether a directory has a table of LARGE bytes, so that reading it as arrays first pays (see `quick`)."""
    return any(os.path.getsize(path) >= LARGE for name in table_names(folder) if os.path.isfile(path := os.path.join(folder, name)))


def invert(utt2spk: Mapping[str, str]) -> dict[str, str]:
    """spk2utt ("utt1 utt2 ...", sorted) from utt2spk; `table.words` splits its values again."""
    spk2utt: dict[str, list[str]] = {}
    for utt in sorted(utt2spk):
        spk2utt.setdefault(utt2spk[utt], []).append(utt)
    return {spk: " ".join(utts) for spk, utts in spk2utt.items()}


def recordings(tables: Tables, utts: Iterable[str]) -> set[str]:
    """The recordings that utterances are cut from: those that `segments` names, or the utterances themselves."""
    found = tables.get(segments.NAME)
    return set(utts) if found is None else {table.words(str(found[utt]))[0] for utt in utts}


def write(folder: str, *, wav: Mapping[str, str], utt2spk: Mapping[str, str] | None = None, labels: str = "speaker",
          **tables: Mapping[str, object]) -> None:
    """Write a data directory, all of it or nothing: wav.scp, utt2spk, spk2utt, and each table under its name (utt2dur=..., segments=...).

    labels: what utt2spk's speakers are, for `label_source`.
    `feats` and `vad` become feats.scp and vad.scp. Old tables that are not given are removed, because they may be
    about other utterances. Raises InputError if the tables disagree, before anything is written.
    """
    named = {f"{name}.scp" if name in ("feats", "vad") else name: content for name, content in tables.items()}
    named = {WAV: wav, **({} if utt2spk is None else {UTT2SPK: utt2spk, SPK2UTT: invert(utt2spk)}), **named}
    if not named[leading(named)]:
        raise InputError(f"{folder}: no utterance to write; check the folder that the audio was looked for in.")
    check_keys(folder, named)
    os.makedirs(folder, exist_ok=True)
    write_tables(folder, named, labels, set(table_names(folder)) - named.keys())


def write_tables(folder: str, tables: Tables, labels: str, remove: Collection[str] = (), lists: Mapping[str, bytes] | None = None) -> None:
    """Write tables, label_source and further files, and remove others: all of this or nothing."""
    contents = {name: table.encode(os.path.join(folder, name), content, name in EMPTY) for name, content in tables.items()}
    if labels == "speaker":
        remove = [*remove, LABEL_SOURCE]
    else:
        contents[LABEL_SOURCE] = f"{labels}\n".encode()
    commit.write(folder, {**(lists or {}), **contents}, remove)


def validate(folder: str, need: Iterable[str] = (WAV,), allow_pipes: bool = False, check_files: bool = False,
             ignore: Iterable[str] = ()) -> dict[str, dict[str, str]]:
    """Check a data directory and return its tables by file name.

    need: files that must exist. check_files: check that every file in an scp exists. ignore: tables that are not checked, because they
    will be made again.
    Raises InputError at the first bad entry: missing or empty table, blank, duplicate or unsorted line, tables that disagree about the
    utterances, spk2utt that is not utt2spk's inverse, a bad segment, a pipe in an scp, a length that is not a number.
    """
    names = [name for name in table_names(folder) if name not in set(ignore)]
    for name in need:
        if not os.path.exists(os.path.join(folder, name)):
            raise missing(folder, name)
    if leading(names) is None:
        raise InputError(f"{folder} holds no table of utterances (wav.scp, feats.scp); run the stage that prepares it.")
    tables = {name: read_table(folder, name) for name in names}
    check_keys(folder, tables)
    for name in SCP_TABLES:
        _check_specs(f"{folder}/{name}", tables.get(name, {}), allow_pipes and name == WAV, check_files)
    for name, form in (("utt2dur", SECONDS), ("reco2dur", SECONDS), ("utt2num_frames", COUNT), ("utt2num_samples", COUNT)):
        _check_numbers(f"{folder}/{name}", tables.get(name, {}), form)
    return tables


def check_keys(folder: str, tables: Tables) -> None:
    """Refuse tables of one directory that are about different utterances, recordings or speakers."""
    first, segmented = leading(tables), segments.NAME in tables
    if segmented:
        segments.check(f"{folder}/{segments.NAME}", {utt: str(value) for utt, value in tables[segments.NAME].items()})
    expected = {UTTERANCE: (f"{folder}/{first}", tables[first])}
    if segmented:
        expected[RECORDING] = f"{folder}/{segments.NAME}", dict.fromkeys(recordings(tables, tables[segments.NAME]))
    if UTT2SPK in tables:
        expected[SPEAKER] = f"{folder}/{UTT2SPK}", invert(tables[UTT2SPK])
    for name, content in sorted(tables.items(), key=lambda item: (UTTERANCE, RECORDING, SPEAKER).index(keyed_by(item[0], segmented))):
        kind = keyed_by(name, segmented)
        if kind not in expected:
            raise InputError(f"{folder} has {name} and no {UTT2SPK} that says who speaks; {FIX if name == SPK2UTT else MAKE_SPEAKERS}.")
        _same_keys(f"{folder}/{name}", content, *expected[kind])
    if SPK2UTT in tables:
        for spk, utts in expected[SPEAKER][1].items():
            given = tables[SPK2UTT][spk]
            if utts != given and table.words(utts) != sorted(table.words(given)):
                raise InputError(f"{folder}/{SPK2UTT}: the utterances of {spk} are not those of {UTT2SPK}; {FIX}.")


def label_source(folder: str | os.PathLike) -> str:
    """What the speakers of a directory's utt2spk are: "speaker" (true labels), or the `source` given to `derive.relabel`."""
    path = os.path.join(folder, LABEL_SOURCE)
    if not os.path.lexists(path):   # a broken link is an error, as for all tables
        return "speaker"
    return " ".join(table.words(" ".join(table.read_lines(path))))


def _same_keys(name: str, content: Mapping[str, object], other: str, expected: Mapping[str, object]) -> None:
    if content.keys() == expected.keys():
        return
    lacking = min(expected.keys() - content.keys(), default=None)
    if lacking is not None:
        raise InputError(f"{name} lacks {table.named(lacking)}, which {other} has; {FIX}, or make the table again.")
    extra = min(content.keys() - expected.keys())
    raise InputError(f"{name} has {table.named(extra)}, which {other} lacks; {FIX}, or make the table again.")


def _check_specs(name: str, content: Mapping[str, str], allow_pipes: bool, check_files: bool) -> None:
    seen: set[str] = set()
    for line, (key, spec) in enumerate(content.items(), 1):
        if files.is_pipe(spec):
            if not allow_pipes:
                raise InputError(f"{name}:{line}: {table.named(key)} is a shell command, which a data directory may not run; write "
                                 "the audio to files, or give --allow-pipes true if you trust it.")
            continue
        if not name.endswith(WAV) and spec.endswith("]"):
            spec = files.split_range(spec)[0]
        if not check_files:
            continue
        path = files.split_spec(spec)[0]
        if path not in seen and not _is_file(path):
            raise InputError(f"{name}:{line}: {table.named(key)} names {named(path, 90)}, which is not there; mount or make it, or "
                             "remove the entry.")
        if path not in seen and not os.access(path, os.R_OK, effective_ids=True):
            raise InputError(f"{name}:{line}: {table.named(key)} names {named(path, 90)}, which you may not read; ask its owner for that "
                             "right (chmod).")
        seen.add(path)


def _is_file(path: str) -> bool:
    try:
        return os.path.isfile(path)
    except ValueError:   # not a possible file name
        return False


def _check_numbers(name: str, content: Mapping[str, str], form: re.Pattern) -> None:
    for line, (key, text) in enumerate(content.items(), 1):
        if not form.fullmatch(text):
            raise InputError(f"{name}:{line}: the value of {table.named(key)} is {shown(text)}, not a length; make the table again.")
