"""VoxLingua107's layout (Valk and Alumaee 2021): a folder for each language, file names that hold the video, the parts of a split.

The speakers are not known. What stands in for one is the video that an utterance was cut from: in an interval of a result it is drawn
as a whole, and it is never in two parts.
"""
import collections
import os
import random
import re
from collections.abc import Collection, Mapping, Sequence

from sslspk.errors import InputError, shown
from sslspk.io import prepare
from sslspk.io.survey import Source

SITE = "bark.phon.ioc.ee/voxlingua107"   # a zip for each language, and dev.zip
DEV = "dev"   # the folder of the official evaluation part, which has language folders as well
PARTS = ("languages", DEV)
SPLIT = ("train", "valid", "test")
LANGUAGE = re.compile(r"[a-z]{2,3}")
NAME = re.compile(r"(?P<video>.+)__U__(?P<place>S\d.*)")


def scan(corpus: str, part: str, wanted: Sequence[str] = (), unwanted: Sequence[str] = ()) -> dict[str, list[Source]]:
    """language -> its recordings, sorted by utterance; part: "languages" or "dev"; wanted: these languages alone; unwanted: not these.

    An utterance is called LANGUAGE-FILE, its speaker LANGUAGE-VIDEO. Raises InputError: a folder or a recording that is named otherwise
    than the corpus names it, a language without a recording, one of either list that is not there (in dev it may lack), no language left.
    """
    root = os.path.join(os.path.abspath(corpus), DEV) if part == DEV else os.path.abspath(corpus)
    if not os.path.isdir(root):
        raise InputError(f"VoxLingua107's evaluation part was looked for in {root}, which is not a folder; unpack dev.zip there, "
                         "or give --parts languages.")
    folders = sorted(entry.name for entry in os.scandir(root) if entry.is_dir() and not entry.name.startswith(".") and entry.name != DEV)
    for option, names in (("--languages", wanted), ("--without", unwanted)):
        missing = next((name for name in names if name not in folders), None)
        if missing and part != DEV:   # dev has a third of the languages
            raise InputError(f"{option} names {shown(missing, 20)}, and there is no such folder in {root}; correct the list, or unpack "
                             "that language.")
    found = {name: _language(root, name) for name in folders if (not wanted or name in wanted) and name not in unwanted}
    if folders and not found and part != DEV:
        raise InputError("--languages and --without leave no language; correct one of them.")
    if not found:
        raise InputError(f"{root} has no folder of a language (LANGUAGE/*.wav, such as en); get VoxLingua107 from {SITE}.")
    return found


def _language(root: str, name: str) -> list[Source]:
    """The recordings of one language; the name of each holds its video."""
    folder = os.path.join(root, name)
    if not LANGUAGE.fullmatch(name):
        raise InputError(f"{root} has a folder {shown(name, 40)}, which is no code of a language (two or three small letters, as en); "
                         "move it away, or rename it.")
    sources = []
    for path in prepare.find_audio(folder):
        stem = os.path.splitext(os.path.basename(path))[0]
        said = NAME.fullmatch(stem)
        if said is None:
            raise InputError(f"{path}: this name holds no video, it is not VIDEO__U__SN---START-END.wav; rename the recording, or "
                             "move it away.")
        sources.append(Source(f"{name}-{stem}", f"{name}-{said['video']}", path,
                              os.path.join(os.path.relpath(folder, os.path.dirname(root)), stem)))
    if not sources:
        raise InputError(f"{folder} holds no recording; unpack {name}.zip again, or remove the folder.")
    return sorted(sources)


def draw(sources: Mapping[str, Sequence[Source]], count: int, seed: int) -> dict[str, list[Source]]:
    """`count` recordings of each language at random, or all where there are no more (count 0: all). A larger draw holds a smaller one."""
    chosen = {}
    for language, own in sources.items():
        order = list(own)
        random.Random(f"{seed} {language}").shuffle(order)
        chosen[language] = sorted(order[:count or len(order)])
    return chosen


def without_videos(sources: Mapping[str, Sequence[Source]], others: Mapping[str, Sequence[Source]]) -> dict[str, list[Source]]:
    """The recordings whose video is in none of `others`, in whatever language it is there."""
    videos = {_video(source) for own in others.values() for source in own}
    return {language: [source for source in own if _video(source) not in videos] for language, own in sources.items()}


def _video(source: Source) -> str:
    return source.spk.partition("-")[2]


def split(sources: Mapping[str, Sequence[Source]], valid: float, test: float, seed: int) -> dict[str, list[Source]]:
    """train, valid and test parts with these shares of each language's recordings, as nearly as whole videos allow; a share of 0: no part.

    Every part has a video of every language. Raises InputError for a language of fewer videos than there are parts.
    """
    shares = {"train": 1 - valid - test, "valid": valid, "test": test}
    shares = {part: share for part, share in shares.items() if share > 0}
    parts: dict[str, list[Source]] = {part: [] for part in shares}
    for language, own in sources.items():
        videos: dict[str, list[Source]] = collections.defaultdict(list)
        for source in own:
            videos[source.spk].append(source)
        if len(videos) < len(shares):
            clips = f"{len(own)} recording{'s'[:len(own) != 1]} of {len(videos)} video{'s'[:len(videos) != 1]}"
            raise InputError(f"the language {language} has {clips}, too few for the parts {', '.join(shares)}; leave it out with "
                             f"--without {language}, or add recordings.")
        order = sorted(videos)
        random.Random(f"{seed} split {language}").shuffle(order)
        lacks = {part: share * len(own) for part, share in shares.items()}
        for place, video in enumerate(order):
            empty = [part for part in shares if lacks[part] == shares[part] * len(own)]
            choice = empty if len(order) - place <= len(empty) else shares   # as many videos are left as parts have none
            part = max(choice, key=lambda part: lacks[part])
            parts[part] += videos[video]
            lacks[part] -= len(videos[video])
    return parts


def tables(good: Collection[Source]) -> dict[str, dict[str, str]]:
    """utt2lang of the recordings that are good."""
    return {"utt2lang": {source.utt: source.utt.partition("-")[0] for source in good}}
