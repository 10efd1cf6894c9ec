"""The penalty on the distance to the first weights, by hand, and what it holds in a training that starts from a pre-trained model."""
import json

import pytest
import torch
from small_encoders import MHFA, SMALL, encoder_of
from test_loop import CPU, train_here
from tones import tiny
from torch import nn

from sslspk.config import check
from sslspk.errors import InputError
from sslspk.methods.anchor import Anchor, balanced, below
from sslspk.methods.base import Batch, Corpus, Progress
from sslspk.methods.config_supervised import SupervisedConfig
from sslspk.methods.supervised import Supervised
from sslspk.train import checkpoint, loop, model
from sslspk.train.job import prepare

PRETRAINED = {"name": "wav2vec2", **SMALL}


@pytest.fixture(scope="module")
def start(data, tmp_path_factory):
    """A tiny model of random weights, as a pre-training might leave it: without MHFA."""
    exp = tmp_path_factory.mktemp("anchor") / "start"
    method = {"name": "simclr", "crops": [{"count": 2, "seconds": 0.3}]}
    train_here(tiny(encoder=PRETRAINED, method=method, **{"train.steps": 1}), data, exp)
    return exp / "final.pt"


class Small(nn.Module):
    """An encoder of two weights below a last layer."""

    def __init__(self):
        super().__init__()
        self.below = nn.Linear(2, 1)
        self.above = nn.Linear(1, 1)
        self.last_layers = [self.above]


def test_distance_by_hand():
    encoder = Small()
    anchor = Anchor(encoder)
    assert anchor.distance(encoder) == 0 and len(anchor.state_dict()) == 2
    with torch.no_grad():
        encoder.below.weight += torch.tensor([[0.5, -2.0]])
        encoder.below.bias += 1.0
        encoder.above.weight += 7.0
    assert anchor.distance(encoder).item() == pytest.approx(0.25 + 4.0 + 1.0)
    anchor.distance(encoder).backward()
    torch.testing.assert_close(encoder.below.weight.grad, torch.tensor([[1.0, -4.0]]))
    assert encoder.above.weight.grad is None
    encoder.below.weight.requires_grad_(False)   # frozen: of no account
    assert anchor.distance(encoder).item() == pytest.approx(1.0)
    anchor.take(encoder)
    assert anchor.distance(encoder) == 0


def test_both_terms_have_the_same_size():
    x = torch.tensor(3.0, requires_grad=True)
    balanced(x ** 2, 5 * x, 0.01).backward()
    assert x.grad.item() == pytest.approx(2 * 3 / 9 + 0.01 * 5 / 15)
    x.grad = None
    total = balanced(x ** 2, 0 * x, 0.01)
    total.backward()
    assert total.item() == pytest.approx(1.0) and x.grad.item() == pytest.approx(2 / 3)   # nothing is divided by 0


@pytest.mark.parametrize("on", [True, False])
def test_the_loss_has_the_penalty(on):
    def make(**options):
        torch.manual_seed(0)
        config = check(SupervisedConfig, {"crops": [{"count": 1, "seconds": 0.1}], **options}, "the test")
        return Supervised(config, lambda: encoder_of("tdnn"), Corpus(6, 3))
    method, plain = make(near_start={"weight": 0.5, "balanced": on}), make()
    for one in (method, plain):
        with torch.no_grad():
            next(one.encoder.parameters()).add_(0.1)
    x = torch.randn(1, 6, 10, 20, generator=torch.Generator().manual_seed(1))
    batch = Batch([x], torch.tensor([0, 1, 2, 0, 1, 2]), torch.arange(6))
    out, without = method(batch, Progress(0, 10, 2)), plain(batch, Progress(0, 10, 2))["loss"].item()
    distance = 0.01 * next(method.encoder.parameters()).numel()
    assert out["loss_distance"].item() == pytest.approx(0.5 * distance, rel=1e-4) and out["loss_classes"].item() == pytest.approx(without)
    assert out["loss"].item() == pytest.approx(1.5 if on else without + 0.5 * distance, rel=1e-5)


