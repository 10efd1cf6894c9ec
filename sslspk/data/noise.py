"""Noises, impulse responses and equalisers for the crops of a batch, drawn in the loader's workers.

A worker only seeks and slices int16 samples; convolution and mixing are sslspk.features.augment's, in batch on the device.
"""
from pathlib import Path
from typing import NamedTuple

import numpy as np

from sslspk.data.config_augment import AugmentConfig
from sslspk.data.index import UtteranceIndex
from sslspk.errors import InputError

TRIES = 4           # slices tried for one crop when noises have silent stretches
SILENT_RMS = 5.0    # on the int16 scale; amplified to an SNR, anything below would be rounding noise


class Draw(NamedTuple):
    """What happens to one crop of S samples. A part that is switched off altogether has length 0."""

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
        self._rir_length = round(config.rir_seconds * rate) if self.rooms else 0
        self._eq_points = config.eq_points if config.eq_prob > 0 and config.eq_db > 0 else 0

    def describe(self) -> str:
        """One line for the log: which kinds there are and how many recordings of each."""
        kinds = {**self.noises, **({"another voice": self.speech} if self.speech is not None else {}),
                 **{f"rir_{kind}": index for kind, index in self.rooms.items()}}
        return ", ".join(f"{kind} {len(index.length)}" for kind, index in kinds.items()) or "no noises, no rooms"

    def pick(self, rng: np.random.Generator, num_samples: int) -> Draw:
        """Draw everything that happens to one crop of `num_samples`. Raises InputError naming a noise or room that cannot be read."""
        config = self.config
        reverb = bool(self.rooms) and rng.random() < config.reverb_prob
        noisy = bool(self.noises) and rng.random() < config.noise_prob and not (reverb and config.mode == "either")
        rir = np.zeros(self._rir_length, np.int16)
        if reverb:
            self._read_rir(rng, rir)
        noise, snr = np.zeros(num_samples if self.noises else 0, np.int16), np.nan
        if noisy:
            kind = rng.choice(list(self.noises), p=self._noise_odds)
            noise, snr = self._draw_noise(rng, self.noises[kind], getattr(config.snr_db, kind), noise)
        eq, gain = self._draw_eq(rng), np.float32(rng.uniform(*config.gain_db))
        speech, level = np.zeros(num_samples if self.speech is not None else 0, np.int16), np.nan
        if self.speech is not None and rng.random() < config.speech_prob:
            speech, level = self._draw_noise(rng, self.speech, config.snr_db.speech, speech)
        return Draw(noise, np.float32(snr), rir, np.bool_(reverb), eq, gain, speech, np.float32(level))

    def nothing(self, num_samples: int) -> Draw:
        """The draw, in the shapes of `pick`, after which a crop of `num_samples` is what it was."""
        return Draw(np.zeros(num_samples if self.noises else 0, np.int16), np.float32(np.nan), np.zeros(self._rir_length, np.int16),
                    np.bool_(False), np.zeros(self._eq_points, np.float32), np.float32(0),
                    np.zeros(num_samples if self.speech is not None else 0, np.int16), np.float32(np.nan))

    def _read_rir(self, rng: np.random.Generator, out: np.ndarray) -> None:
        index = self.rooms[rng.choice(list(self.rooms), p=self._room_odds)]
        which = int(rng.integers(len(index.length)))
        count = min(len(out), int(index.length[which]))
        out[:count] = _read(index, which, 0, count)

    def _draw_noise(self, rng: np.random.Generator, index: UtteranceIndex, span: tuple[float, float],
                    silence: np.ndarray) -> tuple[np.ndarray, float]:
        """(a slice that is not silent, its SNR from `span`); (`silence`, NaN) when all tries were silent."""
        snr = rng.uniform(*span)
        for _ in range(TRIES):
            which = int(rng.integers(len(index.length)))
            noise = _slice(rng, index, which, len(silence))
            if rms(noise) >= SILENT_RMS:
                return noise, snr
        return silence, np.nan

    def _draw_eq(self, rng: np.random.Generator) -> np.ndarray:
        if self._eq_points and rng.random() < self.config.eq_prob:
            return rng.uniform(-self.config.eq_db, self.config.eq_db, self._eq_points).astype(np.float32)
        return np.zeros(self._eq_points, np.float32)


def _slice(rng: np.random.Generator, index: UtteranceIndex, which: int, size: int) -> np.ndarray:
    """`size` samples of a recording from a random place; a shorter recording is played again and again."""
    length = int(index.length[which])
    if length >= size:
        return _read(index, which, int(rng.integers(length - size + 1)), size)
    whole = _read(index, which, 0, length)
    return np.resize(np.roll(whole, int(rng.integers(length))), size)


def _read(index: UtteranceIndex, which: int, start: int, count: int) -> np.ndarray:
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
