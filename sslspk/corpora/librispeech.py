"""LibriSpeech's conventions (Panayotov et al. 2015): SUBSET/SPEAKER/CHAPTER/SPEAKER-CHAPTER-NUMBER.flac, and who speaks in SPEAKERS.TXT."""
import os
import re
from collections.abc import Iterable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import NamedTuple

from sslspk.errors import InputError, shown
from sslspk.io import files, prepare
from sslspk.io.survey import Source

SITE = "OpenSLR (resource 12)"
TABLE = "SPEAKERS.TXT"
ROLES = ("train", "dev", "test")
SUBSETS = ("train-clean-100", "train-clean-360", "train-other-500", "dev-clean", "dev-other", "test-clean", "test-other")
FORM = "id | sex | subset | minutes | name"
NUMBER = re.compile(r"[0-9]{1,12}")


class Speaker(NamedTuple):
    """A line of SPEAKERS.TXT: "m" or "f", the subset, and FILE:LINE."""

    gender: str
    subset: str
    where: str


def home(corpus: str) -> str:
    """The folder of SPEAKERS.TXT: `corpus`, or LibriSpeech in it, where the archives unpack."""
    inner = os.path.join(corpus, "LibriSpeech")
    return inner if not os.path.isfile(os.path.join(corpus, TABLE)) and os.path.isdir(inner) else corpus


def read_speakers(path: str) -> dict[str, Speaker]:
    """Lines of SPEAKERS.TXT by speaker; a name may hold "|". Raises InputError: no file, a line that is not of FORM, a speaker twice."""
    if not os.path.isfile(path):
        raise InputError(f"LibriSpeech's speakers were looked for in {path}, which is not there; it is in every archive of {SITE}.")
    found: dict[str, Speaker] = {}
    for number, line in enumerate(files.read_bytes(path).decode("utf-8-sig", "replace").split("\n"), 1):
        if not line.strip() or line.lstrip().startswith(";"):
            continue
        fields = [field.strip() for field in line.split("|", 4)]
        if len(fields) < 4 or not NUMBER.fullmatch(fields[0]) or fields[1].lower() not in ("m", "f") or fields[2] not in SUBSETS:
            raise InputError(f"{path}:{number}: {shown(line.strip(), 20)} is not '{FORM}'; correct the line.")
        before = found.setdefault(fields[0], Speaker(fields[1].lower(), fields[2], f"{path}:{number}"))
        if before.where != f"{path}:{number}":
            raise InputError(f"{path}:{number}: speaker {fields[0]} is also in line {before.where.rpartition(':')[2]}; remove one of them.")
    return found


def choose(corpus: str, text: str) -> dict[str, list[str]]:
    """Role -> its subsets, of --subsets "A B ...", where "test" means all test-* that are there; of an empty text, all of each role.

    Raises InputError: a subset that LibriSpeech has not, or that is not there; a role without a subset.
    """
    asked = list(filter(None, re.split(r"[\s,]+", text)))
    for name in asked:
        if name not in (*SUBSETS, *ROLES):
            raise InputError(f"--subsets: {shown(name, 16)} is no subset; choose from train dev test {' '.join(SUBSETS)}.")
        if name in SUBSETS and not os.path.isdir(os.path.join(corpus, name)):
            raise InputError(f"--subsets: {name} is not in {corpus}; get {name}.tar.gz from {SITE}, or leave it out.")
    whole = [role for role in ROLES if role in asked or not asked]
    there = [name for name in SUBSETS if os.path.isdir(os.path.join(corpus, name))
             and (name in asked or name.partition("-")[0] in whole)]
    chosen = {role: [name for name in there if name.startswith(f"{role}-")] for role in ROLES}
    lacking = next((role for role in whole if not chosen[role]), None)
    if lacking:
        raise InputError(f"{corpus} holds no subset {lacking}-*; get one such as {lacking}-clean from {SITE}, or name with --subsets "
                         "what is to be used.")
    return {role: subsets for role, subsets in chosen.items() if subsets}


def scan(corpus: str, subsets: Sequence[str], speakers: Mapping[str, Speaker], table: str, nj: int) -> list[Source]:
    """The recordings of subsets, sorted by id.

    Raises InputError: a subset without a recording, a speaker that SPEAKERS.TXT lacks or has in another subset, a recording whose name
    is not SPEAKER-CHAPTER-NUMBER of its folders.
    """
    found = []
    for subset in subsets:
        folders = []
        for speaker in _numbered(os.path.join(corpus, subset)):
            if speaker not in speakers:
                raise InputError(f"{table}: speaker {speaker} of {subset} is missing; add the line, or take {subset}/{speaker} away.")
            if speakers[speaker].subset != subset:
                raise InputError(f"{speakers[speaker].where}: speaker {speaker} is of {speakers[speaker].subset}, but lies in "
                                 f"{subset}; move the folder, or correct the line.")
            folders.append(os.path.join(corpus, subset, speaker))
        with ThreadPoolExecutor(nj) as pool:
            own = [source for part in pool.map(_recordings, folders) for source in part]
        if not own:
            raise InputError(f"{corpus}/{subset} holds no recording SPEAKER/CHAPTER/SPEAKER-CHAPTER-NUMBER.flac; unpack "
                             f"{subset}.tar.gz again.")
        found += own
    return sorted(found)


def tables(sources: Iterable[Source], speakers: Mapping[str, Speaker]) -> dict[str, dict[str, str]]:
    """utt2session, the chapter that each recording is of, and spk2gender."""
    sources = list(sources)
    return {"utt2session": {source.utt: source.utt.split("-")[1] for source in sources},
            "spk2gender": {source.spk: speakers[source.spk].gender for source in sources}}


def _numbered(folder: str) -> list[str]:
    """The folders whose names are numbers, as speakers and chapters have them."""
    with os.scandir(folder) as entries:
        return sorted(entry.name for entry in entries if NUMBER.fullmatch(entry.name) and entry.is_dir())


def _recordings(folder: str) -> list[Source]:
    """The recordings of a speaker."""
    subset, speaker = folder.split(os.sep)[-2:]
    found = []
    for chapter in _numbered(folder):
        for path in prepare.find_audio(os.path.join(folder, chapter)):
            utt = os.path.splitext(os.path.basename(path))[0]
            if not re.fullmatch(rf"{speaker}-{chapter}-[0-9]{{1,12}}", utt):
                raise InputError(f"{path}: recordings there are called {speaker}-{chapter}-NUMBER; rename it, or move it away.")
            found.append(Source(utt, speaker, path, os.path.join(subset, speaker, chapter, utt)))
    return found
