#!/usr/bin/env python3
"""Compares our steps with those of wespeaker and sslsv, in turns in one process: CPU seconds, and how many times faster ours are.

usage: peers.py [--wespeaker DIR] [--sslsv DIR] [--only NAME ...] [--rounds N] [--batch N] [--threads N] [--small]

DIR is a checkout (git clone https://github.com/wenet-e2e/wespeaker, https://github.com/theolepage/sslsv); it is not copied or changed.
If it is missing, its lines say so. Both sides have the same random features of 80 bins, ECAPA-TDNN with 512 channels, global
context and 192 dimensions, a head without BatchNorm, and SGD. In each round both sides make one step, and take turns to go first; the
median over the rounds counts, after one round to warm up.
    dino 10000, dino 65536    forward, backward, update, moving average; crops 2 x 4 s and 4 x 2 s; 10000 or 65536 prototypes
    simclr, moco              2 x 4 s; a queue of 65536 keys
    embeddings                one recording of 10 s at a time, without gradients
    asnorm                    means and deviations of the 300 best of 6000 scores of 2000 embeddings
    head 10000, head 65536    sslsv's DINO head and loss on embeddings, forward and backward, and ours
The columns after the ratio: the 10^9 operations of a step of ours (convolutions and matrix products, by torch's formulas), its speed in
percent of that of large matrix products by MKL on this core (convolutions by oneDNN may be faster), and the ratio if our step ran at that
speed. Then the share of the time of our step in convolutions and matrix products, and the ratio if all the rest took no time.
Buffers that glibc gives back to the kernel cost both sides much time. To keep them, as sslspk's training does:
    MALLOC_MMAP_THRESHOLD_=4294967296 MALLOC_TRIM_THRESHOLD_=17179869184 MALLOC_TOP_PAD_=268435456 peers.py ...
--small: for testing this program: small networks, crops of 0.3 s, few prototypes and keys.
"""
import argparse
import contextlib
import copy
import importlib
import os
import statistics
import sys
import tempfile
import time
import types
from collections.abc import Callable
from pathlib import Path

from sslspk.errors import InputError, entry, whole

WESPEAKER = ("dino 10000", "dino 65536", "simclr", "moco", "embeddings", "asnorm")
SSLSV = ("head 10000", "head 65536")
BINS, DIM, RECORDINGS = 80, 192, 20_000


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--wespeaker", type=Path, metavar="DIR")
    parser.add_argument("--sslsv", type=Path, metavar="DIR")
    parser.add_argument("--only", nargs="+", choices=[*WESPEAKER, *SSLSV], default=[*WESPEAKER, *SSLSV])
    parser.add_argument("--rounds", type=whole, default=3)
    parser.add_argument("--batch", type=whole, default=8)
    parser.add_argument("--threads", type=whole, default=1)
    parser.add_argument("--small", action="store_true")
    args = parser.parse_args()
    import torch
    torch.set_num_threads(args.threads)
    print(f"{args.batch} utterances a step, {args.threads} thread(s), {args.rounds} rounds, {'small ' * args.small}CPU seconds")
    print(f"{'':<14}{'peer':>12}{'theirs':>10}{'ours':>10}{'ratio':>8}{'GFLOP':>9}{'speed %':>9}{'limit':>8}{'products %':>12}{'limit':>8}")
    with _one_rank():
        for name in args.only:
            peer, folder = ("wespeaker", args.wespeaker) if name in WESPEAKER else ("sslsv", args.sslsv)
            if folder is None or not (folder / peer).is_dir():
                print(f"{name:<14}{peer:>12}  not measured: {'no --' + peer if folder is None else f'{folder}/{peer} is not there'}")
                continue
            _package(peer, folder)
            sides = SIDES[name.split()[0]](name, args)
            theirs, ours = measured(*sides, args.rounds)
            print(f"{name:<14}{peer:>12}{theirs:10.3f}{ours:10.3f}{theirs / ours:8.2f}{limit(sides[1], theirs, ours, args)}", flush=True)


def measured(theirs: Callable[[], object], ours: Callable[[], object], rounds: int) -> tuple[float, float]:
    """Median CPU seconds of each call; the two take turns."""
    seconds: tuple[list[float], list[float]] = ([], [])
    for turn in range(rounds + 1):
        for side in (0, 1) if turn % 2 else (1, 0):
            begin = time.process_time()
            (theirs, ours)[side]()
            if turn:
                seconds[side].append(time.process_time() - begin)
    return statistics.median(seconds[0]), statistics.median(seconds[1])


