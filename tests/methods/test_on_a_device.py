"""Every method on another device than the CPU, without one: on "meta" tensors have no values.

A tensor that stays on the CPU is told there (another device), and so is a step that waits for a value (`.item()`, a mask of unknown size),
or for the GPU before it copies to it, which would hold up a GPU.
"""
import contextlib

import pytest
import torch
from test_method_contract import BATCH, BINS, METHODS, make
from torch.overrides import TorchFunctionMode

from sslspk.encoders import build
from sslspk.encoders.config import CpcEncoderConfig
from sslspk.methods.base import Batch, Progress
from sslspk.nn.standardise import Standardise

META = torch.device("meta")
# Of these every second step looks at values, the first one too: a clustering of the queue.
WAITS = {"moco queue prototypes": 1}


class MetaGenerator(torch.Generator):
    """A generator of the CPU that says it is on the device it was asked for."""

    def __new__(cls, device="cpu"):
        made = super().__new__(cls, "cpu")
        made.where = torch.device(device)
        return made

    @property
    def device(self):
        return self.where


class Copies(TorchFunctionMode):
    """Refuses a copy from the CPU that waits until the GPU has done what came before."""

    def __torch_function__(self, func, types, args=(), kwargs=None):
        out = func(*args, **(kwargs or {}))
        if func is torch.Tensor.to and args[0].device.type == "cpu" and out.device == META:
            assert (kwargs or {}).get("non_blocking"), "a copy to the device without non_blocking=True"
        return out


@pytest.fixture
def meta(monkeypatch):
    """What torch does not offer on "meta": generators and autocast."""
    autocast = torch.autocast
    monkeypatch.setattr(torch, "Generator", MetaGenerator)
    monkeypatch.setattr(torch, "autocast", lambda kind, **kw: contextlib.nullcontext() if kind == "meta" else autocast(kind, **kw))


def crops(method):
    waves = method.backbones()[0].input == "wave"
    for crop in method.crops:
        last = (round(crop.seconds * 16000),) if waves else (round(crop.seconds * 100), BINS)
        yield torch.empty(crop.count, BATCH, *last, device=META)


@pytest.mark.parametrize("name", METHODS)
def test_a_step_stays_on_the_device_and_waits_for_nothing(meta, name):
    method = make(name).to(META)
    for part in method.modules():
        if isinstance(part, Standardise):   # which waits while it gathers statistics, in the first batches alone
            part._settled = True
    progress = Progress(WAITS.get(name, 0), 10, 2)
    nobody = torch.zeros(BATCH, dtype=torch.int64, device=META)
    with Copies():
        out = method(Batch([*crops(method)], nobody, nobody), progress)
    assert {value.device for value in out.values()} == {META}
    out["loss"].backward()
    method.after_backward(progress)
    method.after_step(progress)
    assert all(value.device == META for value in method.state_dict().values())


@pytest.mark.parametrize("context", ["gru", "lstm"])
def test_recurrent_contexts_are_computed_in_float32(meta, context):
    """Autocast on a GPU would take float16 for them, without a scale for the gradients."""
    encoder = build(CpcEncoderConfig(channels=8, context=context, context_dim=4, bidirectional=True), 1).to(META)
    steps = [torch.empty(2, 5, 8, dtype=torch.bfloat16, device=META) for _ in range(2)]
    assert [seen.dtype for seen in encoder.context(steps)] == [torch.float32] * 2
