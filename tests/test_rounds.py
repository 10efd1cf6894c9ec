"""Stages 6 and 7 of the recipe on a corpus of seconds: back-ends, and rounds on pseudo-labels that go on where they were killed."""
import json

import heldout
import pytest
import recipe_copy
from recipe_copy import SYNTH, VOXCELEB, run, sh, snapshot
from test_chain import kill_when, shrink

import sslspk
from sslspk.config import load, to_yaml
from sslspk.io import table
from sslspk.train import checkpoint
from sslspk.train.config import SystemConfig

SCORED = {"mean": ("cosine", "none"), "asnorm": ("cosine", "none"), "lda_pseudo": ("lda", "pseudo"), "lda_speaker": ("lda", "speaker"),
          "plda_pseudo": ("plda", "pseudo"), "plda_speaker": ("plda", "speaker"),
          "fusion": ("cosine + plda", "none + pseudo"), "calibrated": ("cosine", "none")}


def small(recipe):
    """Few clusters, little to train."""
    shrink(recipe)
    mini = recipe / "conf/mini"
    for name, text in {"rounds/pseudo": ROUND, "cluster": CLUSTER, "cohort": COHORT, "backend": BACKEND, "ivector_mfcc": IVECTOR}.items():
        (mini / f"{name}.yaml").write_text(text)


ROUND = ("base: ../../rounds/pseudo.yaml\nmethod: {name: supervised, crops: [{count: 1, seconds: 1.0}], sub_centres: 1}\n"
         "data: {batch_size: 8}\ntrain: {steps: 3, schedule: cosine, save_every: 1}\n")
LARGE_MARGIN = ("base: ../../rounds/large_margin.yaml\nmethod: {name: supervised, crops: [{count: 1, seconds: 1.0}]}\n"
                "train: {steps: 2}\n")
CLUSTER = "method: cosine_ahc\nclusters: 5\n"
COHORT = "method: kmeans\nclusters: 8\n"
IVECTOR = "base: ../ivector_mfcc.yaml\nnum_gaussians: 4\nivector_dim: 4\ndiagonal_iterations: 2\nfull_iterations: 1\niterations: 2\n"
BACKEND = "lda_dim: 2\nmin_utterances: 1\n"


def row(recipe, system, variant):
    return json.loads((recipe / f"exp_mini/{system}/scores_{variant}/result_trials_veri_test2.json").read_text())


@pytest.mark.slow
def test_back_ends_and_rounds(tmp_path, monkeypatch):
    recipe = recipe_copy.make(tmp_path)
    monkeypatch.chdir(recipe)
    small(recipe)
    words = ("./run.sh", "--mini", "true", f"--synth={SYNTH}", "--nj", "1", "--system", "simclr_tdnn", "--backends", "true",
             "--rounds", "2", "--round-options=--heldout 0")
    run(recipe, *words, "--stop-stage", "6")
    for variant, expected in SCORED.items():
        found = row(recipe, "simclr_tdnn", f"encoder_{variant}")
        assert (found["backend"], found["backend_labels"]) == expected and found["labels"] == "none", variant
        assert 0 <= found["eer_percent"] <= 100
    assert row(recipe, "simclr_tdnn", "encoder_asnorm")["cohort_labels"] == "pseudo"
    assert row(recipe, "simclr_tdnn", "encoder_fusion")["calibration_labels"] == "pseudo"
    check_own_data(recipe)
    exps = recipe / "exp_mini"
    check_calibration(exps / "simclr_tdnn")
    kill_when(exps / "simclr_tdnn_round2/ckpt/step-00000002.pt", recipe, words)
    first = snapshot(exps / "simclr_tdnn_round1")
    run(recipe, *words)
    assert {k: v for k, v in snapshot(exps / "simclr_tdnn_round1").items() if k in first} == first
    assert "step 3" in (exps / "simclr_tdnn_round2/log/train.log").read_text()
    check_rounds(recipe)
    before = snapshot(exps)
    assert run(recipe, *words).count("nothing to do") == 3 and snapshot(exps) == before
    check_variant(recipe, words)
    check_verdicts(recipe, words)


def check_own_data(recipe):
    """--test scores with the back-ends that are there, as stage 6 does, and trains nothing."""
    mine = "data_mini/voxceleb1_test"
    before = {path: path.stat().st_mtime_ns for path in (recipe / "exp_mini/simclr_tdnn").glob("*/plda")}
    run(recipe, "./run.sh", "--mini", "true", "--nj", "1", "--system", "simclr_tdnn", "--test", mine,
        "--trials", f"{mine}/trials_veri_test2")
    for variant in SCORED:
        folder = recipe / f"exp_mini/simclr_tdnn/scores_encoder_{variant}"
        ours = json.loads((folder / "result_trials_own_voxceleb1_test_trials_veri_test2.json").read_text())
        assert ours["eer_percent"] == pytest.approx(row(recipe, "simclr_tdnn", f"encoder_{variant}")["eer_percent"]), variant
    assert before == {path: path.stat().st_mtime_ns for path in before}


