"""Kaldi data directories: tables about the same utterances, keyed by utterance or by speaker, that must agree."""
import bisect
import contextlib
import itertools
import os
import shutil
from collections.abc import Iterable, Iterator, Mapping

from sslspk.errors import InputError
from sslspk.io import ark, files, table

SCP_TABLES = ("wav.scp", "feats.scp", "vad.scp")
UTTERANCE_TABLES = (*SCP_TABLES, "text")
FIX = "run utils/fix_data_dir.sh"
LABEL_SOURCE = "label_source"


def is_utterance_table(name: str) -> bool:
    """Whether a file of a data directory is keyed by utterance."""
    return name in UTTERANCE_TABLES or name.startswith("utt2")


def is_speaker_table(name: str) -> bool:
    """Whether a file of a data directory is keyed by speaker."""
    return name.startswith("spk2")


def table_names(folder: str) -> list[str]:
    """Names of the tables of a data directory, sorted. Raises InputError when there is no such directory."""
    try:
        names = os.listdir(folder)
    except OSError as err:
        raise InputError(f"{folder} is not a data directory ({err.strerror}); check the name, "
                         "or run the stage that makes it.") from err
    return sorted(name for name in names if is_utterance_table(name) or is_speaker_table(name))


def invert(utt2spk: Mapping[str, str]) -> dict[str, str]:
    """spk2utt ("utt1 utt2 ...", sorted) from utt2spk, and with `split` back."""
    spk2utt: dict[str, list[str]] = {}
    for utt in sorted(utt2spk):
        spk2utt.setdefault(utt2spk[utt], []).append(utt)
    return {spk: " ".join(utts) for spk, utts in spk2utt.items()}


def write(folder: str, *, wav: Mapping[str, str], utt2spk: Mapping[str, str], labels: str = "speaker",
          **tables: Mapping[str, object]) -> None:
    """Write a data directory: wav.scp, utt2spk, spk2utt, and each table under its name (utt2dur=..., spk2gender=...).

    labels: what utt2spk's speakers are, for `label_source`.
    `feats` and `vad` become feats.scp and vad.scp. Tables of an earlier time that are not given are removed,
    since they may speak of other utterances. Raises InputError when the tables disagree, before anything is written.
    """
    named = {f"{name}.scp" if name in ("feats", "vad") else name: content for name, content in tables.items()}
    named = {"wav.scp": wav, "utt2spk": utt2spk, "spk2utt": invert(utt2spk), **named}
    if not utt2spk:
        raise InputError(f"{folder}: no utterance to write; check the folder that the audio was looked for in.")
    check_keys(folder, named)
    os.makedirs(folder, exist_ok=True)
    with _marked(folder, labels):
        for name in set(table_names(folder)) - set(named):
            os.unlink(os.path.join(folder, name))
        for name, content in named.items():
            table.write(os.path.join(folder, name), content)


def read(folder: str) -> dict[str, dict[str, str]]:
    """All tables of a data directory, by file name. Raises InputError naming file and line of a bad entry."""
    return {name: table.read(os.path.join(folder, name)) for name in table_names(folder)}


def validate(folder: str, need: Iterable[str] = ("wav.scp",), allow_pipes: bool = False,
             check_files: bool = False, ignore: Iterable[str] = ()) -> dict[str, dict[str, str]]:
    """Check a data directory and return its tables by file name.

    need: files that must be there besides utt2spk and spk2utt. check_files: look for every file an scp names. ignore: tables that are
    not looked at, since they are about to be made again.
    Raises InputError at the first bad entry: missing or empty table, blank, duplicate or unsorted line, tables that
    disagree about the utterances, spk2utt that is not utt2spk's inverse, a pipe in an scp, a length that is no number.
    """
    names = [name for name in table_names(folder) if name not in set(ignore)]
    for name in ("utt2spk", "spk2utt", *need):
        if not os.path.exists(os.path.join(folder, name)):
            remedy = FIX if name == "spk2utt" else "run the step that makes it"
            raise InputError(f"{folder}/{name} is missing; {remedy}.")
    if os.path.exists(os.path.join(folder, "segments")):
        raise InputError(f"{folder}/segments is not supported; cut the recordings into utterances first.")
    tables = {name: table.read(os.path.join(folder, name)) for name in names}
    check_keys(folder, tables)
    for name in SCP_TABLES:
        _check_specs(f"{folder}/{name}", tables.get(name, {}), allow_pipes and name == "wav.scp", check_files)
    for name, number in (("utt2dur", float), ("utt2num_frames", int), ("utt2num_samples", int)):
        _check_numbers(f"{folder}/{name}", tables.get(name, {}), number)
    return tables


