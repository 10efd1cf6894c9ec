"""LibriSpeech's layout: readers, their chapters (each with its own channel), the files, SPEAKERS.TXT."""
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import soundfile

from synth import channel, speaker, voice
from synth.layout import RATE, generator

FIRST = {"train-clean-100": 101, "dev-clean": 5001, "test-clean": 8001}   # ids of the first speakers


@dataclass(frozen=True)
class Chapter:
    """`count` utterances of `seconds` (shortest, longest) that one speaker reads; `folder` is the corpus's."""

    folder: Path
    subset: str
    person: int
    gender: str
    number: int
    count: int
    seconds: tuple[float, float]
    seed: int


def write_chapter(chapter: Chapter) -> float:
    """Synthesise and write one chapter's files; returns the seconds of speech."""
    key = ("LibriSpeech", chapter.person, chapter.number)
    person = speaker.draw(chapter.gender, generator(chapter.seed, "LibriSpeech", chapter.person))
    conditions, total = channel.draw(generator(chapter.seed, *key)), 0.0
    place = chapter.folder / chapter.subset / str(chapter.person) / str(chapter.number)
    place.mkdir(parents=True)
    for i in range(chapter.count):
        rng = generator(chapter.seed, *key, i)
        wave = channel.record(voice.utterance(person, float(rng.uniform(*chapter.seconds)), rng), conditions, rng)
        soundfile.write(place / f"{chapter.person}-{chapter.number}-{i:04d}.flac", wave, RATE, format="FLAC", subtype="PCM_16")
        total += len(wave) / RATE
    return total


def librispeech(folder: Path, counts: dict[str, int], chapters: int, utts: int, seconds: tuple[float, float], seed: int) -> list[partial]:
    """Write SPEAKERS.TXT; the jobs write the speech. counts: subset -> number of speakers; women and men alternate."""
    jobs, lines = [], [";ID  |SEX| SUBSET           |MINUTES| NAME"]
    for subset, count in counts.items():
        (folder / subset).mkdir()
        for i in range(count):
            person, gender = FIRST[subset] + i, "fm"[i % 2]
            minutes = chapters * utts * sum(seconds) / 120
            lines.append(f"{person:<5}| {gender.upper()} | {subset:<17}| {minutes:.2f} | Synthetic {person}")
            jobs += [partial(write_chapter, Chapter(folder, subset, person, gender, 10 * person + k, utts, tuple(seconds), seed))
                     for k in range(chapters)]
    (folder / "SPEAKERS.TXT").write_text("\n".join(lines) + "\n")
    return jobs
