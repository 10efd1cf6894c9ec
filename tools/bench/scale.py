#!/usr/bin/env python3
"""Measures what a data directory of many recordings costs: CPU seconds and peak memory of each program that reads it.

usage: scale.py [--lines N ...] [--only NAME ...] [--jobs N] [--out DIR]

No audio is needed: the tables name packed archives that do not exist. Ids look like VoxCeleb's, with 150 recordings per speaker.
    validate  utils/validate_data_dir.sh      split   utils/split_data.sh into --jobs pieces       subset  every tenth utterance
    fix       utils/fix_data_dir.sh, with nothing to fix
    index     making the index of a training; again: opening it in another process      labels: with the speakers as classes
Each runs in its own process; its figures include starting Python and importing. The directory is made in --out (default: a new folder
in $TMPDIR, removed at the end).
"""
import argparse
import contextlib
import os
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

from sslspk.errors import entry

ROOT = Path(__file__).resolve().parents[2]
UNIT = 1 if sys.platform == "darwin" else 1024   # of ru_maxrss, bytes
LETTERS = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_"
INDEX = """import sys
from sslspk.data.index import UtteranceIndex
made = UtteranceIndex(sys.argv[1], 'wave', labels=len(sys.argv) > 2)
print(made.fingerprint(), len(made.classes))"""


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--lines", type=int, nargs="+", default=[100_000, 1_000_000])
    parser.add_argument("--only", nargs="+", choices=[*programs("", "", 1, 1)], default=[])
    parser.add_argument("--jobs", type=int, default=32)
    parser.add_argument("--out")
    args = parser.parse_args()
    print(f"{'':<12}{'lines':>12}{'CPU seconds':>13}{'peak MB':>10}")
    place = args.out or tempfile.mkdtemp(prefix="scale.")
    try:
        for lines in args.lines:
            data = os.path.join(place, str(lines))
            make(data, lines)
            for name, words in programs(data, os.path.join(place, "part"), lines, args.jobs).items():
                if not args.only or name in args.only:
                    cpu, peak = measure(words)
                    print(f"{name:<12}{lines:12,}{cpu:13.2f}{peak:10.0f}", flush=True)
            shutil.rmtree(data)
    finally:
        if not args.out:
            shutil.rmtree(place)


def programs(data: str, out: str, lines: int, jobs: int) -> dict[str, list[str]]:
    """The command of each figure, in running order."""
    run = [sys.executable, "-m"]
    index = [sys.executable, "-c", INDEX, data]
    return {"validate": [*run, "sslspk.bin.validate_data_dir", "--no-feats", data],
            "split": [*run, "sslspk.bin.split_data", data, str(jobs)],
            "subset": [*run, "sslspk.bin.subset_data_dir", data, str(max(lines // 10, 1)), out],
            "fix": [*run, "sslspk.bin.fix_data_dir", data],
            "index": index, "again": index, "labels": [*index, "labels"]}


def make(data: str, lines: int) -> None:
    """Write a data directory of `lines` recordings with wav.scp, utt2spk, spk2utt, utt2num_samples and utt2dur."""
    os.makedirs(data, exist_ok=True)
    names = ("wav.scp", "utt2spk", "spk2utt", "utt2num_samples", "utt2dur")
    with contextlib.ExitStack() as stack:   # line by line: a child's peak includes the memory of this program
        write(data, lines, {name: stack.enter_context(open(os.path.join(data, name), "w")) for name in names})


def write(data: str, lines: int, tables: dict) -> None:
    speaker = []
    for i in range(lines):
        spk = f"id{i // 150:07d}"
        video = "".join(LETTERS[(i // 10 * 2654435761 >> 3 * k) & 63] for k in range(8))
        utt, samples = f"{spk}-{i // 10 % 15:02d}{video}-{i % 10:05d}", 64000 + i * 7919 % 160000
        tables["wav.scp"].write(f"{utt} {data}/ark/audio.{i * 32 // lines + 1}.ark:{i % (lines // 32 + 1) * 200_000 + 45}\n")
        tables["utt2spk"].write(f"{utt} {spk}\n")
        tables["utt2num_samples"].write(f"{utt} {samples}\n")
        tables["utt2dur"].write(f"{utt} {samples / 16000:.3f}\n")
        speaker.append(utt)
        if i % 150 == 149 or i + 1 == lines:
            tables["spk2utt"].write(f"{spk} {' '.join(speaker)}\n")
            speaker = []


def measure(words: list[str]) -> tuple[float, float]:
    """(CPU seconds, peak memory in 10^6 bytes) of a command; its failure ends this program."""
    child = subprocess.Popen(words, cwd=ROOT, env={**os.environ, "PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": "1"},
                             stdout=subprocess.DEVNULL)
    _, status, used = os.wait4(child.pid, 0)
    child.returncode = os.waitstatus_to_exitcode(status)
    if child.returncode:
        sys.exit(f"{' '.join(words)} failed with status {child.returncode}")
    return used.ru_utime + used.ru_stime, used.ru_maxrss * UNIT / 1e6


if __name__ == "__main__":
    entry(main)
