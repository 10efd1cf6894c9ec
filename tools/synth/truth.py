"""The exact phones of the VoxCeleb1 corpus, in its folder `phones`, known from the plan of each utterance.

Each frame of features (WINDOW seconds every SHIFT) has a label: the phone at its middle, with the sound's travel time to the microphone
included. Next to ali.scp, ali.ark and ali.json are `phones` (utterance -> phones without pauses, for an aligner) and utt2spk.
"""
from pathlib import Path

import numpy as np

from sslspk.io import table, voxceleb
from sslspk.io.alignments import LabelSet, Writer, digest_of
from synth import channel, speaker, voice
from synth.layout import RATE, Session, generator
from synth.phones import CLOSURE, FRAME, MURMUR, PAUSE, PHONES

SHIFT, WINDOW = 0.01, 0.025
NAMES = {CLOSURE: "closure", MURMUR: "murmur", PAUSE: "sil"}   # phones whose own names are not words
WORDS = tuple(NAMES.get(phone, phone.name) for phone in PHONES)


def write(folder: Path, sessions: list[Session]) -> float:
    """Write folder/phones; returns 0, the seconds of audio."""
    about = LabelSet(kind="truth", classes=len(PHONES), frame_shift=SHIFT, window=WINDOW, made_by="tools/make_synth_corpus.py",
                     digest=digest_of("truth", *WORDS), labels="phones", names=WORDS)
    said, utt2spk = {}, {}
    with Writer(folder / "phones", about) as out:
        for session in sorted(sessions, key=lambda s: f"{s.person}-{s.video}-"):
            for utt, labels, numbers in utterances(session):
                out.write(utt, labels)
                said[utt] = " ".join(WORDS[i] for i in numbers if PHONES[i] is not PAUSE)
                utt2spk[utt] = session.person
    table.write(folder / "phones" / "phones", said, empty=True)
    table.write(folder / "phones" / "utt2spk", utt2spk)
    return 0.0


def utterances(session: Session) -> list[tuple[str, np.ndarray, np.ndarray]]:
    """Id, labels (T,) and phone numbers (N,) of each utterance of a session, from the same random draws as in `write_session`."""
    key, found = (session.person, session.video), []
    person = speaker.draw(session.gender, generator(session.seed, session.person))
    room = channel.draw(generator(session.seed, *key)).room
    late = 0 if room is None else int(np.argmax(room))   # samples; the direct sound is the loudest
    for i, name in enumerate(session.files()):
        rng = generator(session.seed, *key, i)
        seconds = float(rng.uniform(*session.seconds))
        numbers, lengths = voice.plan(person, seconds, rng)
        labels = frames(numbers, lengths, round(seconds * RATE), late)
        begin = (np.cumsum(lengths) - lengths) * FRAME + late / RATE
        heard = begin < (len(labels) - 1) * SHIFT + WINDOW / 2   # the plan extends a little beyond the end
        found.append((voxceleb.utterance_of(name), labels, numbers[heard]))
    return found


def frames(numbers: np.ndarray, lengths: np.ndarray, samples: int, late: int) -> np.ndarray:
    """Labels (T,) of a wave with this many samples, delayed by `late` samples; the middle of the plan's frame k is at k FRAME seconds."""
    track = np.repeat(numbers, lengths)
    count = max(0, 1 + (samples - round(WINDOW * RATE)) // round(SHIFT * RATE))
    middle = np.arange(count) * SHIFT + WINDOW / 2 - late / RATE
    return track[np.rint(middle / FRAME).astype(int).clip(0, len(track) - 1)]
