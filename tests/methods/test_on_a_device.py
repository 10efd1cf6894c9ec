"""Every method on another device than the CPU, without one: on "meta", and as fake CUDA tensors, neither of which have values.

A tensor that stays on the CPU is told there (another device), and so is a step that waits for a value (`.item()`, a mask of unknown size),
or for the GPU before it copies to it, which would hold up a GPU. On "meta" the step has its backward pass; the fake CUDA tensors go where
code asks whether a tensor is on CUDA, and through the monitors of a logged step.
"""
import contextlib

import pytest
import torch
from test_method_contract import BATCH, BINS, METHODS, make
from torch._subclasses.fake_tensor import FakeTensor, FakeTensorMode, unset_fake_temporarily
from torch.overrides import TorchFunctionMode
from torch.utils._pytree import tree_leaves

from sslspk.data.resident import Recordings
from sslspk.encoders import build
from sslspk.encoders.config import CpcEncoderConfig
from sslspk.features.config import CmvnOptions, FeatureOptions
from sslspk.methods.base import Batch, Progress
from sslspk.nn.standardise import Standardise
from sslspk.train.frontend import FrontEnd

META, CUDA = torch.device("meta"), torch.device("cuda")
# Of these every second step looks at values, the first one too: a clustering of the queue.
WAITS = {"moco queue prototypes": 1}


class ElsewhereGenerator(torch.Generator):
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
    monkeypatch.setattr(torch, "Generator", ElsewhereGenerator)
    monkeypatch.setattr(torch, "autocast", lambda kind, **kw: contextlib.nullcontext() if kind == "meta" else autocast(kind, **kw))


class HostIsReal(TorchFunctionMode):
    """What is computed on the CPU alone has values there: draws, orders. Only what is on CUDA is fake."""

    def __torch_function__(self, func, types, args=(), kwargs=None):
        kwargs = kwargs or {}
        away = any(isinstance(x, FakeTensor) or (isinstance(x, (torch.device, str)) and str(x).startswith("cuda"))
                   for x in tree_leaves((args, kwargs)))
        with contextlib.nullcontext() if away else unset_fake_temporarily():
            return func(*args, **kwargs)


@pytest.fixture
def fake_cuda(monkeypatch):
    """CUDA tensors without values, and without what needs a driver: generators, pinned memory, recurrent layers (which "meta" has)."""
    def recurrent(self, x):
        return x.new_empty(*x.shape[:2], self.hidden_size * (1 + self.bidirectional)), None

    monkeypatch.setattr(torch, "Generator", ElsewhereGenerator)
    monkeypatch.setattr(torch.Tensor, "pin_memory", lambda self: self)
    monkeypatch.setattr(torch.nn.RNNBase, "flatten_parameters", lambda self: None)
    for layer in (torch.nn.GRU, torch.nn.LSTM, torch.nn.RNN):
        monkeypatch.setattr(layer, "forward", recurrent)
    with FakeTensorMode(allow_non_fake_inputs=True), HostIsReal():
        yield


def made_on_fake_cuda(name):
    """A method whose parameters and buffers are empty tensors there: `Module.to` would keep the real ones."""
    with unset_fake_temporarily():
        method = make(name)
    for part in method.modules():
        for key, value in [*part._parameters.items(), *part._buffers.items()]:
            if value is not None:
                empty = torch.empty(value.shape, dtype=value.dtype, device=CUDA)
                setattr(part, key, torch.nn.Parameter(empty, value.requires_grad) if key in part._parameters else empty)
    return method


def settled(method):
    """The method past the first batches, in which statistics are gathered and waited for."""
    for part in method.modules():
        if isinstance(part, Standardise):
            part._settled = True
    return method


def crops(method, device=META):
    waves = method.backbones()[0].input == "wave"
    for crop in method.crops:
        last = (round(crop.seconds * 16000),) if waves else (round(crop.seconds * 100), BINS)
        yield torch.empty(crop.count, BATCH, *last, device=device)


@pytest.mark.parametrize("name", METHODS)
def test_a_step_stays_on_the_device_and_waits_for_nothing(meta, name):
    method = settled(make(name).to(META))
    progress = Progress(WAITS.get(name, 0), 10, 2)
    nobody = torch.zeros(BATCH, dtype=torch.int64, device=META)
    with Copies():
        views = [*crops(method)]
        frames = torch.zeros(BATCH, views[0].shape[2], dtype=torch.int64, device=META)
        out = method(Batch(views, nobody, nobody, None, frames), progress)
    assert {value.device for value in out.values()} == {META}
    out["loss"].backward()
    method.after_backward(progress)
    method.after_step(progress)
    assert all(value.device == META for value in method.state_dict().values())


@pytest.mark.parametrize("name", METHODS)
def test_a_logged_step_stays_on_cuda_and_waits_for_nothing(fake_cuda, name):
    method = settled(made_on_fake_cuda(name))
    ids = torch.zeros(BATCH, dtype=torch.int64, device=CUDA)
    progress = Progress(1, 10, 2, log=True)
    views = [*crops(method, CUDA)]
    frames = torch.zeros(BATCH, views[0].shape[2], dtype=torch.int64, device=CUDA)
    out = method(Batch(views, ids, ids, ids, frames), progress)
    method.after_step(progress)
    assert {value.device.type for value in [*out.values(), *method.state_dict().values()]} == {"cuda"}


def test_fake_cuda_tells_a_wait_and_a_tensor_on_the_cpu(fake_cuda):
    there, here = torch.ones(2, device=CUDA), torch.ones(2)
    assert float(here.sum()) == 2   # the host's own values are read at will
    for wrong in (lambda: float(there.sum()), lambda: there[there > 0], lambda: there + here):
        with pytest.raises(RuntimeError):
            wrong()


def test_noises_and_rooms_on_cuda_are_mixed_there_without_a_wait(fake_cuda):
    """A batch as the loader sends it with augment.on_device: places, and the rows that are filtered."""
    front_end = FrontEnd(FeatureOptions(), CmvnOptions(), waveform=True,
                         recordings=Recordings(torch.empty(10 ** 6, dtype=torch.int16, device=CUDA), 500))
    kinds = {"wave": ((4800,), torch.int16), **dict.fromkeys(("noise", "speech", "rir"), ((3,), torch.int64)),
             "eq_db": ((8,), torch.float32), "has_rir": ((), torch.bool),
             **dict.fromkeys(("snr_db", "speech_db", "gain_db"), ((), torch.float32))}
    crop = {key: torch.empty(2, BATCH, *shape, dtype=dtype, device=CUDA) for key, (shape, dtype) in kinds.items()}
    rows = {key: torch.empty(3, dtype=torch.int64, device=CUDA) for key in ("rooms", "equalised")}
    mixed = front_end({**crop, **rows})
    assert mixed.device.type == "cuda" and mixed.shape == (2, BATCH, 4800)


@pytest.mark.parametrize("context", ["gru", "lstm"])
def test_recurrent_contexts_are_computed_in_float32(meta, context):
    """Autocast on a GPU would take float16 for them, without a scale for the gradients."""
    encoder = build(CpcEncoderConfig(channels=8, context=context, context_dim=4, bidirectional=True), 1).to(META)
    steps = [torch.empty(2, 5, 8, dtype=torch.bfloat16, device=META) for _ in range(2)]
    assert [seen.dtype for seen in encoder.context(steps)] == [torch.float32] * 2
