"""Prepares a run: data, model, optimizer, and the state of its newest checkpoint."""
import errno
import fcntl
import functools
import os
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

import torch
from torch import nn
from torch.nn.parallel import DistributedDataParallel

from sslspk.data import resident
from sslspk.data.crop_labels import CropLabels
from sslspk.data.dataset import BatchDataset
from sslspk.data.index import UtteranceIndex
from sslspk.errors import InputError, counted
from sslspk.io import results, silence
from sslspk.io.lock import holder, sign
from sslspk.io.provenance import git_commit
from sslspk.methods import build as build_method
from sslspk.methods.base import Corpus, Method
from sslspk.methods.config import reads_labels
from sslspk.nn import comm, saved, sync_batchnorm
from sslspk.train import budget, checkpoint, contents, evaluation, model, validation
from sslspk.train.batches import make_dataset
from sslspk.train.compiled import compile_encoders
from sslspk.train.config import SystemConfig
from sslspk.train.evaluation import NOTHING, Evaluation, restored
from sslspk.train.frontend import FrontEnd
from sslspk.train.initialise import initialise
from sslspk.train.optim import build_optimizer
from sslspk.train.recomputed import recompute_blocks
from sslspk.train.rerun import require_same, require_same_start, start_of, write_config

LEAST = -1e30   # below any score of a validation


@dataclass
class Job:
    """A run, ready to go. `model` is `method` as it is called in training (wrapped for several ranks)."""

    config: SystemConfig
    exp: Path
    device: torch.device
    dataset: BatchDataset
    front_end: FrontEnd
    method: nn.Module
    model: nn.Module
    optimizer: torch.optim.Optimizer
    total: int
    num_features: int
    classes: list  # names of the classes, in the order of the classifier's scores; none without labels
    validation: validation.ClassRecall | validation.PretextLoss | None
    info: dict  # facts for final.pt: data, training set, labels, commit
    budget: budget.Budget | None   # CPU-time limit; `total` is then an estimate
    evaluation: Evaluation | None = None   # on held-out recordings, which changes nothing
    step: int = 0
    bad: set = field(default_factory=set)
    # the best epoch's end on train.valid so far, and the steps of those that were the best before it
    best: dict = field(default_factory=lambda: {"step": 0, "score": LEAST, "earlier": []})
    evaluated: dict = field(default_factory=lambda: {**NOTHING})   # the same of the best evaluation so far
    unread: deque = field(default_factory=deque)   # losses that are not known to be finite yet
    figures: dict = field(default_factory=dict)   # sums that the next line of progress.jsonl begins with: {name: (sum, steps)}

    def state(self) -> dict:
        more = {key: self.info[key] for key in ("data", "labels", "start")}
        more |= {"cpu_seconds": self.budget.used(), "total": self.total} if self.budget else {}
        more |= {"evaluated": self.evaluated} if self.evaluated["step"] else {}
        return {"step": self.step, "config": self.config.model_dump(mode="json"), "info": self.info, "method": self.method.state_dict(),
                "optimizer": self.optimizer.state_dict(), "bad": sorted(self.bad), "best": self.best, **more}

    def restore(self, state: dict, say: Callable[[str], None]) -> None:
        if state["data"] != self.info["data"]:
            raise InputError(f"{self.exp}: this run was started on other data ({state['data']}, now {self.info['data']}); "
                             "train into another directory, or restore the data.")
        wrong = saved.misfit(state["method"], self.method.state_dict()) or contents.misfit_of_optimizer(state["optimizer"], self.optimizer)
        if not wrong:
            self.method.load_state_dict(state["method"])
            self.optimizer.load_state_dict(state["optimizer"])
            wrong = saved.not_finite(dict(self.method.named_parameters()))
            wrong = wrong and f"NaN or infinity in the weights {wrong}"
        if wrong:
            raise InputError(f"{checkpoint.at(self.exp, state['step'])}: no checkpoint of this system ({wrong}); remove it and run the "
                             "same command again.")
        self.step, self.bad, self.best = state["step"], set(state["bad"]), {**self.best, **contents.best_of(state)}
        if self.budget:
            self.budget.before, self.total = state.get("cpu_seconds", 0.0), state.get("total", self.total)
        self.figures = {key: (torch.tensor(value, device=self.device), n) for key, (value, n) in state.get("figures", {}).items()}
        self.evaluated = restored(self, state.get("evaluated"))
        if self.best["step"] and not checkpoint.at(self.exp, self.best["step"]).exists():
            say(f"warning: the checkpoint of the best epoch so far, step {self.best['step']}, is gone; the best one is looked for "
                f"from step {self.step} on.")
            self.best = {"step": self.step, "score": LEAST, "earlier": []}


