"""ADReSS 2020's conventions: who has dementia, where each recording is, and when the participant speaks (CHAT transcripts)."""
import collections
import os
import re
from collections.abc import Collection, Iterator, Mapping, Sequence
from typing import NamedTuple

from sslspk.errors import InputError
from sslspk.io import files, prepare
from sslspk.io.survey import Source

SITE = "DementiaBank (TalkBank), the ADReSS challenge of Interspeech 2020"
PARTS = ("train", "test")
GROUPS = ("cc", "cd")  # control, dementia
SPEECH = ("chunks", "participant", "all")
GENDERS = {"male": "m", "m": "m", "female": "f", "f": "f"}
LABELS = {"0": "cc", "1": "cd", "cc": "cc", "cd": "cd"}
PERSON = re.compile(r"[A-Za-z]+\d+")
CHUNK = re.compile(r"([A-Za-z]+\d+)[_-](\d+)-(\d+)(.*)")
TIER = re.compile(r"\*(\w+):")
MARK = re.compile(r"\x15[^\x15]*?(\d+)_(\d+)-?\x15")  # older transcripts have %snd:"name"_ before the times
CHUNKS, FULL, CHAT = "Normalised_audio-chunks", "Full_wave_enhanced_audio", "transcription"


class Person(NamedTuple):
    """A participant in the metadata: diagnosis "cc" or "cd", gender "m" or "f", age in years and MMSE as numbers or "NA"."""

    diagnosis: str
    age: str
    gender: str
    mmse: str
    where: str


class Turns(NamedTuple):
    """When the participant speaks: (start, end) of each turn in ms, and how many turns have no times."""

    spans: list[tuple[int, int]]
    untimed: int


def read_people(corpus: str, part: str) -> dict[str, Person]:
    """The participants of a part ("train" or "test") by id.

    Raises InputError: a missing file, a line that cannot be parsed, a duplicate person, a test person without label.
    """
    found: dict[str, Person] = {}
    if part == "train":
        for group in GROUPS:
            for name, row, where in _rows(os.path.join(corpus, part, f"{group}_meta_data.txt"), ("age", "gender", "mmse")):
                if name in found:
                    raise InputError(f"{where}: {name} is in {found[name].where} too; remove the wrong line.")
                found[name] = _person(row, group, row["mmse"], where)
        return found
    meta, results = (os.path.join(corpus, part, name) for name in ("meta_data.txt", "test_results.txt"))
    rows = {name: (row, where) for name, row, where in _rows(meta, ("age", "gender"))}
    if not os.path.isfile(results):
        raise InputError(f"{results} is not there, so the labels of the test set are unknown; get it from {SITE}, "
                         "or prepare the training set alone with --parts train.")
    for name, row, where in _rows(results, ("label",)):
        if name not in rows:
            raise InputError(f"{where}: {name} has no line in {meta}; add the line, or remove this one.")
        if row["label"].lower() not in LABELS:
            raise InputError(f"{where}: the label of {name} is {row['label']!r}, where 0 (no dementia) or 1 is expected; correct it.")
        found[name] = _person(rows[name][0], LABELS[row["label"].lower()], _number(row.get("mmse", "NA"), "mmse", where), rows[name][1])
    for name, (_, where) in rows.items():
        if name not in found:
            raise InputError(f"{where}: {name} has no line in {results}; add it, or remove this one.")
    return found


def refuse_shared(train: Mapping[str, Person], test: Mapping[str, Person]) -> None:
    """Raises InputError naming a person who is in both parts."""
    for name in sorted(train.keys() & test.keys()):
        raise InputError(f"{test[name].where}: {name} is in the training set too ({train[name].where}); remove the person from one.")


