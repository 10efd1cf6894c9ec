#!/usr/bin/env python3
"""Reads audio files of every kind and compares them with what ffmpeg decodes, sample by sample; writes a table.

usage: audio_table.py [--speech WAV] [--only WORD] [OUT.md]
Each file is made with ffmpeg, sox or libsndfile, and read under its own name and under wrong names. Then it is cut at a half,
at nine tenths and within its first 24 bytes, and read again: every cut must be refused. The table shows differences and
accepted cuts; either gives exit status 1. Needs ffmpeg and sox.
"""
import argparse
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import NamedTuple

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT))
import sslspk  # noqa: F401  names a missing package

sys.path.insert(0, str(ROOT / "tools" / "bench"))
import av
import numpy as np
import soundfile
from audio_cases import CASES, NO_LENGTH, Case

from sslspk.errors import InputError, entry
from sslspk.io import audio

CUTS = {"1/2": 0.5, "90 %": 0.9, "24 bytes": 24}
WRONG = {"x": "", "x.wav": ".wav", "x.flac": ".flac", "x.m4a": ".m4a"}


class Row(NamedTuple):
    """A line of the table, and whether everything is right."""

    cells: tuple[str, ...]
    good: bool


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--speech", type=Path, metavar="WAV", help="16 kHz, mono, 16 bit (default: 2.66 s of modulated noise)")
    parser.add_argument("--only", default="", metavar="WORD", help="only cases whose name contains WORD")
    parser.add_argument("out", nargs="?", type=Path, metavar="OUT.md", help="the table, as Markdown (default: printed)")
    args = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        place = Path(folder)
        speech = args.speech or synthesise(place / "speech.wav")
        rows = [look(case, speech, place) for case in CASES if args.only in case.name]
    heads = ["case", "bytes", "ffmpeg", "ours", "max difference", "a slice", "wrong names", *(f"cut at {cut}" for cut in CUTS)]
    lines = [f"| {' | '.join(heads)} |", "|---|" + "---:|" * 4 + "---|" * (2 + len(CUTS))]
    text = f"{versions()}\n\n" + "\n".join(lines + [f"| {' | '.join(row.cells)} |" for row in rows]) + "\n"
    if args.out:
        args.out.write_text(text)
    else:
        print(text, end="")
    bad = sum(not row.good for row in rows)
    print(f"{len(rows)} cases, {bad} not as they must be", file=sys.stderr)
    return int(bad > 0)


def versions() -> str:
    """The versions on which the table depends."""
    first = subprocess.run(["ffmpeg", "-version"], capture_output=True, text=True, check=True).stdout.split()[2]
    codec = ".".join(map(str, av.library_versions["libavcodec"]))
    return f"ffmpeg {first}; libsndfile {soundfile.__libsndfile_version__}; av {av.__version__} (libavcodec {codec})."


def synthesise(path: Path) -> Path:
    """Write 42560 samples of noise, whose loudness and colour change four times a second, and a tone."""
    rng, t = np.random.default_rng(0), np.arange(42560) / 16000
    wave = rng.standard_normal(len(t)) * (0.6 + 0.4 * np.sin(8 * np.pi * t)) * 600
    wave += 6000 * np.sin(2 * np.pi * (200 + 20 * np.sin(6 * t)) * t)
    soundfile.write(path, wave.astype(np.int16), 16000)
    return path


def look(case: Case, speech: Path, folder: Path) -> Row:
    """Make the file of a case, and read it as it is, misnamed, and cut."""
    path = folder / f"case{case.ext}"
    try:
        case.make(speech, path)
    except (subprocess.CalledProcessError, soundfile.LibsndfileError):
        return Row((case.name, *["cannot be made here"] * 9), False)
    expected, (found, said) = (sox if case.swapped else ffmpeg)(path), ours(path)
    length, gap, good = str(len(found)) if found is not None else said, "", found is not None
    if found is not None and expected is not None:
        gap = str(difference(found, expected))
        good = len(found) == len(expected) and int(gap) <= case.tolerance
    names = [name for name, ext in WRONG.items() if ext != case.ext and not same(path, folder / name, found)]
    cuts = [cut(path, share, folder / f"cut{case.ext}", found) for share in CUTS.values()]
    allowed = {"passes"} if case.name in NO_LENGTH else set()
    good = good and not names and all(verdict in {"refused", "truncated"} | allowed for verdict in cuts)
    slice_ = slices(path, found)
    good = good and slice_ == "same"
    cells = (case.name if good else f"**{case.name}**", str(path.stat().st_size), "-" if expected is None else str(len(expected)), length,
             gap or "-", slice_, "same" if not names else "differ: " + ", ".join(names), *cuts)
    path.unlink()
    return Row(cells, good)


def ffmpeg(path: Path) -> np.ndarray | None:
    """The first channel as ffmpeg decodes it, int16 (S,); None if it cannot."""
    done = subprocess.run(["ffmpeg", "-v", "error", "-i", path, "-map", "0:a:0", "-f", "s16le", "-"], capture_output=True, check=False)
    probe = subprocess.run(["ffprobe", "-v", "error", "-select_streams", "a:0", "-show_entries", "stream=channels", "-of", "csv=p=0", path],
                           capture_output=True, text=True, check=False)
    if done.returncode or not done.stdout:
        return None
    return np.frombuffer(done.stdout, "<i2").reshape(-1, int(probe.stdout.split()[0].strip(",")))[:, 0]


def sox(path: Path) -> np.ndarray:
    """The samples as sox decodes them, for files where ffmpeg takes the bytes in the wrong order."""
    done = subprocess.run(["sox", path, "-t", "raw", "-e", "signed", "-b", "16", "-L", "-"], capture_output=True, check=True)
    return np.frombuffer(done.stdout, "<i2")


def ours(path: Path) -> tuple[np.ndarray | None, str]:
    """The samples that sslspk reads, or why there are none."""
    try:
        return audio.read(str(path))[0], ""
    except InputError as err:
        return None, str(err).removeprefix(str(path)).strip()


def difference(found: np.ndarray, expected: np.ndarray) -> int:
    """The largest difference, over the samples that both have."""
    both = min(len(found), len(expected))
    return int(np.abs(found[:both].astype(int) - expected[:both]).max(initial=0))


def same(path: Path, other: Path, found: np.ndarray | None) -> bool:
    """Whether the same bytes give the same samples under another name."""
    shutil.copyfile(path, other)
    again, _ = ours(other)
    other.unlink()
    return (again is None) == (found is None) and (found is None or np.array_equal(again, found))


def slices(path: Path, found: np.ndarray | None) -> str:
    """Whether parts of the recording equal those of the whole."""
    if found is None:
        return "-"
    for start, count in ((0, 400), (len(found) // 3, 1000), (len(found) - 300, 300)):
        if not np.array_equal(audio.read_segment(str(path), start, count), found[start:start + count]):
            return f"differs at {start}"
    return "same" if audio.info(str(path))[0] == len(found) else f"info says {audio.info(str(path))[0]}"


def cut(path: Path, share: float, other: Path, found: np.ndarray | None) -> str:
    """The outcome of reading only the first part of the file."""
    data = path.read_bytes()
    other.write_bytes(data[:int(share * len(data)) if share < 1 else int(share)])
    samples, said = ours(other)
    other.unlink()
    if samples is None:
        return "truncated" if "truncated" in said else "refused"
    return "passes" if found is None or len(samples) < len(found) else "PASSES WHOLE"


if __name__ == "__main__":
    entry(main)