def check_calibration(exp):
    """Made on held-out recordings; it goes with the model, and its costs on the list are among the results."""
    heldout.check(exp / "calibration", table.read(exp / "../../data_mini/voxceleb1_dev_packed/utt2session"))
    model = sslspk.load(exp)
    assert model.calibration.systems == ("simclr_tdnn encoder cosine",) and model.calibration.labels == "pseudo"
    assert model.calibration.made_on == "recordings held out of voxceleb1_dev_packed"


def check_variant(recipe, words):
    """Fixed gates on labels from elsewhere, then a large margin, under names of their own; other systems' rounds are left alone."""
    exps = recipe / "exp_mini"
    (recipe / "conf/mini/rounds/large_margin.yaml").write_text(LARGE_MARGIN)
    other = exps / "simclr_tdnn_k9_round1"   # of a system simclr_tdnn_k9
    other.mkdir()
    (other / "final.pt").write_text("no model")
    utts = table.read(recipe / "data_mini/voxceleb1_dev_packed/utt2spk")
    (recipe / "elsewhere").mkdir()
    table.write(recipe / "elsewhere/utt2spk", {utt: f"c{n % 3}" for n, utt in enumerate(utts)})
    (recipe / "elsewhere/info.json").write_text('{"labels": "none"}')
    before = snapshot(exps / "simclr_tdnn_round1")
    run(recipe, *words, "--stage", "7", "--round-options=--heldout 0 --tag lgl --gates 2,5 --first-clusters elsewhere "
        "--large-margin conf/mini/rounds/large_margin.yaml")
    names = [f"simclr_tdnn_lgl_{last}" for last in ("round1", "round2", "large_margin")]
    assert (exps / "simclr_tdnn/rounds.list").read_text().split() == [f"exp_mini/{name}" for name in names]
    assert [path.name for path in other.iterdir()] == ["final.pt"] and snapshot(exps / "simclr_tdnn_round1") == before
    configs = [checkpoint.load(exps / name / "final.pt")["config"] for name in names]
    gates = [config["method"]["gate"] for config in configs]
    assert [gate and (gate["kind"], gate["threshold"]) for gate in gates] == [("fixed", 2.0), ("fixed", 5.0), None]
    assert [config["train"]["init_from"] for config in configs] == [f"exp_mini/{name}/final.pt" for name in ("simclr_tdnn", *names[:2])]
    assert (configs[2]["method"]["margin"], configs[2]["train"]["init_part"]) == (0.5, "everything")
    first, second = (table.read(recipe / f"data_mini/voxceleb1_dev_packed_{name}/utt2spk") for name in names[:2])
    assert first == table.read(recipe / "elsewhere/utt2spk") and second == table.read(exps / names[0] / "clusters/utt2spk")
    assert {row(recipe, name, "encoder")["labels"] for name in names} == {"pseudo"}
    text = (exps / "RESULTS.md").read_text()
    assert "det_veri_test2.png" in text and f"| {names[2]} | encoder | cosine |" in text


def check_verdicts(recipe, words):
    """Rounds from i-vectors, judged on recordings that none is trained on. What is refused ends them, and the best before it stays."""
    exps = recipe / "exp_mini"
    said = run(recipe, *words, "--stage", "7", "--bootstrap", "ivector",
               "--round-options=--tag judged --heldout 0.25 --large-margin conf/mini/rounds/large_margin.yaml")
    held = table.read(recipe / "data_mini/voxceleb1_dev_packed_heldout_6/utt2spk")
    everyone = table.read(recipe / "data_mini/voxceleb1_dev_packed/utt2spk")
    made, best = (exps / "simclr_tdnn/rounds.list").read_text().split(), "exp_mini/simclr_tdnn"
    for name in made:
        verdict = json.loads((recipe / name / "verdict/verdict.json").read_text())
        trained = table.read(recipe / f"data_mini/voxceleb1_dev_packed_{name.partition('/')[2]}/utt2spk") if "round" in name else {}
        assert verdict["recordings"] == 6 and not trained.keys() & held.keys() and trained.keys() <= everyone.keys()
        assert f"exp_mini/{verdict['best_before']}" == best and verdict["accepted"] == verdict["reason"].startswith("accepted")
        assert f"- {name.partition('/')[2]}, after {verdict['best_before']}: {verdict['reason']}" in (exps / "RESULTS.md").read_text()
        best = name if verdict["accepted"] else best
    first, clusters = (table.read(recipe / name / "utt2spk") for name in (
        "data_mini/voxceleb1_dev_packed_simclr_tdnn_judged_round1", "exp_mini/simclr_tdnn/clusters_ivector"))
    assert first == {utt: cluster for utt, cluster in clusters.items() if utt not in held} and clusters.keys() == everyone.keys()
    info = json.loads((exps / "simclr_tdnn/clusters_ivector/info.json").read_text())
    assert info["embeddings_of"]["system"] == "ivector_mfcc_voxceleb1_dev_packed" and info["labels"] == "none"
    rounds = [name for name in made if "round" in name]
    assert (exps / "simclr_tdnn/rounds.best").read_text() == f"{best}\n" and f"the best model is {best}" in said
    assert len(rounds) == 2 or (rounds == ["exp_mini/simclr_tdnn_judged_round1"] and "round 1 was refused, so 1 more" in said)
    assert ("no round was accepted" in said) == (len(made) == len(rounds))


