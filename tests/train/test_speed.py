"""The figures of speed: FLOPs against a count by hand, peaks by name, and weights that no count changes."""
import json

import pytest
import torch
from tones import tiny
from torch import nn
from torch.nn import functional as F

from sslspk.io import results
from sslspk.train import checkpoint, cpu_time, loop, speed
from sslspk.train.job import prepare

CPU = torch.device("cpu")


def test_flops_of_layers_are_those_by_hand():
    net = nn.Sequential(nn.Conv1d(3, 8, 5), nn.BatchNorm1d(8), nn.Flatten(), nn.Linear(8 * 6, 7))
    with speed.Flops() as counted:
        net(torch.randn(2, 3, 10)).sum().backward()
    forward = 2 * 2 * 6 * 8 * 3 * 5 + 2 * 2 * 48 * 7
    weights, of_input = forward, 2 * 2 * 48 * 7   # the convolution's input needs no gradient
    assert counted.total == forward + weights + of_input


def test_flops_of_attention_on_a_cpu_are_counted():
    q, k, v = (torch.randn(2, 4, 32, 16, requires_grad=True) for _ in range(3))
    with speed.Flops() as counted:
        out = F.scaled_dot_product_attention(q, k, v)
    assert counted.total == 2 * 2 * (2 * 4 * 32 * 32 * 16)
    with speed.Flops() as counted:
        out.sum().backward()
    assert counted.total == 5 * 2 * (2 * 4 * 32 * 32 * 16)   # the products of the forward pass again, and four gradients


def test_the_weights_do_not_depend_on_the_step_that_is_counted(data, tmp_path):
    for name, every in (("first", 1), ("last", 100)):
        assert loop.train(prepare(tiny(**{"train.log_every": every}), data, tmp_path / name, CPU, print)) == 0
    one, two = (checkpoint.load(tmp_path / name / "final.pt")["encoders"] for name in ("first", "last"))
    assert all(torch.equal(one[part][key], two[part][key]) for part in one for key in one[part])


def test_lines_and_results_tell_the_speed(data, tmp_path):
    exp = tmp_path / "exp"
    assert loop.train(prepare(tiny(**{"train.accumulate": 2}), data, exp, CPU, print)) == 0
    lines = [json.loads(line) for line in (exp / "progress.jsonl").read_text().splitlines()]
    told = set(results.SPEED) - {"utilisation_percent"}   # of a CPU no peak is known
    assert all(told <= line.keys() and "utilisation_percent" not in line for line in lines)
    assert len({line["gflop_per_step"] for line in lines}) == 1 and 0.001 < lines[0]["gflop_per_step"] < 0.1
    assert all(line["gflop_per_second"] == pytest.approx(line["gflop_per_step"] * line["utterances_per_second"] / 4) for line in lines)
    assert 0.05 < lines[-1]["peak_memory_gb"] < 10
    said = cpu_time.logged(exp)
    assert said.keys() == told and said["peak_memory_gb"] == lines[-1]["peak_memory_gb"]
    assert f"{said['utterances_per_second']:.3g} utterances/s" in results.made_on({"machine": said})


@pytest.mark.parametrize(("name", "precision", "tera"), [
    ("NVIDIA H200", "bf16", 989.4), ("NVIDIA H200", "float32", 494.7), ("NVIDIA H200 NVL", "bf16", 835.5),
    ("NVIDIA H100 80GB HBM3", "bf16", 989.4), ("NVIDIA H100 PCIe", "bf16", 756), ("NVIDIA A100-SXM4-80GB", "bf16", 312),
    ("NVIDIA A10", "bf16", 125), ("NVIDIA A10G", "bf16", None), ("NVIDIA H100 80GB HBM3 MIG 1g.10gb", "bf16", None),
    ("Tesla T4", "float32", None)])
def test_peaks_go_by_the_name_of_the_device(name, precision, tera):
    assert speed.peak(name, precision) == (None if tera is None else pytest.approx(1e12 * tera))


def test_utilisation_is_the_share_of_the_peak():
    meter = speed.Meter(CPU)
    meter.peak = 1e9
    with meter.counting(wanted=True):
        torch.randn(100, 100) @ torch.randn(100, 100)
    with meter.counting(wanted=True):   # once is enough
        torch.randn(999, 100) @ torch.randn(100, 100)
    meter.add(5, 0.0)
    told, seconds = meter.lap()
    assert told["gflop_per_step"] == 0.002
    assert told["utilisation_percent"] == pytest.approx(100 * 0.002 / seconds)
    assert meter.lap()[0]["utterances_per_second"] == 0
