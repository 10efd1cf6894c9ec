"""Embeddings of long waveforms: the mean over windows, so that an hour of audio needs no more memory than one window."""
from collections.abc import Callable

import torch
from torch import Tensor

SAMPLES = 327680   # that are embedded at a time, but at least one window: the first layer's output of an hour would take 20 GB


def cut(x: Tensor, window: int) -> Tensor:
    """(B, S) -> (B, W, min(S, window)): as many windows of that length as cover the waveform, W = ceil(S / window), evenly spread."""
    if torch.onnx.is_in_onnx_export():   # a graph has neither `min` nor loops over a length that is known only when it runs
        return _gathered(x, window)
    size, count = min(x.shape[1], window), -(-x.shape[1] // window)
    starts = [round(i * (x.shape[1] - size) / max(count - 1, 1)) for i in range(count)]
    return torch.stack([x[:, start:start + size] for start in starts], 1)


def _gathered(x: Tensor, window: int) -> Tensor:
    """`cut` as operations on tensors; x.shape holds tensors."""
    length = x.shape[1]
    size, count = length.clamp(max=window), (length + window - 1) // window
    starts = torch.round(torch.arange(count) * (length - size) / (count - 1).clamp(min=1).double()).long()
    return x[:, starts[:, None] + torch.arange(size)]


def mean_embedding(embed: Callable[[Tensor], Tensor], x: Tensor, window: int, training: bool) -> Tensor:
    """The mean (B, D) over windows of `window` samples of what `embed`, (N, S) -> (N, D), gives; in training all are seen at once."""
    windows = cut(x, window)
    parts = windows.flatten(0, 1)
    blocks = (parts,) if training or torch.onnx.is_in_onnx_export() else parts.split(max(1, SAMPLES // parts.shape[1]))
    return torch.cat([embed(block) for block in blocks]).reshape(*windows.shape[:2], -1).mean(1)