def config_of(start, lora=None, **train):
    encoder = {**PRETRAINED, **MHFA, **({"lora": lora} if lora else {})}
    return tiny(encoder=encoder, method={"name": "supervised", "crops": [{"count": 1, "seconds": 0.3}], "near_start": {}},
                **{"train.init_from": str(start), "train.steps": 4, **{f"train.{key}": value for key, value in train.items()}})


@pytest.mark.parametrize("lora", [None, {"rank": 2}])
def test_a_training_from_a_pretrained_model(data, start, tmp_path, lora):
    """It begins with those weights and new MHFA; the penalty is from there; MHFA learns faster than the layers, these by their depth."""
    job = prepare(config_of(start, lora, encoder_lr=0.01, layer_decay=0.5), data, tmp_path / "exp", CPU, print)
    state = model.read_encoder_state(start)[0]
    loaded = {key.replace(".parametrizations.weight.original", ".weight") if "attention" in key else key: value
              for key, value in job.method.encoder.state_dict().items()}
    assert all(torch.equal(value, loaded[key]) for key, value in state.items())
    scales = {id(weight): group["scale"] for group in job.optimizer.param_groups for weight in group["params"]}
    assert {scales[id(weight)] for weight in job.method.encoder.mhfa.parameters()} == {1.0}
    layers = [{round(scales[id(weight)], 9) for weight in layer.parameters() if weight.requires_grad}
              for layer in job.method.encoder.model.encoder.transformer.layers]
    assert layers == [{0.005}, {0.01}]
    train_here(config_of(start, lora), data, tmp_path / "run")
    lines = [json.loads(line) for line in (tmp_path / "run/progress.jsonl").read_text().splitlines()]
    assert lines[-1]["loss_distance"] > 0 and lines[-1]["loss"] == pytest.approx(1.01, abs=1e-3)
    newest = checkpoint.load_step(checkpoint.checkpoints(tmp_path / "run")[-1])["method"]
    kept = [value for key, value in newest.items() if key.startswith("anchor.")]
    fresh = prepare(config_of(start, lora), data, tmp_path / "fresh", CPU, print).method
    assert kept and all(torch.equal(a, b) for a, b in zip(kept, below(fresh.encoder), strict=True) if a.ndim)


def test_lora_on_random_weights_is_refused(data, tmp_path):
    with pytest.raises(InputError, match="names none; give --init-from"):
        prepare(tiny(encoder={**PRETRAINED, "lora": {}}, method={"name": "simclr", "crops": [{"count": 2, "seconds": 0.3}]}), data,
                tmp_path / "exp", CPU, print)


@pytest.mark.parametrize("lora", [None, {"rank": 2}])
def test_resumed_it_is_the_same(data, start, tmp_path, monkeypatch, lora):
    train_here(config_of(start, lora), data, tmp_path / "whole")
    with monkeypatch.context() as patch:
        patch.setattr(loop, "_agreed", lambda stop, progress, job: job.step == 2)
        assert loop.train(prepare(config_of(start, lora), data, tmp_path / "parts", CPU, print)) == loop.REQUEUE
    train_here(config_of(start, lora), data, tmp_path / "parts")
    whole, parts = (checkpoint.load(tmp_path / name / "final.pt")["encoders"]["encoder"] for name in ("whole", "parts"))
    assert all(torch.equal(value, parts[key]) for key, value in whole.items())


def test_embeddings_and_a_merged_model(data, start, tmp_path):
    """What LoRA learnt goes into the weights of a model without it, which embeds as before."""
    train_here(config_of(start, {"rank": 2}), data, tmp_path / "lora")
    whole = config_of(tmp_path / "lora/final.pt")
    merged = prepare(whole, data, tmp_path / "merged", CPU, print).method.encoder.eval()
    x = torch.randn(2, 4000, generator=torch.Generator().manual_seed(3))
    with torch.no_grad():
        before = model.load(tmp_path / "lora/final.pt").encoder(x)
        assert before.shape == (2, 6) and all(weight.requires_grad for weight in merged.parameters())
        torch.testing.assert_close(merged(x), before)
