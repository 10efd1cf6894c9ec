#!/usr/bin/env python3
"""Computes what systems cost at their full size: it trains nothing and reads only the configurations.

usage: cost.py [--recordings N] [--classes N] [--tflops T] [--eval N SECONDS] [--on CONF] CONF...

FLOPs: of a training step, times the number of steps. A step is counted on tensors without values, as a training counts its own for the log
(sslspk.train.speed): forward, backward, and what the method does after them; a multiplication and an addition are two. LSTMs are added by
a formula. If a step depends on values, a real step with two recordings is counted and scaled.
Hours: these FLOPs divided by --tflops.
Memory: weights, gradients, optimizer, and what the forward pass keeps for the backward pass. Disk: checkpoints and final.pt.
Not included: reading and augmentation, which run in parallel with training, and the k-means of methods that cluster.
Evaluation (train.eval_list): a forward pass over N recordings of SECONDS each every train.eval_every epochs and at the end, one recording
at a time. We assume that each takes at least 10 ms, to read it and to start the encoder's kernels on a GPU; we have not measured this.
"below 5 %": the smallest whole train.eval_every with which evaluation takes less than 5 % of the training's time.
"""
import argparse
import contextlib
import math
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

from sslspk.errors import entry

if TYPE_CHECKING:
    from sslspk.train.config import SystemConfig

FEW = 2              # recordings of a real step
FRAME_CLASSES = 50   # labels of frames, where a method reads them: the default of egs/disentangle
GB = 1e9
LAUNCH = 0.010       # least seconds to embed one recording: an assumption, not a measurement
RARE = 5             # percent of the training's time that evaluation should stay below


class Cost(NamedTuple):
    """flops: of the whole training; evaluation: FLOPs per second of audio; memory, checkpoint: bytes."""

    steps: int
    epochs: float
    weights: int
    flops: float
    evaluation: float
    memory: float
    checkpoint: float


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("confs", nargs="+", metavar="CONF", help="configurations of systems")
    parser.add_argument("--recordings", type=int, default=1_092_009,
                        help="recordings of the training set (default: %(default)s, VoxCeleb2 dev)")
    parser.add_argument("--classes", type=int, default=5994,
                        help="classes of a supervised training (default: %(default)s, speakers of VoxCeleb2)")
    parser.add_argument("--tflops", type=float, default=25.0, help="10^12 FLOPs a second that the device sustains (default: %(default)s)")
    parser.add_argument("--eval", type=float, nargs=2, default=[4708, 8.3], metavar=("N", "SECONDS"),
                        help="recordings that an evaluation embeds, and how long they are (default: those of VoxCeleb1-O)")
    parser.add_argument("--on", metavar="CONF", help="system that each CONF changes, for the rounds of egs/voxceleb/conf/rounds")
    args = parser.parse_args()

    from sslspk.config import load
    from sslspk.train.config import SystemConfig
    print("| system | steps | epochs | weights, M | PFLOP | device hours | device memory, GB | checkpoint, GB "
          "| evaluation, % | below 5 % |")
    print("|" + "---|" * 10)
    for conf in args.confs:
        config = load(SystemConfig, conf, ["train.init_from=null"], under=args.on)
        found = cost(config, args.recordings, args.classes)
        share, every = evaluation(found, config.train.eval_every, args.tflops, *args.eval)
        print(f"| {Path(conf).stem} | {found.steps} | {found.epochs:.3g} | {found.weights / 1e6:.1f} | {plain(found.flops / 1e15)} | "
              f"{plain(found.flops / args.tflops / 3.6e15)} | {found.memory / GB:.2g} | {found.checkpoint / GB:.2g} | {share:.2g} | "
              f"{every or 'never'} |", flush=True)


def plain(number: float) -> str:
    """Three digits, or all before the decimal point."""
    return f"{number:.0f}" if number >= 1000 else f"{number:.3g}"


def evaluation(found: Cost, every: float, tflops: float, recordings: float, seconds: float) -> tuple[float, int]:
    """(Percent of the training's time at an evaluation every so many epochs; the fewest whole epochs with less than RARE %, or 0)."""
    once = 100 * recordings * max(LAUNCH, seconds * found.evaluation / tflops / 1e12) / (found.flops / tflops / 1e12)
    choices = range(1, math.ceil(found.epochs) + 1)
    return once * math.ceil(found.epochs / every), next((n for n in choices if once * math.ceil(found.epochs / n) < RARE), 0)


