"""steps/cluster.sh as a user runs it: on embeddings with planted speakers, and on input that cannot be clustered."""
import json
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from sklearn.metrics import adjusted_rand_score

from sslspk.bin import cluster
from sslspk.errors import InputError
from sslspk.io import ark, datadir, table

ROOT = Path(__file__).parents[1]
CONF = "method: kmeans_ahc\nkmeans_share: 0.4\nclusters: 10\n"
PLDA = ("--set", "method=plda_ahc", "--set", "plda_threshold=0")
COSINE = ("--set", "method=cosine_ahc", "--set", "kmeans_share=null")


@pytest.fixture
def recipe(tmp_path):
    """A directory as a recipe sees it: emb/ of ten speakers, who they are, and a configuration."""
    rng = np.random.default_rng(0)
    centres = rng.normal(size=(10, 12))
    truth = {f"utt{n:03}": f"spk{rng.integers(10)}" for n in range(200)}
    write(tmp_path / "emb", {utt: 5 * centres[int(spk[3:])] + 0.7 * rng.normal(size=12) for utt, spk in truth.items()})
    (tmp_path / "emb/provenance.json").write_text('{"system": "toy", "labels": "none"}')
    table.write(tmp_path / "truth", truth)
    (tmp_path / "cluster.yaml").write_text(CONF)
    for name in ("steps", "utils"):
        (tmp_path / name).symlink_to(ROOT / name)
    return tmp_path


def write(folder, vectors):
    folder.mkdir(exist_ok=True)
    with ark.Writer(folder / "xvector.ark", folder / "xvector.scp") as writer:
        for name in sorted(vectors):
            writer.write(name, np.asarray(vectors[name], np.float32))


def sh(folder, *words):
    environment = os.environ | {"PATH": f"{Path(sys.executable).parent}:{os.environ['PATH']}", "PYTHONPATH": str(ROOT)}
    return subprocess.run(["bash", *words], cwd=folder, env=environment, capture_output=True, text=True, check=False)


def step(folder, *words):
    return sh(folder, "steps/cluster.sh", "--nj", "1", "--conf", "cluster.yaml", *words)


def test_step_finds_planted_speakers_reports_and_skips(recipe):
    done = step(recipe, "--truth", "truth", "emb", "out")
    assert done.returncode == 0, done.stderr + done.stdout
    out, truth = recipe / "out", table.read(recipe / "truth")
    utt2spk = table.read(out / "utt2spk")
    assert list(utt2spk) == list(truth) and utt2spk["utt000"] == "cluster-00000"
    assert adjusted_rand_score(list(utt2spk.values()), list(truth.values())) == 1
    assert table.read(out / "spk2utt") == datadir.invert(utt2spk)
    report, info = (json.loads((out / f"{name}.json").read_text()) for name in ("report", "info"))
    assert (report["purity"], report["inverse_purity"], report["nmi"]) == (1, 1, pytest.approx(1)) and report["clusters"] == 10
    expected = {"method": "kmeans_ahc", "clusters": 10, "utterances": 200, "left_out": 0, "labels": "none", "plda": None}
    assert {key: info[key] for key in expected} == expected and info["config"]["clusters"] == 10
    assert "tree of 80 points" in (out / "log/cluster.log").read_text() and "purity: 1.0000" in done.stdout
    assert "up to date" in step(recipe, "--truth", "truth", "emb", "out").stdout


def test_left_out_utterances_are_counted(recipe):
    done = step(recipe, *COSINE, "--set", "clusters=14", "--set", "min_size=4", "--set", "max_size=15", "--truth", "truth", "emb", "out")
    assert done.returncode == 0, done.stderr + done.stdout
    info, utt2spk = json.loads((recipe / "out/info.json").read_text()), table.read(recipe / "out/utt2spk")
    assert info["utterances"] + info["left_out_small"] + info["left_out_capped"] == 200 and info["left_out_small"] > 0
    assert info["left_out_capped"] > 0 and len(utt2spk) == info["utterances"] and info["sizes"]["max"] == 15
    assert json.loads((recipe / "out/report.json").read_text())["utterances"] == len(utt2spk)


def test_kmeans_alone(recipe):
    """Of more than memory could hold a tree of; the few centroids that end up without utterances are told."""
    words = ("--set", "method=kmeans", "--set", "kmeans_share=null", "--max-gb", "0.00001", "--truth", "truth")
    done = step(recipe, *words, "emb", "out")
    assert done.returncode == 0, done.stderr + done.stdout
    info, report = (json.loads((recipe / f"out/{name}.json").read_text()) for name in ("info", "report"))
    assert (info["method"], info["utterances"], info["left_out"]) == ("kmeans", 200, 0)
    assert 5 < info["clusters"] <= 10 and report["nmi"] > 0.8
    assert ("tree of" not in (recipe / "out/log/cluster.log").read_text()) and "clusters:" in done.stdout


@pytest.mark.parametrize(("text", "named"), [("{", "info.json is not valid JSON"), ("[]", "must hold one JSON object"),
                                             ("{}", "info.json does not say which labels"), (None, "info.json cannot be read")])
def test_labels_of_unknown_origin_make_no_data_directory(recipe, text, named):
    utt2spk = table.read(recipe / "truth")
    datadir.write(str(recipe / "data"), wav={utt: f"{utt}.wav" for utt in utt2spk}, utt2spk=utt2spk)
    (recipe / "clusters").mkdir()
    table.write(recipe / "clusters/utt2spk", utt2spk)
    if text is not None:
        (recipe / "clusters/info.json").write_text(text)
    done = sh(recipe, "utils/relabel_data_dir.sh", "data", "clusters", "out")
    assert done.returncode == 1 and named in done.stderr and done.stderr.count("\n") == 1, done.stderr
    assert not (recipe / "out").exists()


