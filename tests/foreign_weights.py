"""Weights as wespeaker and speechbrain name them, and what their own code makes of them.

golden/foreign_encoders.npz holds names and shapes of their state_dicts, and what their code (wespeaker dfa7419, speechbrain 9c826ef) gave
for the weights of `filled` and the features of `features`; and speechbrain's Fbank(n_mels=20) of the first row of `samples`.
"""
import json
import zlib
from pathlib import Path

import numpy as np
import torch

GOLDEN = Path(__file__).resolve().parent / "golden/foreign_encoders.npz"


def filled(shapes: dict[str, list[int]]) -> dict[str, torch.Tensor]:
    """Weights by the names and shapes of a state_dict, a generator for each name."""
    state = {}
    for key, shape in shapes.items():
        rng = np.random.default_rng(zlib.crc32(key.encode()))
        if key.endswith("num_batches_tracked"):
            value = np.array(3)
        elif key.endswith("running_var"):
            value = rng.uniform(0.5, 2, shape)
        elif len(shape) == 1:
            value = rng.normal(0.5 if key.endswith("weight") else 0, 0.3, shape)
        else:
            value = rng.normal(0, np.prod(shape[1:]) ** -0.5, shape)
        state[key] = torch.tensor(value, dtype=torch.int64 if value.ndim == 0 else torch.float32)
    return state


def features(frames: int, bins: int) -> torch.Tensor:
    return torch.tensor(2 * np.random.default_rng(frames).normal(size=(2, frames, bins)), dtype=torch.float32)


def golden(name: str) -> tuple[dict, dict]:
    """(names and shapes, outputs by number of frames)."""
    with np.load(GOLDEN) as file:
        return json.loads(str(file[f"{name}_shapes"])), {int(frames): file[f"{name}_{frames}"] for frames in file[f"{name}_frames"]}


def checkpoint(tmp_path, name: str, change=None) -> Path:
    state = filled(golden(name)[0])
    torch.save(change(state) if change else state, tmp_path / f"{name}.pt")
    return tmp_path / f"{name}.pt"


def samples(count: int) -> np.ndarray:
    """int16 (count,): noise that falls silent half-way."""
    noise = 3000 * np.random.default_rng(count).standard_normal(count)
    return (noise * (np.arange(count) < count / 2)).astype(np.int16)
