#!/usr/bin/env python3
"""Hours of audio per CPU second on one thread: this project's filterbank and torchaudio's, on the same audio in one run.

Reading the files is not timed. The rounds of the two alternate and the best of each counts; "batch" is 64 crops of 2 s at once,
which torchaudio takes one by one. Also prints how much the features of the two differ.
usage: features.py [--rounds N] [--minutes M] [FOLDER OF WAVS]
"""
import argparse
import os
import sys
import time
from pathlib import Path

from sslspk.errors import InputError, entry

RATE, CROPS, CROP_SECONDS = 16000, 64, 2


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", nargs="?", type=Path, metavar="FOLDER", help="searched for *.wav at 16 kHz; default: synthetic noise")
    parser.add_argument("--minutes", type=float, default=5, help="most audio in a round (default: 5)")
    parser.add_argument("--rounds", type=int, default=5, help="rounds of each program (default: 5)")
    args = parser.parse_args()
    os.environ["OMP_NUM_THREADS"] = "1"

    import torch
    from torchaudio.compliance import kaldi

    from sslspk.features.config import FeatureOptions
    from sslspk.features.fbank import Extractor
    torch.set_num_threads(1)
    extractor = Extractor(FeatureOptions())
    waves = [torch.from_numpy(wave) for wave in (read(args.folder, args.minutes) if args.folder else synthetic(args.minutes))]
    crops = torch.cat(waves)[:CROPS * CROP_SECONDS * RATE]
    crops = crops[:len(crops) // CROPS * CROPS].view(CROPS, -1)

    def ours(wave):
        return extractor(wave[None])[0]

    def theirs(wave):
        return kaldi.fbank(wave[None].float(), num_mel_bins=80, dither=0.0, sample_frequency=RATE)

    print(f"{len(waves)} recordings, {sum(map(len, waves)) / RATE / 60:.1f} minutes; features differ by rms "
          f"{torch.cat([(ours(w) - theirs(w)).flatten() for w in waves[:20]]).square().mean().sqrt():.1e}")
    rows = (("recordings", waves, lambda: [ours(w) for w in waves], lambda: [theirs(w) for w in waves]),
            (f"batch {CROPS} x {crops.shape[1] / RATE:.1f} s", crops, lambda: extractor(crops), lambda: [theirs(w) for w in crops]))
    print(f"{'hours of audio per CPU second':<32} {'ours':>8} {'torchaudio':>12} {'ours / theirs':>14}")
    for title, audio, *works in rows:
        hours = sum(map(len, audio)) / RATE / 3600
        best = [hours / seconds for seconds in alternate(works, args.rounds)]
        print(f"{title:<32} {best[0]:8.3f} {best[1]:12.3f} {best[0] / best[1]:14.2f}")


def alternate(works: list, rounds: int) -> list[float]:
    """CPU seconds of the best round of each program."""
    best = [float("inf")] * len(works)
    for _ in range(rounds):
        for i, work in enumerate(works):
            begin = time.process_time()
            work()
            best[i] = min(best[i], time.process_time() - begin)
    return best


def read(folder: Path, minutes: float) -> list:
    """int16 recordings (S,) of a folder, up to `minutes` in all."""
    from sslspk.io import audio
    waves, room = [], minutes * 60 * RATE
    for path in sorted(folder.rglob("*.wav")):
        if room <= 0:
            break
        wave, rate = audio.read(str(path))
        if rate == RATE and len(wave) >= 400:  # torchaudio refuses less than one frame
            waves.append(wave)
            room -= len(wave)
    if not waves:
        raise InputError(f"{folder} holds no *.wav at {RATE} Hz; name another folder, or none for synthetic audio.")
    return waves


def synthetic(minutes: float) -> list:
    """Coloured noise of varying level, int16, in recordings of 4 to 14 s (VoxCeleb's mean is 8)."""
    import numpy as np
    rng, waves, room = np.random.default_rng(0), [], minutes * 60 * RATE
    while room > 0:
        size = int(rng.uniform(4, 14) * RATE)
        noise = np.convolve(rng.standard_normal(size), [1, 0.9, 0.7, 0.4], "same")
        waves.append((1500 * noise * (1 + np.sin(np.arange(size) / 3000))).astype(np.int16))
        room -= size
    return waves


if __name__ == "__main__":
    sys.path.insert(0, str(Path(__file__).resolve().parents[2]))
    entry(main)
