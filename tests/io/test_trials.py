"""Trial lists in both forms."""
import time

import numpy as np
import pytest

from sslspk.errors import InputError
from sslspk.io import trials

KALDI = "a-1 b-1 nontarget\na-1 a-2 target\n"
VOXCELEB = "0 a-1 b-1\n1 a-1 a-2\n"


@pytest.mark.parametrize("text", [
    KALDI, VOXCELEB, KALDI.rstrip("\n"), VOXCELEB.replace("\n", "\r\n"), VOXCELEB.replace("\n", "  \n"),
    "\ufeff" + VOXCELEB, KALDI + "\n\n", KALDI.replace(" ", "\t"),
])
def test_both_forms_and_what_real_lists_carry(tmp_path, text):
    (tmp_path / "t").write_bytes(text.encode())
    enrol, test, target = trials.read(tmp_path / "t")
    assert enrol.tolist() == ["a-1", "a-1"]
    assert test.tolist() == ["b-1", "a-2"]
    assert target.tolist() == [False, True]
    assert target.dtype == bool


@pytest.mark.parametrize(("text", "message"), [
    ("", "is empty"),
    ("\n\n", "is empty"),
    ("a b target\na b\na b c d\n", "t:2: 2 fields"),
    ("a b target\n\na b target\n", "t:2: a blank line"),
    ("a b target\na b maybe\n", "t:2: the label is 'maybe'"),
    ("1 a b\n2 a b\n", "t:2: the label is '2'"),
    ("a b target\n1 a b\n", "t:2: the label is 'b'"),
    ("x y z\n", "t:1: the label is 'z' where the form is \"enrol test target|nontarget\" or \"1|0 enrol test\""),
    ("x\n", "t:1: 1 field where the form is \"enrol test target|nontarget\" or \"1|0 enrol test\";"),
    ("a b target\n\0\0 b target\n", "t:2: zero bytes"),
    ("a b target\na\x0cc b target\n", "t:2: a control character"),
])
def test_bad_lines_are_named(tmp_path, text, message):
    (tmp_path / "t").write_text(text)
    with pytest.raises(InputError) as caught:
        trials.read(tmp_path / "t")
    assert message in str(caught.value)


@pytest.mark.parametrize(("text", "lines"), [
    ("a b target\nc d target\na b nontarget\n", "t:3: a b has another label than on line 1"),
    ("1 a b\n0 c d\n0 b a\n", "t:3: b a has another label than on line 1"),
    ("0 a a\n1 a a\n1 a a\n", "t:2: a a has another label than on line 1"),
])
def test_a_pair_with_both_labels_is_told(tmp_path, text, lines):
    (tmp_path / "t").write_text(text)
    with pytest.raises(InputError, match=lines):
        trials.read(tmp_path / "t")


def test_repeated_pairs_and_an_id_with_itself_are_counted(tmp_path):
    (tmp_path / "t").write_text("1 a b\n0 c d\n1 b a\n1 a b\n1 e e\n")
    found = trials.read(tmp_path / "t")
    assert len(found.enrol) == 5 and trials.remarks(found) == [
        "trials that repeat an earlier pair of the list: 2 of 5", "trials that compare an id with itself: 1 of 5, such as e"]
    (tmp_path / "t").write_text(VOXCELEB)
    assert trials.remarks(trials.read(tmp_path / "t")) == []


def test_a_list_without_labels(tmp_path):
    (tmp_path / "t").write_text("a-1 b-1\r\na-1\ta-2\n")
    found = trials.read(tmp_path / "t", labels=False)
    assert [found.enrol.tolist(), found.test.tolist(), found.target] == [["a-1", "a-1"], ["b-1", "a-2"], None]
    with pytest.raises(InputError, match="has no labels, which error rates need"):
        trials.read(tmp_path / "t")
    (tmp_path / "t").write_text("a b\na b target\n")
    with pytest.raises(InputError, match="t:2: 3 fields"):
        trials.read(tmp_path / "t", labels=False)


def test_names_beyond_ascii(tmp_path):
    (tmp_path / "t").write_text("rené\u00a0x\u2028 zoë\u0085 target\n", encoding="utf-8")
    assert [ids.tolist() for ids in trials.read(tmp_path / "t")[:2]] == [["rené\u00a0x\u2028"], ["zoë\u0085"]]
    (tmp_path / "t").write_bytes(b"a b target\n\xff b target\n")
    with pytest.raises(InputError, match="t:2: not UTF-8"):
        trials.read(tmp_path / "t")


def test_write_then_read(tmp_path):
    trials.write(tmp_path / "t", ["a", "b"], np.array(["c", "d"]), np.array([True, False]))
    assert (tmp_path / "t").read_text() == "a c target\nb d nontarget\n"
    with pytest.raises(ValueError, match="shorter"):
        trials.write(tmp_path / "t", ["a", "b"], ["c"], [True, False])
    assert len(trials.read(tmp_path / "t").enrol) == 2


def test_lookup():
    assert trials.lookup(np.array(["b", "a", "b"]), ["a", "b", "c"], "x.scp").tolist() == [1, 0, 1]
    with pytest.raises(InputError, match=r"name d, which is not in x\.scp \(2 of 3"):
        trials.lookup(np.array(["a", "d", "e"]), ["a", "b"], "x.scp")


def test_a_voxceleb_sized_list_is_read_fast(tmp_path):
    n = 580000
    rng = np.random.default_rng(0)
    a, b = rng.integers(10000, 11251, (2, n))
    enrol = [f"id{i}-abcdefghijk-{j % 1000:05d}" for j, i in enumerate(a)]
    test = [f"id{i}-lmnopqrstuv-{j % 999:05d}" for j, i in enumerate(b)]
    trials.write(tmp_path / "t", enrol, test, a == b)
    begin = time.process_time()
    read = trials.read(tmp_path / "t")
    assert time.process_time() - begin < 4  # about half a second on an idle core
    assert read.enrol[-1] == enrol[-1]
    assert read.test.tolist() == test
    assert (read.target == (a == b)).all()
