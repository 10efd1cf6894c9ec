"""What a result says of its scoring and of the labels on its way."""
import json

import pytest

from sslspk.errors import InputError
from sslspk.io import results

ROW = {"system": "dino_x", "weights": "teacher", "trained_on": "voxceleb2", "labels": "none", "commit": "abc", "eer_percent": 4.0}


@pytest.mark.parametrize(("more", "scoring", "labels"), [
    ({}, "cosine", "none"),
    ({"backend": "cosine", "backend_mean": None, "snorm": None}, "cosine", "none"),
    ({"backend": "cosine", "backend_mean": "emb", "snorm": "as", "cohort_labels": "pseudo"}, "cosine centred as-norm", "pseudo"),
    ({"backend": "plda", "backend_labels": "speaker", "snorm": "s", "cohort_labels": "pseudo"}, "plda s-norm", "speaker + pseudo"),
    ({"backend": "cosine", "calibration": "c.json", "calibration_labels": "pseudo", "fused": 1}, "cosine calibrated", "pseudo"),
    ({"backend": "plda", "calibration": "c.json", "calibration_same_list": True, "calibration_labels": "speaker"},
     "plda calibrated on this very list", "speaker"),
    ({"backend": "cosine + plda", "fused": 2, "calibration": "c.json", "backend_labels": "none + pseudo", "calibration_labels": "pseudo"},
     "fusion of cosine + plda", "pseudo"),
])
def test_scoring_and_labels(tmp_path, more, scoring, labels):
    path = tmp_path / "result_trials_x.json"
    path.write_text(json.dumps({**ROW, **more}))
    row = results.read(path)
    assert (results.scoring(row), row["labels"], row["list"]) == (scoring, labels, "x")


def test_a_result_of_unknown_origin_is_refused(tmp_path):
    path = tmp_path / "result_trials_x.json"
    path.write_text(json.dumps({key: value for key, value in ROW.items() if key != "labels"}))
    with pytest.raises(InputError, match="labels"):
        results.read(path)
