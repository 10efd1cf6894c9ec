"""Noises, impulse responses and equalisers for the crops of a batch, drawn in the loader's workers.

A worker only seeks and slices int16 samples, or says where they lie on the device (data.resident); convolution and mixing are
sslspk.features.augment's, in batch on the device.
"""
from pathlib import Path
from typing import NamedTuple

import numpy as np

from sslspk.data.config_augment import AugmentConfig
from sslspk.data.index import UtteranceIndex
from sslspk.data.places import NOTHING, Layout, Sources
from sslspk.errors import InputError

TRIES = 4           # slices tried for one crop when noises have silent stretches
SILENT_RMS = 5.0    # on the int16 scale; amplified to an SNR, anything below would be rounding noise


class Draw(NamedTuple):
    """What happens to one crop of S samples. A part that is switched off altogether has length 0.

    With the recordings on the device noise, rir and speech are places, int64 (3,), of as many samples (data.places).
    """

    noise: np.ndarray       # int16 (S,), zeros when there is none
    snr_db: np.float32      # NaN: no noise
    rir: np.ndarray         # int16 (L,), L = rir_seconds; zeros when there is none
    has_rir: np.bool_
    eq_db: np.ndarray       # float32 (P,), zeros: flat
    gain_db: np.float32
    speech: np.ndarray      # int16 (S,), another voice besides; zeros when there is none
    speech_db: np.float32   # its SNR; NaN: none


class NoiseBank:
    """The noises and rooms below `folder` (steps/make_augment_lists.sh), as arrays that forked workers share.

    noises, rooms: kind -> its recordings. Kinds without a weight, or not there, are left out.
    Raises InputError when nothing is there that the configuration could use.
    """

    def __init__(self, folder: str | Path, config: AugmentConfig, rate: int = 16000):
        self.config = config
        self.noises = _find(folder, "", config.noise_weights.model_dump()) if config.noise_prob > 0 else {}
        self.speech = _find(folder, "", {"speech": config.speech_prob}).get("speech") if config.speech_prob > 0 else None
        self.rooms = _find(folder, "rir_", config.rir_weights.model_dump()) if config.reverb_prob > 0 else {}
        wanted = config.noise_prob > 0 or config.reverb_prob > 0 or config.speech_prob > 0
        if wanted and not self.noises and not self.rooms and self.speech is None:
            raise InputError(f"{folder} holds no noise and no impulse response that augment asks for; make it with "
                             "steps/make_augment_lists.sh (stage 2 of run.sh), or correct augment.dir.")
        self._noise_odds = _odds(self.noises, config.noise_weights.model_dump())
        self._room_odds = _odds(self.rooms, config.rir_weights.model_dump())
        self.rir_length = round(config.rir_seconds * rate) if self.rooms else 0
        self._eq_points = config.eq_points if config.eq_prob > 0 and config.eq_db > 0 else 0
        self.layout: Layout | None = None   # once the recordings are on the device (data.resident)

    def sources(self) -> Sources:
        """All recordings that may be drawn; rooms are cut or filled to rir_seconds."""
        noises = [*self.noises.values(), *([self.speech] if self.speech is not None else [])]
        return {index.data: (index, None) for index in noises} | {index.data: (index, self.rir_length) for index in self.rooms.values()}

    def describe(self) -> str:
        """One line for the log: which kinds there are and how many recordings of each."""
        kinds = {**self.noises, **({"another voice": self.speech} if self.speech is not None else {}),
                 **{f"rir_{kind}": index for kind, index in self.rooms.items()}}
        where = f"; on the device, {2 * self.layout.size / 1e9:.3g} GB" if self.layout else ""
        return (", ".join(f"{kind} {len(index.length)}" for kind, index in kinds.items()) or "no noises, no rooms") + where

    def pick(self, rng: np.random.Generator, num_samples: int) -> Draw:
        """Draw everything that happens to one crop of `num_samples`. Raises InputError naming a noise or room that cannot be read."""
        config = self.config
        reverb = bool(self.rooms) and rng.random() < config.reverb_prob
        noisy = bool(self.noises) and rng.random() < config.noise_prob and not (reverb and config.mode == "either")
        rir = self._read_rir(rng) if reverb else self._silence(self.rir_length)
        noise, snr = self._silence(num_samples if self.noises else 0), np.nan
        if noisy:
            kind = rng.choice(list(self.noises), p=self._noise_odds)
            noise, snr = self._draw_noise(rng, self.noises[kind], getattr(config.snr_db, kind), num_samples)
        eq, gain = self._draw_eq(rng), np.float32(rng.uniform(*config.gain_db))
        speech, level = self._silence(num_samples if self.speech is not None else 0), np.nan
        if self.speech is not None and rng.random() < config.speech_prob:
            speech, level = self._draw_noise(rng, self.speech, config.snr_db.speech, num_samples)
        return Draw(noise, np.float32(snr), rir, np.bool_(reverb), eq, gain, speech, np.float32(level))

    def nothing(self, num_samples: int) -> Draw:
        """The draw, in the shapes of `pick`, after which a crop of `num_samples` is what it was."""
        return Draw(self._silence(num_samples if self.noises else 0), np.float32(np.nan), self._silence(self.rir_length), np.bool_(False),
                    np.zeros(self._eq_points, np.float32), np.float32(0), self._silence(num_samples if self.speech is not None else 0),
                    np.float32(np.nan))

    def _silence(self, size: int) -> np.ndarray:
        return NOTHING if self.layout and size else np.zeros(size, np.int16)

    def _read_rir(self, rng: np.random.Generator) -> np.ndarray:
        index = self.rooms[rng.choice(list(self.rooms), p=self._room_odds)]
        which = int(rng.integers(len(index.length)))
        if self.layout:
            return self.layout.place(index, which, 0, self.rir_length)
        out = np.zeros(self.rir_length, np.int16)
        count = min(len(out), int(index.length[which]))
        out[:count] = read(index, which, 0, count)
        return out

    def _draw_noise(self, rng: np.random.Generator, index: UtteranceIndex, span: tuple[float, float],
                    size: int) -> tuple[np.ndarray, float]:
        """(`size` samples that are not silent, their SNR from `span`); (silence, NaN) when all tries were silent."""
        snr = rng.uniform(*span)
        for _ in range(TRIES):
            which = int(rng.integers(len(index.length)))
            part = _part(rng, int(index.length[which]), size)
            place = self.layout.place(index, which, *part) if self.layout else None
            if place is not None and self.layout.surely_above(place, size, SILENT_RMS):
                return place, snr
            noise = _samples(index, which, part, size)
            if rms(noise) >= SILENT_RMS:
                return noise if place is None else place, snr
        return self._silence(size), np.nan

    def _draw_eq(self, rng: np.random.Generator) -> np.ndarray:
        if self._eq_points and rng.random() < self.config.eq_prob:
            return rng.uniform(-self.config.eq_db, self.config.eq_db, self._eq_points).astype(np.float32)
        return np.zeros(self._eq_points, np.float32)


