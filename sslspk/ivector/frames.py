"""The frames of an i-vector: cepstra with deltas, minus their sliding mean, voiced frames only (numpy)."""
import os
from collections.abc import Iterator

import numpy as np
from scipy.ndimage import correlate1d

from sslspk import progress
from sslspk.errors import InputError
from sslspk.io import ark, table
from sslspk.ivector.config import IvectorConfig

Specs = dict[str, tuple[str, str]]
BLOCK = 20_000  # frames processed at once
UTTERANCES = 256  # utterances processed at once, at most


def deltas(x: np.ndarray, window: int, order: int) -> np.ndarray:
    """(T, F) -> (T, F * (order + 1)) as Kaldi's add-deltas: each order is a filter over the frames, with edge frames repeated.

    A delta is the slope of the least-squares line through 2 window + 1 frames, sum_j j x[t + j] / sum_j j^2; the next order is its slope.
    """
    ramp = np.arange(-window, window + 1) / (2 * np.square(np.arange(1.0, window + 1)).sum())
    x, weights, parts = np.asarray(x, np.float64), np.ones(1), []
    for _ in range(order + 1):
        parts.append(correlate1d(x, weights, axis=0, mode="nearest") if len(weights) > 1 else x)
        weights = np.convolve(weights, ramp)
    return np.concatenate(parts, axis=1)


def subtract_sliding_mean(x: np.ndarray, window: int) -> np.ndarray:
    """(T, F) -> (T, F): subtract the mean of the `window` frames around each frame; at the ends the window is shifted inside.

    As Kaldi's apply-cmvn-sliding --center=true; sslspk.features.cmvn.sliding does this for batches on the device.
    """
    total = np.concatenate([np.zeros((1, x.shape[1])), np.cumsum(x, axis=0, dtype=np.float64)])
    length = min(window, len(x))
    begin = np.clip(np.arange(len(x)) - window // 2, 0, len(x) - length)
    return x - (total[begin + length] - total[begin]) / length


def read_specs(data: str | os.PathLike) -> Specs:
    """utterance -> entries of its features and its VAD. Raises InputError where DATA lacks either."""
    feats, vad = (table.read(os.path.join(data, name)) for name in ("feats.scp", "vad.scp"))
    odd = min(feats.keys() ^ vad.keys(), default=None)
    if odd is not None:
        raise InputError(f"{data}: {odd} is only in one of feats.scp and vad.scp; run steps/make_feats.sh and steps/compute_vad.sh on it.")
    return {utt: (spec, vad[utt]) for utt, spec in feats.items()}


def voiced(utt: str, specs: tuple[str, str], config: IvectorConfig) -> np.ndarray:
    """Voiced frames (T, D) of an utterance, float64.

    Raises InputError naming the utterance: no voiced frame, values that are not finite, or features and VAD that do not match.
    """
    feats, vad = ark.load(specs[0]), ark.load(specs[1])
    if feats.ndim != 2 or vad.ndim != 1 or len(feats) != len(vad):
        raise InputError(f"{utt}: features of shape {feats.shape} do not match VAD of shape {vad.shape}; make both with snip_edges false "
                         "(conf/mfcc_ivector.yaml, conf/mfcc.yaml).")
    if not (np.isfinite(feats).all() and np.isfinite(vad).all()):
        raise InputError(f"{utt}: its features or its VAD hold NaN or infinite values; make them again with steps/make_feats.sh and "
                         "steps/compute_vad.sh.")
    if not vad.any():
        raise InputError(f"{utt}: none of its {len(vad)} frames is voiced; leave it out with utils/subset_data_dir.sh.")
    return subtract_sliding_mean(deltas(feats, config.delta_window, config.delta_order), config.cmn_window)[vad > 0]


def blocks(specs: Specs, config: IvectorConfig, dim: int, source: str) -> Iterator[list[tuple[str, np.ndarray]]]:
    """All utterances in blocks of about BLOCK frames and at most UTTERANCES utterances.

    Raises InputError for an utterance whose frames do not have `dim` dimensions; source: the model, for the message.
    """
    held: list[tuple[str, np.ndarray]] = []
    for utt, spec in progress.over(specs.items(), "utterances"):
        x = voiced(utt, spec, config)
        if x.shape[1] != dim:
            raise InputError(f"{utt}: its frames have {x.shape[1]} dimensions, those of {source} {dim}; make the features with the "
                             "configuration that the model was trained with (conf/mfcc_ivector.yaml).")
        held.append((utt, x))
        if sum(len(frames) for _, frames in held) >= BLOCK or len(held) == UTTERANCES:
            yield held
            held = []
    if held:
        yield held


def draw(specs: Specs, config: IvectorConfig) -> np.ndarray:
    """Frames for the UBM (N, D) float32, at most config.ubm_frames; the seed decides which utterances and which of their frames.

    Raises InputError when there are fewer frames than Gaussians, or utterances have different dimensions.
    """
    names, rng = sorted(specs), np.random.default_rng(config.seed)
    order = [names[i] for i in rng.permutation(len(names))]
    parts, total = [], 0
    for utt in progress.over(order, "utterances"):
        x = voiced(utt, specs[utt], config)
        if parts and x.shape[1] != parts[0].shape[1]:
            raise InputError(f"{utt}: its frames have {x.shape[1]} dimensions, those of {order[0]} {parts[0].shape[1]}; run "
                             "steps/make_feats.sh again.")
        count = min(config.frames_per_utterance, len(x), config.ubm_frames - total)
        parts.append(x[np.sort(rng.choice(len(x), count, replace=False))].astype(np.float32))
        total += count
        if total == config.ubm_frames:
            break
    if total < config.num_gaussians:
        raise InputError(f"{total} voiced frames were drawn, fewer than the {config.num_gaussians} Gaussians; lower num_gaussians, or "
                         "raise frames_per_utterance and ubm_frames.")
    return np.concatenate(parts)
