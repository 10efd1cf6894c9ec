"""Trial lists: which enrolment is compared with which test utterance, and whether the two are one speaker."""
import hashlib
import itertools
import os
from collections.abc import Mapping, Sequence
from typing import NamedTuple

import numpy as np

from sslspk.errors import InputError, named, shown
from sslspk.io import columns, files, table

FORM = "enrol test target|nontarget"
VOXCELEB_FORM = "1|0 enrol test"
BARE_FORM = "enrol test"


class Trials(NamedTuple):
    """N trials: ids of enrolment and test (N,) str, and target (N,) bool, which is None in a list without labels."""

    enrol: np.ndarray
    test: np.ndarray
    target: np.ndarray | None


def read(path: str | os.PathLike, labels: bool = True) -> Trials:
    """Read a list in Kaldi's form ("enrol test target|nontarget") or VoxCeleb's ("1 enrol test").

    labels: False also accepts a list without labels ("enrol test"). The first line decides the form of the whole list.
    Raises InputError naming file and line of the first bad line, or both lines of a pair with both labels (in either order).
    """
    forms = (FORM, VOXCELEB_FORM) if labels else (FORM, VOXCELEB_FORM, BARE_FORM)
    found = columns.read(path, '" or "'.join(forms), (3, 2))
    if len(found) == 2:
        if labels:
            raise InputError(f"{named(path)} has no labels, which error rates need; add {FORM.split()[-1]} to each line.")
        return Trials(columns.to_text(found[0], path), columns.to_text(found[1], path), None)
    first, second, third = found
    if third[0] not in (b"target", b"nontarget") and first[0] not in (b"1", b"0"):
        label = shown(third[0].decode("utf-8", "replace"), 30)
        raise InputError(f"{named(path)}:1: the label is {label} where the form is \"{FORM}\" or \"{VOXCELEB_FORM}\"; correct the line.")
    if third[0] in (b"target", b"nontarget"):
        enrol, test, label, form, yes, no = first, second, third, FORM, b"target", b"nontarget"
    else:
        enrol, test, label, form, yes, no = second, third, first, VOXCELEB_FORM, b"1", b"0"
    target = label == yes
    bad = np.flatnonzero(~target & (label != no))
    if len(bad):
        found = shown(label[bad[0]].decode("utf-8", "replace"))
        raise InputError(f"{named(path)}:{bad[0] + 1}: the label is {found} where the form is \"{form}\"; correct the line.")
    trials = Trials(columns.to_text(enrol, path), columns.to_text(test, path), target)
    _refuse_both_labels(trials, path)
    return trials


def remarks(trials: Trials) -> list[str]:
    """Notes about oddities in a list that is read anyway: repeated pairs (in either order), and trials of an id with itself."""
    total, repeated, alone = len(trials.enrol), len(_repeats(trials)[0]), np.flatnonzero(trials.enrol == trials.test)
    notes = [f"trials that repeat an earlier pair of the list: {repeated} of {total}"] if repeated else []
    own = f"trials that compare an id with itself: {len(alone)} of {total}, such as {trials.enrol[alone[0]]}" if len(alone) else None
    return [*notes, own] if own else notes


def _refuse_both_labels(trials: Trials, path: str | os.PathLike) -> None:
    later, earlier = _repeats(trials)
    bad = np.flatnonzero(trials.target[later] != trials.target[earlier])
    if len(bad):
        one, other = sorted((int(earlier[bad[0]]), int(later[bad[0]])))
        pair = f"{table.named(trials.enrol[other])} {table.named(trials.test[other])}"
        raise InputError(f"{named(path)}:{other + 1}: {pair} has another label than on line {one + 1}; remove the wrong one.")


def _repeats(trials: Trials) -> tuple[np.ndarray, np.ndarray]:
    """Lines (R,) that repeat the pair of an earlier line, and for each the nearest earlier line (R,)."""
    codes = columns.pair_codes(trials.enrol, trials.test, ordered=False)
    order = np.argsort(codes, kind="stable")
    twice = np.flatnonzero(np.diff(codes[order]) == 0)
    later, earlier = order[twice + 1], order[twice]
    e, t = trials.enrol, trials.test   # rules out hash collisions
    same = ((e[later] == e[earlier]) & (t[later] == t[earlier])) | ((e[later] == t[earlier]) & (t[later] == e[earlier]))
    return later[same], earlier[same]


def write(path: str | os.PathLike, enrol: Sequence[str], test: Sequence[str], target: Sequence[bool]) -> None:
    """Write a list in Kaldi's form, whole or not at all, in the order given. Raises ValueError on unequal lengths.

    A file that already has this content is left alone: steps compare its time to see whether their inputs have changed.
    """
    text = "".join(f"{e} {t} {'target' if same else 'nontarget'}\n"
                   for e, t, same in zip(_plain(enrol), _plain(test), _plain(target), strict=True)).encode()
    if os.path.isfile(path) and files.read_bytes(path) == text:
        return
    with files.atomic_write(path, "wb") as file:
        file.write(text)


