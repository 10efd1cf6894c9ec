"""Who speaks in a trial."""
import numpy as np
import pytest

from sslspk.errors import InputError
from sslspk.io.trials import Trials
from sslspk.metrics import speakers


def trials(*rows):
    enrol, test, target = zip(*rows, strict=True)
    return Trials(np.array(enrol), np.array(test), np.array(target))


def test_what_stands_before_the_first_hyphen():
    got = speakers.of_trials(trials(("id10002-a-1", "id10002-b-1", True), ("id10001-xx--y-1", "id10002-a-1", False)))
    assert got.names == ["id10001", "id10002"]
    assert got.enrol.tolist() == [1, 0]
    assert got.test.tolist() == [1, 1]


def test_utt2spk_and_speakers_as_enrolment():
    got = speakers.of_trials(trials(("anna", "u-1", True), ("anna", "u-2", False)), {"u-1": "anna", "u-2": "bert"})
    assert got.names == ["anna", "bert"]
    assert got.test.tolist() == [0, 1]


@pytest.mark.parametrize(("row", "table", "named"), [
    (("u_1.wav", "u-1", True), None, "u_1.wav"),
    (("u-1", "u-3", True), {"u-1": "u"}, "u-3"),
    (("a-1", "b-1", True), None, "trial 1, a-1 b-1, is labelled target"),
    (("a-1", "a-2", False), None, "is labelled nontarget but its speakers are a and a"),
])
def test_refused(row, table, named):
    with pytest.raises(InputError, match=named):
        speakers.of_trials(trials(row), table)


def test_same_gender():
    found = speakers.of_trials(trials(("a-1", "b-1", False), ("a-1", "c-1", False), ("c-1", "c-2", True)))
    assert speakers.same_gender(found, {"a": "f", "b": "f", "c": "m", "d": "m"}).tolist() == [True, False, True]
    with pytest.raises(InputError, match="speaker c"):
        speakers.same_gender(found, {"a": "f", "b": "f"})
