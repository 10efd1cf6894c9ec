"""Features of the recordings of a data directory, from audio to archives: what steps/make_feats.sh and compute_vad.sh share."""
import contextlib
import os
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING

import numpy as np

from sslspk.errors import InputError
from sslspk.io import ark, audio, table

if TYPE_CHECKING:  # `merge` is quick: it needs no torch
    from sslspk.features.fbank import Extractor

FRAMES, DURATIONS = "utt2num_frames", "utt2dur"


def recording(extractor: "Extractor", utt: str, spec: str, allow_pipes: bool = False) -> tuple[np.ndarray, float]:
    """Features (T,F) float32 of one recording, T >= 1, and its length in seconds.

    Raises InputError naming the utterance: unreadable audio, another sampling rate, shorter than one frame.
    """
    import torch
    try:
        samples, rate = audio.read(spec, allow_pipes)
    except InputError as err:
        raise InputError(f"{utt}: {err}") from err
    options = extractor.options
    if rate != options.sample_frequency:
        raise InputError(f"{utt}: {spec} has {rate} Hz and the features are for {options.sample_frequency:g} Hz; resample it "
                         "with steps/pack_audio.sh, or set sample_frequency.")
    feats = extractor(torch.from_numpy(samples)[None])[0].numpy()
    if not len(feats):
        raise InputError(f"{utt}: {spec} has {len(samples)} samples, less than one frame; leave it out with "
                         "utils/subset_data_dir.sh.")
    return feats, len(samples) / rate


def write(folder: str, extractor: "Extractor", ark_path: str, scp_path: str, finish: Callable[[np.ndarray], np.ndarray], *,
          compress: bool = False, allow_pipes: bool = False) -> int:
    """Write finish(features) of each recording of folder/wav.scp to an archive; returns how many there were.

    Beside the scp lie the tables scp.utt2num_frames and scp.utt2dur. All of them appear when all recordings are done.
    """
    from tqdm import tqdm
    wav, frames, seconds = table.read(os.path.join(folder, "wav.scp")), {}, {}
    with ark.Writer(ark_path, scp_path, compress=compress) as writer:
        for utt, spec in tqdm(wav.items(), unit="utt", mininterval=10, disable=None):
            feats, seconds[utt] = recording(extractor, utt, spec, allow_pipes)
            frames[utt] = len(feats)
            writer.write(utt, finish(feats))
        table.write(f"{scp_path}.{FRAMES}", frames)
        table.write(f"{scp_path}.{DURATIONS}", {utt: f"{length:.4f}" for utt, length in seconds.items()})
    return len(wav)


def merge(data: str, name: str, scps: Sequence[str]) -> int:
    """Join the tables of all jobs into data/name (feats.scp or vad.scp), utt2dur and utt2num_frames; returns their length.

    The frames of a VAD are counted in utt2num_frames only where there is no feats.scp, whose frames that table counts.
    Raises InputError when an utterance of data/utt2spk is missing or an archive is cut short; then nothing is written.
    """
    wanted = table.read(os.path.join(data, "utt2spk"))
    entries = _join(scps)
    missing = min(wanted.keys() - entries.keys(), default=None)
    if missing is not None or len(entries) != len(wanted):
        raise InputError(f"{len(entries)} of {len(wanted)} utterances came out for {data}/{name}"
                         f"{f' ({missing} is missing)' if missing else ''}; look at the jobs' logs.")
    ark.check_whole(entries)
    frames, seconds = _join([f"{scp}.{FRAMES}" for scp in scps]), _join([f"{scp}.{DURATIONS}" for scp in scps])
    table.write(os.path.join(data, DURATIONS), seconds)
    if name == "feats.scp" or not os.path.exists(os.path.join(data, "feats.scp")):
        table.write(os.path.join(data, FRAMES), frames)
    table.write(os.path.join(data, name), entries)
    for scp in scps:
        for path in (f"{scp}.{FRAMES}", f"{scp}.{DURATIONS}"):
            with contextlib.suppress(FileNotFoundError):
                os.unlink(path)
    return len(entries)


def _join(paths: Sequence[str]) -> dict[str, str]:
    joined: dict[str, str] = {}
    for path in paths:
        joined.update(table.read(path))
    return joined