def prepare(config: SystemConfig, data_dir: Path, exp: Path, device: torch.device, say) -> Job:
    """Build the job and restore its newest checkpoint. Raises InputError for whatever makes the run impossible."""
    _claim(config, exp)
    learns = reads_labels(config.method)
    index = UtteranceIndex(data_dir, config.data.input, labels=learns or config.data.reads_speakers or config.train.analyse,
                           table_name=config.data.labels, same=config.data.same)
    dataset = make_dataset(config, index)
    total = config.train.steps or round(config.train.epochs * dataset.steps_per_epoch)
    if not total:
        raise InputError(f"train.epochs {config.train.epochs:g} is less than one step of {config.data.batch_size}; raise it.")
    recordings = resident.keep(dataset.augment, device, say) if dataset.augment else None
    say(f"{counted(len(dataset.units), 'utterance')}; augmentation: "
        + (dataset.augment.describe() if dataset.augment else "none") + ("; waveforms are degraded" if dataset.degrade else ""))
    front_end = FrontEnd(config.features, config.cmvn, config.augment.specaug, config.waveform, recordings).to(device)
    evaluated = evaluation.build(config, front_end)
    _warn(config, index, evaluated, say)
    num_features = _num_features(config, index)
    corpus = _corpus(config, index, dataset)
    _require_memory(config, num_features, corpus, device)
    torch.manual_seed(config.seed)
    method = build_method(config.method, config.encoder, num_features, corpus)
    state, told = _newest(exp, say, device), dataset.frame_labels
    data = index.fingerprint() + (told.fingerprint if told else "")
    inherited = state["labels"] if state else initialise(method, config, data, say)
    info = _origin(config, exp, index, method, state, {"data": data, "trained_on": data_dir.resolve().name}, inherited, told)
    method = sync_batchnorm.convert(method, device).to(device)
    _freeze(method, config.train.trainable)
    job = Job(config, exp, device, dataset, front_end, method, method, build_optimizer(method, config), total, num_features,
              index.classes if learns else [], validation.build(config, index.classes, front_end), info, budget.of(config.train, device),
              evaluated)
    for judged in (dataset, *([job.validation.dataset] if isinstance(job.validation, validation.PretextLoss) else ())):
        if judged.left_out:
            say(judged.left_out)
    if state:
        job.restore(state, say)
    job.model = _as_called(method, config, device)
    if comm.rank() == 0:
        write_config(exp, config)
    return job


def _as_called(method: Method, config: SystemConfig, device: torch.device) -> nn.Module:
    """The method as it is called in training: its encoders compiled or recomputed where that is asked for, wrapped for several ranks."""
    if config.train.compile:
        compile_encoders(method, config.data)
    if config.train.recompute:
        recompute_blocks(method)
    return _over_ranks(method, config, device) if comm.world_size() > 1 else method


def _over_ranks(method: Method, config: SystemConfig, device: torch.device) -> DistributedDataParallel:
    """The method whose gradients are the mean over ranks, kept in the buffers that are sent instead of beside them.

    static_graph: every parameter of every method has a gradient in every step, whatever the step leaves out. It does not go with passes
    that send nothing (train.accumulate).
    """
    return DistributedDataParallel(method, broadcast_buffers=False, gradient_as_bucket_view=True,
                                   static_graph=config.train.accumulate == 1,
                                   device_ids=[device.index] if device.type == "cuda" else None)


def _warn(config: SystemConfig, index: UtteranceIndex, evaluated: Evaluation | None, say: Callable[[str], None]) -> None:
    """Print warnings about settings that harm the training."""
    warnings = [config.warning, silence.warning("this training", config.vad, index.paths, index.data)]
    if evaluated:
        warnings.append(evaluated.warning)
    for text in warnings:
        if text:
            say(text)


def _corpus(config: SystemConfig, index: UtteranceIndex, dataset: BatchDataset) -> Corpus:
    """The facts about the training set that the method gets."""
    return Corpus(index.num_units, len(index.classes) if reads_labels(config.method) else 0,
                  functools.partial(model.read_encoder_state, bare=True),
                  index.numbers_of("utt2session") if config.train.analyse else None,
                  dataset.frame_labels.about.classes if dataset.frame_labels else 0)


