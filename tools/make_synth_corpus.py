#!/usr/bin/env python3
"""Synthesise small speech corpora in the layouts of VoxCeleb1, VoxCeleb2, MUSAN, RIRS_NOISES, IEMOCAP, ADReSS, LibriSpeech
and VoxLingua107.

Speakers differ in vocal tract, formant habits, glottal source, pitch and rate, utterances in their words and manner. The
sessions ("videos") of a speaker differ in channel, room and noise, so that averages over time distinguish recordings rather than
people. Pitch, loudness and rate express emotion, pauses and rate stand for dementia, and a language is its set of sounds and
their order. The files depend only on the options other than --nj. A corpus that the same program made with the same options is
left alone.
"""
import argparse
import hashlib
import json
import os
import shutil
import sys
from collections.abc import Callable
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from functools import partial
from pathlib import Path

sys.path.insert(0, os.path.dirname(os.path.dirname(os.path.realpath(__file__))))   # this checkout comes before any other sslspk
from sslspk.errors import InputError, entry
from sslspk.io.lock import alone

STAMP = ".synth.json"
Jobs = list[Callable[[], float]]


def options(arguments: list[str] | None = None) -> argparse.Namespace:
    """The command line, checked."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.ArgumentDefaultsHelpFormatter)
    add = parser.add_argument
    add("out", type=Path, help="folder that gets VoxCeleb1, musan, RIRS_NOISES and more")
    add("--only", type=str.split, metavar="WORDS", help=f"write only these, whatever else is switched on: {' '.join(CORPORA)}")
    add("--speakers", type=int, default=90, help="VoxCeleb1's dev speakers")
    add("--test-speakers", type=int, default=24, help="VoxCeleb1's test speakers, who are not dev speakers")
    add("--sessions", type=int, default=3, help="sessions of a speaker")
    add("--utts", type=int, default=4, help="utterances in a session")
    add("--seconds", type=float, nargs=2, default=(2.5, 5.0), metavar=("LO", "HI"), help="length of an utterance")
    add("--trials", type=int, default=4500, help="most trials in veri_test2.txt, a third of them targets")
    add("--voxceleb2", choices=("true", "false"), default="true", help="write VoxCeleb2 as well")
    add("--voxceleb2-speakers", type=int, default=8, help="VoxCeleb2's dev speakers (and a quarter as many for test)")
    add("--musan-files", type=int, default=18, help="files each of noise, music and speech")
    add("--rooms", type=int, default=6, help="rooms of each size")
    add("--rirs", type=int, default=5, help="impulse responses of a room")
    add("--iemocap", choices=("true", "false"), default="false", help="write IEMOCAP as well")
    add("--emotion-utts", type=int, default=24, help="IEMOCAP's utterances of an actor")
    add("--adress", choices=("true", "false"), default="false", help="write ADReSS as well")
    add("--ad-participants", type=int, default=12, help="ADReSS' participants of a class (and half as many for test)")
    add("--ad-turns", type=int, default=8, help="turns of a participant")
    add("--librispeech", choices=("true", "false"), default="false", help="write LibriSpeech as well")
    add("--libri-speakers", type=int, default=40, help="LibriSpeech's speakers of train-clean-100 (and a quarter as many for dev and test)")
    add("--chapters", type=int, default=3, help="chapters per LibriSpeech speaker")
    add("--voxlingua107", choices=("true", "false"), default="false", help="write VoxLingua107 as well")
    add("--languages", type=int, default=5, help="VoxLingua107's languages")
    add("--videos", type=int, default=16, help="videos of a language, of --utts utterances each (and a quarter as many for dev)")
    add("--seed", type=int, default=0)
    add("--nj", type=int, default=os.cpu_count() or 1, help="processes")
    args = parser.parse_args(arguments)
    check(args)
    return args


def check(args: argparse.Namespace) -> None:
    """Raise InputError for sizes from which no corpus can be made."""
    least = {"speakers": 2, "test_speakers": 4, "sessions": 2, "utts": 1, "trials": 3, "voxceleb2_speakers": 1,
             "musan_files": 1, "rooms": 1, "rirs": 1, "emotion_utts": 6, "ad_participants": 1, "ad_turns": 1, "libri_speakers": 2,
             "chapters": 2, "languages": 2, "videos": 3, "seed": 0, "nj": 1}
    for name, lowest in least.items():
        if getattr(args, name) < lowest:
            raise InputError(f"--{name.replace('_', '-')} is {getattr(args, name)}, give at least {lowest}.")
    low, high = args.seconds
    if not 0.5 <= low <= high <= 60:
        raise InputError(f"--seconds is {low:g} {high:g}, give two lengths from 0.5 to 60 s, the shorter one first.")
    for name, highest in {"emotion_utts": 999, "ad_participants": 78, "libri_speakers": 4000, "chapters": 10,
                          "languages": 12}.items():
        if getattr(args, name) > highest:
            raise InputError(f"--{name.replace('_', '-')} is {getattr(args, name)}, the names can number {highest} at most.")
    if args.only is not None and (not args.only or set(args.only) - set(CORPORA)):
        raise InputError(f"--only is '{' '.join(args.only)}', give some of: {' '.join(CORPORA)}.")
    if args.speakers + args.test_speakers > 89999:
        raise InputError("--speakers and --test-speakers are more than the ids can number, give fewer than 90000.")


def stamp(args: argparse.Namespace, names: tuple[str, ...]) -> str:
    """Everything that decides the bytes of a corpus: the options `names`, which it reads, and the program."""
    here = Path(__file__).resolve().parent
    digest = hashlib.md5()
    for path in (Path(__file__).resolve(), *sorted((here / "synth").glob("*.py"))):
        digest.update(path.read_bytes())
    given = {name: getattr(args, name) for name in sorted({*names, "seed"})}
    return json.dumps({"options": given, "program": digest.hexdigest()}, default=list, sort_keys=True) + "\n"


def voxceleb1(folder: Path, args: argparse.Namespace) -> Jobs:
    """Write lists and metadata; the jobs write the speech, and its exact phones as frame labels."""
    from synth import layout, truth

    counts = {"dev": args.speakers, "test": args.test_speakers}
    sessions = layout.plan(folder, 10001, counts, args.sessions, args.utts, tuple(args.seconds), args.seed, ".wav")
    (folder / "vox1_meta.csv").write_text(layout.vox1_meta(sessions), encoding="utf-8")
    (folder / "veri_test2.txt").write_text(layout.trials(sessions, args.trials, args.seed))
    return [partial(truth.write, folder, sessions), *(partial(layout.write_session, s) for s in sessions)]


def voxceleb2(folder: Path, args: argparse.Namespace) -> Jobs:
    """Write the metadata; the jobs write the speech, of speakers not in VoxCeleb1."""
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


def iemocap(folder: Path, args: argparse.Namespace) -> Jobs:
    """The jobs write the dialogs and the raters' verdicts."""
    from synth import emotion

    return emotion.iemocap(folder, args.emotion_utts, tuple(args.seconds), args.seed)


