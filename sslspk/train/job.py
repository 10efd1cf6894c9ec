"""Everything a run needs before its first step: data, model, optimizer, and the place where it stopped last time."""
import fcntl
import hashlib
from dataclasses import dataclass, field
from pathlib import Path

import torch
from torch import nn
from torch.nn.parallel import DistributedDataParallel

from sslspk.config import check, read_yaml, to_yaml
from sslspk.data.dataset import BatchDataset
from sslspk.data.index import UtteranceIndex
from sslspk.data.noise import NoiseBank
from sslspk.errors import InputError
from sslspk.features import specaug
from sslspk.features.fbank import Extractor
from sslspk.io.files import atomic_write
from sslspk.io.provenance import git_commit
from sslspk.methods import build as build_method
from sslspk.nn import comm, sync_batchnorm
from sslspk.train import checkpoint
from sslspk.train.config import SystemConfig, differences
from sslspk.train.frontend import FrontEnd
from sslspk.train.model import read_encoder_state
from sslspk.train.optim import build_optimizer


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
    data_id: str
    step: int = 0
    bad: set = field(default_factory=set)

    def state(self) -> dict:
        return {"step": self.step, "data": self.data_id, "method": self.method.state_dict(),
                "optimizer": self.optimizer.state_dict(), "commit": git_commit()}

    def restore(self, state: dict) -> None:
        if state["data"] != self.data_id:
            raise InputError(f"{self.exp}: this run was started on other data ({state['data']}, now {self.data_id}); "
                             "train into another directory, or give back the data.")
        self.method.load_state_dict(state["method"])
        self.optimizer.load_state_dict(state["optimizer"])
        self.step = state["step"]


def prepare(config: SystemConfig, data_dir: Path, exp: Path, device: torch.device, init_from: str | None, say) -> Job:
    """Build the job and restore its newest checkpoint. Raises InputError for whatever makes the run impossible."""
    _claim(config, exp)
    labels = config.method.name == "supervised"
    index = UtteranceIndex(data_dir, config.data.road, labels)
    dataset = make_dataset(config, index)
    num_features = _num_features(config, index)
    torch.manual_seed(config.seed)
    method = build_method(config.method, config.encoder, num_features, len(index.speakers))
    if init_from:
        _init_encoders(method, init_from)
    method = sync_batchnorm.convert(method).to(device)
    optimizer = build_optimizer(method, config)
    if config.train.compile:
        for encoder in method.encoders().values():
            encoder.compile()
    front_end = FrontEnd(config.features, config.cmvn, config.augment.specaug).to(device)
    total = config.train.steps or round(config.train.epochs * dataset.steps_per_epoch)
    job = Job(config, exp, device, dataset, front_end, method, method, optimizer, total, num_features, _data_id(dataset))
    state = checkpoint.load_newest(exp, say)
    if state:
        job.restore(state)
    if comm.world_size() > 1:
        job.model = DistributedDataParallel(method, broadcast_buffers=False,
                                            device_ids=[device.index] if device.type == "cuda" else None)
    return job


def make_dataset(config: SystemConfig, index: UtteranceIndex) -> BatchDataset:
    """The batches of this rank, as the configuration draws and augments them."""
    options = config.features
    rate = options.sample_frequency if config.data.road == "wave" else 1000.0 / options.frame_shift
    augment = config.augment
    if not augment.dir:  # without noises and rooms the equaliser may still be wanted
        augment = augment.model_copy(update={"noise_prob": 0.0, "reverb_prob": 0.0})
    wanted = config.data.road == "wave" and (augment.dir or augment.eq_prob > 0 or any(augment.gain_db))
    bank = NoiseBank(augment.dir, augment, int(options.sample_frequency)) if wanted else None
    masks = None
    if config.augment.specaug:
        to_frames = Extractor(options).num_frames if config.data.road == "wave" else int
        masks = specaug.drawer(config.augment.specaug, options.num_features, to_frames)
    return BatchDataset(index, config.data, config.method.crops, seed=config.seed, rate=rate,
                        accumulate=config.train.accumulate, rank=comm.rank(), world=comm.world_size(),
                        augment=bank, spec_augment=masks, speeds=config.augment.speed_perturb)


def _num_features(config: SystemConfig, index: UtteranceIndex) -> int:
    """F: what the front end gives, checked against the archive on the feats road."""
    from sslspk.io import ark
    expected = config.features.num_features
    if config.data.road == "feats":
        found = ark.load(index.spec(0)).shape[1]
        if found != expected:
            raise InputError(f"{index.keys[0]}: the archive holds {found} features a frame and the configuration says "
                             f"{expected}; use the conf that steps/make_feats.sh was run with.")
    return expected


def _init_encoders(method: nn.Module, init_from: str) -> None:
    state, _ = read_encoder_state(init_from)
    for name, encoder in method.encoders().items():
        try:
            encoder.load_state_dict(state)
        except RuntimeError as err:
            raise InputError(f"--init-from {init_from}: its encoder is not this one's shape ({name}: "
                             f"{str(err).splitlines()[-1].strip()}); use the same `encoder:` section.") from None


def _claim(config: SystemConfig, exp: Path) -> None:
    """Lock the directory, refuse another configuration's run, and write config.yaml before anything else (rank 0)."""
    if comm.rank() == 0:
        exp.mkdir(parents=True, exist_ok=True)
        _claim.lock = (exp / ".lock").open("w")  # held until this process ends, however it ends
        try:
            fcntl.flock(_claim.lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            raise InputError(f"{exp}: another training process is at work there; wait for it or choose another directory.") from None
        path = exp / "config.yaml"
        if path.exists():
            changed = differences(check(SystemConfig, read_yaml(path), str(path)), config)
            if changed:
                raise InputError(f"{path}: the run there has {changed[0]}; train into another directory, remove {exp}, or "
                                 "give the same options again.")
        with atomic_write(path) as f:
            f.write(to_yaml(config))
    comm.barrier()


def _data_id(dataset: BatchDataset) -> str:
    keys = hashlib.md5(dataset.index.keys.bytes.tobytes()).hexdigest()[:12]
    return f"{len(dataset.units)} recordings, keys {keys}"
