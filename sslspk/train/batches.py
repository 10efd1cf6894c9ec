"""The batches of a training: the data set as the configuration draws, augments and labels it."""
import itertools
from pathlib import Path

from sslspk.data.crop_labels import CropLabels
from sslspk.data.dataset import BatchDataset
from sslspk.data.index import UtteranceIndex
from sslspk.data.noise import NoiseBank
from sslspk.errors import InputError, shown
from sslspk.features import degrade, specaug
from sslspk.features.fbank import Extractor
from sslspk.methods.config import learns_from_frames
from sslspk.methods.config_positives import drawn_crops
from sslspk.nn import comm
from sslspk.train.config import SystemConfig


def make_dataset(config: SystemConfig, index: UtteranceIndex) -> BatchDataset:
    """The batches of this rank, as the configuration draws and augments them."""
    options, rate = config.features, _rate(config)
    augment = config.augment
    if not augment.dir:  # without noises and rooms the equaliser may still be wanted
        augment = augment.model_copy(update={"noise_prob": 0.0, "reverb_prob": 0.0, "speech_prob": 0.0})
    if augment.grow and not augment.dir and not augment.eq_prob and not any(augment.gain_db):
        raise InputError("augment.grow has nothing to augment with; give augment.dir (run.sh: --musan, --rirs) or augment.eq_prob, or "
                         "leave augment.grow out.")
    if config.data.input == "wave":
        index.require_rate(options.sample_frequency)
    wanted = config.data.input == "wave" and (augment.dir or augment.eq_prob > 0 or any(augment.gain_db))
    bank = NoiseBank(augment.dir, augment, int(options.sample_frequency)) if wanted else None
    masks = None
    if config.augment.specaug:
        to_frames = Extractor(options).num_frames if config.data.input == "wave" else int
        masks = specaug.drawer(config.augment.specaug, options.num_features, to_frames)
    dataset = BatchDataset(index, config.data, drawn_crops(config.method), seed=config.seed, rate=rate,
                           accumulate=config.train.accumulate, rank=comm.rank(), world=comm.world_size(),
                           augment=bank, spec_augment=masks, speeds=config.augment.speed_perturb,
                           degrade=degrade.drawer(augment.degrade) if augment.degrade else None,
                           frame_labels=_frame_labels(config, index))
    _require_steps(config, dataset)
    return dataset


def require_batch(config: SystemConfig, data: str | Path) -> None:
    """Raises InputError where the data have no batch for this configuration. Noises, rooms and labels may be made later."""
    index = UtteranceIndex(data, config.data.input, labels=config.data.reads_speakers, table_name=config.data.labels, same=config.data.same)
    BatchDataset(index, config.data, drawn_crops(config.method), seed=config.seed, rate=_rate(config), accumulate=config.train.accumulate)


def _rate(config: SystemConfig) -> float:
    """Samples or frames per second of what is read."""
    return config.features.sample_frequency if config.data.input == "wave" else 1000.0 / config.features.frame_shift


def _require_steps(config: SystemConfig, dataset: BatchDataset) -> None:
    """Raises InputError where data.short: whole would cut a batch to a recording of fewer steps than the method needs."""
    if config.data.short != "whole" or not learns_from_frames(config.method):
        return
    encoder, lengths = config.encoder, dataset.index.unit_length()[dataset.units]
    unit, (needed, key) = int(lengths.argmin()), config.method.least_steps(encoder)
    steps = encoder.steps(min(int(lengths[unit]), dataset.sizes[0]))
    if steps < needed:
        tenths = next(n for n in itertools.count(1) if encoder.steps(n * encoder.rate // 10) >= needed)
        name = shown(dataset.index.keys[int(dataset.index.unit(int(dataset.units[unit]))[0])], 40)
        raise InputError(f"{name} has {steps} steps, method.{key} needs {needed}, and data.short=whole cuts a batch to it; set "
                         f"data.min_seconds={tenths / 10:g}.")


def _frame_labels(config: SystemConfig, index: UtteranceIndex) -> CropLabels | None:
    """The labels of frames that the method is told. Raises InputError where it lacks them."""
    if not config.reads_frame_labels:
        return None
    if config.data.frame_labels is None:
        raise InputError(f"method {config.method.name} needs labels of frames; set data.frame_labels to a folder of "
                         "steps/make_frame_labels.sh.")
    return CropLabels(config.data.frame_labels, index, config.features, config.method.label_kinds)
