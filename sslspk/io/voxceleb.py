"""VoxCeleb's conventions: where recordings are, their names, the metadata, and the official trial lists."""
import collections
import os
import re
from collections.abc import Collection, Iterable, Mapping
from concurrent.futures import ThreadPoolExecutor
from typing import NamedTuple

import numpy as np

from sslspk.errors import InputError, counted
from sslspk.io import files, trials
from sslspk.io.survey import FORMATS, Source

SITE = "the VoxCeleb page of the Visual Geometry Group, University of Oxford"
SPEAKER = re.compile(r"id\d{5}")
KINDS = ("wav", "flac", "aac")
PARTS = ("dev", "test")
# Lists O have test speakers only; E, H and VoxSRC-21's use all of VoxCeleb1.
LISTS_TEST = ("veri_test", "veri_test2")
LISTS_ALL = ("list_test_all", "list_test_all2", "list_test_hard", "list_test_hard2", "voxsrc2021_val")


class Speaker(NamedTuple):
    """A row of vox1_meta.csv or vox2_meta.csv."""

    gender: str
    part: str


class TrialList(NamedTuple):
    """An official list, with its utterances renamed to the ids of the data directories."""

    path: str
    name: str
    content: trials.Trials


def utterance(speaker: str, video: str, stem: str) -> str:
    """The id of a recording, which begins with the speaker's id, as Kaldi requires."""
    return f"{speaker}-{video}-{stem}"


def utterance_of(name: str) -> str:
    """The id for a path in a list: "id10270/5r0dWxy17C8/00001.wav", with any folders before it and any extension."""
    parts = name.split("/")[-3:]
    return "-".join([*parts[:-1], os.path.splitext(parts[-1])[0]])


def read_metadata(path: str, corpus: str) -> dict[str, Speaker]:
    """Speaker rows by id, from a table with tabs or commas, with or without byte order mark and trailing blanks.

    Raises InputError: missing file; no column Gender or Set; a short row, two different rows for one speaker, or
    values other than m / f and dev / test.
    """
    if not os.path.isfile(path):
        raise InputError(f"{corpus}'s metadata were looked for as {path}, which is not there; "
                         f"get {os.path.basename(path)} from {SITE}.")
    try:
        lines = files.read_bytes(path).decode("utf-8-sig").split("\n")
    except UnicodeDecodeError as err:
        raise InputError(f"{path} is not UTF-8 text; convert it, or get it again from {SITE}.") from err
    head = lines[0] if lines else ""
    separator = "\t" if "\t" in head else ","
    names = [field.strip().lower() for field in head.split(separator)]
    if not {"gender", "set"} <= set(names):
        raise InputError(f"{path}:1: the header has no columns Gender and Set; get the file again from {SITE}.")
    found: dict[str, Speaker] = {}
    for number, line in enumerate(lines[1:], 2):
        if not line.strip():
            continue
        fields = [field.strip() for field in line.split(separator)]
        if len(fields) < len(names):
            raise InputError(f"{path}:{number}: {len(fields)} fields where the header has {len(names)}; "
                             "correct the line.")
        row = Speaker(fields[names.index("gender")].lower(), fields[names.index("set")].lower())
        if row.gender not in ("m", "f") or row.part not in PARTS:
            raise InputError(f"{path}:{number}: gender {row.gender!r} and set {row.part!r} where m or f and dev or "
                             "test are expected; correct the line.")
        if found.setdefault(fields[0], row) != row:
            raise InputError(f"{path}:{number}: {fields[0]} is there twice with different values; "
                             "remove the wrong line.")
    return found


def spk2gender(sources: Iterable[Source], speakers: Mapping[str, Speaker], path: str) -> dict[str, str]:
    """Gender of each speaker who has a recording. Raises InputError naming a speaker who is not in the metadata."""
    wanted = sorted({source.spk for source in sources})
    for speaker in wanted:
        _row(speakers, speaker, path)
    return {speaker: speakers[speaker].gender for speaker in wanted}


def scan(corpus: str, part: str, speakers: Mapping[str, Speaker], meta: str, nj: int) -> list[Source]:
    """The recordings of a part ("dev" or "test"), sorted by id; empty if there are none.

    corpus: folder with part/wav/idNNNNN/<video>/NNNNN.wav (or flac, or aac with .m4a; also without this folder), or
    with wav/idNNNNN/... if both archives were unpacked there and the column Set of the metadata gives each speaker's part.
    A recording in several formats counts once: wav before flac before m4a.
    """
    folders = []
    for root in (*(os.path.join(corpus, part, kind) for kind in KINDS), os.path.join(corpus, part)):
        folders += [os.path.join(root, speaker) for speaker in _speakers(root)]
    for root in (os.path.join(corpus, kind) for kind in KINDS):
        folders += [os.path.join(root, name) for name in _speakers(root) if _row(speakers, name, meta).part == part]
    best: dict[str, tuple[int, Source]] = {}
    with ThreadPoolExecutor(nj) as pool:
        for found in pool.map(_recordings, folders):
            for speaker, video, stem, extension, path in found:
                utt, rank = utterance(speaker, video, stem), FORMATS.index(extension.lower())
                if utt not in best or rank < best[utt][0]:
                    best[utt] = rank, Source(utt, speaker, path, os.path.join(part, speaker, video, stem))
    return [best[utt][1] for utt in sorted(best)]


