"""Features of the recordings of a data directory: from audio to what an encoder reads, and to archives."""
from collections.abc import Callable

import numpy as np
import torch

from sslspk import progress
from sslspk.errors import InputError
from sslspk.features.fbank import Extractor
from sslspk.io import ark, clips, table
from sslspk.io.ahead import ahead
from sslspk.io.channel import FIRST

FRAMES, DURATIONS = "utt2num_frames", "utt2dur"


def recording(compute: Callable[[torch.Tensor], torch.Tensor], rate: float, utt: str, clip: clips.Clip,
              allow_pipes: bool = False, channel: int | str = FIRST) -> tuple[torch.Tensor, float]:
    """Features (1,T,F) of one utterance, T >= 1, and its length in seconds.

    compute: makes them of int16 samples (S,), as FrontEnd.whole does. rate: the sampling rate it is for, in Hz.
    Raises InputError naming the utterance: unreadable audio, another sampling rate, shorter than one frame.
    """
    samples = clips.utterance(utt, clip, rate, allow_pipes, channel)
    return computed(compute, utt, clip, samples), len(samples) / rate


def computed(compute: Callable[[torch.Tensor], torch.Tensor], utt: str, clip: clips.Clip, samples: np.ndarray) -> torch.Tensor:
    """`recording`'s features, of samples that have been read."""
    feats = compute(torch.from_numpy(samples))
    if not feats.shape[1]:
        raise InputError(f"{utt}: {clip} has {len(samples)} samples, less than one frame; leave it out with "
                         "utils/subset_data_dir.sh.")
    return feats


def write(folder: str, extractor: Extractor, ark_path: str, scp_path: str, finish: Callable[[np.ndarray], np.ndarray], *,
          compress: bool = False, allow_pipes: bool = False, channel: int | str = FIRST) -> int:
    """Write finish(features) of each utterance of a data directory to an archive; returns how many there were.

    Beside the scp lie the tables scp.utt2num_frames and scp.utt2dur. All of them appear when all utterances are done.
    """
    audio, frames, seconds = clips.read(folder), {}, {}
    rate = extractor.options.sample_frequency
    with ark.Writer(ark_path, scp_path, compress=compress) as writer:
        waves = ahead((clips.utterance(utt, clip, rate, allow_pipes, channel) for utt, clip in audio.items()), len)
        for (utt, clip), wave in zip(audio.items(), progress.over(waves, "utterances", len(audio)), strict=True):
            feats = computed(lambda wave: extractor(wave[None]), utt, clip, wave)
            frames[utt], seconds[utt] = feats.shape[1], len(wave) / rate
            writer.write(utt, finish(feats[0].numpy()))
        table.write(f"{scp_path}.{FRAMES}", frames)
        table.write(f"{scp_path}.{DURATIONS}", {utt: f"{length:.4f}" for utt, length in seconds.items()})
    return len(audio)
