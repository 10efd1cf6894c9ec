"""local/score_backends.sh --only asnorm: a cohort of clusters of the training embeddings, with no label anywhere."""
import json

import numpy as np
import pytest
import recipe_copy
from recipe_copy import run, sh
from test_score_step import write_vectors

from sslspk.io import embeddings, table
from sslspk.io import scores as score_file
from sslspk.io import trials as trial_list


def make(recipe):
    """Training embeddings of six voices without utt2spk, and a list of 8 recordings of four others."""
    rng = np.random.default_rng(0)
    exp, test = recipe / "exp/toy", recipe / "data/voxceleb1_test"
    test.mkdir(parents=True)
    voices = rng.normal(size=(10, 6))
    (exp / "emb_teacher").mkdir(parents=True)
    write_vectors(exp / "emb_teacher/dev", {f"u{n:03d}": voices[n % 6] + 0.4 * rng.normal(size=6) + 1 for n in range(60)})
    vectors = {f"t{n}": voices[6 + n // 2] + 0.4 * rng.normal(size=6) + 1 for n in range(8)}
    write_vectors(exp / "emb_teacher/voxceleb1_test", vectors)
    for folder in ("dev", "voxceleb1_test"):
        (exp / f"emb_teacher/{folder}/provenance.json").write_text('{"system": "toy", "labels": "none"}')
    names = sorted(vectors)
    pairs = [(a, b) for a in names for b in names if a < b]
    enrol, other = map(np.array, zip(*pairs, strict=True))
    trial_list.write(test / "trials_veri_test2", enrol, other, np.array([int(a[1]) // 2 == int(b[1]) // 2 for a, b in pairs]))
    (recipe / "conf/few.yaml").write_text("method: kmeans\nclusters: 12\nmin_size: 2\n")
    return exp


def test_it_reads_no_label_and_normalises_by_the_means_of_clusters(tmp_path):
    recipe = recipe_copy.make(tmp_path)
    exp = make(recipe)
    words = ("--only", "asnorm", "--weights", "teacher", "--cohort", "conf/few.yaml", "--top-n", "5", "data/dev", "data", "exp/toy")
    run(recipe, "local/score_backends.sh", *words)
    assert sorted(path.name for path in exp.iterdir() if path.is_dir()) == ["cohort", "emb_teacher", "scores_teacher_asnorm",
                                                                           "scores_teacher_mean"]
    found = json.loads((exp / "scores_teacher_asnorm/result_trials_veri_test2.json").read_text())
    clusters = table.read(exp / "cohort/utt2spk")
    names = sorted(set(clusters.values()))
    assert (found["labels"], found["cohort_labels"], found["top_n"], found["cohort_size"]) == ("none", "pseudo", 5, len(names))
    assert not (recipe / "data/dev").exists() and 6 <= len(names) <= 12

    def unit(x):
        return (x - mean) / np.linalg.norm(x - mean, axis=-1, keepdims=True)
    utts, dev = embeddings.load(str(exp / "emb_teacher/dev"))
    mean = dev.mean(0)
    cohort = unit(np.stack([np.mean([dev[utts.index(u)] for u, c in clusters.items() if c == name], 0) for name in names]))
    vectors = dict(zip(*embeddings.load(str(exp / "emb_teacher/voxceleb1_test")), strict=True))
    scores = score_file.read(exp / "scores_teacher_asnorm/scores_trials_veri_test2")
    for a, b, score in zip(scores.enrol, scores.test, scores.score, strict=True):
        raw, sides = unit(vectors[a]) @ unit(vectors[b]), []
        for name in (a, b):
            top = np.sort(cohort @ unit(vectors[name]))[-5:]
            sides.append((raw - top.mean()) / top.std())
        assert score == pytest.approx(sum(sides) / 2, rel=1e-4)


def test_what_only_cannot_be_is_told(tmp_path):
    done = sh(recipe_copy.make(tmp_path), "local/score_backends.sh", "--only", "plda", "data/dev", "data", "exp/toy")
    assert done.returncode == 1 and "--only takes asnorm, not 'plda'" in done.stderr
