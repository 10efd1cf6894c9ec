"""The speakers of trials, for the bootstrap and the same-gender subset."""
from collections import defaultdict
from collections.abc import Mapping
from itertools import count
from typing import NamedTuple

import numpy as np

from sslspk.errors import InputError
from sslspk.io.trials import Trials


class TrialSpeakers(NamedTuple):
    """Speakers of N trials: their names (S,) and, for each side of a trial, rows of `names`, int32 (N,)."""

    names: list[str]
    enrol: np.ndarray
    test: np.ndarray


def of_trials(trials: Trials, utt2spk: Mapping[str, str] | None = None) -> TrialSpeakers:
    """Find the speakers of both sides of every trial.

    The speaker of an id is what utt2spk says, or the id itself when it is a speaker of utt2spk (an enrolment from several
    utterances). Without utt2spk it is what stands before the first "-" of the id, as in id10270-video-00001; an id that is
    made of letters and digits only is a speaker.
    Raises InputError naming an id without speaker, or a trial whose label contradicts the speakers.
    """
    number = defaultdict(count().__next__)  # of each id, in the order in which they appear
    sides = [np.fromiter(map(number.__getitem__, ids.tolist()), np.int32, len(ids)) for ids in (trials.enrol, trials.test)]
    names = list(number)
    speaker = _from_table(names, utt2spk) if utt2spk else _from_ids(names)
    speakers = sorted(set(speaker))
    row = dict(zip(speakers, range(len(speakers)), strict=True))
    enrol, test = np.array([row[name] for name in speaker], np.int32)[np.array(sides)]
    wrong = np.flatnonzero((enrol == test) != trials.target)
    if len(wrong):
        _refuse(trials, int(wrong[0]), speakers[enrol[wrong[0]]], speakers[test[wrong[0]]])
    return TrialSpeakers(speakers, enrol, test)


def same_gender(speakers: TrialSpeakers, spk2gender: Mapping[str, str]) -> np.ndarray:
    """Which trials have two speakers of one gender: bool (N,). Raises InputError naming a speaker that has no gender."""
    missing = [name for name in speakers.names if name not in spk2gender]
    if missing:
        raise InputError(f"speaker {missing[0]} of the trials has no gender ({len(missing)} of {len(speakers.names)} have "
                         "none); complete spk2gender.")
    kinds = sorted(set(spk2gender.values()))
    gender = np.array([kinds.index(spk2gender[name]) for name in speakers.names])
    return gender[speakers.enrol] == gender[speakers.test]


def _from_table(names: list[str], utt2spk: Mapping[str, str]) -> list[str]:
    known = set(utt2spk.values())
    speaker = [utt2spk.get(name, name if name in known else "") for name in names]
    if "" in speaker:
        raise InputError(f"the trials name {names[speaker.index('')]}, which is not in utt2spk ({speaker.count('')} of "
                         f"{len(names)} ids); give the utt2spk that belongs to this list.")
    return speaker


def _from_ids(names: list[str]) -> list[str]:
    speaker = [name.partition("-")[0] for name in names]
    for name, before in zip(names, speaker, strict=True):
        if not before.isalnum():
            raise InputError(f"the id {name} does not begin with its speaker and a hyphen; say with utt2spk who speaks.")
    return speaker


def _refuse(trials: Trials, row: int, enrol: str, test: str) -> None:
    label = "target" if trials.target[row] else "nontarget"
    raise InputError(f"trial {row + 1}, {trials.enrol[row]} {trials.test[row]}, is labelled {label} but its speakers are "
                     f"{enrol} and {test}; give the utt2spk that belongs to this list.")