def cost(config: "SystemConfig", recordings: int, classes: int = 5994) -> Cost:
    """The cost of a system trained on so many recordings and, if it reads labels, so many classes."""
    from torch._subclasses import fake_tensor
    per_epoch = max(1, recordings * config.data.draws_per_epoch // config.data.batch_size)
    steps = config.train.steps or round(config.train.epochs * per_epoch)
    mode, batch = fake_tensor.FakeTensorMode(allow_non_fake_inputs=True), config.data.batch_size // config.train.accumulate
    try:
        method = built(config, recordings, classes, mode)
        with mode:
            flops, kept = step(config, method, batch)
            one = whole(config, method)
    except (fake_tensor.DataDependentOutputException, fake_tensor.DynamicOutputShapeException):   # the step depends on values
        method = built(config, recordings, classes)
        flops, kept = (batch / FEW * count for count in step(config, method, FEW))
        one = whole(config, method)
    weights = list(method.parameters())
    trained = sum(weight.numel() for weight in weights if weight.requires_grad)
    state = sum(value.numel() * value.element_size() for value in method.state_dict().values())
    moments = 4 * trained * (1 if config.train.optimizer == "sgd" else 2)
    return Cost(steps, steps / per_epoch, sum(weight.numel() for weight in weights), steps * config.train.accumulate * flops, one,
                state + 4 * trained + moments + kept, state + moments)


def built(config: "SystemConfig", recordings: int, classes: int, mode=None):
    """The method in training mode. mode: a FakeTensorMode that makes its parameters and buffers tensors without values."""
    from sslspk.methods import build
    from sslspk.methods.base import Corpus
    corpus = Corpus(recordings, classes, frame_classes=FRAME_CLASSES)
    method, known = build(config.method, config.encoder, config.num_features, corpus).train(), {}
    for part in method.modules() if mode else ():
        for tensors in (part._parameters, part._buffers):
            for name, value in tensors.items():
                if value is not None:
                    tensors[name] = known.setdefault(id(value), mode.from_tensor(value))
    return method


def step(config: "SystemConfig", method, batch: int) -> tuple[int, int]:
    """(FLOPs of a forward and backward pass over a micro-batch, bytes that the forward pass keeps)."""
    import torch

    from sslspk.methods.base import Batch, Progress
    from sslspk.train.speed import Flops
    views = [torch.randn(crop.count, batch, *shape(config, crop.seconds)) for crop in config.method.crops]
    units, kept = torch.arange(batch), {}
    frame_labels = torch.zeros(batch, views[0].shape[2], dtype=torch.int64)

    def keep(x: torch.Tensor) -> torch.Tensor:
        storage = x.untyped_storage()
        kept[storage._cdata] = storage.nbytes()
        return x
    owned = {weight.untyped_storage()._cdata for weight in method.parameters()}
    with Flops() as counted, lstms(method) as forward:
        progress = Progress(0, 10 ** 6, 1000)
        with torch.autograd.graph.saved_tensors_hooks(keep, lambda x: x), \
                torch.autocast("cpu", torch.bfloat16, enabled=config.train.precision == "bf16"):
            loss = method(Batch(views, units, units, frame_labels=frame_labels), progress)["loss"]
        loss.backward()
        method.after_backward(progress)
        method.after_step(progress)
    return counted.total + 3 * sum(forward), sum(size for place, size in kept.items() if place not in owned)


@contextlib.contextmanager
def lstms(method) -> Iterator[list[int]]:
    """Collect the FLOPs of each forward pass of an LSTM in the with block; a backward pass has twice as many."""
    from torch import nn
    found = []

    def count(module, inputs, _):
        matrices = sum(weight.numel() for name, weight in module.named_parameters() if name.startswith("weight"))
        found.append(2 * matrices * inputs[0].shape[:2].numel())
    hooks = [module.register_forward_hook(count) for module in method.modules() if isinstance(module, nn.LSTM)]
    yield found
    for hook in hooks:
        hook.remove()


def shape(config: "SystemConfig", seconds: float) -> tuple[int, ...]:
    """The shape of the encoder's input: (T, F), or (S,) for a waveform."""
    rate = config.features.sample_frequency
    return (round(seconds * rate),) if config.waveform else (round(seconds * 1000 / config.features.frame_shift), config.num_features)


def whole(config: "SystemConfig", method, seconds: float = 8.0) -> float:
    """FLOPs to embed one second of audio."""
    import torch

    from sslspk.train.speed import Flops
    x = torch.randn(1, *shape(config, seconds))
    with Flops() as counted, torch.no_grad(), lstms(method) as forward:
        method.eval().encoders()[method.evaluate](x)
    return (counted.total + sum(forward)) / seconds


if __name__ == "__main__":
    entry(main)