def lookup(names: np.ndarray, keys: Sequence[str], where: str) -> np.ndarray:
    """The index int64 (N,) of each name (N,) in the list of unique `keys`.

    where: the file or directory of the keys, for the message.
    Raises InputError naming the first name that is not among the keys.
    """
    row = dict(zip(keys, range(len(keys)), strict=True))
    rows = np.fromiter((row.get(name, -1) for name in names.tolist()), np.int64, len(names))
    missing = np.flatnonzero(rows < 0)
    if len(missing):
        raise InputError(f"the trials name {table.named(names[missing[0]])}, which is not in {where} ({len(missing)} of "
                         f"{len(names)} trials); "
                         "use the list of this data, or extract the missing ones.")
    return rows


def digest(trials: Trials) -> str:
    """MD5 of the trials of a list; form and order of its lines do not matter."""
    lines = sorted(f"{e} {t} {int(same)}" for e, t, same in zip(*map(_plain, trials), strict=True))
    return hashlib.md5("\n".join(lines).encode(), usedforsecurity=False).hexdigest()


def unordered(trials: Trials) -> Trials:
    """The same trials, with the smaller id of each pair first."""
    turned = trials.enrol > trials.test
    return Trials(np.where(turned, trials.test, trials.enrol), np.where(turned, trials.enrol, trials.test), trials.target)


def share_in(trials: Trials, others: Trials) -> float:
    """Share of the trials whose pair is also in `others`, in either order."""
    known = set(zip(*map(_plain, unordered(others)[:2]), strict=True))
    return sum(pair in known for pair in zip(*map(_plain, unordered(trials)[:2]), strict=True)) / len(trials.enrol)


def draw(utt2spk: Mapping[str, str], count: int, seed: int = 0, utt2session: Mapping[str, str] | None = None, *,
         across: Mapping[str, str] | None = None, within: Mapping[str, str] | None = None) -> Trials:
    """Draw `count` trials, half of them targets, at random from all pairs of two different utterances, no pair twice.

    Within targets and non-targets, every pair and both of its orders are equally likely; if there are too few pairs, all
    are taken. utt2session: leave out target pairs of one session. across: a class of each utterance (its emotion); leave
    out pairs within a class. within: the same, but leave out pairs across classes. Sorted by enrolment and test.
    Raises InputError if there is no target pair or no non-target pair at all, or an utterance has no session or class.
    """
    for name, given in (("session", utt2session), ("class", across), ("class", within)):
        missing = [utt for utt in utt2spk if given is not None and utt not in given]
        if missing:
            raise InputError(f"{missing[0]} of utt2spk has no {name} ({len(missing)} of {len(utt2spk)}); give that of each utterance.")
    key = {utt: (within[utt] if within else "", speaker, utt2session[utt] if utt2session else utt)
           for utt, speaker in utt2spk.items()}
    utts = sorted(utt2spk, key=lambda utt: (key[utt], utt))
    class_end, speaker_end, session_end = (_ends([key[utt][:depth] for utt in utts]) for depth in (1, 2, 3))
    apart = None if across is None else np.unique([across[utt] for utt in utts], return_inverse=True)[1]
    rng = np.random.default_rng(seed)
    # In this order the later partners of an utterance are contiguous: the rest of its speaker, or all other speakers.
    targets = _draw_pairs(rng, session_end, speaker_end, count // 2, apart)
    nontargets = _draw_pairs(rng, speaker_end, class_end, count - count // 2, apart)
    kind = " of two classes" if across else " of one class" if within else ""
    for found, what in ((targets, "speaker with two utterances" + (" in different sessions" if utt2session else "") + kind),
                        (nontargets, f"second speaker{kind}")):
        if not len(found):
            raise InputError(f"there is no {what} among {len(utts)} utterances, so no such pair to draw; give a larger utt2spk.")
    pairs = rng.permuted(np.concatenate([targets, nontargets]), axis=1)
    names, target = np.array(utts), np.arange(len(pairs)) < len(targets)
    enrol, test = names[pairs[:, 0]], names[pairs[:, 1]]
    order = np.lexsort((test, enrol))
    return Trials(enrol[order], test[order], target[order])


def _ends(groups: Sequence) -> np.ndarray:
    """For each index of a list whose equal entries are adjacent, the index after the last equal entry: (N,) int64."""
    runs = [len(list(run)) for _, run in itertools.groupby(groups)]
    return np.repeat(np.cumsum(runs), runs)


def _draw_pairs(rng: np.random.Generator, first: np.ndarray, end: np.ndarray, count: int, apart: np.ndarray | None) -> np.ndarray:
    """Up to `count` different pairs (P, 2) of indices i and j, first[i] <= j < end[i], all equally likely.

    apart (N,): pairs with apart[i] == apart[j] are left out.
    """
    after = np.cumsum(end - first)
    every, drawn = int(after[-1]), count
    while True:
        number = rng.choice(every, min(drawn, every), replace=False)
        left = np.searchsorted(after, number, side="right")
        pairs = np.stack([left, end[left] - (after[left] - number)], axis=1)
        if apart is not None:
            pairs = pairs[apart[pairs[:, 0]] != apart[pairs[:, 1]]]
        if len(pairs) >= count or drawn >= every:
            return pairs[:count]
        drawn *= 2


def _plain(values: Sequence) -> Sequence:
    """The values as Python scalars: formatting numpy's takes ten times as long."""
    return values.tolist() if isinstance(values, np.ndarray) else values
