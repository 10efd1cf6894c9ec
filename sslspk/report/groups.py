"""Error rates of groups of trials: one gender, a range of durations, one session or two, each with its interval."""
import itertools
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

import numpy as np

from sslspk.errors import InputError
from sslspk.io import table
from sslspk.io.trials import Trials
from sslspk.metrics import bootstrap, verification
from sslspk.metrics import speakers as of

LEAST = 30         # trials of each kind that an error rate of a group needs
REPLICATES = 100   # of the bootstrap over speakers; most of the time that a page takes


class Group(NamedTuple):
    """Trials (M,) of a list, as rows of it; speakers: of both sides, numbered from 0 (M,) each, None where the ids do not say them."""

    name: str
    rows: np.ndarray
    speakers: tuple[np.ndarray, np.ndarray] | None


class Rate(NamedTuple):
    """An EER in % with the ends of its 95 % interval, None where the speakers are not known."""

    name: str
    targets: int
    nontargets: int
    eer: float
    low: float | None
    high: float | None


def find(trials: Trials, data: Path) -> list[Group]:
    """The groups that the data directory of a list tells and that have LEAST trials of both kinds."""
    utt2spk = known(data / "utt2spk")
    try:
        sides = of.of_trials(trials, utt2spk or None)
    except InputError:   # ids that do not say who speaks, or labels that contradict them
        sides = None
    found = []
    for name, chosen in _chosen(trials, data, utt2spk):
        rows = np.flatnonzero(chosen)
        if min(np.count_nonzero(trials.target[rows]), np.count_nonzero(~trials.target[rows])) >= LEAST:
            found.append(Group(name, rows, None if sides is None else _renumbered(sides.enrol[rows], sides.test[rows])))
    return found


def rate(group: Group, scores: np.ndarray, target: np.ndarray) -> Rate:
    """scores, target: of the whole list, (N,)."""
    scores, target = scores[group.rows], target[group.rows]
    value, ends = verification.eer(verification.det_curve(scores, target)), (None, None)
    if group.speakers is not None:
        drawn = bootstrap.speaker_bootstrap(scores, target, *group.speakers, p_targets=(), replicates=REPLICATES)
        count = 1 + int(max(side.max() for side in group.speakers))
        ends = tuple(100 * end for end in bootstrap.error_interval(value, drawn.eer, count))
    targets = int(np.count_nonzero(target))
    return Rate(group.name, targets, len(target) - targets, 100 * value, *ends)


def known(path: Path) -> dict[str, str]:
    """A table of a data directory; empty where there is none."""
    return table.read(path) if path.is_file() else {}


def _renumbered(enrol: np.ndarray, test: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Speakers of a part of a list, numbered from 0 without gaps."""
    used = np.zeros(1 + max(enrol.max(), test.max()), np.int64)
    used[enrol] = used[test] = 1
    number = np.cumsum(used) - 1
    return number[enrol], number[test]


def _chosen(trials: Trials, data: Path, utt2spk: dict[str, str]) -> list[tuple[str, np.ndarray]]:
    """Names of groups, and which trials are theirs, bool (N,)."""
    spk2gender, found = known(data / "spk2gender"), []
    genders = _sides(trials, lambda utt: spk2gender.get(utt2spk.get(utt, ""), ""))
    for gender in sorted(set(genders[0]) - {""}):
        found.append((f"both speakers {gender}", (genders[0] == gender) & (genders[1] == gender)))
    durations = known(data / "utt2dur")
    if durations:
        shorter = np.minimum(*_sides(trials, lambda utt: float(durations.get(utt, "nan")), float))
        found += [(f"shorter recording {name}", chosen) for name, chosen in ranges(shorter)]
    sessions = known(data / "utt2session")
    if sessions:
        same = np.equal(*_sides(trials, lambda utt: sessions.get(utt, utt)))
        found += [("target trials of one session, all non-targets", same | ~trials.target),
                  ("target trials of two sessions, all non-targets", ~same | ~trials.target)]
    return found


def ranges(seconds: np.ndarray) -> list[tuple[str, np.ndarray]]:
    """Thirds of durations (N,), each with its name and its members, bool (N,); NaN belongs to none.

    A range begins with its lower end and stops before its upper one, which begins the next; the last holds its upper end, too.
    """
    if not np.isfinite(seconds).any():
        return []
    ends = np.unique(np.nanquantile(seconds, [0, 1 / 3, 2 / 3, 1]))
    found = []
    for low, high in itertools.pairwise(ends):
        last = high == ends[-1]
        below = seconds <= high if last else seconds < high
        found.append((f"{low:.1f} s to {'' if last else 'below '}{high:.1f} s", (seconds >= low) & below))
    return found


def _sides(trials: Trials, value: Callable, kind: type = str) -> list[np.ndarray]:
    """value of the ids of both sides, asked once for each id."""
    sides = []
    for ids in (trials.enrol, trials.test):
        names, places = np.unique(ids, return_inverse=True)
        sides.append(np.array([value(str(name)) for name in names], dtype=None if kind is str else kind)[places])
    return sides
