#!/usr/bin/env python3
"""Checks that a training on two ranks, on two GPUs (nccl) or the CPU (gloo), equals one on a single rank, and measures its speed.

usage: two_ranks.py [--device cuda] [--batch N] [--steps N] [--precision bf16]

DINO with a TDNN on noise, with the same recordings, initial weights and total batch. Prints the loss of the last steps, the relative
difference of the weights, and utterances per second. Exit status 1 if the loss differs by more than 1 %. GPUs convolve in TF32.
"""
import argparse
import json
import os
import subprocess
import sys
import tempfile
from pathlib import Path

import made

from sslspk.errors import entry, whole

LIMIT = 0.01   # relative, of the loss
CONF = {"features": {"num_mel_bins": 40}, "cmvn": {"cmn": "utterance"}, "data": {"workers": 0},
        "encoder": {"name": "tdnn", "channels": 64, "pooled_channels": 96, "embed_dim": 64, "segment_layers": 1},
        "method": {"name": "dino", "out_dim": 512, "hidden_dim": 64, "bottleneck_dim": 32, "head_batch_norm": True, "crops": [
            {"count": 2, "seconds": 2.0}, {"count": 2, "seconds": 1.0}]},
        "train": {"optimizer": "sgd", "lr": 0.003, "lr_batch": None, "warmup_epochs": 0, "clip_norm": 1.0}}


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--device", choices=("cuda", "cpu"), default="cuda")
    parser.add_argument("--batch", type=whole, default=128, help="utterances per step, both ranks together")
    parser.add_argument("--steps", type=whole, default=20)
    parser.add_argument("--precision", choices=("float32", "bf16"), default="float32")
    args = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        data = made.data(Path(folder) / "data", 2 * args.batch, 3.0)
        losses, weights = [], []
        for ranks in (1, 2):
            loss, found, speed = trained(Path(folder), data, ranks, args)
            losses.append(loss)
            weights.append(found)
            print(f"{ranks} rank(s) on {args.device}: loss {loss:.6f}, {speed:.1f} utterances a second", flush=True)
    off = abs(losses[1] / losses[0] - 1)
    apart = float((weights[0] - weights[1]).norm() / weights[0].norm())
    print(f"loss off by {off:.1e}, weights by {apart:.1e}{'' if off <= LIMIT else '  WRONG'}")
    return int(not off <= LIMIT)


def trained(folder: Path, data: Path, ranks: int, args: argparse.Namespace):
    """(loss of the last lines, the student's weights as one vector, utterances per second)."""
    import torch

    from sslspk.io import results
    from sslspk.train import checkpoint
    every = max(args.steps // 4, 1)
    tree = {**CONF, "data": {**CONF["data"], "batch_size": args.batch},
            "train": {**CONF["train"], "steps": args.steps, "log_every": every, "save_every": args.steps, "precision": args.precision}}
    conf, exp = folder / "conf.yaml", folder / f"exp{ranks}"
    conf.write_text(json.dumps(tree))
    words = [sys.executable, "-m", "sslspk.bin.train", "--conf", conf, "--ranks", ranks, "--ngpu", ranks if args.device == "cuda" else 0]
    path = os.pathsep.join([str(Path(__file__).resolve().parents[2]), *filter(None, [os.environ.get("PYTHONPATH")])])
    done = subprocess.run([*map(str, words), str(data), str(exp)], stdout=subprocess.DEVNULL,
                          env={**os.environ, "PYTHONPATH": path, "SSLSPK_DEVICE": args.device})
    if done.returncode:
        sys.exit(f"the training on {ranks} rank(s) failed with status {done.returncode}")
    student = checkpoint.load(exp / "final.pt")["encoders"]["student"]
    lines = results.progress(exp / "progress.jsonl")
    return lines[-1]["loss"], torch.cat([x.flatten() for x in student.values() if x.is_floating_point()]), \
        results.speed(exp / "progress.jsonl")["utterances_per_second"]


if __name__ == "__main__":
    entry(main)
