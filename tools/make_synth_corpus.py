#!/usr/bin/env python3
"""Synthesise a small speech corpus in the layouts of VoxCeleb1, VoxCeleb2, MUSAN and RIRS_NOISES.

Speakers differ in vocal tract, formant habits, glottal source, pitch and rate; utterances in what is said and how;
the sessions ("videos") of a speaker in channel, room and noise, so that averages over time tell recordings apart rather
than people. The files depend on the options alone, not on --nj. A corpus that is there already, made by the same
program with the same options, is left alone.
"""
import argparse
import hashlib
import json
import os
import shutil
from collections.abc import Callable
from concurrent.futures import ProcessPoolExecutor
from functools import partial
from pathlib import Path

from sslspk.errors import InputError, entry

STAMP = ".synth.json"
Jobs = list[Callable[[], float]]


def options(arguments: list[str] | None = None) -> argparse.Namespace:
    """The command line, checked."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.ArgumentDefaultsHelpFormatter)
    add = parser.add_argument
    add("out", type=Path, help="folder that gets VoxCeleb1, VoxCeleb2, musan and RIRS_NOISES")
    add("--speakers", type=int, default=90, help="VoxCeleb1's dev speakers")
    add("--test-speakers", type=int, default=24, help="VoxCeleb1's test speakers, others than the dev speakers")
    add("--sessions", type=int, default=3, help="sessions of a speaker")
    add("--utts", type=int, default=4, help="utterances in a session")
    add("--seconds", type=float, nargs=2, default=(2.5, 5.0), metavar=("LO", "HI"), help="length of an utterance")
    add("--trials", type=int, default=4500, help="most trials in veri_test2.txt, a third of them targets")
    add("--voxceleb2", choices=("true", "false"), default="true", help="write VoxCeleb2 as well")
    add("--voxceleb2-speakers", type=int, default=8, help="VoxCeleb2's dev speakers (and a quarter as many for test)")
    add("--musan-files", type=int, default=18, help="files each of noise, music and speech")
    add("--rooms", type=int, default=6, help="rooms of each size")
    add("--rirs", type=int, default=5, help="impulse responses of a room")
    add("--seed", type=int, default=0)
    add("--nj", type=int, default=os.cpu_count() or 1, help="processes")
    args = parser.parse_args(arguments)
    check(args)
    return args


def check(args: argparse.Namespace) -> None:
    """Raise InputError for sizes from which no corpus can be made."""
    least = {"speakers": 2, "test_speakers": 4, "sessions": 2, "utts": 1, "trials": 3, "voxceleb2_speakers": 1,
             "musan_files": 1, "rooms": 1, "rirs": 1, "seed": 0, "nj": 1}
    for name, lowest in least.items():
        if getattr(args, name) < lowest:
            raise InputError(f"--{name.replace('_', '-')} is {getattr(args, name)}, give at least {lowest}.")
    low, high = args.seconds
    if not 0.5 <= low <= high <= 60:
        raise InputError(f"--seconds is {low:g} {high:g}, give two lengths from 0.5 to 60 s, the shorter one first.")
    if args.speakers + args.test_speakers > 89999:
        raise InputError("--speakers and --test-speakers are more than the ids can number, give fewer than 90000.")


def stamp(args: argparse.Namespace) -> str:
    """What decides the bytes of the files: the options (not which corpora are wanted) and the program."""
    here = Path(__file__).resolve().parent
    digest = hashlib.md5()
    for path in (Path(__file__).resolve(), *sorted((here / "synth").glob("*.py"))):
        digest.update(path.read_bytes())
    given = {k: v for k, v in sorted(vars(args).items()) if k not in ("out", "nj", "voxceleb2")}
    return json.dumps({"options": given, "program": digest.hexdigest()}, default=list, sort_keys=True) + "\n"


def voxceleb1(folder: Path, args: argparse.Namespace) -> Jobs:
    """Write lists and metadata; the jobs write the speech."""
    from synth import layout

    counts = {"dev": args.speakers, "test": args.test_speakers}
    sessions = layout.plan(folder, 10001, counts, args.sessions, args.utts, tuple(args.seconds), args.seed, ".wav")
    (folder / "vox1_meta.csv").write_text(layout.vox1_meta(sessions), encoding="utf-8")
    (folder / "veri_test2.txt").write_text(layout.trials(sessions, args.trials, args.seed))
    return [partial(layout.write_session, s) for s in sessions]


def voxceleb2(folder: Path, args: argparse.Namespace) -> Jobs:
    """Write the metadata; the jobs write the speech, of other speakers than VoxCeleb1's."""
    from synth import layout

    counts = {"dev": args.voxceleb2_speakers, "test": max(1, args.voxceleb2_speakers // 4)}
    sessions = layout.plan(folder, 12, counts, args.sessions, args.utts, tuple(args.seconds), args.seed, ".m4a")
    (folder / "vox2_meta.csv").write_text(layout.vox2_meta(sessions), encoding="utf-8")
    return [partial(layout.write_session, s) for s in sessions]


def musan(folder: Path, args: argparse.Namespace) -> Jobs:
    """The jobs write noise, music and speech."""
    from synth import ambient

    return ambient.musan(folder, args.musan_files, args.seed)


def rirs_noises(folder: Path, args: argparse.Namespace) -> Jobs:
    """The jobs write impulse responses and isotropic noise."""
    from synth import ambient

    return ambient.rirs(folder, args.rooms, args.rirs, args.seed)


def run(job: Callable[[], float]) -> float:
    """One job, in whichever process."""
    return job()


def work(jobs: Jobs, nj: int) -> float:
    """Do the jobs in `nj` processes; returns the seconds of audio written."""
    from tqdm import tqdm

    bar = partial(tqdm, total=len(jobs), unit="job", desc="synthesising", mininterval=0.5)
    if nj == 1:
        return sum(run(job) for job in bar(jobs))
    with ProcessPoolExecutor(nj) as pool:
        return sum(bar(pool.map(run, jobs, chunksize=2)))


def main() -> int:
    """Make what is missing, each corpus under another name until it is whole."""
    args = options()
    made = {"VoxCeleb1": voxceleb1, "musan": musan, "RIRS_NOISES": rirs_noises}
    if args.voxceleb2 == "true":
        made["VoxCeleb2"] = voxceleb2
    mark, jobs, ready = stamp(args), [], []
    for name, make in made.items():
        final, part = args.out / name, args.out / f".{name}.part"
        if final.exists() and not (final / STAMP).exists():
            raise InputError(f"{final} is there and was not made by this program: choose another OUT or move it away.")
        if final.exists() and (final / STAMP).read_text() == mark:
            print(f"{final} is there already, skipped")
            continue
        shutil.rmtree(part, ignore_errors=True)
        part.mkdir(parents=True)
        jobs += make(part, args)
        ready.append((part, final))
    if jobs:
        seconds = work(jobs, args.nj)
        for part, final in ready:
            (part / STAMP).write_text(mark)
            shutil.rmtree(final, ignore_errors=True)
            part.rename(final)
        print(f"{args.out}: {seconds / 60:.1f} minutes of audio in {', '.join(final.name for _, final in ready)}")
    return 0


if __name__ == "__main__":
    entry(main)
