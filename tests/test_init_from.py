"""--init-from of the recipes: emotion and speaker verification on from frame-level models, our own and one in torchaudio's format."""
import json

import pytest
import recipe_copy
import torch
import torchaudio
from recipe_copy import overrides, run, sh
from test_transfer_recipes import IEMOCAP, SMALL, rows, two_sessions  # noqa: F401  (a fixture)

from sslspk.io import table
from sslspk.train import checkpoint

ENCODER = {"name": "wav2vec2", "channels": 20, "kernels": [10, 8, 4], "strides": [5, 8, 4], "position_kernel": 8, "position_groups": 2,
           "layers": 2, "dim": 12, "heads": 2, "ff_dim": 20, "layer_drop": 0}
CROPS = [{"count": 1, "seconds": 0.4}]
PRETEXT = {"data": {"workers": 0, "batch_size": 8}, "encoder": ENCODER, "method": {
    "name": "wav2vec2", "crops": CROPS, "mask_span": 4, "num_negatives": 5, "codes": 8, "code_dim": 8, "out_dim": 8},
    "train": {"steps": 2, "lr": 0.001, "lr_batch": None, "warmup_epochs": 0, "log_every": 1}}
# In a program of its own the table of architectures gets a tiny one, whose name no published model has.
SITE = f"""
import sys
if sys.orig_argv[1:3] in (["-m", f"sslspk.bin.{{name}}"] for name in ("train", "show_config", "extract_frame_model")):
    sys.path.insert(0, {str(recipe_copy.ROOT / "tests")!r})
    from sslspk.encoders import architectures
    from test_init_from import tiny
    architectures.ARCHES["tiny"] = architectures.Arch(tiny, True)
"""
VERIFICATION = ("./run.sh", "--mini", "true", "--nj", "1", "--system", "supervised_tdnn", "--stage", "3")


def tiny():
    return torchaudio.models.wav2vec2_model(
        extractor_mode="layer_norm", extractor_conv_layer_config=[(20, 10, 5), (20, 8, 8), (20, 4, 4)], extractor_conv_bias=True,
        encoder_embed_dim=12, encoder_projection_dropout=0.1, encoder_pos_conv_kernel=8, encoder_pos_conv_groups=2, encoder_num_layers=2,
        encoder_num_heads=2, encoder_attention_dropout=0.1, encoder_ff_interm_features=20, encoder_ff_interm_dropout=0.1,
        encoder_dropout=0.1, encoder_layer_norm_first=True, encoder_layer_drop=0.5, aux_num_out=None)


def give_architecture(recipe):
    """A recipe whose programs know the architecture `tiny`, and weights of it."""
    torch.manual_seed(7)
    torch.save(tiny().state_dict(), recipe / "tiny.v1.pth")
    (recipe / "site").mkdir()
    (recipe / "site/sitecustomize.py").write_text(SITE)
    with open(recipe / "path.sh", "a") as f:
        f.write(f'export PYTHONPATH="{recipe}/site:$PYTHONPATH"\n')


@pytest.fixture(scope="module")
def emotions(two_sessions):  # noqa: F811
    """Two sessions of emotions, and a wav2vec 2.0 that was pre-trained on them."""
    recipe = two_sessions
    (recipe / "conf/wav2vec2.yaml").write_text(json.dumps(PRETEXT))
    run(recipe, "steps/train.sh", "--conf", "conf/wav2vec2.yaml", "data_mini/iemocap_packed", "models/wav2vec2")
    give_architecture(recipe)
    return recipe


@pytest.mark.slow
def test_emotion_from_our_own_pre_training(emotions, monkeypatch):
    """Weights over layers and rates by layer; the whole Transformer is fine-tuned on whole utterances."""
    monkeypatch.chdir(emotions)
    said = run(emotions, *IEMOCAP, "--stage", "2", "--init-from", "models/wav2vec2/final.pt", "--probes", "", "--seconds", "full",
               *SMALL[:-2], *overrides("encoder.pooling=layers", "train.layer_decay=0.8"))
    exp = emotions / "exp_mini/wav2vec2_once_session_fulls/seed0"
    start = checkpoint.load(emotions / "models/wav2vec2/final.pt")["encoders"]["encoder"]
    for fold in (1, 2):
        model = checkpoint.load(exp / f"fold_{fold}/final.pt")
        end = model["encoders"]["encoder"]
        assert end.keys() - start.keys() == {"layer_weights"} and end["layer_weights"].any()
        assert not any(torch.equal(end[key], start[key]) for key in start if start[key].ndim > 1)
        assert (model["config"]["encoder"]["pooling"], model["config"]["train"]["layer_decay"]) == ("layers", 0.8)
    assert rows(said)["wav2vec2_once_session_fulls"]["from"] == "wav2vec2"