def check_keys(folder: str, tables: Mapping[str, Mapping[str, object]]) -> None:
    """Refuse tables of one directory that speak of different utterances or speakers."""
    utt2spk = tables["utt2spk"]
    for name, content in tables.items():
        if is_utterance_table(name):
            _same_keys(f"{folder}/{name}", content, f"{folder}/utt2spk", utt2spk)
    spk2utt = invert(utt2spk)
    for name, content in tables.items():
        if is_speaker_table(name):
            _same_keys(f"{folder}/{name}", content, f"{folder}/utt2spk", spk2utt)
    given = tables.get("spk2utt", spk2utt)
    for spk, utts in spk2utt.items():
        if utts != given[spk] and utts.split() != sorted(given[spk].split()):
            raise InputError(f"{folder}/spk2utt: the utterances of {spk} are not those of utt2spk; {FIX}.")


def fix(folder: str) -> dict[str, int]:
    """Sort all tables, drop repeated, blank and incomplete lines, and keep the utterances that every table knows.

    spk2utt is made again; the tables as they were are kept in folder/.backup. Returns how many utterances each table
    lost. Raises InputError when one key has two values, or nothing is left.
    """
    names = [name for name in table_names(folder) if name != "spk2utt"]
    if "utt2spk" not in names:
        raise InputError(f"{folder}/utt2spk is missing; run the stage that makes it.")
    tables = {name: table.read_loose(os.path.join(folder, name)).entries for name in names}
    keep = set.intersection(*(set(content) for name, content in tables.items() if is_utterance_table(name)))
    spoken = [set(content) for name, content in tables.items() if is_speaker_table(name)]
    keep = {utt for utt in keep if all(tables["utt2spk"][utt] in speakers for speakers in spoken)}
    if not keep:
        raise InputError(f"{folder}: no utterance is in all of {', '.join(names)}; "
                         "run the stages that make them again.")
    backup = os.path.join(folder, ".backup")
    os.makedirs(backup, exist_ok=True)
    for name in table_names(folder):
        shutil.copy2(os.path.join(folder, name), os.path.join(backup, name))
    _write_part(folder, tables, keep, label_source(folder))
    return {name: len(content) - len(keep) for name, content in tables.items() if is_utterance_table(name)}