def scan(corpus: str, part: str, people: Mapping[str, Person], speech: str, min_ms: int = 0) -> tuple[list[Source], dict[str, int]]:
    """The utterances of a part, sorted, and how many turns were left out for which reason.

    speech: "chunks" (the chunks that the organisers cut), "participant" (turns of at least `min_ms` by the transcripts' times), or
    "all" (one utterance per full recording). Raises InputError: a missing folder, a person without recording, a recording of a
    person not in the metadata, a missing or bad transcript.
    """
    left_out: collections.Counter[str] = collections.Counter()
    found = []
    recorded: set[str] = set()
    for group in GROUPS if part == "train" else ("",):
        mine = {name for name, person in people.items() if group in ("", person.diagnosis)}
        by_person = _recordings(corpus, part, group, CHUNKS if speech == "chunks" else FULL)
        _refuse_strangers(by_person, mine, part, group)
        recorded |= by_person.keys()
        for name, paths in by_person.items():
            if speech == "chunks":
                found += [Source(utt, name, path, os.path.join(part, speech, utt)) for utt, path in _chunks(name, paths)]
                continue
            if len(paths) > 1:
                raise InputError(f"{paths[0]} and {paths[1]} are both the full recording of {name}; remove one.")
            if speech == "all":
                found.append(Source(f"{name}-full", name, paths[0], os.path.join(part, speech, f"{name}-full")))
            else:
                chat = os.path.join(_folder(corpus, part, group, CHAT), f"{name}.cha")
                found += _turns(name, paths[0], chat, part, min_ms, left_out)
    for name in sorted(people.keys() - recorded):
        folder = os.path.join(corpus, part, CHUNKS if speech == "chunks" else FULL)
        raise InputError(f"{people[name].where}: {name} has no recording in {folder}; unpack it there, or remove the line.")
    return sorted(found), dict(left_out)


def read_chat(path: str) -> Turns:
    """When PAR speaks, as (start, end) in ms, from the time marks of the main tiers *PAR: and their continuation lines.

    A turn with several marks counts as several turns. Other speakers' tiers, dependent tiers (%mor and so on) and headers are skipped.
    Raises InputError: no such file, a line that is not CHAT, a mark that ends before it begins, no mark at all.
    """
    if not os.path.isfile(path):
        raise InputError(f"{path} is not there; unpack the transcriptions of {SITE}, or choose another --speech.")
    spans: list[tuple[int, int]] = []
    timed: list[bool] = []  # of each turn
    speaker = ""
    for number, raw in enumerate(files.read_bytes(path).splitlines(), 1):
        line = raw.decode("utf-8-sig", "replace")
        tier = TIER.match(line)
        if tier:
            speaker = tier[1]
            timed += [False] * (speaker == "PAR")
        elif line[:1] in ("%", "@"):
            speaker = ""
        elif line.strip() and not line[0].isspace():
            raise InputError(f"{path}:{number}: a line of a CHAT transcript begins with * or % or @ or a tab; correct it.")
        for start, end in MARK.findall(line) if speaker == "PAR" else ():
            if int(end) < int(start):
                raise InputError(f"{path}:{number}: the time mark {start}_{end} ends before it begins; correct it.")
            spans.append((int(start), int(end)))
            timed[-1] = True
    if not spans:
        raise InputError(f"{path} has no *PAR: line with times; get the transcript again, or choose another --speech.")
    return Turns(sorted(set(spans)), timed.count(False))


def tables(people: Mapping[str, Person], good: Collection[Source]) -> dict[str, dict[str, str]]:
    """utt2diagnosis, spk2age, spk2gender and spk2mmse of the good recordings."""
    mine = {source.spk: people[source.spk] for source in good}
    return {"utt2diagnosis": {source.utt: people[source.spk].diagnosis for source in good},
            "spk2age": {name: person.age for name, person in mine.items()},
            "spk2gender": {name: person.gender for name, person in mine.items()},
            "spk2mmse": {name: person.mmse for name, person in mine.items()}}


def _rows(path: str, columns: Sequence[str]) -> Iterator[tuple[str, dict[str, str], str]]:
    """(id, {column: value}, "file:line") of each person in a file "ID ; age ; ...", with any padding."""
    if not os.path.isfile(path):
        raise InputError(f"ADReSS's metadata were looked for as {path}, which is not there; get the file from {SITE}.")
    lines = files.read_bytes(path).decode("utf-8-sig", "replace").split("\n")
    names = [field.strip().lower() for field in lines[0].split(";")] if lines else []
    missing = [name for name in ("id", *columns) if name not in names]
    if missing:
        raise InputError(f"{path}:1: the header has no column {missing[0]} (columns are separated by semicolons); correct it.")
    seen: set[str] = set()
    for number, line in enumerate(lines[1:], 2):
        fields, where = [field.strip() for field in line.split(";")], f"{path}:{number}"
        if not line.strip():
            continue
        if len(fields) != len(names):
            raise InputError(f"{where}: {len(fields)} fields where the header has {len(names)}; correct the line.")
        row = dict(zip(names, fields, strict=True))
        if not PERSON.fullmatch(row["id"]) or row["id"] in seen:
            raise InputError(f"{where}: {row['id']!r} is there twice, or is no id such as S001; correct the line.")
        seen.add(row["id"])
        yield row["id"], row, where