@pytest.mark.slow
def test_emotion_from_a_checkpoint(emotions, monkeypatch):
    """A file in torchaudio's format is fine-tuned, and probed besides; the models that come out need it no more."""
    monkeypatch.chdir(emotions)
    said = run(emotions, *IEMOCAP, "--stage", "2", "--init-from", "tiny tiny.v1.pth", "--probes", "knn", *SMALL)
    assert rows(said).keys() >= {"tiny_tiny.v1_once_session", "probes_tiny_tiny.v1_session knn"}
    assert rows(said)["tiny_tiny.v1_once_session"]["from"] == "tiny"
    exp = emotions / "exp_mini/tiny_tiny.v1_once_session/seed0"
    model, start = checkpoint.load(exp / "fold_1/final.pt"), torch.load(emotions / "tiny.v1.pth")
    config, end = model["config"]["encoder"], model["encoders"]["encoder"]
    assert (config["name"], config["normalise"], config["conv_norm"]) == ("wav2vec2", True, "every")
    assert {key.removeprefix("model.") for key in end} == start.keys()
    assert all((end[f"model.{key}"] - value).abs().max() < 0.004 for key, value in start.items()), "three steps of Adam at 1e-3"
    again = run(emotions, *IEMOCAP, "--stage", "3", "--init-from", "tiny tiny.v1.pth", "--probes", "knn", *SMALL)
    assert again.count("is up to date, skipped") == 3   # result, embeddings, probe
    torch.save(tiny().state_dict(), emotions / "tiny.v1.pth")   # another file is another start
    done = sh(emotions, *IEMOCAP, "--stage", "3", "--init-from", "tiny tiny.v1.pth", "--probes", "", *SMALL)
    assert done.returncode != 0 and "started from other weights of tiny" in (exp / "log/train.1.log").read_text()


@pytest.mark.slow
def test_verification_from_a_frame_level_model(tmp_path, monkeypatch):
    """A system with labels takes the model's encoder in place of its own; where it follows another system, the model stands for that."""
    recipe = recipe_copy.make(tmp_path)
    monkeypatch.chdir(recipe)
    give_architecture(recipe)
    run(recipe, *VERIFICATION[:-2], "--stop-stage", "1", f"--synth={recipe_copy.SYNTH}")
    small = overrides("train.steps=2", "train.warmup_epochs=0", "data.batch_size=8", "method.crops=[{count: 1, seconds: 0.4}]")
    run(recipe, *VERIFICATION, "--init-from", "tiny tiny.v1.pth", *small)
    exp = recipe / "exp_mini/supervised_tdnn_from_tiny_tiny.v1"
    model = checkpoint.load(exp / "final.pt")
    assert (model["config"]["encoder"]["name"], model["config"]["method"]["name"]) == ("wav2vec2", "supervised")
    assert model["info"]["start"]["system"] == "tiny"
    result = json.loads((exp / "scores_encoder/result_trials_veri_test2.json").read_text())
    assert 0 <= result["eer_percent"] <= 100 and result["encoder"] == "wav2vec2"
    assert len(table.read(exp / "emb_encoder/voxceleb1_test/xvector.scp")) == 16
    system = (*VERIFICATION, "--stop-stage", "3", "--system", "supervised_from_dino_once_tdnn", "--init-from", exp / "final.pt")
    run(recipe, *system, *small)
    trained = {path.parent.name for path in (recipe / "exp_mini").glob("*/final.pt")}
    assert trained == {exp.name, f"supervised_from_dino_once_tdnn_from_{exp.name}"}
