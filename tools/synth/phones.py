"""The phone inventory, shared by all speakers, and the random phone sequence of an utterance.

Formants are textbook values of an adult male (Peterson and Barney 1952 for the vowels, usual loci for the consonants);
a speaker scales and shifts them. Stops are a closure followed by a burst.
"""
from dataclasses import dataclass

import numpy as np

FRAME = 0.008  # seconds from one frame of the tracks to the next


@dataclass(frozen=True)
class Phone:
    """One sound: formants in Hz, mean length in seconds, amplitudes of three sources, the band of its friction."""

    name: str
    formants: tuple[int, int, int]
    seconds: float
    voice: float = 0.0
    breath: float = 0.0
    friction: float = 0.0
    centre: int = 4000
    octaves: float = 1.0


VOWELS = (
    Phone("i", (270, 2290, 3010), 0.10, voice=0.9),
    Phone("e", (400, 2050, 2600), 0.11, voice=1.0),
    Phone("E", (530, 1840, 2480), 0.10, voice=1.0),
    Phone("A", (660, 1720, 2410), 0.12, voice=1.0),
    Phone("a", (730, 1090, 2440), 0.13, voice=1.0),
    Phone("o", (570, 840, 2410), 0.12, voice=1.0),
    Phone("u", (300, 870, 2240), 0.11, voice=0.9),
    Phone("@", (500, 1500, 2500), 0.07, voice=0.8),
)
SONORANTS = (
    Phone("m", (250, 1100, 2200), 0.07, voice=0.35),
    Phone("n", (250, 1600, 2600), 0.07, voice=0.35),
    Phone("l", (360, 1250, 2700), 0.07, voice=0.55),
    Phone("r", (320, 1300, 1650), 0.07, voice=0.55),
    Phone("w", (300, 700, 2200), 0.07, voice=0.55),
    Phone("j", (280, 2200, 2900), 0.07, voice=0.55),
)
FRICATIVES = (
    Phone("s", (320, 1700, 2600), 0.10, friction=0.11, centre=5800, octaves=0.40),
    Phone("S", (320, 1800, 2500), 0.10, friction=0.13, centre=3300, octaves=0.45),
    Phone("f", (340, 1100, 2200), 0.09, friction=0.04, centre=5000, octaves=1.2),
    Phone("z", (320, 1700, 2600), 0.08, voice=0.25, friction=0.07, centre=5500, octaves=0.45),
    Phone("v", (340, 1100, 2200), 0.06, voice=0.35, friction=0.025, centre=4500, octaves=1.2),
    Phone("h", (500, 1500, 2500), 0.06, breath=0.6),
)
BURSTS = (
    Phone("p", (350, 800, 2200), 0.018, breath=0.2, friction=0.06, centre=1000, octaves=1.0),
    Phone("t", (350, 1750, 2650), 0.020, breath=0.2, friction=0.14, centre=4300, octaves=0.7),
    Phone("k", (350, 2000, 2450), 0.024, breath=0.2, friction=0.11, centre=1900, octaves=0.5),
)
CLOSURE = Phone("_", (300, 1400, 2500), 0.06)
MURMUR = Phone("-", (250, 1400, 2500), 0.05, voice=0.15)  # the voiced closure of b, d, g
PAUSE = Phone(" ", (500, 1500, 2500), 0.25)

PHONES = (*VOWELS, *SONORANTS, *FRICATIVES, *BURSTS, CLOSURE, MURMUR, PAUSE)
INDEX = {phone.name: i for i, phone in enumerate(PHONES)}
LETTERS = tuple(p.name for p in PHONES if p not in (CLOSURE, MURMUR, PAUSE))
SECONDS = np.array([p.seconds for p in PHONES])
IS_VOWEL = np.array([p in VOWELS for p in PHONES])


@dataclass(frozen=True)
class Language:
    """The sounds of a language, their order in a syllable, and how long they last; by default all sounds, in no language.

    sonorant, fricative: shares of the consonants, the rest are stops; voiceless: share of the stops. onset, coda: the probability that
    a syllable begins or ends with a consonant. vowel: factor on the length of vowels; spread: of all lengths (log); final: factor on
    the last two sounds of a phrase.
    """

    vowels: tuple[Phone, ...] = VOWELS
    sonorants: tuple[Phone, ...] = SONORANTS
    fricatives: tuple[Phone, ...] = FRICATIVES
    bursts: tuple[Phone, ...] = BURSTS
    sonorant: float = 0.38
    fricative: float = 0.3
    voiceless: float = 0.55
    onset: float = 0.9
    coda: float = 0.3
    vowel: float = 1.0
    spread: float = 0.22
    final: float = 1.3


NONE = Language()


def _consonant(language: Language, rng: np.random.Generator) -> list[str]:
    kind = rng.random()
    if kind < language.sonorant:
        return [language.sonorants[rng.integers(len(language.sonorants))].name]
    if kind < language.sonorant + language.fricative:
        return [language.fricatives[rng.integers(len(language.fricatives))].name]
    closure = CLOSURE if rng.random() < language.voiceless else MURMUR
    return [closure.name, language.bursts[rng.integers(len(language.bursts))].name]


def _syllable(language: Language, rng: np.random.Generator) -> list[str]:
    onset = _consonant(language, rng) if rng.random() < language.onset else []
    coda = _consonant(language, rng) if rng.random() < language.coda else []
    return [*onset, language.vowels[rng.integers(len(language.vowels))].name, *coda]


def sequence(seconds: float, rate: float, rng: np.random.Generator, language: Language = NONE) -> tuple[np.ndarray, np.ndarray]:
    """Phones of an utterance that lasts `seconds`: phrases of three to nine syllables between pauses.

    Returns the phone numbers (N,) and their lengths in frames (N,), at least one each; together they fill the time.
    """
    names, frames = [PAUSE.name], [int(rng.integers(6, 25))]
    goal = int(np.ceil(seconds / FRAME)) + 2
    total, halting = frames[0], rng.lognormal(0, 0.5)  # some utterances have longer pauses
    while total < goal:
        phrase = [p for _ in range(rng.integers(3, 10)) for p in _syllable(language, rng)]
        index = np.array([INDEX[p] for p in phrase])
        mean = SECONDS[index] * np.where(IS_VOWEL[index], language.vowel, 1.0) / rate
        length = np.maximum(1, np.rint(mean * rng.lognormal(0, language.spread, len(phrase)) / FRAME)).astype(int)
        length[-2:] = np.rint(length[-2:] * language.final)  # a phrase slows down at its end
        names += [*phrase, PAUSE.name]
        frames += [*length.tolist(), 1 + int(rng.uniform(0.08, 0.4) * halting / FRAME)]
        total = sum(frames)
    frames = np.array(frames)
    keep = np.searchsorted(np.cumsum(frames), goal) + 1
    frames = frames[:keep]
    frames[-1] -= frames.sum() - goal
    return np.array([INDEX[p] for p in names[:keep]]), frames
