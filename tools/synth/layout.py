"""VoxCeleb's layouts: speakers, sessions and utterances, the files, the metadata and the trial list."""
import itertools
import zlib
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import soundfile

from synth import channel, speaker, voice

RATE = 16000
LETTERS = np.array(list("ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_"))
NATIONS = ("Ireland", "India", "UK", "USA", "Norway", "Canada")


@dataclass(frozen=True)
class Session:
    """One "video" of one speaker: `count` utterances of `seconds` (shortest, longest) under `folder`."""

    folder: Path
    split: str  # "dev" or "test"
    person: str  # idNNNNN
    gender: str
    video: str
    count: int
    seconds: tuple[float, float]
    seed: int
    suffix: str

    def files(self) -> list[str]:
        """Names as in a trial list: idNNNNN/video/NNNNN.wav."""
        return [f"{self.person}/{self.video}/{i:05d}{self.suffix}" for i in range(1, self.count + 1)]


def generator(seed: int, *key: object) -> np.random.Generator:
    """The random generator for `key`: the same for the same seed, in any process and order."""
    return np.random.default_rng([seed, zlib.crc32("/".join(map(str, key)).encode())])


def plan(
    folder: Path, first_id: int, speakers: dict[str, int], sessions: int, utts: int, seconds: tuple[float, float],
    seed: int, suffix: str,
) -> list[Session]:
    """The sessions of a corpus; `speakers` gives the number of speakers in each split; men and women alternate."""
    out, number = [], first_id
    for split, count in speakers.items():
        for i in range(count):
            person = f"id{number:05d}"
            number += 1
            names: set[str] = set()
            rng = generator(seed, person, "videos")
            while len(names) < sessions:
                names.add("".join(rng.choice(LETTERS, 11)))
            gender = "mf"[i % 2]
            out += [Session(folder, split, person, gender, v, utts, seconds, seed, suffix) for v in sorted(names)]
    return out


def write_session(session: Session) -> float:
    """Synthesise and write one session's files; returns the seconds of speech."""
    key = (session.person, session.video)
    person = speaker.draw(session.gender, generator(session.seed, session.person))
    conditions = channel.draw(generator(session.seed, *key))
    kind = "wav" if session.suffix == ".wav" else "aac"
    total = 0.0
    for i, name in enumerate(session.files()):
        rng = generator(session.seed, *key, i)
        wave = voice.utterance(person, float(rng.uniform(*session.seconds)), rng)
        wave = channel.record(wave, conditions, rng)
        path = session.folder / session.split / kind / name
        path.parent.mkdir(parents=True, exist_ok=True)
        if session.suffix == ".wav":
            soundfile.write(path, wave, RATE, subtype="PCM_16")
        else:
            write_m4a(path, wave)
        total += len(wave) / RATE
    return total


def write_m4a(path: Path, wave: np.ndarray) -> None:
    """Write mono AAC of 64 kbit/s in an .m4a; `wave` (S,) float32 in -1 .. 1."""
    import av

    with av.open(str(path), "w", format="mp4", options={"fflags": "+bitexact"}) as box:
        stream = box.add_stream("aac", rate=RATE, layout="mono", bit_rate=64000)
        samples = np.ascontiguousarray(wave[None], dtype=np.float32)
        frame = av.AudioFrame.from_ndarray(samples, format="fltp", layout="mono")
        frame.sample_rate = RATE
        for piece in (frame, None):
            box.mux(stream.encode(piece))


def vox1_meta(sessions: list[Session]) -> str:
    """vox1_meta.csv, tab-separated."""
    people = {s.person: (s.gender, s.split) for s in sessions}
    lines = ["VoxCeleb1 ID\tVGGFace1 ID\tGender\tNationality\tSet"]
    lines += [f"{p}\tSynthetic_{p[2:]}\t{g}\t{NATIONS[int(p[2:]) % len(NATIONS)]}\t{t}" for p, (g, t) in people.items()]
    return "\n".join(lines) + "\n"


def vox2_meta(sessions: list[Session]) -> str:
    """vox2_meta.csv: comma-separated, with the original's byte order mark and trailing blanks."""
    people = {s.person: (s.gender, s.split) for s in sessions}
    lines = ["\ufeffVoxCeleb2 ID ,VGGFace2 ID ,Gender ,Set "]
    lines += [f"{p} ,n{p[2:]} ,{g} ,{t} " for p, (g, t) in people.items()]
    return "\n".join(lines) + "\n"


def trials(sessions: list[Session], most: int, seed: int) -> str:
    """veri_test2.txt: lines `label enrol test`, no newline after the last.

    Target pairs come from two sessions of a speaker, at most `most` / 3 of them. There are twice as many non-target
    pairs, if the files allow, and half of these are of the same gender.
    """
    rng = generator(seed, "trials")
    test = [s for s in sessions if s.split == "test"]
    files = [(s, name) for s in test for name in s.files()]
    target, same, other = [], [], []
    for (a, x), (b, y) in itertools.combinations(files, 2):
        if a.person == b.person:
            if a.video != b.video:
                target.append((x, y))
        else:
            (same if a.gender == b.gender else other).append((x, y))
    target = _some(target, most // 3, rng)
    half = min(len(target), len(same), len(other))
    false = _some(same, half, rng) + _some(other, half, rng)
    lines = [f"1 {x} {y}" for x, y in target]
    lines += [f"0 {y} {x}" if rng.random() < 0.5 else f"0 {x} {y}" for x, y in false]
    return "\n".join(sorted(lines, key=lambda line: line[2:]))


def _some(pairs: list[tuple[str, str]], count: int, rng: np.random.Generator) -> list[tuple[str, str]]:
    keep = rng.permutation(len(pairs))[:count]
    return [pairs[i] for i in sorted(keep)]