def _require_memory(config: SystemConfig, num_features: int, corpus: Corpus, device: torch.device) -> None:
    """Raises InputError where the weights and their gradients alone are larger than the device's memory."""
    with torch.device("meta"):   # takes none
        method = build_method(config.method, config.encoder, num_features, corpus)
    weights = [*method.state_dict().values(), *(weight for weight in method.parameters() if weight.requires_grad)]
    needed = sum(weight.numel() * weight.element_size() for weight in weights)
    there = torch.cuda.get_device_properties(device).total_memory if device.type == "cuda" \
        else os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")
    if needed > there:
        largest = max(method.named_parameters(), key=lambda item: item[1].numel())
        raise InputError(f"this model's weights and gradients take {needed / 1e9:.4g} GB of the {there / 1e9:.4g} GB there are; make it "
                         f"smaller (its largest part is {largest[0]}, {' x '.join(map(str, largest[1].shape))}).")


def _newest(exp: Path, say, device: torch.device) -> dict | None:
    """The checkpoint to go on from. Raises InputError when not all ranks can read the same one."""
    state = checkpoint.load_newest(exp, say)
    step = torch.tensor(state["step"] if state else -1, device=device)
    last, first = int(comm.max_over_ranks(step)), -int(comm.max_over_ranks(-step))
    if first != last:
        raise InputError(f"{exp}/ckpt: rank {comm.rank()} of {comm.world_size()} can read the checkpoint of step {int(step)}, others "
                         f"that of step {first if int(step) == last else last}; see that all nodes can read that folder.")
    return state


def _origin(config: SystemConfig, exp: Path, index: UtteranceIndex, method: Method, state: dict | None, data: dict, inherited: str,
            told: CropLabels | None) -> dict:
    """What final.pt will say of how it came about. Raises InputError when the run began with another model's weights."""
    start = start_of(config)
    require_same_start(exp, state or {}, start)
    used = [text.replace("speaker", index.label_source) for text in (method.labels, config.data.drawn_by)]
    labels = results.joined(*used, inherited, told.about.labels if told else "none")
    return {**data, "commit": git_commit(), "labels": labels, "start": (state or {}).get("start") or start}


def _freeze(method: Method, trainable: str) -> None:
    """Freeze the encoders, but for their last affine layers where these are to be trained, and for weights over layers (SUPERB)."""
    if trainable == "all":
        return
    for encoder in method.backbones():
        if trainable == "affine" and not encoder.last_layers:
            raise InputError("train.trainable is affine, but this encoder has no affine layer above its pooling; use "
                             "train.trainable=head (egs/iemocap, egs/adress: --step1 head).")
        encoder.freeze(encoder.last_layers if trainable == "affine" else [])
        for weight in (getattr(encoder, name) for name in encoder.optional):
            if weight is not None:
                weight.requires_grad_(True)


def _num_features(config: SystemConfig, index: UtteranceIndex) -> int:
    """F: what the front end gives (of a waveform 1), checked against the archive on the feats input."""
    from sslspk.io import ark
    expected = config.num_features
    if config.data.input == "feats":
        found = ark.load(index.spec(0)).shape[1]
        if found != expected:
            raise InputError(f"{index.keys[0]}: the archive holds {found} features a frame and the configuration says "
                             f"{expected}; use the conf that steps/make_feats.sh was run with.")
    return expected


def _claim(config: SystemConfig, exp: Path) -> None:
    """Lock the directory (rank 0) and refuse to go on with a run of another configuration."""
    if comm.rank() == 0:
        exp.mkdir(parents=True, exist_ok=True)
        # Held until this process ends, however it ends; not passed on to workers.
        _claim.lock = (exp / ".lock").open("a+", errors="replace")
        try:
            fcntl.lockf(_claim.lock, fcntl.LOCK_EX | fcntl.LOCK_NB)   # lockf, not flock: on NFS it holds between machines, too
        except OSError as err:
            if err.errno in (errno.EACCES, errno.EAGAIN):
                raise InputError(f"{exp}: another training runs there ({holder(str(exp / '.lock'))}); wait for it, stop it, "
                                 "or choose another directory.") from None
            print(f"warning: no file can be locked in {exp} ({err.strerror}); make sure that no other training writes there.", flush=True)
        sign(_claim.lock)
        for left in (exp / "ckpt").glob(".*.tmp"):   # half-written when a run was killed
            left.unlink()
        if checkpoint.checkpoints(exp):
            require_same(exp, config)
    comm.barrier()
