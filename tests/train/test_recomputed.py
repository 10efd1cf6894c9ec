"""train.recompute: blocks that are computed again in the backward pass give the same results, and need less memory."""
import json
import runpy
from types import SimpleNamespace

import double
import pytest
import recipe_copy
import small_encoders
import torch
from test_loop import CPU, final_weights, same, signal_after, train_here
from test_ranks import METHODS, differences, train_on_two_ranks
from tones import merged, tiny

from sslspk.config import load
from sslspk.encoders import build
from sslspk.encoders.config import (
    CpcEncoderConfig,
    EcapaConfig,
    LResNet34Config,
    PaseEncoderConfig,
    ResNetSE34LConfig,
    TdnnConfig,
    VqWav2vecEncoderConfig,
    Wav2Vec2EncoderConfig,
)
from sslspk.errors import InputError
from sslspk.train.config import SystemConfig
from sslspk.train.job import prepare
from sslspk.train.recomputed import recompute_blocks

Live = runpy.run_path(str(recipe_copy.ROOT / "tools/bench/recompute.py"))["Live"]
ECAPA = {"name": "ecapa", "channels": 16, "mfa_channels": 24, "scale": 4, "se_channels": 16, "attention_channels": 16, "embed_dim": 32}
DROPPING = Wav2Vec2EncoderConfig(**{**small_encoders.SMALL, "layer_drop": 0.5, "dropout": 0.2, "attention_dropout": 0.2})
CONFIGS = {**{name: config for name, config in small_encoders.CONFIGS.items() if config.name != "dsvae"}, "wav2vec2-dropout": DROPPING}


def made(config, recompute):
    torch.manual_seed(0)
    encoder = build(config, 1 if small_encoders.reads_waveform(config) else small_encoders.F).train()
    if recompute:
        recompute_blocks(SimpleNamespace(backbones=lambda: [encoder]))
    return encoder


def crops(encoder, batch=3, seconds=0.5):
    last = (round(16000 * seconds),) if encoder.input == "wave" else (round(100 * seconds), small_encoders.F)
    return torch.randn(batch, *last, generator=torch.Generator().manual_seed(1))


@pytest.mark.parametrize("half", [False, True], ids=["float32", "bf16"])
@pytest.mark.parametrize("name", CONFIGS)
def test_gradients_and_running_statistics_are_the_same(name, half):
    """After two passes over two lengths, as DINO's. Dropout and dropped layers too: what is drawn again is what was drawn."""
    found = []
    for recompute in (False, True):
        encoder = made(CONFIGS[name], recompute)
        for seed in range(2):
            torch.manual_seed(seed)
            with torch.autocast("cpu", torch.bfloat16, enabled=half):
                embeddings = torch.cat([encoder(crops(encoder)), encoder(crops(encoder, seconds=0.4))])
            embeddings.float().square().sum().backward()
        gradients = {key: p.grad for key, p in encoder.named_parameters() if p.grad is not None}
        found.append({"embeddings": embeddings.detach(), "next number": torch.rand(()), **gradients, **dict(encoder.named_buffers())})
    assert encoder.blocks_to_recompute and found[0].keys() == found[1].keys()
    for key, value in found[0].items():
        assert torch.allclose(found[1][key], value, rtol=1e-6, atol=1e-7), key


def most_memory(config, recompute):
    """Of a forward and a backward pass on "meta", where tensors have sizes but no values."""
    encoder = made(config, recompute).to("meta")
    x = crops(encoder, batch=8, seconds=4.0).to("meta")
    with Live() as live:
        encoder(x).square().sum().backward()
    before, _ = live.now, encoder.zero_grad()
    gradients = sum(4 * p.numel() for p in encoder.parameters())
    assert live.now <= before - gradients, "a tensor that is freed counts no longer"
    return live.most - gradients


LARGE = {"tdnn": (TdnnConfig(), 0.9), "ecapa": (EcapaConfig(), 0.65), "lresnet34": (LResNet34Config(), 0.42),
         "resnetse34l": (ResNetSE34LConfig(), 0.36), "cpc": (CpcEncoderConfig(context="none", pooling="mean"), 0.96),
         "pase": (PaseEncoderConfig(), 0.85), "wav2vec": (VqWav2vecEncoderConfig(quantiser=None), 0.85),
         "wav2vec2": (Wav2Vec2EncoderConfig(), 0.5)}


@pytest.mark.parametrize("name", LARGE)
def test_needs_less_memory(name):
    """What is left is the input of each block and the inside of the largest one: little of a deep encoder, much of a shallow one."""
    config, share = LARGE[name]
    kept, recomputed = (most_memory(config, recompute) for recompute in (False, True))
    assert recomputed < share * kept, f"{recomputed / kept:.3f}"


@pytest.mark.parametrize("changes", [{}, {"train.accumulate": 2}, {"train.precision": "bf16"}, {"method": METHODS["c3moco"]}],
                         ids=["dino", "accumulate", "bf16", "moco"])
def test_a_training_ends_with_the_same_weights(data, tmp_path, changes):
    """The teacher's BatchNorm and MoCo's of groups too."""
    shape = {"encoder": ECAPA, "data.batch_size": 12, **changes}
    jobs = [train_here(tiny(**{**shape, "train.recompute": on}), data, tmp_path / str(on)) for on in (False, True)]
    assert same(final_weights(tmp_path / "False"), final_weights(tmp_path / "True"))
    assert all(torch.equal(a, b) for a, b in zip(*(job.method.buffers() for job in jobs), strict=True))


def test_a_run_may_go_on_with_it(data, tmp_path):
    """After a step that did not fit into the memory."""
    signal_after(prepare(tiny(), data, tmp_path / "changed", CPU, print), 3)
    train_here(tiny(**{"train.recompute": True}), data, tmp_path / "changed")
    train_here(tiny(), data, tmp_path / "plain")
    assert same(final_weights(tmp_path / "changed"), final_weights(tmp_path / "plain"))


@pytest.mark.slow
def test_two_ranks_equal_one(data, tmp_path):
    """Of the recomputed BatchNorm over ranks, too, and with gradients that are sent while blocks are computed again."""
    confs = []
    for name in ("dino", "c3moco"):
        for on in (False, True):
            confs.append(tmp_path / f"{name}-{on}.yaml")
            confs[-1].write_text(json.dumps(merged(**{
                "train.steps": 20, "train.log_every": 5, "train.save_every": 20, "train.optimizer": "sgd", "train.lr": 0.003,
                "train.recompute": on, "data.batch_size": 12, "encoder": ECAPA, "method": METHODS[name]})))
    with double.precision():
        for conf in confs:
            train_here(load(SystemConfig, conf), data, conf.with_suffix("") / "one")
    train_on_two_ranks(tmp_path, data, confs)
    for conf in confs:
        plain = tmp_path / conf.stem.replace("True", "False")
        assert not [*differences(plain / "one", conf.with_suffix("") / "two")], conf.stem


@pytest.mark.parametrize(("changes", "key"), [
    ({"train.compile": True}, "train.compile"),
    ({"train.trainable": "head", "method": {"name": "supervised", "crops": [{"count": 1, "seconds": 0.4}]}}, "train.trainable"),
    ({"encoder": {"name": "dsvae"}, "method": {"name": "dsvae", "crops": [{"count": 1, "seconds": 0.4}]}}, "dsvae")])
def test_what_it_does_not_go_with_is_refused(changes, key):
    with pytest.raises(InputError, match=key) as refused:
        tiny(**{**changes, "train.recompute": True})
    assert "train.recompute" in str(refused.value) and len(str(refused.value)) <= 160
