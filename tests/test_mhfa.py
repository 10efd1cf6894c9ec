"""The route of WavLM and MHFA: its confs at the paper's size, and rounds that start from a pre-trained model."""
import json

import pytest
import recipe_copy
import torch
from recipe_copy import SYNTH, VOXCELEB, run, sh
from small_encoders import MHFA, SMALL
from test_rounds import small

from sslspk.bin.show_config import main as show_config
from sslspk.config import load, read_yaml
from sslspk.encoders.architectures import config_of
from sslspk.methods import build
from sslspk.methods.base import Corpus
from sslspk.train import checkpoint, model
from sslspk.train.config import SystemConfig
from sslspk.train.optim import build_optimizer, learning_rate

ROUNDS = VOXCELEB / "conf/rounds"
OWN = {"pooling", "pooling_heads", "pooling_compress", "embed_dim", "lora", "layer_drop", "ff_dropout"}


def laid_on(name, system):
    return load(SystemConfig, ROUNDS / f"{name}.yaml", under=load(SystemConfig, VOXCELEB / f"conf/{system}.yaml").model_dump(mode="json"))


@pytest.mark.parametrize(("name", "arch"), [("mhfa", "wavlm_base"), ("mhfa_lora", "wavlm_base"), ("mhfa_hubert", "hubert_base"),
                                            ("mhfa_hubert", "wav2vec2_base")])
def test_rounds_fit_the_published_weights_and_rates(name, arch):
    config = laid_on(name, "dino_large_ecapa")
    assert config.encoder.model_dump(exclude=OWN) == config_of(arch).model_dump(exclude=OWN)
    with torch.device("meta"):
        method = build(config.method, config.encoder, 1, Corpus(10, 7500))
    optimizer, peak = build_optimizer(method, config), learning_rate(config, 0, 150, 10)
    rates = {id(weight): peak * group["scale"] for group in optimizer.param_groups for weight in group["params"]}
    encoder = method.encoder
    assert {rates[id(weight)] for weight in [*encoder.mhfa.parameters(), *method.classifier.parameters()]} == {5e-3}
    below = {rates[id(weight)] for weight in encoder.model.parameters() if weight.requires_grad}
    assert [round(rate, 9) for rate in below] == [1e-4 if name == "mhfa_lora" else 2e-5]
    assert learning_rate(config, 10, 150, 10) == pytest.approx(0.95 * 5e-3, rel=1e-3)
    assert (encoder.embed_dim, config.method.scale, config.method.margin, config.data.batch_size) == (256, 30.0, 0.2, 120)
    gate = config.method.gate
    assert (gate.kind, gate.start_epochs, gate.correct_epochs, gate.correct_confidence) == ("dynamic", 5, 9, 0.5)
    assert (method.anchor is None) == (name == "mhfa_lora")


def test_the_large_margin_goes_on_with_the_same_network():
    first = laid_on("mhfa", "dino_large_ecapa")
    last = load(SystemConfig, ROUNDS / "mhfa_large_margin.yaml", under=first.model_dump(mode="json"))
    assert last.encoder == first.encoder and last.method.margin == 0.5 and last.method.crops[0].seconds == 6.0
    assert (last.data.batch_size, last.train.init_part, last.method.gate, last.train.encoder_lr) == (50, "everything", None, 0.004)


def test_small_ones_are_of_one_encoder():
    pretrained = load(SystemConfig, VOXCELEB.parent / "librispeech/conf/wav2vec2_short.yaml").encoder
    alone, a_round = load(SystemConfig, VOXCELEB / "conf/mhfa_short.yaml"), laid_on("mhfa_short", "simclr_short")
    last = load(SystemConfig, ROUNDS / "mhfa_large_margin_short.yaml", under=a_round.model_dump(mode="json"))
    assert alone.encoder == a_round.encoder == last.encoder and alone.encoder.pooling == "mhfa"
    assert alone.encoder.model_dump(exclude=OWN) == pretrained.model_dump(exclude=OWN)