def check_rounds(recipe):
    """Each round learns from clusters of the one before it, starts from its encoder, and says that it saw pseudo-labels."""
    for number, before in ((1, "simclr_tdnn"), (2, "simclr_tdnn_round1")):
        name = f"simclr_tdnn_round{number}"
        content = checkpoint.load(recipe / f"exp_mini/{name}/final.pt")
        assert content["config"]["train"]["init_from"] == f"exp_mini/{before}/final.pt" and content["info"]["labels"] == "pseudo"
        labels = table.read(recipe / f"data_mini/voxceleb1_dev_packed_{name}/utt2spk")
        assert labels == table.read(recipe / f"exp_mini/{before}/clusters/utt2spk") and len(set(labels.values())) == 5
        assert row(recipe, name, "encoder")["labels"] == "pseudo"
    text = (recipe / "exp_mini/RESULTS.md").read_text()
    assert "| simclr_tdnn_round2 | encoder | cosine | voxceleb1 | pseudo |" in text
    assert "| simclr_tdnn | encoder | plda | voxceleb1 | speaker |" in text and "| fusion of cosine + plda | voxceleb1 | pseudo |" in text


@pytest.mark.parametrize("path", sorted(VOXCELEB.glob("conf/**/rounds/*.yaml")), ids=str)
def test_a_round_can_be_laid_on_any_system(tmp_path, path):
    """What it does not say stays the system's; no option of the system's own training remains. MHFA's bring an encoder of their own."""
    front_end = path.stem.startswith("mhfa")
    for system in ("dino_ecapa", "moco_tdnn", "c3dino_multitask_ecapa", "simclr_short", "dino_curriculum_ecapa", "angular_short"):
        below = load(SystemConfig, VOXCELEB / f"conf/{system}.yaml")
        (tmp_path / "config.yaml").write_text(to_yaml(below))
        if "large_margin" in path.stem:   # laid on a round, whose classes it goes on with
            round_conf = path.with_name(path.name.replace("mhfa_large_margin", "mhfa").replace("large_margin", "pseudo"))
            (tmp_path / "config.yaml").write_text(to_yaml(load(SystemConfig, round_conf, under=tmp_path / "config.yaml")))
        config = load(SystemConfig, path, under=tmp_path / "config.yaml")
        assert config.method.name == "supervised" and config.after is None and not config.augment.speed_perturb and config.data.grow is None
        assert config.waveform if front_end else config.encoder == below.encoder
        assert (config.features, config.cmvn, config.vad) == (below.features, below.cmvn, below.vad)
        assert config.train.optimizer == ("adam" if front_end else "sgd")
        assert config.train.init_part == ("everything" if "large_margin" in path.stem else "encoder")
        assert (config.method.margin > 0.3) == ("large_margin" in path.stem)


def test_rounds_refuse_what_cannot_be(tmp_path):
    recipe = recipe_copy.make(tmp_path)
    for words, named in ((("--rounds", "0", "data", "exp"), "--rounds"), (("--heldout", "1.5", "data", "exp"), "--heldout"),
                         (("--conf", "conf/none.yaml", "data", "exp"), "conf/none.yaml"),
                         (("data", "exp"), "exp/final.pt")):
        done = sh(recipe, "local/train_rounds.sh", *words)
        assert done.returncode == 1 and named in done.stderr and done.stderr.count("\n") == 1, done.stderr
    done = sh(recipe, "./run.sh", "--input", "feats", "--rounds", "2")
    assert done.returncode == 1 and "--input wave" in done.stderr and done.stderr.count("\n") == 1
