"""MUSAN's and RIRS_NOISES' layouts, filled with made-up noises, music, speech and rooms."""
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import numpy as np
import soundfile

from synth import channel, sounds, speaker, voice
from synth.layout import RATE, generator

SIZES = {  # ranges of reverberation time in s and distance of the source in m, roughly as in the simulated rooms of Ko et al. 2017
    "smallroom": ((0.15, 0.5), (0.5, 3.0)),
    "mediumroom": ((0.2, 0.8), (1.0, 6.0)),
    "largeroom": ((0.4, 1.0), (2.0, 12.0)),
}
LICENSE = "Synthesised by tools/make_synth_corpus.py; no rights are claimed.\n"


@dataclass(frozen=True)
class Sound:
    """A file of MUSAN: `kind` is one of sounds.NOISES, "music" or "speech"."""

    path: Path
    kind: str
    seconds: float
    seed: int


def write_sound(sound: Sound) -> float:
    """Write one file of MUSAN; returns its seconds."""
    rng = generator(sound.seed, sound.path.name)
    samples = round(sound.seconds * RATE)
    if sound.kind == "speech":
        wave = voice.utterance(speaker.draw("mf"[rng.integers(2)], rng), sound.seconds, rng)
        wave = 0.5 * wave / np.abs(wave).max()
    elif sound.kind == "music":
        wave = sounds.music(samples, rng)
    else:
        wave = sounds.noise(sound.kind, samples, rng)
    soundfile.write(sound.path, wave, RATE, subtype="PCM_16")
    return sound.seconds


def musan(folder: Path, count: int, seed: int) -> list[partial]:
    """Lay out `count` files each of noise, music and speech; returns the jobs that write them."""
    jobs: list[partial] = []
    sources = {"noise": ("synth-noise", 8.0), "music": ("synth-music", 15.0), "speech": ("synth-read", 12.0)}
    for kind, (source, seconds) in sources.items():
        place = folder / kind / source
        place.mkdir(parents=True)
        notes = []
        for i in range(count):
            name = f"{kind}-{source}-{i:04d}"
            what = sounds.NOISES[i % len(sounds.NOISES)] if kind == "noise" else kind
            length = seconds * generator(seed, name, "length").uniform(0.8, 1.3)
            jobs.append(partial(write_sound, Sound(place / f"{name}.wav", what, round(length, 3), seed)))
            extra = {"noise": what, "music": "instrumental N synthesiser", "speech": "m" if i % 2 else "f"}[kind]
            notes.append(f"{name} {extra}\n")
        (place / "ANNOTATIONS").write_text("".join(notes))
        (place / "LICENSE").write_text(LICENSE)
    (folder / "README").write_text("In the layout of MUSAN (Snyder, Chen, Povey 2015): synthesised sounds.\n")
    return jobs


def rirs(folder: Path, rooms: int, per_room: int, seed: int) -> list[partial]:
    """Lay out `rooms` rooms of each size with `per_room` responses each, and a few "real" ones; returns the jobs that write them."""
    jobs: list[partial] = []
    for size in SIZES:
        place, lines = folder / "simulated_rirs" / size, []
        for room in (f"Room{i:03d}" for i in range(1, rooms + 1)):
            (place / room).mkdir(parents=True)
            names = [f"{room}-{i:05d}" for i in range(1, per_room + 1)]
            lines += [_rir_line(n, f"{size[:-4]}_{room}", f"simulated_rirs/{size}/{room}/{n}.wav") for n in names]
            jobs.append(partial(write_room, place / room, names, size, seed))
        (place / "rir_list").write_text("".join(lines))
        (place / "room_info").write_text("".join(f"Room{i:03d} {size}\n" for i in range(1, rooms + 1)))
    return [*jobs, _real(folder, max(2, rooms // 2), seed)]


def _rir_line(name: str, room: str, path: str) -> str:
    return (f"--rir-id {room}_{name} --room-id {room} --receiver-position-id {room}_{name[:7]} "
            f"--source-position-id {room}_{name} RIRS_NOISES/{path}\n")


def write_room(folder: Path, names: list[str], size: str, seed: int) -> float:
    """Write the responses of one simulated room, one channel each; returns the seconds."""
    (quick, slow), (near, far) = SIZES[size]
    room = generator(seed, size, folder.name)
    rt60, absorption = room.uniform(quick, slow), room.uniform(0.1, 0.5)
    total = 0.0
    for name in names:
        wave = channel.rir(rt60, room.uniform(near, far), absorption, room)
        soundfile.write(folder / f"{name}.wav", 0.9 * wave / np.abs(wave).max(), RATE, subtype="PCM_16")
        total += len(wave) / RATE
    return total


def _real(folder: Path, count: int, seed: int) -> partial:
    place = folder / "real_rirs_isotropic_noises"
    place.mkdir(parents=True)
    rooms = [f"{('small', 'medium', 'large')[i % 3]}room{i // 3 + 1}" for i in range(count)]
    names = [f"RVB2014_type1_rir_{room}_near_anglA" for room in rooms]
    noise = [f"RVB2014_type1_noise_{room}_1" for room in rooms]
    where = "real_rirs_isotropic_noises"
    pairs = list(zip(rooms, names, strict=True))
    (place / "rir_list").write_text("".join(_rir_line("anglA", room, f"{where}/{name}.wav") for room, name in pairs))
    (place / "noise_list").write_text("".join(
        f"--noise-id {name} --noise-type isotropic --room-linkage {room} RIRS_NOISES/{where}/{name}.wav\n"
        for room, name in zip(rooms, noise, strict=True)))
    return partial(write_real, place, names, noise, seed)


def write_real(folder: Path, names: list[str], noise: list[str], seed: int) -> float:
    """Write responses and isotropic noises of "real" rooms, with eight channels like the originals; returns the seconds."""
    total = 0.0
    for name, back in zip(names, noise, strict=True):
        rng = generator(seed, name)
        rt60, distance = rng.uniform(0.25, 0.9), rng.uniform(0.5, 3.0)
        wave = np.stack([channel.rir(rt60, distance, 0.3, rng) for _ in range(8)], 1)
        soundfile.write(folder / f"{name}.wav", 0.9 * wave / np.abs(wave).max(), RATE, subtype="PCM_16")
        hiss = np.stack([channel.coloured(2 * RATE, 0.8, rng) for _ in range(8)], 1)
        soundfile.write(folder / f"{back}.wav", 0.3 * hiss / np.abs(hiss).max(), RATE, subtype="PCM_16")
        total += len(wave) / RATE + 2.0
    return total