def adress(folder: Path, args: argparse.Namespace) -> Jobs:
    """Write the metadata; the jobs write recordings, chunks and transcripts."""
    from synth import adress as layout

    return layout.adress(folder, args.ad_participants, args.ad_turns, tuple(args.seconds), args.seed)


def librispeech(folder: Path, args: argparse.Namespace) -> Jobs:
    """Write SPEAKERS.TXT; the jobs write the speech."""
    from synth import librispeech as layout

    few = max(4, args.libri_speakers // 4)
    counts = {"train-clean-100": args.libri_speakers, "dev-clean": few, "test-clean": few}
    return layout.librispeech(folder, counts, args.chapters, args.utts, tuple(args.seconds), args.seed)


def voxlingua107(folder: Path, args: argparse.Namespace) -> Jobs:
    """The jobs write the videos."""
    from synth import language

    return language.voxlingua107(folder, args.languages, args.videos, max(1, args.videos // 4), args.utts, tuple(args.seconds), args.seed)


@dataclass(frozen=True)
class Corpus:
    """The name of a corpus's folder, the function that makes its jobs, and the options that it reads besides --seed."""

    folder: str
    make: Callable[[Path, argparse.Namespace], Jobs]
    options: tuple[str, ...]


CORPORA = {
    "voxceleb1": Corpus("VoxCeleb1", voxceleb1, ("speakers", "test_speakers", "sessions", "utts", "seconds", "trials")),
    "musan": Corpus("musan", musan, ("musan_files",)),
    "rirs": Corpus("RIRS_NOISES", rirs_noises, ("rooms", "rirs")),
    "voxceleb2": Corpus("VoxCeleb2", voxceleb2, ("voxceleb2_speakers", "sessions", "utts", "seconds")),
    "iemocap": Corpus("IEMOCAP", iemocap, ("emotion_utts", "seconds")),
    "adress": Corpus("ADReSS", adress, ("ad_participants", "ad_turns", "seconds")),
    "librispeech": Corpus("LibriSpeech", librispeech, ("libri_speakers", "chapters", "utts", "seconds")),
    "voxlingua107": Corpus("VoxLingua107", voxlingua107, ("languages", "videos", "utts", "seconds")),
}


def wanted(args: argparse.Namespace) -> list[Corpus]:
    """The corpora to write: those of --only, or all that are not switched off."""
    switches = {"voxceleb2": args.voxceleb2, "iemocap": args.iemocap, "adress": args.adress, "librispeech": args.librispeech,
                "voxlingua107": args.voxlingua107}
    return [c for name, c in CORPORA.items() if (name in args.only if args.only else switches.get(name, "true") == "true")]


def run(job: Callable[[], float]) -> float:
    """Run one job, in any process."""
    import soundfile

    try:
        return job()
    except soundfile.LibsndfileError as err:
        raise InputError(f"a recording cannot be written ({err}); free some space or choose another OUT, then run the same command "
                         "again.") from None


def work(jobs: Jobs, nj: int) -> float:
    """Do the jobs in `nj` processes; returns the seconds of audio written."""
    from sslspk import progress

    if nj == 1:
        return sum(run(job) for job in progress.over(jobs, "jobs"))
    with ProcessPoolExecutor(nj) as pool:
        return sum(progress.over(pool.map(run, jobs, chunksize=2), "jobs", len(jobs)))


def main() -> int:
    args = options()
    with alone(args.out):
        return make(args)


def make(args: argparse.Namespace) -> int:
    """Make the missing corpora, each under a temporary name until it is whole."""
    jobs, ready = [], []
    for corpus in wanted(args):
        final, part = args.out / corpus.folder, args.out / f".{corpus.folder}.part"
        mark = stamp(args, corpus.options)
        if final.exists() and not (final / STAMP).exists():
            raise InputError(f"{final} is there and was not made by this program: choose another OUT or move it away.")
        if final.exists() and (final / STAMP).read_bytes() == mark.encode():
            print(f"{final} is there already, skipped")
            continue
        shutil.rmtree(part, ignore_errors=True)
        part.mkdir(parents=True)
        jobs += corpus.make(part, args)
        ready.append((part, final, mark))
    if jobs:
        print(f"{args.out}: synthesising {', '.join(final.name for _, final, _ in ready)}", flush=True)
        seconds = work(jobs, args.nj)
        for part, final, mark in ready:
            (part / STAMP).write_text(mark)
            shutil.rmtree(final, ignore_errors=True)
            part.rename(final)
        print(f"{args.out}: {seconds / 60:.1f} minutes of audio in {', '.join(final.name for _, final, _ in ready)}")
    return 0


if __name__ == "__main__":
    entry(main)
