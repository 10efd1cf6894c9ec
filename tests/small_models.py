"""Models of some thousand random weights, in a moment, and recordings to give them."""
from pathlib import Path

import numpy as np
import soundfile
import torch
from tones import RATE, tiny

from sslspk.train import model as models

INFO = {"labels": "none", "trained_on": "toy_packed", "data": "0123456789ab", "step": 3, "commit": "abc"}
CALIBRATION = {"systems": ["toy teacher cosine"], "weights": [8.0], "offset": -3.0, "p_target": 0.05, "labels": "pseudo",
               "trials": "data/held_out/trials", "trials_md5": "0" * 32, "pairs_md5": "1" * 32, "targets": 50, "nontargets": 50}


def write(folder: Path, calibration: dict | None = None, **changes) -> Path:
    """folder/final.pt, a tiny TDNN with batch statistics of noise; changes: dotted, of its configuration. Returns the path."""
    config = tiny(**changes)
    torch.manual_seed(0)
    encoder = models.build_encoder(config.encoder, config.num_features)
    with torch.no_grad():
        encoder.train()(2 * torch.randn(16, 80, 20))   # so that embeddings differ
    info = INFO | ({"calibration": calibration} if calibration else {})
    models.write(folder / "final.pt", config, config.num_features, {"teacher": encoder.state_dict()}, "teacher", info)
    return folder / "final.pt"


def voice(seconds: float, pitch: float = 150, seed: int = 0, rate: int = RATE) -> np.ndarray:
    """int16 (S,): a buzz in noise."""
    time = np.arange(round(seconds * rate)) / rate
    buzz = sum(np.sin(2 * np.pi * pitch * k * time) / k for k in range(1, 12))
    return (3000 * buzz + 300 * np.random.default_rng(seed).standard_normal(len(time))).astype(np.int16)


def silence(seconds: float) -> np.ndarray:
    """int16 (S,): faint noise."""
    return np.random.default_rng(9).integers(-3, 4, round(seconds * RATE)).astype(np.int16)


def wav(path: Path, samples: np.ndarray, rate: int = RATE) -> str:
    """Write samples (S,) or (S, C); returns the path."""
    soundfile.write(path, samples, rate)
    return str(path)
