"""The frames of whole recordings: how far apart they are, and long recordings in windows, so that memory is bounded."""
from collections.abc import Callable

import torch
from torch import Tensor

from sslspk.encoders.base import Encoder
from sslspk.encoders.projected import Projected
from sslspk.errors import InputError
from sslspk.train import layers
from sslspk.train.config import SystemConfig

TRIED = {"wave": 100800, "feats": 5040}   # samples, feature frames: multiples of every stride that has no prime factor above 7


@torch.no_grad()
def stride(encoder: Encoder | Projected, name: str | None, config: SystemConfig) -> int:
    """How many samples, or feature frames, of what the encoder reads lie between two of its frames, or of those of its layer `name`.

    Raises InputError where frames are not evenly spaced.
    """
    size, device = TRIED["wave" if config.waveform else "feats"], next(encoder.parameters()).device

    def count(length: int) -> int:
        silence = torch.zeros((1, length) if config.waveform else (1, length, config.num_features), device=device)
        return layers.frames_at(encoder, name, silence).shape[1]

    more = count(2 * size) - count(size)
    if more < 1 or size % more:
        raise InputError(f"frames of --layer {name or 'the encoder'} are not evenly spaced ({size} inputs more give {more} frames more); "
                         "choose another layer.")
    return size // more


def in_windows(run: Callable[[Tensor], Tensor], x: Tensor, step: int, window: int, margin: int) -> Tensor:
    """Frames (1, T', C) of x (1, T, ...), computed by run(part) -> (1, T'', C) on parts of at most `window` inputs.

    A part overlaps its neighbours by `margin` at both ends, and frames whose place is within a margin are taken from the neighbour. So the
    result is that of run(x) where a frame sees no more than `margin` inputs beyond its place. step: inputs from one frame to the next.
    """
    if x.shape[1] <= window:
        return run(x)
    margin = -(-margin // step) * step
    hop = (window - 2 * margin) // step * step
    if hop <= 0:
        raise InputError(f"a window of {window} inputs has no room for two margins of {margin} and a frame of {step}; give a longer one.")
    pieces = []
    for first in range(0, x.shape[1], hop):
        begin, last = max(0, first - margin), first + hop >= x.shape[1]
        frames = run(x[:, begin:first + hop + margin])
        skipped = (first - begin) // step
        pieces.append(frames[:, skipped:] if last else frames[:, skipped:skipped + hop // step])
    return torch.cat(pieces, 1)
