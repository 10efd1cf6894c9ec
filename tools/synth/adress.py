"""ADReSS' layout, filled with made-up descriptions of a picture. Speakers of the dementia class pause longer and more often, and
speak slower and flatter; people of the same age and gender also differ, so the classes overlap."""
from dataclasses import dataclass, replace
from functools import partial
from itertools import pairwise
from pathlib import Path

import numpy as np
import soundfile

from synth import channel, chat, speaker, voice
from synth.layout import RATE, generator
from synth.speaker import Speaker

FIRST = {"cc": 1, "cd": 79, "test": 160}  # numbers of the participants, as in the original
LONGEST = 10.0  # s, the longest chunk
CHUNK_RMS = 0.05  # of full scale; the chunks are normalised
GROUPS = {"cc": "Control", "cd": "ProbableAD"}
AGES, BAND = (50, 80), 5  # years; matched control and patient have the same age band and gender
PAUSE = {"cc": 0.35, "cd": 1.0}  # s, between the phrases of a typical speaker
PHRASE = {"cc": 2.0, "cd": 1.3}  # s


@dataclass(frozen=True)
class Person:
    """One participant; `group` is "cc" or "cd", `folder` the split's."""

    folder: Path
    name: str  # SNNN
    group: str
    age: int
    gender: str  # "male" or "female"
    mmse: int | None
    shown: bool  # whether folders and transcript show the group
    turns: int
    seconds: tuple[float, float]
    seed: int

    @property
    def score(self) -> str:
        """The MMSE as written in the tables."""
        return "NA" if self.mmse is None else str(self.mmse)