def split(folder: str, n: int, per_utt: bool = False) -> list[str]:
    """Cut a directory into `n` runs of utterances of nearly equal number: folder/split{n}/{1..n}; returns their names.

    Speakers stay whole where that leaves no part empty or a quarter longer than the average.
    per_utt: never mind the speakers; the parts are folder/split{n}utt/{1..n}, as Kaldi names them.
    Raises InputError when there are fewer utterances than parts.
    """
    tables = read(folder)
    if "utt2spk" not in tables:
        raise InputError(f"{folder}/utt2spk is missing; run the stage that makes it.")
    utts = list(tables["utt2spk"])
    if not 1 <= n <= len(utts):
        raise InputError(f"{folder} has {len(utts)} utterances, which cannot be split into {n} parts; "
                         f"give --nj between 1 and {len(utts)}.")
    bounds = [part * len(utts) // n for part in range(n + 1)]
    if not per_utt:
        bounds = _speaker_bounds(list(tables["utt2spk"].values()), bounds)
    parts = [os.path.join(folder, f"split{n}utt" if per_utt else f"split{n}", str(part + 1)) for part in range(n)]
    for name, (first, last) in zip(parts, itertools.pairwise(bounds), strict=True):
        _write_part(name, tables, utts[first:last], label_source(folder))
    return parts


def subset(folder: str, out: str, utts: Iterable[str] | None = None, speakers: Iterable[str] | None = None) -> int:
    """Write the part of a directory that has these utterances, or all those of these speakers; returns their number.

    Raises InputError naming an id that the directory does not know, or when nothing is left.
    """
    tables = read(folder)
    utt2spk = tables.get("utt2spk", {})
    wanted, known, what = (utts, utt2spk, "utterance") if utts is not None else (
        speakers or (), set(utt2spk.values()), "speaker")
    wanted = set(wanted)
    unknown = min(wanted - set(known), default=None)
    if unknown is not None or not wanted:
        raise InputError(f"{folder} has no {what} {unknown}; correct the list." if wanted
                         else f"the list of {what}s for {out} is empty; give at least one.")
    keep = wanted if utts is not None else {utt for utt, spk in utt2spk.items() if spk in wanted}
    _write_part(out, tables, keep, label_source(folder))
    return len(keep)


def relabel(folder: str, out: str, utt2spk: Mapping[str, str], source: str) -> int:
    """Write the utterances of a directory that `utt2spk` names, with its speakers in place of their own; returns their number.

    source: what these labels are, as every result of training on them will say; it becomes out/label_source. Tables about the
    speakers that the directory had are left out. Raises InputError naming an utterance that the directory does not have.
    """
    tables = {name: content for name, content in read(folder).items() if not is_speaker_table(name)}
    unknown = min(utt2spk.keys() - tables["utt2spk"].keys(), default=None)
    if unknown is not None or not utt2spk:
        raise InputError(f"{folder} has no utterance {unknown}; cluster the embeddings of this directory." if utt2spk
                         else f"there is no label for {folder}; cluster its embeddings.")
    _write_part(out, {**tables, "utt2spk": utt2spk}, utt2spk, source)
    return len(utt2spk)


def label_source(folder: str | os.PathLike) -> str:
    """What the speakers of a directory's utt2spk are: "speaker" (true labels), or what `relabel` was told."""
    path = os.path.join(folder, LABEL_SOURCE)
    if not os.path.exists(path):
        return "speaker"
    return files.read_bytes(path).decode().strip()


def combine(out: str, *folders: str) -> int:
    """Write the union of directories, with the tables that all of them have; returns the number of utterances.

    Where some of them have clusters in place of speakers, the union says so of its labels ("speaker + pseudo").
    Raises InputError naming an utterance that two of them have, or a speaker about whom they disagree.
    """
    parts = [validate(folder, need=()) for folder in folders]
    common = set.intersection(*(set(part) for part in parts)) - {"spk2utt"}
    merged: dict[str, dict[str, str]] = {name: {} for name in sorted(common)}
    for folder, part in zip(folders, parts, strict=True):
        for name, content in merged.items():
            for key in sorted(content.keys() & part[name].keys()):
                if is_utterance_table(name) or content[key] != part[name][key]:
                    raise InputError(f"{folder}/{name}: {key} is in another directory too; "
                                     "give the copies a prefix, or leave one directory out.")
            content.update(part[name])
    from sslspk.io import results
    _write_part(out, merged, merged["utt2spk"], results.joined(*map(label_source, folders)))
    return len(merged["utt2spk"])


@contextlib.contextmanager
def _marked(folder: str, source: str) -> Iterator[None]:
    """Around the writing of utt2spk: afterwards `label_source` gives `source`; before that no mark of other labels remains.

    In between, labels without a mark pass for true ones: a run that is cut off never makes true labels look like clusters.
    """
    path = os.path.join(folder, LABEL_SOURCE)
    if label_source(folder) != source and os.path.exists(path):
        os.unlink(path)
    yield
    if label_source(folder) != source:
        with files.atomic_write(path) as file:
            file.write(f"{source}\n")


def _write_part(out: str, tables: Mapping[str, Mapping[str, str]], keep: Iterable[str], source: str) -> None:
    """Write the lines of `tables` about the utterances `keep` and their speakers; source: what `label_source` says of these."""
    keep = sorted(keep)
    speakers = sorted({tables["utt2spk"][utt] for utt in keep})
    os.makedirs(out, exist_ok=True)
    with _marked(out, source):
        for name in set(table_names(out)) - set(tables):
            os.unlink(os.path.join(out, name))
        for name, content in tables.items():
            if name != "spk2utt":
                keys = keep if is_utterance_table(name) else speakers
                table.write(os.path.join(out, name), {key: content[key] for key in keys})
        table.write(os.path.join(out, "spk2utt"), invert({utt: tables["utt2spk"][utt] for utt in keep}))


def _speaker_bounds(speakers: list[str], bounds: list[int]) -> list[int]:
    """Move each bound to the nearest change of speaker, unless the parts would become too unequal."""
    changes = [0, *(i for i, (a, b) in enumerate(itertools.pairwise(speakers), 1) if a != b), len(speakers)]
    moved = []
    for bound in bounds:
        place = bisect.bisect_left(changes, bound)
        moved.append(min(changes[max(place - 1, 0):place + 1], key=lambda change, bound=bound: abs(change - bound)))
    sizes = [last - first for first, last in itertools.pairwise(moved)]
    return moved if min(sizes) > 0 and max(sizes) * (len(bounds) - 1) <= 1.25 * len(speakers) else bounds


def _same_keys(name: str, content: Mapping[str, object], other: str, expected: Mapping[str, object]) -> None:
    if content.keys() == expected.keys():
        return
    missing = min(expected.keys() - content.keys(), default=None)
    if missing is not None:
        raise InputError(f"{name} lacks {missing}, which {other} has; {FIX}, or make the table again.")
    extra = min(content.keys() - expected.keys())
    raise InputError(f"{name} has {extra}, which {other} lacks; {FIX}, or make the table again.")


def _check_specs(name: str, content: Mapping[str, str], allow_pipes: bool, check_files: bool) -> None:
    seen: set[str] = set()
    for line, (key, spec) in enumerate(content.items(), 1):
        if files.is_pipe(spec):
            if not allow_pipes:
                raise InputError(f"{name}:{line}: {key} is a shell command, which a data directory may not run; write "
                                 "the audio to files, or give --allow-pipes true if you trust it.")
            continue
        if not check_files:
            continue
        path = files.split_spec(spec if name.endswith("wav.scp") else ark.split_range(spec)[0])[0]
        if path not in seen and not os.path.isfile(path):
            raise InputError(f"{name}:{line}: {key} names {path}, which is not there; mount or make it, "
                             "or remove the entry.")
        seen.add(path)


def _check_numbers(name: str, content: Mapping[str, str], number: type) -> None:
    for line, (key, text) in enumerate(content.items(), 1):
        try:
            good = 0 <= number(text) < float("inf")
        except ValueError:
            good = False
        if not good:
            raise InputError(f"{name}:{line}: the value of {key} is {text!r}, not a length; make the table again.")
