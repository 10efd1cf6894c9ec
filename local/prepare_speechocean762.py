#!/usr/bin/env python3
"""Lay speechocean762 out as VoxCeleb1, with its canonical phones: `local/prepare_speechocean762.py [--test-speakers "S S ..."] CORPUS OUT`.

CORPUS is the public corpus (OpenSLR 101): {train,test}/{wav.scp,utt2spk,spk2gender}, resource/text-phone, WAVE/. Writes OUT/{dev,test}/wav,
links to its recordings, OUT/vox1_meta.csv, OUT/veri_test2.txt, and OUT/phones.txt, the table that run.sh --phones of egs/disentangle
takes: `utt phone phone ...`, without the marks of stress and position. train/ becomes dev, test/ becomes test; with --test-speakers train/
alone is taken, and these of its speakers are test. A speaker's recordings are divided into four sessions in the order of their names; the
corpus has one sitting for each speaker, so that sessions do not differ in channel. Trials: all target pairs across sessions, and twice as
many others, half of them of one gender.
"""
import argparse
import os
import random
import sys
from collections.abc import Iterable, Mapping
from pathlib import Path

sys.path.insert(0, os.path.dirname(os.path.dirname(os.path.realpath(__file__))))   # this checkout comes before any other sslspk
from sslspk.errors import InputError, counted, entry, named
from sslspk.io import datadir, files, table, voxceleb

SESSIONS = 4


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--test-speakers", metavar="WORDS", help="speakers of train/ to test on, in place of test/")
    parser.add_argument("--seed", type=int, default=0, help="seed of the non-target trials (default: 0)")
    parser.add_argument("corpus", type=Path, metavar="CORPUS")
    parser.add_argument("out", type=Path, metavar="OUT")
    args = parser.parse_args()
    parts = divided(args.corpus, args.test_speakers)
    said, genders = phones(args.corpus / "resource/text-phone"), {}
    for part in ("train",) if args.test_speakers else ("train", "test"):
        genders |= table.read_loose(args.corpus / part / "spk2gender").entries
    for speakers in parts.values():
        require(speakers, genders, args.corpus, "spk2gender")
        require((utt for recordings in speakers.values() for utt in recordings), said, args.corpus, "resource/text-phone")
    lines, placed = {}, {"dev": {}, "test": {}}
    for part, speakers in parts.items():
        for speaker, recordings in speakers.items():
            for number, (utt, path) in enumerate(sorted(recordings.items())):
                session = f"s{number * SESSIONS // len(recordings)}"
                name = Path(f"id1{speaker}", session, f"{number + 1:05d}")
                link(args.out / part / "wav" / f"{name}.wav", path)
                placed[part].setdefault(speaker, []).append(name)
                lines[voxceleb.utterance(*name.parts)] = " ".join(said[utt])
    table.write(args.out / "phones.txt", lines)
    with files.atomic_write(args.out / "vox1_meta.csv") as file:
        file.write("VoxCeleb1 ID\tVGGFace1 ID\tGender\tNationality\tSet\n")
        for part, speakers in placed.items():
            file.writelines(f"id1{speaker}\tSpeaker_{speaker}\t{genders[speaker]}\tChina\t{part}\n" for speaker in speakers)
    with files.atomic_write(args.out / "veri_test2.txt") as file:
        file.writelines(f"{target:d} {one}.wav {other}.wav\n" for target, one, other in trials(placed["test"], genders, args.seed))
    print(f"{args.out}: {counted(len(lines), 'utterance')}, {counted(len(placed['dev']), 'speaker')} in dev, {len(placed['test'])} in test")


def divided(corpus: Path, chosen: str | None) -> dict[str, dict[str, dict[str, Path]]]:
    """{dev or test: {speaker: {utterance: its recording}}}. Raises InputError naming a speaker that train/ does not have."""
    parts = {"dev": speakers_of(corpus, "train")}
    if not chosen:
        return parts | {"test": speakers_of(corpus, "test")}
    unknown = next((word for word in chosen.split() if word not in parts["dev"]), None)
    if unknown is not None:
        raise InputError(f"--test-speakers: {unknown[:40]} is no speaker of {named(str(corpus), 80)}/train/utt2spk; take some of those.")
    return parts | {"test": {speaker: parts["dev"].pop(speaker) for speaker in sorted(set(chosen.split()))}}


def speakers_of(corpus: Path, part: str) -> dict[str, dict[str, Path]]:
    """{speaker: {utterance: its recording}} of train/ or test/."""
    wav, utt2spk = (table.read_loose(corpus / part / name).entries for name in ("wav.scp", "utt2spk"))
    require(utt2spk, wav, corpus, f"{part}/wav.scp")
    return {speaker: {utt: (corpus / wav[utt]).resolve() for utt in table.words(utts)} for speaker, utts in datadir.invert(utt2spk).items()}


def require(keys: Iterable[str], found: Mapping[str, object], corpus: Path, name: str) -> None:
    """Raise InputError naming the first key that a table of the corpus lacks."""
    missing = min(set(keys) - found.keys(), default=None)
    if missing is not None:
        raise InputError(f"{named(str(corpus), 80)}: {name} does not have {missing[:40]}; get the corpus again.")


def phones(path: Path) -> dict[str, list[str]]:
    """{utterance: its phones} of text-phone, whose lines are `UTTERANCE.WORD<tab>W_B IY0_E`."""
    words: dict[str, dict[int, list[str]]] = {}
    for key, said in table.read_loose(path).entries.items():
        utt, _, number = key.rpartition(".")
        if not (utt and number.isdigit()):
            raise InputError(f"{named(str(path))}: {key[:40]} is no UTTERANCE.WORD; get the corpus again.")
        words.setdefault(utt, {})[int(number)] = [phone.split("_")[0].rstrip("012") for phone in said.split()]
    return {utt: [phone for number in sorted(of) for phone in of[number]] for utt, of in words.items()}


def link(path: Path, source: Path) -> None:
    """Make path a link to source, whatever link was there."""
    path.parent.mkdir(parents=True, exist_ok=True)
    if path.is_symlink():
        path.unlink()
    path.symlink_to(source)


def trials(placed: dict[str, list[Path]], genders: dict[str, str], seed: int) -> list[tuple[bool, Path, Path]]:
    """Target pairs of different sessions, and twice as many non-target pairs, half of them of one gender where there are such."""
    pairs = [(True, one, other) for names in placed.values() for i, one in enumerate(names) for other in names[i + 1:]
             if one.parts[1] != other.parts[1]]
    rng, speakers, others = random.Random(seed), sorted(placed), {}
    near = {one: [other for other in speakers if other != one and genders[other] == genders[one]] for one in speakers}
    if len(speakers) < 2:
        raise InputError("there are no two speakers to test on, so there are no non-target trials; name more with --test-speakers.")
    for number in range(2 * len(pairs)):
        one = rng.choice(speakers)
        other = rng.choice(near[one] if number % 2 and near[one] else [speaker for speaker in speakers if speaker != one])
        others[rng.choice(placed[one]), rng.choice(placed[other])] = None
    return pairs + [(False, *pair) for pair in others]


if __name__ == "__main__":
    entry(main)
