"""train.compile in every method, on the CPU: the losses are those without it, and each shape is compiled once.

By a backend that does not call a compiler; inductor is tried on an encoder of two layers.
"""
import copy
import shutil
from types import SimpleNamespace

import pytest
import torch
from test_method_contract import METHODS, make, steps
from torch import nn
from torch._dynamo.backends.debugging import aot_eager
from torch._dynamo.utils import counters

from sslspk.data.config import DataConfig
from sslspk.nn import batch_norm, onednn
from sslspk.nn.blocks import Stack
from sslspk.nn.pooling import Statistics
from sslspk.train.compiled import compile_encoders

# Of each kind of method one, and the quantiser's mode in which other convolutions run: variants differ in the loss, which is not compiled.
FIRST = {METHODS[name]["name"]: name for name in reversed(METHODS)}
COMPILED = [name for name in METHODS if name in (*FIRST.values(), "vq-wav2vec seed")]
FAST = ("dino", "dsvae", "wav2vec2")


@pytest.fixture
def fresh(monkeypatch):
    """No graphs of an earlier test, which would count towards the limit; without compilation torch's layers too, as graphs hold them.

    Ours are rounded otherwise, and four steps of training make a difference of 1e-7 one of 1e-3.
    """
    for module in (batch_norm, onednn):
        monkeypatch.setattr(module, "eager_cpu", lambda x: False)
    torch._dynamo.reset()
    with torch._dynamo.config.patch(fail_on_recompile_limit_hit=True):
        yield
    torch._dynamo.reset()


def compared(name, backend):
    """Losses of four steps, two epochs, with and without torch.compile, and how many graphs there were after two and after four."""
    plain, compiled, graphs = make(name), make(name), []
    compile_encoders(compiled, DataConfig(), backend)
    losses = []
    for method in (plain, compiled):
        torch.manual_seed(0)
        losses.append([])
        for first in (0, 2):
            losses[-1] += steps(method, first, 2)
            graphs.append(counters["stats"]["unique_graphs"])
    return *losses, *graphs[2:]


@pytest.mark.parametrize("name", [name if name in FAST else pytest.param(name, marks=pytest.mark.slow) for name in COMPILED])
def test_compiled_losses_are_those_without(fresh, name):
    ran, convolved = [], []

    def backend(graph, inputs):
        convolved.extend(node.target for node in graph.graph.nodes if "conv" in str(node.target))
        made = aot_eager(graph, inputs)
        return lambda *args: (ran.append(len(args)), made(*args))[1]

    plain, compiled, after_two, after_four = compared(name, backend)
    assert compiled == pytest.approx(plain, rel=1e-5)
    assert ran and convolved and after_two == after_four


def test_student_and_teacher_have_a_graph_for_each_crop_length(fresh):
    """Two of the student, one of the teacher."""
    before = counters["stats"]["unique_graphs"]
    *_, after, _ = compared("dino", "aot_eager")
    assert after - before == 3 and not counters["graph_break"]


@pytest.mark.slow
@pytest.mark.skipif(shutil.which("g++") is None, reason="inductor compiles with g++, which is not here")
def test_inductor_gives_the_same_embeddings_and_gradients(fresh):
    torch.manual_seed(0)
    plain = nn.Sequential(Stack(nn.Conv1d(6, 8, 3), nn.ReLU(), nn.BatchNorm1d(8)), Statistics(8))
    compiled, x = copy.deepcopy(plain), torch.randn(4, 6, 30)
    compile_encoders(SimpleNamespace(backbones=lambda: [compiled]), DataConfig())
    for length in (30, 20):
        found = []
        for net in (plain, compiled):
            net.zero_grad()
            y = net(x[..., :length])
            y.square().sum().backward()
            found.append(torch.cat([y.flatten(), *(p.grad.flatten() for p in net.parameters())]))
        assert torch.allclose(*found, rtol=1e-4, atol=1e-5)
