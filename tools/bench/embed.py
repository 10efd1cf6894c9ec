#!/usr/bin/env python3
"""Measures what encoding recordings of equal length together saves: CPU seconds of embed(list) against one recording at a time.

usage: embed.py [--number N] [--seconds LEAST MOST] [--window S] [--device D] [MODEL FOLDER]

Recordings of random lengths are cut from the audio below FOLDER; without MODEL and FOLDER they are noise, and the model is an ECAPA-TDNN
(1024 channels) with random weights. On a GPU, seconds are wall time. CPU seconds, including features, of an ECAPA-TDNN (512 channels,
random weights) on real speech, one thread, while another program used the machine:

                                                        one at a time   together   largest difference
    100 of 2 to 10 s (--number 100)                              7.74       7.59              1.5e-07
    100 of 3 s (--number 100 --seconds 3 3)                      4.11       3.55              1.5e-07
    457 windows of 1.5 s (--number 60 --window 1.5)             12.20       9.50              2.1e-07
"""
import argparse
import tempfile
import time
from pathlib import Path

import made
import numpy as np

from sslspk.errors import InputError, count, entry, real


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--number", type=count, default=200, help="number of recordings (default 200)")
    parser.add_argument("--seconds", type=real, nargs=2, default=(2.0, 10.0), metavar=("LEAST", "MOST"),
                        help="seconds of each recording (default 2 10)")
    parser.add_argument("--window", type=real, help="embed windows of this many seconds, with a hop of half a window")
    parser.add_argument("--device", default="cpu")
    parser.add_argument("model", metavar="MODEL", nargs="?")
    parser.add_argument("folder", metavar="FOLDER", nargs="?")
    args = parser.parse_args()
    import torch

    import sslspk
    from sslspk.encoders import together
    torch.set_num_threads(1)
    clock = time.process_time if args.device == "cpu" else time.perf_counter
    with tempfile.TemporaryDirectory() as folder:
        model = sslspk.load(args.model or made.model(Path(folder) / "final.pt", made.systems(small=False)["supervised"]), args.device)
    lengths = np.random.default_rng(0).uniform(*args.seconds, args.number)
    pieces = cut(args.folder, lengths, model.rate) if args.folder else [made.noise(1, one, i)[0] for i, one in enumerate(lengths)]
    model.embed(pieces[:2], model.rate)
    found, seconds = {}, {}
    own = together.CPU_BATCH, together.DEVICE_BATCH
    for name, most in (("one at a time", (1, 1)), ("together", own)):
        (together.CPU_BATCH, together.DEVICE_BATCH), begin = most, clock()
        done = model.embed(pieces, model.rate, window=args.window)
        found[name] = done if args.window is None else np.concatenate([one.embeddings for one in done])
        seconds[name] = clock() - begin
    difference = np.abs(found["one at a time"] - found["together"]).max()
    audio = sum(len(one) for one in pieces) / model.rate
    print(f"{len(found['together'])} embeddings: " + ", ".join(f"{name} {value:.2f} s ({audio / value:.0f} times real time)"
                                                               for name, value in seconds.items())
          + f"; largest difference {difference:.1e} of {np.abs(found['together']).max():.2f}")


def cut(folder: str, seconds: np.ndarray, rate: int) -> list[np.ndarray]:
    """Pieces (S,) int16 of the audio below the folder at `rate`, one of each length in `seconds`."""
    from sslspk.api import recordings
    from sslspk.cli import inputs
    lengths, whole, wanted = np.rint(seconds * rate).astype(int), [], 0
    for clip in inputs.gather([folder]).values():
        whole.append(recordings.samples(recordings.Recording(clip.spec, clip), rate, "first"))
        wanted += len(whole[-1])
        if wanted >= lengths.sum():
            break
    if wanted < lengths.sum():
        raise InputError(f"{folder} holds {wanted / rate:.0f} s of audio, not {lengths.sum() / rate:.0f}; lower --number.")
    return np.split(np.concatenate(whole), np.cumsum(lengths))[:-1]


if __name__ == "__main__":
    entry(main)
