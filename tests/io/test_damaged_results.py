"""JSON files that programs of this toolkit read: each value is what its name promises, or one sentence says which is not."""
import json

import pytest

from sslspk.backend import labels_seen
from sslspk.errors import InputError
from sslspk.io import results

ROW = {"system": "s", "weights": "teacher", "trained_on": "c", "labels": "none", "commit": "x", "eer_percent": 3.5, "min_dcf_0.01": 0.3}
CLASSES = {"task": "classification", "pool": "none", "items": 4, "ua_percent": 50.0, "classes": ["a", "b"], "labels_from": ["l"],
           "folds": [{"predictions": "p", "items": 4}], "mean": {"ua_percent": 50.0}, "std": {"ua_percent": None}}


@pytest.mark.parametrize(("change", "said"), [
    ({"system": 3}, "system is 3, not a line of text"),
    ({"labels": ["none"]}, r"labels is \['none'\], not a line of text"), ({"backend_labels": None}, "not a line of text"),
    ({"eer_percent": "3"}, "'eer_percent' is '3', not a number"), ({"eer_percent": True}, "not a number"),
    ({"min_dcf_0.01": {}}, "not a number"),
    ({"commit": "x" * 10**6, "weights": ["x" * 10**6]}, "weights is"), ({"fused": [1]}, "'fused' is"),
    ({"eer_percent_low": None}, "not a number"),
])
def test_a_result_with_a_value_of_another_kind_is_refused(tmp_path, change, said):
    path = tmp_path / "result_x.json"
    path.write_text(json.dumps(ROW))
    assert results.read(path)["eer_percent"] == 3.5
    path.write_text(json.dumps({**ROW, **change}))
    with pytest.raises(InputError, match=said) as caught:
        results.read(path)
    assert str(path) in str(caught.value) and len(str(caught.value)) - len(str(path)) < 160


@pytest.mark.parametrize("key", ["eer_percent", "system", "labels"])
def test_a_result_that_lacks_a_part_is_refused(tmp_path, key):
    (tmp_path / "result_x.json").write_text(json.dumps({name: value for name, value in ROW.items() if name != key}))
    with pytest.raises(InputError, match=f"has no {key}; score again"):
        results.read(tmp_path / "result_x.json")


@pytest.mark.parametrize("change", [
    {"task": "x"}, {"task": None}, {"pool": "sum"}, {"pool": 1}, {"ua_percent": "50"}, {"ua_percent": False}, {"folds": {}},
    {"folds": [1]}, {"folds": [{"predictions": 3}]}, {"classes": "ab"}, {"classes": [1]}, {"labels_from": [None]},
    {"mean": [1]}, {"std": {"ua_percent": "x"}},
])
def test_a_result_of_classes_with_a_value_of_another_kind_is_refused(tmp_path, change):
    path = tmp_path / "result.json"
    path.write_text(json.dumps(CLASSES))
    assert results.of_classes(path)["ua_percent"] == 50
    path.write_text(json.dumps({**CLASSES, **change}))
    with pytest.raises(InputError, match=r"result\.json.*score it again"):
        results.of_classes(path)


def test_a_part_that_is_needed_is_named(tmp_path):
    (tmp_path / "result.json").write_text(json.dumps({"task": "classification", "ua_percent": 50.0}))
    assert results.of_classes(tmp_path / "result.json")["ua_percent"] == 50
    with pytest.raises(InputError, match="labels_from is None"):
        results.of_classes(tmp_path / "result.json", need=("labels_from",))


@pytest.mark.parametrize("labels", [3, None, [], {"a": 1}, "guessed"])
def test_a_back_end_says_in_words_what_labels_it_saw(tmp_path, labels):
    (tmp_path / "info.json").write_text(json.dumps({"labels": labels}))
    with pytest.raises(InputError, match=r"info\.json"):
        labels_seen(str(tmp_path))