def test_a_pretrained_model_leaves_the_pooling_to_the_configuration(capsys, monkeypatch, tmp_path):
    conf = VOXCELEB / "conf/mhfa_wavlm.yaml"
    monkeypatch.setattr("sys.argv", ["show_config", "--conf", str(conf), "--encoder-of", "wavlm_base random"])
    assert show_config() == 0
    (tmp_path / "found.yaml").write_text(capsys.readouterr().out)
    found = read_yaml(tmp_path / "found.yaml")["encoder"]
    assert (found["pooling"], found["embed_dim"], found["pooling_heads"], found["relative_buckets"]) == ("mhfa", 256, 64, 320)
    assert (found["layer_drop"], found["ff_dropout"]) == (0, 0.1), "of these the file says only the first"


def test_a_start_that_is_not_there_is_told(tmp_path):
    recipe = recipe_copy.make(tmp_path)
    (recipe / "exp").mkdir()
    (recipe / "exp/final.pt").write_text("x")
    done = sh(recipe, "local/train_rounds.sh", "--start", "wavlm_base=none.pth", ".", "exp")
    assert done.returncode == 1 and "there is no checkpoint 'none.pth'" in done.stderr and done.stderr.count("\n") == 1


@pytest.mark.slow
def test_rounds_start_from_a_pretrained_model(tmp_path, monkeypatch):
    """Clusters of one system, a network of another kind on them, then on its own clusters, then a large margin."""
    recipe = recipe_copy.make(tmp_path)
    monkeypatch.chdir(recipe)
    small(recipe)
    mini = recipe / "conf/mini"
    (mini / "start.yaml").write_text("base: mini.yaml\nmethod: {name: simclr, crops: [{count: 2, seconds: 0.5}]}\n"
                                     + to_yaml_part({"encoder": {"name": "wav2vec2", **SMALL}}))
    (mini / "rounds/mhfa.yaml").write_text(
        "base: pseudo.yaml\nmethod: {name: supervised, near_start: {weight: 0.01}}\n"
        + to_yaml_part({"encoder": {"name": "wav2vec2", **SMALL, **MHFA}}))
    (mini / "rounds/last.yaml").write_text("base: ../../rounds/mhfa_large_margin.yaml\ndata: {batch_size: 8}\n"
                                           "method: {name: supervised, crops: [{count: 1, seconds: 1.0}]}\ntrain: {steps: 2}\n")
    words = ("./run.sh", "--mini", "true", f"--synth={SYNTH}", "--nj", "1")
    run(recipe, *words, "--system", "start", "--stop-stage", "3")
    run(recipe, *words, "--system", "simclr_tdnn", "--rounds", "2", "--round-options=--heldout 0 --tag mhfa "
        "--conf conf/mini/rounds/mhfa.yaml --start exp_mini/start/final.pt --large-margin conf/mini/rounds/last.yaml")
    names = [f"simclr_tdnn_mhfa_{last}" for last in ("round1", "round2", "large_margin")]
    configs = [checkpoint.load(recipe / f"exp_mini/{name}/final.pt")["config"] for name in names]
    assert [config["train"]["init_from"] for config in configs] == [f"exp_mini/{name}/final.pt" for name in ("start", *names[:2])]
    assert {config["encoder"]["pooling"] for config in configs} == {"mhfa"}
    found = json.loads((recipe / f"exp_mini/{names[2]}/scores_encoder/result_trials_veri_test2.json").read_text())
    assert found["labels"] == "pseudo" and model.load(recipe / f"exp_mini/{names[2]}/final.pt").encoder.embed_dim == 6


def to_yaml_part(tree):
    """One section as a line of YAML (JSON is YAML)."""
    return "".join(f"{key}: {json.dumps(value)}\n" for key, value in tree.items())
