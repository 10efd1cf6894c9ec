"""RAVDESS' layout (Livingstone and Russo 2018): folders of actors, and names of seven numbers that say all about a recording."""
import collections
import os
import re
from collections.abc import Collection, Iterable, Mapping, Sequence
from typing import NamedTuple

from sslspk.errors import InputError, shown
from sslspk.io import prepare
from sslspk.io.survey import Source

SITE = "zenodo.org/records/1188976"   # Audio_Speech_Actors_01-24.zip, Audio_Song_Actors_01-24.zip
EMOTIONS = {"01": "neutral", "02": "calm", "03": "happy", "04": "sad", "05": "angry", "06": "fearful", "07": "disgust", "08": "surprised"}
KINDS = {"01": "speech", "02": "song"}
INTENSITIES = {"01": "normal", "02": "strong"}
ACTOR = re.compile(r"Actor_(\d\d)")
NAME = re.compile(r"(?P<modality>0[1-3])-(?P<kind>0[12])-(?P<emotion>0[1-8])-(?P<intensity>0[12])-(?P<statement>0[12])-"
                  r"(?P<repetition>0[12])-(?P<actor>\d\d)")
AUDIO_ONLY = "03"
GROUP = 4   # actors; men (odd numbers) and women (even ones) take turns, so that a group has two of each


class Recording(NamedTuple):
    """One recording: who speaks ("actor01"), its group of actors, what its name says in words, and where it lies."""

    name: str
    actor: str
    group: str
    gender: str
    kind: str
    emotion: str
    intensity: str
    statement: str
    path: str

    @property
    def utt(self) -> str:
        """The id of the recording, which begins with its speaker's as Kaldi wants it."""
        return f"{self.actor}-{self.name}"


def parse_classes(text: str) -> tuple[str, ...]:
    """The emotions of --classes "angry happy ...". Raises InputError for an unknown one and for fewer than two."""
    names = tuple(dict.fromkeys(text.split()))
    for name in names:
        if name not in EMOTIONS.values():
            raise InputError(f"--classes: {shown(name, 40)} is no emotion of RAVDESS; choose from {' '.join(EMOTIONS.values())}.")
    if len(names) < 2:
        raise InputError(f"--classes {shown(text, 40)}: one class needs no classifier; name at least two emotions.")
    return names


def scan(corpus: str) -> list[Recording]:
    """Every recording of sound alone (the sound of a film is the same again), sorted by utterance.

    Actor_NN may lie in the corpus or in a folder of it. Raises InputError: no such folder, a recording whose name is not of seven
    numbers, or is of another actor.
    """
    folders = _actors(corpus)
    if not folders:
        raise InputError(f"RAVDESS was looked for in {corpus}/Actor_01 to Actor_24 (or one folder deeper), and there is none; get it from "
                         f"{SITE}.")
    found = []
    for folder in folders:
        number = ACTOR.fullmatch(os.path.basename(folder))[1]
        for path in prepare.find_audio(folder):
            name = os.path.splitext(os.path.basename(path))[0]
            said = NAME.fullmatch(name)
            if said is None or said["actor"] != number:
                raise InputError(f"{path}: the name must be seven numbers as 03-01-05-01-02-01-{number}, the last one the actor's; rename "
                                 "it, or move it away.")
            if said["modality"] == AUDIO_ONLY:
                group = f"group{(int(number) - 1) // GROUP + 1}"
                found.append(Recording(name, f"actor{number}", group, "mf"[int(number) % 2 == 0], KINDS[said["kind"]],
                                       EMOTIONS[said["emotion"]], INTENSITIES[said["intensity"]], f"statement{said['statement'][1]}", path))
    return sorted(found, key=lambda one: one.utt)


def _actors(corpus: str) -> list[str]:
    """The folders Actor_NN in the corpus and in its own folders."""
    root = os.path.abspath(corpus)
    places = [root, *sorted(entry.path for entry in os.scandir(root) if entry.is_dir() and not ACTOR.fullmatch(entry.name))]
    return [entry.path for place in places for entry in sorted(os.scandir(place), key=lambda entry: entry.name)
            if entry.is_dir() and ACTOR.fullmatch(entry.name)]


def choose(recordings: Iterable[Recording], classes: Sequence[str], kind: str) -> tuple[list[Recording], dict[str, int]]:
    """The recordings of a kind (speech, song or all) and of these classes, and how many have which other emotion.

    Raises InputError for a class without a recording.
    """
    right = [one for one in recordings if kind in ("all", one.kind)]
    kept = [one for one in right if one.emotion in classes]
    missing = next((name for name in classes if name not in {one.emotion for one in kept}), None)
    if missing:
        raise InputError(f"no recording{'' if kind == 'all' else f' of {kind}'} is {missing}; leave {missing} out of --classes, or choose "
                         "another --kind.")
    return kept, dict(sorted(collections.Counter(one.emotion for one in right if one.emotion not in classes).items()))


def sources(recordings: Iterable[Recording]) -> list[Source]:
    """These recordings as the survey takes them."""
    return [Source(one.utt, one.actor, one.path, os.path.join(one.actor, one.name)) for one in recordings]


def tables(recordings: Mapping[str, Recording], good: Collection[Source]) -> dict[str, dict[str, str]]:
    """utt2emotion, utt2group, utt2kind, utt2intensity, utt2statement and spk2gender of what is good; recordings: by utterance."""
    mine = {source.utt: recordings[source.utt] for source in good}
    columns = {f"utt2{name}": {utt: getattr(one, name) for utt, one in mine.items()}
               for name in ("emotion", "group", "kind", "intensity", "statement")}
    return {**columns, "spk2gender": {one.actor: one.gender for one in mine.values()}}
