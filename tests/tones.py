"""A tiny packed corpus of tones and a tiny DINO, for trainings that take about a second."""
import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import torch

from sslspk.config import check
from sslspk.io import audio, datadir, table
from sslspk.train import checkpoint
from sslspk.train.config import SystemConfig

RATE = 16000
TINY = {
    "features": {"num_mel_bins": 20}, "cmvn": {"cmn": "utterance"},
    "data": {"batch_size": 4, "workers": 0},
    "encoder": {"name": "tdnn", "channels": 8, "pooled_channels": 12, "embed_dim": 6, "segment_layers": 1},
    "method": {"name": "dino", "out_dim": 16, "hidden_dim": 8, "bottleneck_dim": 4, "crops": [
        {"count": 2, "seconds": 0.4}, {"count": 2, "seconds": 0.3}]},
    "train": {"steps": 6, "optimizer": "adamw", "lr": 0.01, "lr_batch": None, "warmup_epochs": 0, "log_every": 2, "save_every": 2},
}


def make_data(folder, count=12):
    """`count` noisy tones of 0.5 to 0.9 s; a pair of neighbours is one speaker."""
    folder.mkdir()
    rng = np.random.default_rng(7)
    lengths = {}
    with audio.PackWriter(folder / "wav.ark", folder / "pack.scp") as pack:
        for i in range(count):
            utt, n = f"s{i // 2:02d}-u{i:02d}", int(rng.integers(8000, 14400))
            tone = np.sin(2 * np.pi * (150 + 40 * (i // 2)) * np.arange(n) / RATE) + 0.3 * rng.normal(size=n)
            pack.write(utt, (3000 * tone).astype(np.int16), RATE)
            lengths[utt] = n
    wav = table.read(folder / "pack.scp")
    datadir.write(folder, wav=wav, utt2spk={u: u.split("-")[0] for u in wav}, utt2num_samples=lengths)
    return folder


def merged(**changes):
    """TINY with dotted changes, e.g. merged(**{"train.steps": 8})."""
    tree = json.loads(json.dumps(TINY))
    for key, value in changes.items():
        *parents, last = key.split(".")
        part = tree
        for name in parents:
            part = part.setdefault(name, {})
        part[last] = value
    return tree


def tiny(**changes) -> SystemConfig:
    return check(SystemConfig, merged(**changes), "the test")


def command(*args):
    return [sys.executable, "-m", "sslspk.bin.train", *map(str, args)]


def run(*args, **kw):
    return subprocess.run(command(*args), capture_output=True, text=True, check=False, **kw)


def conf_text(**train) -> str:
    """TINY as the text of a configuration (JSON is YAML), with other options of training."""
    return json.dumps({**TINY, "train": {"lr": 0.01, "lr_batch": None, "warmup_epochs": 0, **train}})


def weights(exp):
    """Those of the student of a finished run, in one row."""
    return torch.cat([v.flatten() for v in checkpoint.load(exp / "final.pt")["encoders"]["student"].values() if v.is_floating_point()])


def words_of(pid, kind="cmdline"):
    """The command line of a process, or its variables (kind: environ), word by word; nothing of one that has ended."""
    try:
        return Path(f"/proc/{pid}/{kind}").read_bytes().rstrip(b"\0").decode(errors="replace").split("\0")
    except (FileNotFoundError, ProcessLookupError):
        return []