def missing_part(corpus: str, part: str, number: int, meta: str) -> InputError:
    """The error if nothing was found of a part of VoxCeleb `number`."""
    kind = KINDS[0] if number == 1 else KINDS[2]
    return InputError(
        f"VoxCeleb{number}'s {part} part was looked for in {corpus}/{part}/{kind}/id*/*/ and {corpus}/{kind}/ (speakers by "
        f"{os.path.basename(meta)}), and none was found; get vox{number}_{part}_{kind} from {SITE}, or choose other --parts.")


def sessions(sources: Iterable[Source]) -> dict[str, str]:
    """utt2session: the video that each recording was cut from."""
    return {source.utt: source.stem.split(os.sep)[2] for source in sources}


def find_lists(folder: str) -> list[str]:
    """The official lists in a folder (or its data_workshop_2021/). Raises InputError if there are none."""
    paths = []
    for name in (*LISTS_TEST, *LISTS_ALL):
        places = (os.path.join(folder, f"{name}.txt"), os.path.join(folder, "data_workshop_2021", f"{name}.txt"))
        paths += [path for path in places if os.path.isfile(path)][:1]
    if not paths:
        names = ", ".join(f"{name}.txt" for name in (*LISTS_TEST, *LISTS_ALL))
        raise InputError(f"there is no {folder}/veri_test2.txt, nor any other trial list of VoxCeleb1 ({names}); get at least that one "
                         f"from {SITE}, or say with --lists where they are.")
    return paths


def read_list(path: str, known: Collection[str], where: str) -> TrialList:
    """Read a list of lines "1 idA/video/NNNNN.wav idB/video/NNNNN.wav", or in Kaldi's form.

    known: the utterances of the corpus, including bad ones; where: their source, for the message.
    Raises InputError naming the line of a bad trial or of an unknown utterance.
    """
    given = trials.read(path)
    ids = {name: utterance_of(name) for name in {*given.enrol.tolist(), *given.test.tolist()}}
    unknown = {name for name, utt in ids.items() if utt not in known}
    if unknown:
        for line, pair in enumerate(zip(given.enrol.tolist(), given.test.tolist(), strict=True), 1):
            for name in pair:
                if name in unknown:
                    raise InputError(f"{path}:{line}: {name} is not among the recordings of {where} ({len(unknown)} "
                                     "such names); unpack what is missing, or use this corpus's own list.")
    enrol, test = ([ids[name] for name in column.tolist()] for column in (given.enrol, given.test))
    name = os.path.splitext(os.path.basename(path))[0]
    return TrialList(path, name, trials.Trials(np.array(enrol), np.array(test), given.target))


def write_list(trial_list: TrialList, good: Collection[str], folder: str) -> None:
    """Write folder/trials_NAME without the trials of bad utterances, and print how many trials that drops.

    A file that already has this content is left alone. Raises InputError if nothing is left.
    """
    enrol, test, target = trial_list.content
    keep = np.array([e in good and t in good for e, t in zip(enrol.tolist(), test.tolist(), strict=True)])
    if not keep.any():
        raise InputError(f"{trial_list.path}: all of its trials ({len(keep)}) name a bad recording; "
                         f"get those listed in bad_files.txt beside {folder} again.")
    content = trials.Trials(enrol[keep], test[keep], target[keep])
    path = os.path.join(folder, f"trials_{trial_list.name}")
    if not _says(path, content):
        trials.write(path, *content)
    counts = collections.Counter(content.target.tolist())
    print(f"{path}: {counted(len(content.target), 'trial')}, {counts[True]} target and {counts[False]} nontarget")
    if not keep.all():
        print(f"  trials dropped because they name bad recordings: {len(keep) - keep.sum()} of {len(keep)}")


def _says(path: str, content: trials.Trials) -> bool:
    try:
        return all(np.array_equal(a, b) for a, b in zip(trials.read(path), content, strict=True))
    except InputError:
        return False


def _row(speakers: Mapping[str, Speaker], speaker: str, path: str) -> Speaker:
    if speaker not in speakers:
        raise InputError(f"{path} has no line for {speaker}, who has recordings; get the whole file from {SITE}, "
                         "or remove the speaker's folder.")
    return speakers[speaker]


def _speakers(root: str) -> list[str]:
    """Names of the speaker folders in a folder, which need not exist."""
    if not os.path.isdir(root):
        return []
    return sorted(entry.name for entry in os.scandir(root) if SPEAKER.fullmatch(entry.name) and entry.is_dir())


def _recordings(folder: str) -> list[tuple[str, str, str, str, str]]:
    """(speaker, video, stem, extension, path) of the recordings in folder/<video>/, without hidden files."""
    found = []
    for video in os.scandir(os.path.abspath(folder)):
        if video.name.startswith(".") or not video.is_dir():
            continue
        for entry in os.scandir(video.path):
            stem, extension = os.path.splitext(entry.name)
            if extension.lower() in FORMATS and not entry.name.startswith("."):
                found.append((os.path.basename(folder), video.name, stem, extension, entry.path))
    return found