def limit(call: Callable[[], object], theirs: float, ours: float, args: argparse.Namespace) -> str:
    """The last five columns, for a call of ours; empty if it uses numpy."""
    import torch
    counted = _counted(call)
    if not counted.total:
        return ""
    share = statistics.median(one.seconds / one.whole for one in (_counted(call) for _ in range(args.rounds)))
    a, b = torch.randn(1536, 1536), torch.randn(1536, 100 if args.small else 6400)
    least = statistics.median(measured(lambda: a @ b, lambda: a @ b, args.rounds)) * counted.total / (2 * b.numel() * len(a))
    return f"{counted.total / 1e9:9.1f}{100 * least / ours:9.0f}{theirs / least:8.2f}{100 * share:12.0f}{theirs / ours / share:8.2f}"


def _counted(call: Callable[[], object]):
    """The mode that a call ran in: `total` FLOPs, the CPU `seconds` of the operations that have any, and of the `whole` call."""
    from sslspk.train.speed import Flops

    class Timed(Flops):
        seconds = 0.0

        def __torch_dispatch__(self, func, types, args=(), kwargs=None):
            begin, before = time.process_time(), self.total
            out = super().__torch_dispatch__(func, types, args, kwargs)
            if self.total > before:
                self.seconds += time.process_time() - begin
            return out
    begin = time.process_time()
    with Timed() as counted:
        call()
    counted.whole = time.process_time() - begin
    return counted


@contextlib.contextmanager
def _one_rank():
    """A process group of one rank, which wespeaker's losses need."""
    import torch
    with tempfile.TemporaryDirectory() as place:
        torch.distributed.init_process_group("gloo", init_method=f"file://{place}/group", rank=0, world_size=1)
        try:
            yield
        finally:
            torch.distributed.destroy_process_group()


def _package(name: str, folder: Path) -> None:
    """Make the modules of a checkout importable without running its __init__.py."""
    if name not in sys.modules:
        made = types.ModuleType(name)
        made.__path__ = [os.fspath(folder.resolve() / name)]
        sys.modules[name] = made


def _imported(name: str) -> types.ModuleType:
    """A module of a checkout. Its imports that are not installed (fire, wandb, pandas) become empty modules; nothing here uses them."""
    for _ in range(10):
        try:
            return importlib.import_module(name)
        except ModuleNotFoundError as err:
            sys.modules[err.name] = types.ModuleType(err.name)
    raise InputError(f"{name} cannot be imported: too many of the packages that it needs are not installed here.")


def crops(args: argparse.Namespace, *wanted: tuple[int, float]) -> list[dict]:
    return [{"count": count, "seconds": 0.3 if args.small else seconds} for count, seconds in wanted]


def their_encoder(args: argparse.Namespace):
    ecapa = _imported("wespeaker.models.ecapa_tdnn")
    return ecapa.ECAPA_TDNN(channels=64 if args.small else 512, feat_dim=BINS, embed_dim=DIM, global_context_att=True)


def our_method(method: dict, args: argparse.Namespace):
    """(method, step): step(views) makes an optimizer step on the features (V, B, T, F) of each crop."""
    import torch

    from sslspk.config import check
    from sslspk.methods import build
    from sslspk.methods.base import Batch, Corpus, Progress
    from sslspk.nn import sync_batchnorm
    from sslspk.train.config import SystemConfig
    tree = {"method": method, "encoder": {"name": "ecapa", "channels": 64 if args.small else 512, "embed_dim": DIM}}
    config = check(SystemConfig, tree, "peers.py")
    made = build(config.method, config.encoder, BINS, Corpus(RECORDINGS, 0))
    made = sync_batchnorm.convert(made, torch.device("cpu"))   # as training does
    optimizer, units = torch.optim.SGD([p for p in made.parameters() if p.requires_grad], lr=1e-3), torch.arange(args.batch)

    def step(views: list) -> None:
        progress = Progress(2000, 100_000, 1000)
        made(Batch(views, torch.full_like(units, -1), units), progress)["loss"].backward()
        made.after_backward(progress)
        optimizer.step()
        optimizer.zero_grad(set_to_none=True)
        made.after_step(progress)
    return made, step


def views_of(method: dict, args: argparse.Namespace) -> list:
    import torch
    return [torch.randn(crop["count"], args.batch, round(100 * crop["seconds"]), BINS) for crop in method["crops"]]


