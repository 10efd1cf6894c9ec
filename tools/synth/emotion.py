"""IEMOCAP's layout, filled with made-up acted emotion: ten actors show it by pitch, pitch range, loudness and rate."""
from collections import Counter
from dataclasses import dataclass, fields, replace
from functools import partial
from pathlib import Path

import numpy as np
import soundfile

from synth import channel, ratings, speaker, voice
from synth.layout import RATE, generator
from synth.speaker import Speaker

SESSIONS = 5
PER_DIALOG = 4  # about how many turns an actor has in a dialog
LEVEL = 0.03  # rms of a neutral utterance, of full scale
LABELS = ("ang", "hap", "neu", "sad", "exc", "fru", "neu", "ang", "sad", "xxx", "hap", "neu")  # repeated
RARE = {("F", 1): "sur", ("M", 1): "oth"}  # these actors' last label
DIALOGS = (("F", "impro"), ("M", "script"), ("M", "impro"), ("F", "script"))


@dataclass(frozen=True)
class Style:
    """How an emotion changes a voice; with all 0 it does not change. Factors are natural logarithms."""

    pitch: float = 0.0  # semitones
    spread: float = 0.0  # log factor on the pitch range
    loud: float = 0.0  # dB
    rate: float = 0.0  # log factor
    effort: float = 0.0  # shift of the glottal spectrum's corner in octaves
    breath: float = 0.0  # log factor on the aspiration
    smile: float = 0.0  # log factor on the formants: the lips shorten the tract

    def numbers(self) -> np.ndarray:
        """(7,) in the order above."""
        return np.array([getattr(self, field.name) for field in fields(self)])


STYLES = {
    "neu": Style(),
    "ang": Style(pitch=4.5, spread=0.6, loud=9.5, rate=0.15, effort=1.5, breath=-0.5),
    "hap": Style(pitch=6.0, spread=0.9, loud=2.5, rate=0.05, effort=0.3, smile=0.09),
    "sad": Style(pitch=-2.5, spread=-0.9, loud=-7.5, rate=-0.25, effort=-1.1, breath=0.9, smile=-0.03),
    "exc": Style(pitch=7.0, spread=1.0, loud=4.5, rate=0.15, effort=0.4, smile=0.09),
    "fru": Style(pitch=1.5, spread=0.2, loud=4.0, effort=0.6),
    "sur": Style(pitch=8.0, spread=1.1, loud=3.0, effort=0.1, smile=0.03),
    "oth": Style(),
    "xxx": Style(pitch=1.5, spread=0.1, loud=0.5, effort=0.1),  # the raters disagree: a bit of everything
}
UTTERANCE = Style(pitch=1.2, spread=0.25, loud=1.5, rate=0.08, effort=0.25, breath=0.3, smile=0.015)  # standard deviations
MANNER = Style(pitch=0.5, spread=0.2, loud=1.0, rate=0.05, effort=0.2, breath=0.2, smile=0.01)  # of the actors


@dataclass(frozen=True)
class Turn:
    """One utterance of a dialog, `seconds` long from `start`."""

    name: str  # SesNNG_dialog_XNNN, X who speaks
    label: str
    start: float
    seconds: float


@dataclass(frozen=True)
class Dialog:
    """The turns of a session's two actors in one scene; `folder` is the corpus's."""

    folder: Path
    session: int
    name: str
    turns: tuple[Turn, ...]
    seed: int


def labels(session: int, gender: str, utts: int, seed: int) -> list[str]:
    """The emotions of one actor's `utts` utterances, in order."""
    out = [LABELS[i % len(LABELS)] for i in range(utts)]
    out[-1] = RARE.get((gender, session), out[-1])
    return [out[i] for i in generator(seed, "IEMOCAP", session, gender, "labels").permutation(utts)]


