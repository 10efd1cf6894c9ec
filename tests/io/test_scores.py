"""Score files and bringing them into the order of a trial list."""
import time

import numpy as np
import pytest

from sslspk.errors import InputError
from sslspk.io import columns, scores
from sslspk.io.scores import Scores
from sslspk.io.trials import Trials


def make_trials(pairs):
    return Trials(*(np.array(column) for column in zip(*pairs, strict=True)), np.ones(len(pairs), bool))


def make_scores(pairs, score):
    return Scores(*(np.array(column) for column in zip(*pairs, strict=True)), np.array(score, float))


def test_single_precision_survives(tmp_path):
    score = np.random.default_rng(0).standard_normal(1000).astype(np.float32) * 10.0 ** np.arange(-10, 10).repeat(50)
    score = score.astype(np.float32)
    names = [f"u{i}" for i in range(1000)]
    scores.write(tmp_path / "s", names, names[::-1], score)
    read = scores.read(tmp_path / "s")
    np.testing.assert_array_equal(read.score.astype(np.float32), score)
    assert read.enrol.tolist() == names
    assert read.test.tolist() == names[::-1]


@pytest.mark.parametrize(("text", "message"), [
    ("a b 1.0\na c nan\n", "s:2: the score is 'nan'"),
    ("a b -inf\n", "s:1: the score is '-inf'"),
    ("a b 1.0\na c x1\na d nan\n", "s:2: the score is 'x1'"),
    ("a b 1.0\na c\n", "s:2: 2 fields"),
    ("a b 1.0 2.0\n", "s:1: 4 fields"),
    ("", "is empty"),
])
def test_bad_lines_are_named(tmp_path, text, message):
    (tmp_path / "s").write_text(text)
    with pytest.raises(InputError) as caught:
        scores.read(tmp_path / "s")
    assert message in str(caught.value)


@pytest.mark.parametrize(("text", "message"), [
    (b"a b 1_0\n", "s:1: the score is '1_0'"),
    (b"a b 1.5\nc d 2.2", "does not end"),   # 2.25, cut
    (b"a b 1\n" * 5000 + b"A" * 30000 + b" b 1\n", "s:5001: .* has 30000 letters"),   # 600 MB as text
])
def test_numbers_that_nobody_wrote_and_ids_of_no_bounds(tmp_path, text, message):
    (tmp_path / "s").write_bytes(text)
    with pytest.raises(InputError, match=message):
        scores.read(tmp_path / "s")


def test_nan_is_not_written(tmp_path):
    with pytest.raises(InputError, match=r"the score of b d \(line 2\) is nan"):
        scores.write(tmp_path / "s", ["a", "b"], ["c", "d"], [1.0, np.nan])
    assert not (tmp_path / "s").exists()


def test_align_against_a_dictionary():
    rng = np.random.default_rng(1)
    pairs = [(f"e{i}", f"t{j}") for i in range(20) for j in range(30)]
    trials = make_trials(pairs)
    value = dict(zip(pairs, rng.standard_normal(len(pairs)), strict=True))
    shuffled = [pairs[i] for i in rng.permutation(len(pairs))]
    aligned = scores.align(trials, make_scores(shuffled, [value[pair] for pair in shuffled]))
    assert aligned.tolist() == [value[pair] for pair in pairs]


def test_enrol_and_test_are_not_exchanged():
    trials = make_trials([("a", "b"), ("b", "a")])
    assert scores.align(trials, make_scores([("b", "a"), ("a", "b")], [1, 2])).tolist() == [2, 1]


def test_both_ways_of_aligning_agree_whatever_the_lists():
    """A shuffled list with repeated pairs, ids of all lengths and letters: the quick way says what a dictionary says, or nothing."""
    rng = np.random.default_rng(4)
    names = ["a", "ab", "b", "ba", "aa", "\u00e9", "a\u00e9-long-id-\U0001f600", "x" * 30]
    for _ in range(50):
        pairs = [(names[i], names[j]) for i, j in rng.integers(len(names), size=(20, 2))]
        value = {pair: rng.integers(1000) for pair in pairs}
        given = [pairs[i] for i in rng.permutation(20)]
        trials, scored = make_trials(pairs), make_scores(given, [value[pair] for pair in given])
        expected = [value[pair] for pair in pairs]
        digests = columns.pair_codes(*trials[:2]), columns.pair_codes(*scored[:2])
        assert scores._reordered(trials, scored, *digests).tolist() == scores._matched(trials, scored, "s", "t").tolist() == expected


def test_pairs_with_one_digest_are_told_apart():
    trials, scored = make_trials([("a", "b"), ("c", "d")]), make_scores([("c", "d"), ("a", "b")], [1, 2])
    same = np.zeros(2, np.uint64)
    assert scores._reordered(trials, scored, same, same) is None and scores.align(trials, scored).tolist() == [2, 1]


def test_a_digest_does_not_depend_on_how_long_other_ids_are():
    short, long = (columns.pair_codes(*make_trials([("a", "b"), *more])[:2]) for more in ([], [("x" * 50, "y" * 60)]))
    assert short[0] == long[0] != long[1]


def test_a_trial_listed_twice_gets_its_score_twice():
    trials = make_trials([("a", "b"), ("c", "d"), ("a", "b")])
    assert scores.align(trials, make_scores([("c", "d"), ("a", "b")], [1, 2])).tolist() == [2, 1, 2]
    twice = make_scores([("c", "d"), ("a", "b"), ("a", "b"), ("a", "b")], [1, 2, 2, 2])
    assert scores.align(trials, twice).tolist() == [2, 1, 2]


@pytest.mark.parametrize(("pairs", "values", "message"), [
    ([("a", "b")], [1], "the_scores: c d, line 2 of the_list, has no score"),
    ([("c", "d"), ("a", "b"), ("a", "d")], [1, 2, 3], "the_scores:3: the pair a d has a score but is not in the_list; use"),
    ([("c", "d"), ("x", "y"), ("a", "b")], [1, 2, 3], "the_scores:2: the pair x y has a score but"),
    ([("c", "d"), ("a", "b"), ("c", "d")], [1, 2, 3], "the_scores:3: the pair c d of the_list has two different scores"),
])
def test_lists_that_do_not_belong_together(pairs, values, message):
    with pytest.raises(InputError) as caught:
        scores.align(make_trials([("a", "b"), ("c", "d")]), make_scores(pairs, values), "the_scores", "the_list")
    assert message in str(caught.value)


def test_voxceleb_sized_files_are_fast(tmp_path):
    n = 580000
    names = np.array([f"id{i:05d}-abcdefghijk-{i % 100:05d}" for i in range(5000)])
    pair = np.random.default_rng(2).permutation(5000 * 1000)[:n]
    enrol, test, score = names[pair // 1000], names[pair % 1000], np.linspace(-1, 1, n)
    begin = time.process_time()
    scores.write(tmp_path / "s", enrol, test, score)
    written = time.process_time()
    read = scores.read(tmp_path / "s")
    assert max(written - begin, time.process_time() - written) < 4  # each well under a second on an idle core
    np.testing.assert_allclose(read.score, score, rtol=1e-8)
    order = np.random.default_rng(3).permutation(n)
    begin = time.process_time()
    aligned = scores.align(Trials(enrol, test, score > 0), Scores(enrol[order], test[order], score[order]))
    assert time.process_time() - begin < 8
    np.testing.assert_array_equal(aligned, score)