def test_step_says_what_is_wrong(recipe):
    write(recipe / "flat", {"good1": np.ones(3), "zero": np.zeros(3), "good2": np.arange(3)})
    for words, named in (((*COSINE, "--set", "clusters=2", "flat"), "the embedding of zero has length zero"),
                         (("--conf", "gone.yaml", "emb"), "there is no configuration gone.yaml"),
                         (("--truth", "gone", "emb"), "there is no gone")):
        done = step(recipe, *words, "out")
        assert done.returncode != 0 and named in done.stdout + done.stderr, done.stdout + done.stderr
        assert "Traceback" not in done.stdout + done.stderr and not (recipe / "out/utt2spk").exists()


@pytest.fixture
def program(recipe, monkeypatch):
    """sslspk.bin.cluster, without a process for each call."""
    monkeypatch.chdir(recipe)

    def run(*words):
        monkeypatch.setattr(sys, "argv", ["cluster", "--conf", "cluster.yaml", *words])
        cluster.main()
        return json.loads(Path(words[-1], "info.json").read_text())
    return run


def test_labels_for_analysis_have_no_part_in_the_clusters(program):
    with_truth = program("--truth", "truth", "emb", "out")
    before = Path("out/utt2spk").stat().st_mtime_ns
    assert Path("out/report.json").exists() and program("emb", "out") == with_truth
    assert Path("out/utt2spk").stat().st_mtime_ns == before, "written anew only where it differs"
    assert not Path("out/report.json").exists()
    table.write("wrong", dict.fromkeys(table.read("truth"), "everybody"))
    assert program("--truth", "wrong", "emb", "out") == with_truth and Path("out/utt2spk").stat().st_mtime_ns == before


def test_labels_that_the_embeddings_have_seen_go_along(program):
    Path("emb/provenance.json").write_text('{"system": "toy", "labels": "speaker"}')
    assert program("emb", "out")["labels"] == "speaker"
    Path("emb/provenance.json").unlink()
    assert program("emb", "out")["labels"] == "unknown"


def test_a_trained_plda_and_the_labels_it_saw(recipe, program):
    done = sh(recipe, "steps/train_backend.sh", "--set", "lda=none", "--labels", "truth", "emb", "plda")
    assert done.returncode == 0, done.stderr + done.stdout
    info = program(*PLDA, "--model", "plda", "--truth", "truth", "emb", "out")
    assert info["labels"] == "speaker" and info["plda"] == "plda" and json.loads(Path("out/report.json").read_text())["nmi"] > 0.95


def test_place_in_the_archives_does_not_matter(program):
    vectors = {name: ark.load(spec) for name, spec in ark.read_scp("emb/xvector.scp").items()}
    parts = {}
    for part, odd in (("b", 1), ("a", 0)):
        write(Path(part), {name: vector for n, (name, vector) in enumerate(vectors.items()) if n % 2 == odd})
        parts |= ark.read_scp(f"{part}/xvector.scp")
    Path("turned").mkdir()
    table.write("turned/xvector.scp", parts)
    for emb in ("emb", "turned"):
        program(emb, f"of_{emb}")
    assert Path("of_emb/utt2spk").read_bytes() == Path("of_turned/utt2spk").read_bytes()


@pytest.mark.parametrize(("words", "named"), [
    ((*COSINE, "--set", "clusters=300"), "clusters is 300, but there are only 200 utterances"),
    (("--max-gb", "0.00001"), "allowed by --max-gb; run k-means first"),
    (("--set", "clusters=1"), "clusters: should be greater than"),
    ((*COSINE, "--set", "clusters=null", "--set", "threshold=-0.99"), "raise threshold"),
    (("--truth", "other"), "other knows the speaker of none"), (("--model", "emb"), "--model is for plda_ahc"),
    ((*PLDA, "--model", "emb"), "emb/mean.vec cannot be read"),
    ((*PLDA, "--set", "plda_min_size=51", "--set", "plda_max_size=60"), "too few for PLDA")])
def test_what_cannot_be_clustered_is_refused_and_nothing_written(program, words, named):
    table.write("other", {"stranger": "x"})
    with pytest.raises(InputError, match=named):
        program(*words, "emb", "out")
    assert not list(Path("out").glob("*"))


CONFS = sorted((ROOT / "egs/voxceleb/conf").glob("**/cluster*.yaml"))


@pytest.mark.parametrize("path", CONFS, ids=lambda path: f"{path.parent.name}-{path.stem}")
def test_configurations_of_the_recipe(path):
    """They load, each for corpora of the size it is made for, and the large one says how many bytes it needs."""
    from sslspk.backend.clustering import tree_bytes
    from sslspk.backend.config_cluster import ClusterConfig
    from sslspk.config import load
    config = load(ClusterConfig, path)
    if path.stem == "cluster_lgl":
        assert (config.method, config.clusters, config.points(1_092_009)) == ("kmeans", 6000, 1_092_009)
        return
    assert config.method == "kmeans_ahc" and config.clusters < config.points(1000) <= 50_000
    if path.stem == "cluster" and path.parent.name == "conf":
        assert (config.points(1_092_009), config.clusters) == (50_000, 7_500) and tree_bytes(50_000) < 21e9