def plan(folder: Path, utts: int, seconds: tuple[float, float], seed: int) -> list[Dialog]:
    """The dialogs of the five sessions, improvised and scripted; in each, both actors take turns."""
    out = []
    for session in range(1, SESSIONS + 1):
        count = max(2, utts // PER_DIALOG)
        said = {g: np.array_split(labels(session, g, utts, seed), count) for g in "FM"}
        for k in range(count):
            (gender, kind), number = DIALOGS[k % len(DIALOGS)], k // len(DIALOGS)
            scene = f"impro{number + 1:02d}" if kind == "impro" else f"script{number // 3 + 1:02d}_{number % 3 + 1}"
            name = f"Ses{session:02d}{gender}_{scene}"
            parts = {g: [str(label) for label in said[g][k]] for g in "FM"}
            out.append(Dialog(folder, session, name, _turns(name, parts, seconds, generator(seed, name)), seed))
    return out


def _turns(name: str, said: dict[str, list[str]], seconds: tuple[float, float], rng: np.random.Generator) -> tuple[Turn, ...]:
    order = [(i, g) for i in range(max(map(len, said.values()))) for g in ("FM", "MF")[rng.integers(2)]]
    turns, now = [], float(rng.uniform(1, 8))
    for i, g in order:
        if i < len(said[g]):
            length = round(float(rng.uniform(*seconds)) * RATE) / RATE
            turns.append(Turn(f"{name}_{g}{i:03d}", said[g][i], now, length))
            now += length + float(rng.uniform(0.1, 1.5))
    return tuple(turns)


@dataclass(frozen=True)
class Actor:
    """A voice, and its personal deviation (7,) from every emotion's style, as in Style.numbers()."""

    voice: Speaker
    manner: np.ndarray


def cast(session: int, gender: str, seed: int) -> Actor:
    """The woman ("F") or the man ("M") of a session."""
    rng = generator(seed, "IEMOCAP", session, gender)
    return Actor(speaker.draw(gender.lower(), rng), MANNER.numbers() * rng.normal(0, 1, len(fields(Style))))


def perform(actor: Actor, label: str, rng: np.random.Generator) -> tuple[Speaker, float]:
    """The voice of `actor` with emotion `label`, of random strength, and how many dB louder it is than usual."""
    felt = STYLES[label].numbers() * rng.uniform(0.7, 1.3)
    change = Style(*(felt + actor.manner + UTTERANCE.numbers() * rng.normal(0, 1, len(felt))))
    person = actor.voice
    return replace(
        person,
        pitch=person.pitch * 2 ** (change.pitch / 12),
        pitch_range=person.pitch_range * np.exp(change.spread),
        rate=person.rate * np.exp(change.rate),
        corner=person.corner * 2**change.effort,
        breath=person.breath * np.exp(change.breath),
        formants=person.formants + change.smile,
    ), float(change.loud)


def write_dialog(dialog: Dialog) -> float:
    """Write a dialog's turns and their ratings; returns the seconds of speech."""
    place = dialog.folder / f"Session{dialog.session}"
    wavs = place / "sentences" / "wav" / dialog.name
    wavs.mkdir(parents=True)
    actors = {g: cast(dialog.session, g, dialog.seed) for g in "FM"}
    stage = channel.draw(generator(dialog.seed, "IEMOCAP", dialog.session, "stage"))
    stage = replace(stage, gains_db=0.3 * stage.gains_db, room=None, snr_db=28 + stage.snr_db / 4)
    for turn in dialog.turns:
        rng = generator(dialog.seed, turn.name)
        person, loud = perform(actors[turn.name[-4]], turn.label, rng)
        # The noise of the stage does not change, so loud speech has a higher SNR.
        wave = channel.record(voice.utterance(person, turn.seconds, rng), replace(stage, snr_db=stage.snr_db + loud), rng)
        wave *= min(LEVEL * 10 ** (loud / 20) / wave.std(), 0.98 / np.abs(wave).max())
        soundfile.write(wavs / f"{turn.name}.wav", wave, RATE, subtype="PCM_16")
    ratings.write(place / "dialog" / "EmoEvaluation", dialog.name, dialog.turns, dialog.seed)
    return sum(turn.seconds for turn in dialog.turns)


def iemocap(folder: Path, utts: int, seconds: tuple[float, float], seed: int) -> list[partial]:
    """Lay out `utts` utterances of `seconds` (shortest, longest) for each actor; returns the jobs that write the dialogs."""
    dialogs = plan(folder, utts, seconds, seed)
    counts = Counter(turn.label for dialog in dialogs for turn in dialog.turns)
    (folder / "README").write_text(
        f"In the layout of IEMOCAP (Busso et al. 2008): synthesised speech. Labels: {dict(sorted(counts.items()))}\n")
    for dialog in dialogs:  # before the jobs, so that no two make the same folder
        for sub in ratings.FOLDERS:
            (folder / f"Session{dialog.session}" / "dialog" / "EmoEvaluation" / sub).mkdir(parents=True, exist_ok=True)
    return [partial(write_dialog, dialog) for dialog in dialogs]
