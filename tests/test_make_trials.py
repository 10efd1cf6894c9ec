"""Trial lists drawn from a utt2spk: what they may hold, that every pair has its chance, and steps/make_trials.sh."""
import itertools
import os
import subprocess
import sys
from collections import Counter
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from sslspk.errors import InputError
from sslspk.io import table
from sslspk.io import trials as trial_list

ROOT = Path(__file__).parents[1]
SMALL = {"a1": "a", "a2": "a", "a3": "a", "b1": "b", "b2": "b", "c1": "c"}


def all_pairs(utt2spk, utt2session=None, across=None, within=None):
    """Unordered pairs of each kind, by the definition."""
    found = {True: set(), False: set()}
    for a, b in itertools.combinations(sorted(utt2spk), 2):
        same = utt2spk[a] == utt2spk[b]
        if (across and across[a] == across[b]) or (within and within[a] != within[b]):
            continue
        if not (same and utt2session and utt2session[a] == utt2session[b]):
            found[same].add(frozenset((a, b)))
    return found


def kinds(trials):
    return {kind: [frozenset(pair) for pair in zip(trials.enrol[trials.target == kind].tolist(),
                                                   trials.test[trials.target == kind].tolist(), strict=True)] for kind in (True, False)}


@given(st.lists(st.integers(0, 4), min_size=2, max_size=25), st.integers(2, 80), st.integers(0, 99), st.booleans(),
       st.sampled_from(["", "across", "within"]))
def test_only_pairs_that_exist_and_none_twice(speakers, count, seed, sessions, classes):
    utt2spk = {f"u{i}": f"s{speaker}" for i, speaker in enumerate(speakers)}
    utt2session = {utt: f"v{i % 2}" for i, utt in enumerate(utt2spk)} if sessions else None
    chosen = {classes: {utt: f"c{i % 3}" for i, utt in enumerate(utt2spk)}} if classes else {}
    possible = all_pairs(utt2spk, utt2session, **chosen)
    if not all(possible.values()):
        with pytest.raises(InputError, match="so no such pair"):
            trial_list.draw(utt2spk, count, seed, utt2session, **chosen)
        return
    drawn = kinds(trial_list.draw(utt2spk, count, seed, utt2session, **chosen))
    for kind, wanted in ((True, count // 2), (False, count - count // 2)):
        assert len(drawn[kind]) == len(set(drawn[kind])) == min(wanted, len(possible[kind]))
        assert set(drawn[kind]) <= possible[kind]


def test_every_pair_and_order_has_its_chance():
    """Counts of 3000 drawings of 1 + 1 trials are those of a uniform choice: 4 target pairs, 11 others, each in two orders."""
    lists = [trial_list.draw(SMALL, 2, seed) for seed in range(3000)]
    for kind, pairs in ((True, 4), (False, 11)):
        seen = Counter((e, t) for found in lists for e, t, same in zip(*found, strict=True) if same == kind)
        assert len(seen) == 2 * pairs
        expected = 3000 / (2 * pairs)
        assert max(abs(n - expected) for n in seen.values()) < 4.5 * np.sqrt(expected)


def test_seed_decides_and_order_of_the_table_does_not():
    utt2spk = {f"u{i:02d}": f"s{i % 7}" for i in range(60)}
    one, two = trial_list.draw(utt2spk, 40, 3), trial_list.draw(dict(reversed(utt2spk.items())), 40, 3)
    for a, b in zip(one, two, strict=True):
        np.testing.assert_array_equal(a, b)
    assert (trial_list.draw(utt2spk, 40, 4).enrol != one.enrol).any()
    assert list(zip(one.enrol, one.test, strict=True)) == sorted(zip(one.enrol, one.test, strict=True))


def test_digest_knows_a_list_in_any_form_and_order(tmp_path):
    trials = trial_list.draw(SMALL, 8, 0)
    trial_list.write(tmp_path / "kaldi", *trials)
    lines = [f"{int(same)} {e} {t}\n" for e, t, same in zip(*trials, strict=True)]
    (tmp_path / "voxceleb").write_text("".join(lines[::-1]))
    assert trial_list.digest(trial_list.read(tmp_path / "kaldi")) == trial_list.digest(trial_list.read(tmp_path / "voxceleb"))
    flipped = trials._replace(target=np.append(~trials.target[:1], trials.target[1:]))
    assert len({trial_list.digest(x) for x in (trials, flipped, trials._replace(enrol=trials.test, test=trials.enrol))}) == 3


def step(folder, *words):
    environment = os.environ | {"PATH": f"{Path(sys.executable).parent}:{os.environ['PATH']}", "PYTHONPATH": str(ROOT)}
    return subprocess.run(["bash", "steps/make_trials.sh", *words], cwd=folder, env=environment, capture_output=True, text=True,
                          check=False)


def test_step(tmp_path):
    for name in ("steps", "utils"):
        (tmp_path / name).symlink_to(ROOT / name)
    table.write(tmp_path / "utt2spk", {f"u{i:02d}": f"s{i % 7}" for i in range(60)})
    words = ("--num-trials", "100", "--seed", "5", "utt2spk", "out/trials")
    done = step(tmp_path, *words)
    assert done.returncode == 0 and "100 trials" in done.stdout, done.stderr
    found = trial_list.read(tmp_path / "out/trials")
    assert found.target.sum() == 50 and len(found.target) == 100
    assert "skipped" in step(tmp_path, *words).stdout
    done = step(tmp_path, "--num-trials", "1000", "utt2spk", "out/trials")
    assert done.returncode == 0 and "228 target trials: all that there are, 500 were asked for" in done.stdout
    assert "500 non-target trials\n" in done.stdout
    table.write(tmp_path / "sessions", {f"u{i:02d}": "v1" for i in range(60)})
    table.write(tmp_path / "alone", {f"u{i:02d}": f"s{i}" for i in range(60)})
    table.write(tmp_path / "one", {f"u{i:02d}": "s" for i in range(60)})
    table.write(tmp_path / "few", {"u00": "v1"})
    for extra, named in ((("--utt2session", "sessions", "utt2spk"), "no speaker with two utterances in different sessions"),
                         (("alone",), "no speaker with two utterances among"), (("one",), "no second speaker"),
                         (("--utt2session", "few", "utt2spk"), "u01 of utt2spk has no session (59 of 60)"),
                         (("--num-trials", "1", "utt2spk"), "from 2 on"), (("nowhere",), "there is no nowhere")):
        done = step(tmp_path, *extra, "out/other")
        assert done.returncode != 0 and named in done.stderr
    assert not (tmp_path / "out/other").exists()