def dino(name: str, args: argparse.Namespace) -> tuple[Callable, Callable]:
    import torch
    k = 1000 if args.small else int(name.split()[1])
    method = {"name": "dino", "crops": crops(args, (2, 4.0), (4, 2.0)), "out_dim": k}
    views, (_, step) = views_of(method, args), our_method(method, args)
    head = {"in_dim": DIM, "out_dim": k}
    loss = {"out_dim": k, "n_scrops": 6, "n_tcrops": 2, "warmup_teacher_temp": 0.04, "teacher_temp": 0.04, "nepochs": 10}
    model = _imported("wespeaker.ssl.models.dino_wrapper").DINO(their_encoder(args), head, loss, sync_bn=False)
    optimizer = torch.optim.SGD([p for p in model.parameters() if p.requires_grad], lr=1e-3)
    both = [view.flatten(0, 1) for view in views]

    def theirs() -> None:
        optimizer.zero_grad()
        model(both[1], both[0], 2).backward()
        optimizer.step()
        model.ema_update(0.996)
    return theirs, lambda: step(views)


def contrastive(name: str, args: argparse.Namespace) -> tuple[Callable, Callable]:
    import torch
    size = 1024 if args.small else 65536
    more = {"queue_size": size, "batch_norm_group": args.batch} if name == "moco" else {}
    more["evaluate"] = "query" if name == "moco" else "encoder"
    method = {"name": name, "crops": crops(args, (2, 4.0)), "projection": None, **more}
    views, (_, step) = views_of(method, args), our_method(method, args)
    wrapper = _imported(f"wespeaker.ssl.models.{name}_wrapper")
    model = wrapper.MoCo(their_encoder(args), DIM, size) if name == "moco" else wrapper.SimCLR(their_encoder(args), DIM)
    optimizer = torch.optim.SGD([p for p in model.parameters() if p.requires_grad], lr=1e-3)
    encoder = model.encoder_q if name == "moco" else model.encoder
    _last_output(encoder)
    if name == "moco":
        _last_output(model.encoder_k)

    def theirs() -> None:
        optimizer.zero_grad()
        torch.nn.functional.cross_entropy(*model(*views[0])).backward()
        optimizer.step()
    return theirs, lambda: step(views)


def _last_output(encoder) -> None:
    """Make wespeaker's encoder return only the last output of a tuple, as its training does."""
    encoder.register_forward_hook(lambda module, given, out: out[-1] if isinstance(out, tuple) else out)


def embeddings(name: str, args: argparse.Namespace) -> tuple[Callable, Callable]:
    import torch
    x, encoder = torch.randn(1, 30 if args.small else 1000, BINS), their_encoder(args).eval()
    made, _ = our_method({"name": "simclr", "crops": crops(args, (2, 4.0)), "projection": None}, args)
    ours = copy.deepcopy(made.backbones()[0]).eval()

    def call(network) -> Callable:
        def embed() -> None:
            with torch.no_grad():
                for _ in range(10):
                    network(x)
        return embed
    return call(encoder), call(ours)


def asnorm(name: str, args: argparse.Namespace) -> tuple[Callable, Callable]:
    import numpy as np

    from sslspk.backend.cosine import Cosine
    from sslspk.backend.snorm import statistics as ours
    rng = np.random.default_rng(0)
    rows, cohort = (rng.standard_normal((n, DIM)) for n in ((200, 600) if args.small else (2000, 6000)))
    get_mean_std = _imported("wespeaker.bin.score_norm").get_mean_std
    return lambda: get_mean_std(rows, cohort, 300), lambda: ours(Cosine(), rows, cohort, 300)


def head(name: str, args: argparse.Namespace) -> tuple[Callable, Callable]:
    import torch

    from sslspk.losses.dino import dino_loss
    k = 1000 if args.small else int(name.split()[1])
    method = {"name": "dino", "crops": crops(args, (2, 4.0), (4, 2.0)), "out_dim": k, "head_batch_norm": True}
    made, _ = our_method(method, args)
    sslsv = _imported("sslsv.methods.DINO.DINO")
    student, teacher = (sslsv.DINOHead(True, DIM, 2048, 256, k) for _ in range(2))
    loss_of = sslsv.DINOLoss(2, 4, k, 0.1, 0.04, 0.04, 1)
    x, seen = torch.randn(6 * args.batch, DIM), torch.randn(2 * args.batch, DIM)

    def theirs() -> None:
        with torch.no_grad():
            target = teacher(seen)
        loss_of(student(x), target)[0].backward()

    def ours() -> None:
        logits = made.student["head"](x).unflatten(0, (6, -1))
        with torch.no_grad():
            target = made.teacher["head"](seen).unflatten(0, (2, -1))
        dino_loss(logits, target, made.centre, 0.1, 0.04)["loss"].backward()
    return theirs, ours


SIDES = {"dino": dino, "simclr": contrastive, "moco": contrastive, "embeddings": embeddings, "asnorm": asnorm, "head": head}

if __name__ == "__main__":
    entry(main)
