"""A tiny packed corpus and a tiny DINO, so that a run of a few steps takes about a second."""
import json
import subprocess
import sys

import pytest
from tones import make_data

from sslspk.config import check
from sslspk.train.config import SystemConfig

TINY = {
    "features": {"num_mel_bins": 20}, "cmvn": {"cmn": "utterance"},
    "data": {"batch_size": 4, "workers": 0},
    "encoder": {"name": "tdnn", "channels": 8, "pooled_channels": 12, "embed_dim": 6, "segment_layers": 1},
    "method": {"name": "dino", "out_dim": 16, "hidden_dim": 8, "bottleneck_dim": 4, "crops": [
        {"count": 2, "seconds": 0.4}, {"count": 2, "seconds": 0.3}]},
    "train": {"steps": 6, "optimizer": "adamw", "lr": 0.01, "lr_batch": None, "warmup_epochs": 0, "log_every": 2, "save_every": 2},
}


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


@pytest.fixture(scope="session")
def data(tmp_path_factory):
    return make_data(tmp_path_factory.mktemp("train") / "data")


def command(*args):
    return [sys.executable, "-m", "sslspk.bin.train", *map(str, args)]


def run(*args, **kw):
    return subprocess.run(command(*args), capture_output=True, text=True, check=False, **kw)
