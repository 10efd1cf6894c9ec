"""How fast a training is and what it takes, for each line of its log. Nothing here changes a weight.

gflop_per_step       10^9 FLOPs of an optimizer step, all ranks together: forward, backward, moving averages, queues. torch's formulas count
                     matrix products, convolutions and attention, a multiplication and an addition as two. Not counted: element-wise work,
                     normalisation, pooling, softmax, Fourier transforms, the optimizer, recurrent layers that run as one kernel (LSTM, and
                     GRU on CUDA), kernels that torch.compile writes itself, work of loader processes, what happens between steps.
gflop_per_second     these FLOPs over the time from line to line
utilisation_percent  the same as a share of the peak of all the devices, where that is known (PEAKS); never on a CPU
data_wait_percent    the share of the time in which the training waited for a batch
peak_memory_gb       CUDA: the most that tensors took on rank 0's device; CPU: the most that rank 0's process had, without loader processes
"""
import contextlib
import resource
import sys
import time
from collections.abc import Iterator

import torch
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils.flop_counter import flop_registry

from sslspk.nn import comm

# 10^12 FLOP/s of dense products, (TF32, bf16), from NVIDIA's data sheets, which state the double of some for sparse ones. The first row of
# which all words are in the device's name counts.
PEAKS = {
    ("H200", "NVL"): (417.5, 835.5), ("H200",): (494.7, 989.4),
    ("H100", "NVL"): (417.5, 835.5), ("H100", "PCIe"): (378.0, 756.0), ("H100", "HBM3"): (494.7, 989.4),
    ("A100",): (156.0, 312.0), ("A40",): (74.8, 149.7), ("A30",): (82.0, 165.0), ("A10",): (62.5, 125.0),
    ("L40S",): (183.0, 362.0), ("L40",): (90.5, 181.0), ("L4",): (60.0, 121.0),
}
UNIT = 1 if sys.platform == "darwin" else 1024   # of ru_maxrss, bytes
ATEN = torch.ops.aten
FORMULAS = {**flop_registry,   # attention has kernels of its own on a CPU
            ATEN._scaled_dot_product_flash_attention_for_cpu: flop_registry[ATEN._scaled_dot_product_flash_attention],
            ATEN._scaled_dot_product_flash_attention_for_cpu_backward: flop_registry[ATEN._scaled_dot_product_flash_attention_backward]}


class Flops(TorchDispatchMode):
    """`total`: FLOPs of what runs within, which it runs as it is. torch's FlopCounterMode takes compound operations apart, and puts hooks
    on all modules, for which torch.compile would compile them again."""

    total = 0

    def __torch_dispatch__(self, func, types, args=(), kwargs=None):
        out = func(*args, **(kwargs or {}))
        formula = FORMULAS.get(func._overloadpacket)
        if formula is not None:
            self.total += formula(*args, **(kwargs or {}), out_val=out)
        return out


def peak(name: str, precision: str) -> float | None:
    """FLOP/s of the device that torch calls `name`: bf16, or (float32) TF32, in which convolutions run; None: not known."""
    words = name.replace("-", " ").split()
    found = next((peaks for known, peaks in PEAKS.items() if set(known) <= set(words)), None)
    return None if found is None or "MIG" in words else 1e12 * found[precision == "bf16"]   # a part of a device has a part of its peak


class Meter:
    """Takes the time between two lines of the log."""

    def __init__(self, device: torch.device, precision: str = "float32", compiled: bool = False):
        """compiled: by torch.compile, in the first step; what is counted would not be compiled."""
        self.device, self.flops, self.peak, self.compiling = device, 0, None, compiled
        if device.type == "cuda":
            self.peak = peak(torch.cuda.get_device_name(device), precision)
        self._begin()

    def _begin(self) -> None:
        self.waited, self.utterances, self.steps, self.since = 0.0, 0, 0, time.perf_counter()

    def add(self, utterances: int, waited: float) -> None:
        """Count one step with this many utterances, for which the training waited this many seconds."""
        self.utterances, self.waited, self.steps = self.utterances + utterances, self.waited + waited, self.steps + 1
        self.compiling = False

    def leave_out(self, seconds: float) -> None:
        """So much time went by with something else."""
        self.since += seconds

    @contextlib.contextmanager
    def counting(self, wanted: bool) -> Iterator[None]:
        """Count the FLOPs of the step within, if that is wanted and has not been done."""
        if not wanted or self.flops or self.compiling:
            yield
            return
        with Flops() as counted:
            yield
        self.flops = counted.total * comm.world_size()

    def lap(self) -> tuple[dict[str, float], float]:
        """(figures of the steps since the last call, the seconds that they took)."""
        elapsed = max(time.perf_counter() - self.since, 1e-9)
        rate = self.flops * self.steps / elapsed
        told = {"utterances_per_second": self.utterances / elapsed, "data_wait_percent": 100 * self.waited / elapsed}
        if self.flops:
            told |= {"gflop_per_step": self.flops / 1e9, "gflop_per_second": rate / 1e9}
        if self.flops and self.peak:
            told["utilisation_percent"] = 100 * rate / (self.peak * comm.world_size())
        told["peak_memory_gb"] = peak_memory(self.device) / 1e9
        self._begin()
        return told, elapsed


def peak_memory(device: torch.device) -> int:
    """Bytes: the most that tensors took on a CUDA device, or that this process had."""
    if device.type == "cuda":
        return torch.cuda.max_memory_allocated(device)
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * UNIT