def _person(row: Mapping[str, str], diagnosis: str, mmse: str, where: str) -> Person:
    gender = row["gender"].lower()
    if gender not in GENDERS:
        raise InputError(f"{where}: the gender of {row['id']} is {row['gender']!r}, where male or female is expected; correct it.")
    return Person(diagnosis, _number(row["age"], "age", where), GENDERS[gender], _number(mmse, "mmse", where), where)


def _number(text: str, column: str, where: str) -> str:
    if not re.fullmatch(r"\d+(\.\d+)?|NA", text):
        raise InputError(f"{where}: the {column} is {text!r}, where a number or NA is expected; correct it.")
    return text


def _folder(corpus: str, part: str, group: str, kind: str) -> str:
    return os.path.abspath(os.path.join(corpus, part, kind, group))


def _recordings(corpus: str, part: str, group: str, kind: str) -> dict[str, list[str]]:
    """The recordings of each person in a folder. Raises InputError if the folder is missing or holds none."""
    root = _folder(corpus, part, group, kind)
    found: dict[str, list[str]] = {}
    for path in prepare.find_audio(root):
        stem = os.path.splitext(os.path.basename(path))[0]
        match = (CHUNK if kind == CHUNKS else PERSON).fullmatch(stem)
        if match is None:
            expected = "S001_500-2100-1-1-0-0.wav" if kind == CHUNKS else "S001.wav"
            raise InputError(f"{path} is not called as {expected}; rename or remove it.")
        found.setdefault(match[1] if kind == CHUNKS else stem, []).append(path)
    if not found:
        raise InputError(f"ADReSS's {part} recordings were looked for in {root}, and there is none; get them from {SITE} and unpack them "
                         "there, or choose another --speech or --parts.")
    return found


def _refuse_strangers(by_person: Mapping[str, Sequence[str]], known: Collection[str], part: str, group: str) -> None:
    for name in sorted(by_person.keys() - known):
        meta = f"{part}/{group}_meta_data.txt" if group else f"{part}/meta_data.txt"
        raise InputError(f"{by_person[name][0]}: {name} has no line in {meta}; add it, or remove the recordings.")


def _chunks(name: str, paths: Sequence[str]) -> list[tuple[str, str]]:
    """(utterance, path) of each chunk; chunks with the same times differ in the rest of their names."""
    parts = [CHUNK.fullmatch(os.path.splitext(os.path.basename(path))[0]) for path in paths]
    ids = [_utterance(name, int(match[2]), int(match[3])) for match in parts]
    count = collections.Counter(ids)
    return [(utt if count[utt] == 1 else utt + match[4], path) for utt, match, path in zip(ids, parts, paths, strict=True)]


def _utterance(name: str, start: int, end: int) -> str:
    return f"{name}-{start:07d}-{end:07d}"


def _turns(name: str, wav: str, chat: str, part: str, min_ms: int, left_out: collections.Counter[str]) -> list[Source]:
    """The turns to cut out of a full recording; those left out are added to `left_out`."""
    turns = read_chat(chat)
    long = [(start, end) for start, end in turns.spans if end - start >= max(min_ms, 1)]
    if not long:
        raise InputError(f"{chat}: no turn of PAR is as long as {min_ms / 1000:g} s, so that nothing is left of {name}; "
                         "give a smaller --min-seconds.")
    left_out["too short"] += len(turns.spans) - len(long)
    left_out["without times"] += turns.untimed
    return [Source(utt, name, wav, os.path.join(part, "participant", utt), (start, end))
            for start, end in long for utt in [_utterance(name, start, end)]]