def plan(folder: Path, per_class: int, turns: int, seconds: tuple[float, float], seed: int) -> dict[str, list[Person]]:
    """The participants of "cc", "cd" (training) and "test"; pairs of both classes match in age band and gender."""
    out: dict[str, list[Person]] = {"cc": [], "cd": [], "test": []}
    tests = max(1, per_class // 2)
    order = generator(seed, "ADReSS", "order").permutation(2 * tests)
    for pair in range(per_class + tests):
        rng = generator(seed, "ADReSS", "pair", pair)
        young = int(rng.integers(AGES[0] // BAND, AGES[1] // BAND)) * BAND
        gender = ("male", "female")[pair % 2]
        for k, group in enumerate(GROUPS):
            age, mmse = young + int(rng.integers(BAND)), int(rng.integers(26, 31) if group == "cc" else rng.integers(8, 26))
            shown = pair < per_class
            number = FIRST[group] + pair if shown else FIRST["test"] + int(order[2 * (pair - per_class) + k])
            # One control was not measured, as in the original.
            score = None if group == "cc" and pair == per_class - 1 and pair else mmse
            out[group if shown else "test"].append(Person(
                folder / ("train" if shown else "test"), f"S{number:03d}", group, age, gender, score, shown, turns, seconds, seed))
    out["test"].sort(key=lambda person: person.name)
    return out


def aged(person: Person, rng: np.random.Generator) -> tuple[Speaker, float, float]:
    """The voice of `person`, and its typical pause and phrase in s; the classes overlap."""
    old = speaker.draw(person.gender[0], rng)
    slow, flat = (0.28, 0.5) if person.group == "cd" else (0.08, 0.0)
    old = replace(
        old,
        rate=old.rate * np.exp(rng.normal(-slow, 0.08)),
        pitch_range=old.pitch_range * np.exp(rng.normal(-flat, 0.2)),
    )
    return old, PAUSE[person.group] * np.exp(rng.normal(0, 0.4)), PHRASE[person.group] * np.exp(rng.normal(0, 0.2))


def _speak(person: Speaker, seconds: float, pause: float, phrase: float, rng: np.random.Generator) -> tuple[np.ndarray, list[float]]:
    """A turn of about `seconds`: (S,) float32 of rms 1 while speaking, and the pauses between its phrases in s."""
    pieces, pauses, now = [], [], 0.0
    while not pieces or now < seconds:
        if pieces:
            pauses.append(pause * float(np.exp(rng.normal(0, 0.6))))
            pieces.append(np.zeros(round(pauses[-1] * RATE), np.float32))
        wave = voice.utterance(person, max(0.5, phrase * float(np.exp(rng.normal(0, 0.3)))), rng)
        pieces.append(wave / wave.std())
        now = sum(map(len, pieces)) / RATE
    return np.concatenate(pieces), pauses


def talk(person: Person) -> tuple[np.ndarray, list[chat.Spoken]]:
    """The conversation: (S,) float32 in -1 .. 1, and its turns: who said what, and when."""
    rng = generator(person.seed, "ADReSS", person.name)
    own, pause, phrase = aged(person, rng)
    asker = speaker.draw("mf"[rng.integers(2)], rng)
    pieces, turns = [np.zeros(round(rng.uniform(0.3, 0.9) * RATE), np.float32)], []

    def add(code: str, wave: np.ndarray, text: str, tiers: tuple[tuple[str, str], ...]) -> None:
        start = sum(map(len, pieces)) * 1000 // RATE
        pieces.extend([wave, np.zeros(round(rng.uniform(0.1, 0.2 + pause) * RATE), np.float32)])
        turns.append(chat.Spoken(code, text, tiers, start, start + len(wave) * 1000 // RATE))

    for i in range(person.turns):
        if i == 0 or rng.random() < 0.4:
            prompt = chat.PROMPTS[rng.integers(1, len(chat.PROMPTS)) if i else 0]
            wave = voice.utterance(asker, 0.3 + 0.2 * len(prompt.split()), rng)
            add("INV", 0.7 * wave / wave.std(), prompt, ())
        wave, pauses = _speak(own, float(rng.uniform(*person.seconds)), pause, phrase, rng)
        add("PAR", wave, *chat.describe(pauses, rng))
    place = channel.draw(rng)  # weaker than in other corpora: the original was enhanced
    place = replace(place, gains_db=0.3 * place.gains_db, room=None, snr_db=28 + place.snr_db / 8, tilt=place.tilt / 2)
    return channel.record(np.concatenate(pieces), place, rng), turns


def write_person(person: Person) -> float:
    """Write the recording of one participant, its chunks and its transcript; returns the seconds of audio, chunks included."""
    sub = person.group if person.shown else ""
    wave, turns = talk(person)
    soundfile.write(person.folder / "Full_wave_enhanced_audio" / sub / f"{person.name}.wav", wave, RATE, subtype="PCM_16")
    total, count = len(wave), 0
    for turn in turns:
        if turn.code != "PAR":
            continue
        cuts = np.linspace(turn.start, turn.end, 1 + int(np.ceil((turn.end - turn.start) / 1000 / LONGEST))).astype(int)
        for start, end in pairwise(cuts.tolist()):
            count += 1
            chunk = wave[start * RATE // 1000 : end * RATE // 1000]
            chunk = chunk * min(CHUNK_RMS / chunk.std(), 0.98 / np.abs(chunk).max())
            name = f"{person.name}_{start}-{end}-{count}-1-0-0.wav"
            soundfile.write(person.folder / "Normalised_audio-chunks" / sub / name, chunk, RATE, subtype="PCM_16")
            total += len(chunk)
    told = (GROUPS[person.group], "" if person.mmse is None else str(person.mmse)) if person.shown else ("", "")
    identity = f"{person.age};|{person.gender}|{told[0]}||Participant|{told[1]}||"
    text = chat.transcript(person.name, identity, turns)
    (person.folder / "transcription" / sub / f"{person.name}.cha").write_text(text, encoding="utf-8")
    return total / RATE


def adress(folder: Path, per_class: int, turns: int, seconds: tuple[float, float], seed: int) -> list[partial]:
    """Lay out `per_class` participants per class, and half as many for the test, with `turns` turns of `seconds` (shortest,
    longest) each; returns the jobs that write their files."""
    people = plan(folder, per_class, turns, seconds, seed)
    for kind in ("Full_wave_enhanced_audio", "Normalised_audio-chunks", "transcription"):
        for sub in ("train/{}/cc", "train/{}/cd", "test/{}"):
            (folder / sub.format(kind)).mkdir(parents=True)
    for group in GROUPS:
        rows = [f"{p.name:4} ; {p.age:3} ; {p.gender:6} ; {p.score:>4}\n" for p in people[group]]
        (folder / "train" / f"{group}_meta_data.txt").write_text("ID   ; age ; gender ; mmse\n" + "".join(rows))
    rows = [f"{p.name:4} ; {p.age:3} ; {p.gender:6}\n" for p in people["test"]]
    (folder / "test" / "meta_data.txt").write_text("ID   ; age ; gender\n" + "".join(rows))
    rows = [f"{p.name} ; {int(p.group == 'cd')} ; {p.score}\n" for p in people["test"]]
    (folder / "test" / "test_results.txt").write_text("ID ; Label ; mmse\n" + "".join(rows))
    return [partial(write_person, person) for group in people.values() for person in group]
