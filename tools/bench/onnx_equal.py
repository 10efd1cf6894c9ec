#!/usr/bin/env python3
"""Checks that ONNX files in onnxruntime give the toolkit's embeddings: every encoder, on recordings of many lengths.

usage: onnx_equal.py [--number N] [--seconds LEAST MOST] [--only NAME]... FOLDER

Recordings are cut from the audio below FOLDER, from LEAST to MOST seconds long in equal ratios. Encoders have the layers of their
papers (Transformers only two) and an eighth of the widths. Weights are random; BatchNorm has the statistics of some of the recordings.
The ONNX file computes the features.
Prints a row per encoder: the largest difference of a value, the largest difference as a share of the recording's largest value, and
the largest value. Fails if a difference is above 1e-4; for values above 1, the share counts instead.
"""
import argparse
import tempfile
from pathlib import Path

import numpy as np
from embed import cut  # tools/bench/embed.py

from sslspk.errors import InputError, count, entry, real

RESNET = {"widths": (4, 8, 8, 16), "embed_dim": 32, "attention_channels": 16}
ECAPA = {"name": "ecapa", "channels": 64, "mfa_channels": 192, "se_channels": 16, "attention_channels": 16, "embed_dim": 24}
PASE = {"name": "pase", "channels": (8, 8, 16, 16, 32, 32, 64, 64), "embed_dim": 32}
SPEECH = {"name": "wav2vec2", "channels": 64, "layers": 2, "dim": 96, "heads": 2, "ff_dim": 384}
VQ = {"name": "vq_wav2vec", "channels": 64, "aggregator": {"name": "convolutions", "dim": 64}}
ENCODERS = {
    "tdnn": {"name": "tdnn", "channels": 64, "pooled_channels": 188, "embed_dim": 64},
    "ecapa": ECAPA,
    "ecapa, variant wespeaker": ECAPA | {"variant": "wespeaker"},
    "ecapa, variant speechbrain": ECAPA | {"variant": "speechbrain"},
    "resnetse34l": RESNET | {"name": "resnetse34l", "se_reduction": 2},
    "lresnet34, pooled": RESNET | {"name": "lresnet34"},
    "lresnet34, affine": RESNET | {"name": "lresnet34", "embedding": "affine"},
    "lresnet34, image": RESNET | {"name": "lresnet34", "embedding": "image"},
    "cpc": {"name": "cpc", "channels": 64, "context_dim": 32},
    "cpc, sinc, both directions": {"name": "cpc", "channels": 64, "context_dim": 32, "first": "sinc", "norm": "channel",
                                   "bidirectional": True},
    "pase": PASE,
    "pase, PASE+": PASE | {"skips": True, "context": "qrnn", "context_dim": 32},
    "wav2vec2": SPEECH,
    "wav2vec2, layers": SPEECH | {"pooling": "layers", "conv_norm": "every", "norm_first": True, "normalise": True},
    "wav2vec2, WavLM": SPEECH | {"relative_buckets": 320},
    "wav2vec2, MHFA": SPEECH | {"relative_buckets": 320, "pooling": "mhfa", "pooling_heads": 4, "pooling_compress": 16, "embed_dim": 32},
    "vq_wav2vec, no quantiser": VQ | {"quantiser": None, "log_compression": True, "activation": "relu"},
    "vq_wav2vec, Gumbel": VQ,
    "vq_wav2vec, k-means": VQ | {"quantiser": {"name": "kmeans"}},
    "vq_wav2vec, Transformer": VQ | {"norm": "channel", "aggregator": {"name": "transformer", "layers": 2, "dim": 96, "heads": 2,
                                                                        "ff_dim": 384}},
}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--number", type=count, default=50, help="number of recordings (default 50)")
    parser.add_argument("--seconds", type=real, nargs=2, default=(0.5, 30.0), metavar=("LEAST", "MOST"),
                        help="seconds of each recording (default 0.5 30)")
    parser.add_argument("--only", action="append", choices=ENCODERS, metavar="NAME", help="only this encoder (repeatable; default all)")
    parser.add_argument("folder", metavar="FOLDER")
    args = parser.parse_args()
    pieces = cut(args.folder, np.geomspace(*args.seconds, args.number), 16000)
    print(f"{len(pieces)} recordings of {args.seconds[0]:g} to {args.seconds[1]:g} s\n")
    print("| encoder | largest difference | as a share | largest value |\n|---|---|---|---|")
    worst = max(row(name, pieces) for name in args.only or ENCODERS)
    if worst > 1e-4:
        raise InputError(f"an ONNX file differs from the toolkit by {worst:.1e}, above 1e-4; see the table.")


def row(name: str, pieces: list[np.ndarray]) -> float:
    """Print the row of an encoder; returns the largest difference, as a share for values above 1."""
    from sslspk.export import graph
    model = random_model(ENCODERS[name], pieces)
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder, "x.onnx")
        graph.write(model.trained, path)
        run = graph.session(path.read_bytes())
    off, share, high, worst = 0.0, 0.0, 0.0, 0.0
    for piece in pieces:
        want = model.embed(piece, model.rate)
        found = run.run(None, {"x": piece[None].astype(np.float32) / 32768})[0][0]
        difference, largest = float(np.abs(found - want).max()), float(np.abs(want).max())
        off, share, high = max(off, difference), max(share, difference / largest), max(high, largest)
        worst = max(worst, difference / max(1.0, largest))
    print(f"| {name} | {off:.1e} | {share:.1e} | {high:.2g} |", flush=True)
    return worst


def random_model(encoder: dict, pieces: list[np.ndarray]):
    """A model with random weights and the batch statistics of eight pieces."""
    import torch

    from sslspk.api.model import Model
    from sslspk.config import check
    from sslspk.train.config import SystemConfig
    from sslspk.train.frontend import FrontEnd
    from sslspk.train.model import Model as Trained
    from sslspk.train.model import build_encoder
    torch.set_num_threads(1)
    torch.manual_seed(0)
    config = check(SystemConfig, {"method": {"name": "simclr"}, "encoder": encoder}, "onnx_equal")
    front_end = FrontEnd(config.features, config.cmvn, waveform=config.waveform).eval()
    network = build_encoder(config.encoder, config.num_features)
    long = [torch.from_numpy(piece[:32000].copy()) for piece in pieces if len(piece) >= 32000][:8]
    with torch.no_grad():
        for _ in range(3 if len(long) > 1 else 0):
            network(torch.cat([front_end.whole(piece) for piece in long]))
    return Model(Trained(config, front_end, network.eval(), {}), "random")


if __name__ == "__main__":
    entry(main)