class Part(NamedTuple):
    """`count` samples of a recording from `start` on; shift: where in the crop they begin, if they are played again and again."""

    start: int
    count: int
    shift: int


def _part(rng: np.random.Generator, length: int, size: int) -> Part:
    """A random place for `size` samples in a recording of `length`; a shorter recording is played again and again."""
    if length >= size:
        return Part(int(rng.integers(length - size + 1)), size, 0)
    return Part(0, length, int(rng.integers(length)))


def _samples(index: UtteranceIndex, which: int, part: Part, size: int) -> np.ndarray:
    found = read(index, which, part.start, part.count)
    return found if part.count == size else np.resize(np.roll(found, part.shift), size)


def read(index: UtteranceIndex, which: int, start: int, count: int) -> np.ndarray:
    """Samples of a noise or a room. What cannot be read is a fault of the set-up, not of the recording that it was meant for."""
    try:
        return index.samples(which, start, count)
    except (InputError, OSError) as err:
        raise InputError(f"the augmentation recording {index.keys[which]} cannot be read ({err}); make the lists again with "
                         "steps/make_augment_lists.sh.") from err


def rms(samples: np.ndarray) -> float:
    """Root mean square of (S,), 0 when there are no samples."""
    wave = samples.astype(np.float32)
    return float(np.sqrt(wave.dot(wave) / max(len(wave), 1)))


def _find(folder: str | Path, prefix: str, weights: dict[str, float]) -> dict[str, UtteranceIndex]:
    """The packed directories folder/{prefix}{kind} of the kinds that have a weight. Raises InputError on one that lacks a table."""
    return {kind: UtteranceIndex(Path(folder) / f"{prefix}{kind}", "wave") for kind, weight in weights.items()
            if weight > 0 and (Path(folder) / f"{prefix}{kind}").is_dir()}


def _odds(found: dict[str, UtteranceIndex], weights: dict[str, float]) -> np.ndarray:
    share = np.array([weights[kind] for kind in found], np.float64)
    return share / share.sum() if len(share) else share
