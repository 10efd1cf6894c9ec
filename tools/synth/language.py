"""VoxLingua107's layout, filled with made-up languages, which differ in their sounds, the order of the sounds, and how long they last.
Every video has its own speaker and channel, so that neither reveals the language."""
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import numpy as np
import soundfile

from synth import channel, phones, speaker, voice
from synth.layout import LETTERS, RATE, generator
from synth.phones import Language

CODES = ("en", "es", "ar", "zh", "fr", "ko", "pt", "ru", "nl", "et", "sw", "haw")   # only names; the sounds are made up
GAP = (0.3, 4.0)   # s, between two utterances of a video


@dataclass(frozen=True)
class Video:
    """`count` utterances of `seconds` (shortest, longest) in one language, of one speaker, in the folder of that language."""

    folder: Path
    code: str
    name: str
    gender: str
    count: int
    seconds: tuple[float, float]
    seed: int


def draw(code: str, seed: int) -> Language:
    """The language called `code`."""
    rng = generator(seed, "language", code)

    def some(kinds: tuple, least: int, most: int) -> tuple:
        return tuple(kinds[i] for i in sorted(rng.permutation(len(kinds))[:rng.integers(least, most + 1)]))

    sonorants, fricatives = rng.dirichlet((3, 2, 3))[:2]
    return Language(
        vowels=some(phones.VOWELS, 3, 6), sonorants=some(phones.SONORANTS, 2, 5), fricatives=some(phones.FRICATIVES, 1, 4),
        bursts=some(phones.BURSTS, 1, 3), sonorant=float(sonorants), fricative=float(fricatives), voiceless=float(rng.uniform(0.1, 1)),
        onset=float(rng.uniform(0.6, 1)), coda=float(rng.uniform(0, 0.7)), vowel=float(np.exp(rng.normal(0, 0.25))),
        spread=float(rng.uniform(0.08, 0.35)), final=float(rng.uniform(1, 1.8)))


def plan(folder: Path, languages: int, videos: int, dev: int, utts: int, seconds: tuple[float, float], seed: int) -> list[Video]:
    """The videos of the first `languages` codes: `videos` of each, and `dev` more for the evaluation part; men and women alternate."""
    out = []
    for code in CODES[:languages]:
        rng, names = generator(seed, "videos", code), set()
        while len(names) < videos + dev:
            names.add("".join(rng.choice(LETTERS, 11)))
        for i, name in enumerate(sorted(names)):
            part = folder / "dev" if i < dev else folder
            out.append(Video(part / code, code, name, "mf"[i % 2], utts, seconds, seed))
    return out


def write_video(video: Video) -> float:
    """Write the utterances of a video; returns the seconds of speech."""
    key, language = ("VoxLingua107", video.code, video.name), draw(video.code, video.seed)
    person = speaker.draw(video.gender, generator(video.seed, *key))
    conditions = channel.draw(generator(video.seed, *key, "channel"))
    total, now = 0.0, 0.0
    for i in range(video.count):
        rng = generator(video.seed, *key, i)
        wave = channel.record(voice.utterance(person, float(rng.uniform(*video.seconds)), rng, language), conditions, rng)
        now += float(rng.uniform(*GAP))
        end = now + len(wave) / RATE
        soundfile.write(video.folder / f"{video.name}__U__S{i}---{now:08.3f}-{end:08.3f}.wav", wave, RATE, subtype="PCM_16")
        total, now = total + len(wave) / RATE, end
    return total


def voxlingua107(folder: Path, languages: int, videos: int, dev: int, utts: int, seconds: tuple[float, float], seed: int) -> list[partial]:
    """Lay out the folders of the languages; returns the jobs that write the videos."""
    planned = plan(folder, languages, videos, dev, utts, seconds, seed)
    for place in sorted({video.folder for video in planned}):
        place.mkdir(parents=True)
    return [partial(write_video, video) for video in planned]
