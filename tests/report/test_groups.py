"""Error rates by group: who is in which, and the intervals."""
import numpy as np
import pytest

from sslspk.io import table
from sslspk.io.trials import Trials
from sslspk.metrics import report
from sslspk.report import groups


@pytest.fixture
def listed(tmp_path):
    """A list over 18 speakers of 4 utterances, of 1, 2, 3 and 4 s; every speaker's first two utterances are of one session."""
    ids = [f"s{s:02d}-u{u}" for s in range(18) for u in range(4)]
    table.write(tmp_path / "utt2dur", {utt: str(1 + int(utt[-1])) for utt in ids})
    table.write(tmp_path / "utt2spk", {utt: utt[:3] for utt in ids})
    table.write(tmp_path / "spk2gender", {f"s{s:02d}": "mf"[s % 2] for s in range(18)})
    # The names of sessions begin anew with each speaker, so that non-targets share them.
    table.write(tmp_path / "utt2session", {utt: f"v{int(utt[-1]) // 2}" for utt in ids})
    enrol, test = map(np.array, zip(*[(a, b) for i, a in enumerate(ids) for b in ids[i + 1:]], strict=True))
    target = np.array([a[:3] == b[:3] for a, b in zip(enrol, test, strict=True)])
    return Trials(enrol, test, target), tmp_path


def test_ranges_of_durations_share_no_trial():
    seconds = np.array([1.0, 1.0, 2.0, 2.0, 2.0, 3.0, 3.0, 4.0, 4.0, np.nan])
    found = groups.ranges(seconds)
    assert [name for name, _ in found] == ["1.0 s to below 2.0 s", "2.0 s to below 3.0 s", "3.0 s to 4.0 s"]
    assert np.array_equal(sum(chosen.astype(int) for _, chosen in found), [1] * 9 + [0])
    assert [seconds[chosen].tolist() for _, chosen in found] == [[1, 1], [2, 2, 2], [3, 3, 4, 4]]
    assert groups.ranges(np.full(3, np.nan)) == [] and groups.ranges(np.ones(3)) == []


def test_groups_hold_the_trials_that_they_name(listed):
    trials, data = listed
    found = {group.name: group for group in groups.find(trials, data)}
    for gender, speakers in (("m", range(0, 18, 2)), ("f", range(1, 18, 2))):
        theirs = {f"s{s:02d}" for s in speakers}
        expected = [n for n, (a, b) in enumerate(zip(trials.enrol, trials.test, strict=True)) if {a[:3], b[:3]} <= theirs]
        assert found[f"both speakers {gender}"].rows.tolist() == expected
    for kind, count in (("one session", 36), ("two sessions", 72)):
        rows = found[f"target trials of {kind}, all non-targets"].rows
        assert trials.target[rows].sum() == count and (~trials.target[rows]).sum() == (~trials.target).sum()


def test_the_interval_of_a_group_is_that_of_a_list_of_its_trials(listed):
    trials, data = listed
    scores = trials.target + np.random.default_rng(0).normal(size=len(trials.target))
    group = next(group for group in groups.find(trials, data) if group.name == "both speakers f")
    rate = groups.rate(group, scores, trials.target)
    alone = report.report(Trials(*(side[group.rows] for side in trials)), scores[group.rows], utt2spk=table.read(data / "utt2spk"),
                          replicates=groups.REPLICATES)
    assert (rate.targets, rate.nontargets) == (alone["targets"], alone["nontargets"]) == (54, 576)
    assert (rate.eer, rate.low, rate.high) == pytest.approx([alone[f"eer_percent{end}"] for end in ("", "_low", "_high")])


def test_without_speakers_there_is_a_rate_and_no_interval(listed):
    """Ids that begin with no speaker, and no utt2spk."""
    trials, data = listed
    plain = Trials(*(np.char.replace(side, "-", "_") for side in trials[:2]), trials.target)
    table.write(data / "utt2dur", {utt.replace("-", "_"): seconds for utt, seconds in table.read(data / "utt2dur").items()})
    for name in ("utt2spk", "utt2session"):
        (data / name).unlink()
    found = groups.find(plain, data)
    assert found and all(group.speakers is None for group in found)
    rate = groups.rate(found[0], trials.target * 1.0, trials.target)
    assert (rate.eer, rate.low, rate.high) == (0.0, None, None)
