"""A trained model file (final.pt): the encoders' weights together with the configuration that made them."""
import hashlib
import os
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import torch
from torch import Tensor, nn

from sslspk.config import check
from sslspk.encoders import build as build_encoder
from sslspk.encoders.base import Encoder
from sslspk.encoders.projected import FrameMean, Projected
from sslspk.errors import InputError
from sslspk.features import cmvn, extract
from sslspk.io import ark, clips
from sslspk.io.clips import Clip
from sslspk.io.provenance import corpus
from sslspk.methods import classifier as classifiers
from sslspk.methods.classifier import Classifier
from sslspk.nn import saved
from sslspk.train import checkpoint, contents, cpu_time, folder, pretrained
from sslspk.train.config import SystemConfig, config_hash
from sslspk.train.frontend import FrontEnd

FILES = ("final.pt", folder.WEIGHTS, "final.npz")   # in the folder of a model, the first that is there; the last is of i-vectors


@dataclass
class Model:
    """front_end.whole(wave) -> features, encoder(features) -> embedding; `info` says how it was trained (labels, steps, data).

    classifier: embedding -> scores of `classes` (their names), of models that were trained to tell classes; else None.
    by_default: whether the encoder is the trained one that the file itself chooses.
    """

    config: SystemConfig
    front_end: FrontEnd
    encoder: Encoder | Projected
    info: dict
    classifier: Classifier | None = None
    classes: list[str] = field(default_factory=list)
    by_default: bool = True

    @property
    def device(self) -> torch.device:
        return self.front_end.extractor.window.device

    def read(self, samples: Tensor) -> Tensor:
        """What the encoder reads of int16 samples (S,) at features.sample_frequency, on this model's device: (1, T, F), or (1, S)."""
        return self.front_end.whole(samples.to(self.device))

    def features(self, utt: str, source: Clip | str, allow_pipes: bool = False) -> Tensor:
        """(1, T, F), or samples (1, S), of one whole utterance; InputError names it when it cannot be read or has no frame.

        source: its audio, or an entry of feats.scp.
        """
        return self.features_of(utt, source, self.stored(utt, source, allow_pipes))

    def stored(self, utt: str, source: Clip | str, allow_pipes: bool = False) -> np.ndarray:
        """What `features` reads from the disk: int16 samples (S,), or features (T, F) that an archive holds."""
        if isinstance(source, Clip):
            return clips.utterance(utt, source, self.config.features.sample_frequency, allow_pipes)
        if self.config.waveform:
            raise InputError(f"{utt}: this model reads waveforms, and the data directory has none; give one with wav.scp.")
        return ark.load(source)

    def features_of(self, utt: str, source: Clip | str, stored: np.ndarray) -> Tensor:
        """What `features` returns, of what `stored` has read."""
        if isinstance(source, Clip):
            return extract.computed(self.read, utt, source, stored)
        x = cmvn.apply(torch.from_numpy(stored)[None].to(self.device), self.config.cmvn)
        if not x.shape[1]:
            raise InputError(f"{utt}: shorter than one frame; leave it out with utils/subset_data_dir.sh.")
        return x


def write(path: Path, config: SystemConfig, num_features: int, encoders: dict[str, dict], evaluate: str, info: dict,
          projections: dict[str, dict] | None = None, classifier: tuple[dict, list[str]] | None = None) -> None:
    """Save encoder weights ({name: state_dict}); `evaluate` names the one that is used unless another is asked for.

    projections: {name: {"dims", "batch_norm", "pooled"}} of those that are a Projected encoder. classifier: (state, names of its classes).
    """
    state, classes = classifier or (None, [])
    checkpoint.save(path, {"format": 1, "config": config.model_dump(mode="json"), "num_features": num_features, "classifier": state,
                           "classes": classes, "encoders": encoders, "evaluate": evaluate, "info": info, "projections": projections or {}})


def read_content(path: str | Path) -> dict:
    """What a model holds, in the form of a final.pt (see `write`).

    path: a final.pt, the folder of a run that holds one, a folder that `sslspk export` wrote, or "ARCH CHECKPOINT" as train.init_from
    takes it. Raises InputError.
    """
    pair = pretrained.pair(str(path))
    if pair:
        return pretrained.read(*pair)
    file = file_of(path)
    if file.suffix == ".npz":
        raise InputError(f"{file}: an i-vector system, which has no network; use steps/extract_ivectors.sh.")
    return folder.read(file) if file.suffix == ".safetensors" else checkpoint.load_model(file)


def file_of(path: str | Path) -> Path:
    """The file of weights that a path names, which may be that of its folder: the first of FILES that is there.

    The shell asks utils/models.sh, which starts no Python.
    """
    if not os.path.isdir(path):
        return Path(path)
    return next((file for name in FILES if (file := Path(path, name)).exists()), Path(path, FILES[0]))


def system_of(path: str | Path, info: dict) -> str:
    """The system that a model is: what it says, or the name of the folder that it lies in."""
    return info.get("system") or file_of(path).resolve().parent.name


def config_of(content: dict, path: str | Path) -> SystemConfig:
    """The configuration of what `read_content` gives. Raises InputError: a frame-level model of another toolkit has no embedding."""
    if pretrained.pair(str(path)) and "method" not in content["config"]:
        raise InputError(f"{path}: a frame-level model, with no embedding of its own; start a training from it (--init-from), or use "
                         "steps/extract_frame_model.sh.")
    return check(SystemConfig, content["config"], str(path))


def read_encoder_state(path: str | Path, weights: str | None = None, bare: bool = False) -> tuple[dict, dict]:
    """(state of the encoder called `weights`, or of the model's own choice; the whole file). bare: without a projection on it.

    path: as of `read_content`.
    """
    content = read_content(path)
    state = state_of(content, path, weights)
    if bare and (weights or content["evaluate"]) in content.get("projections", {}):
        state = checkpoint.part(state, "encoder")
    return state, content


def state_of(content: dict, path: str | Path, weights: str | None = None) -> dict:
    """The state of the encoder called `weights`, or of the model's own choice, of what `read_content` gave. Raises InputError."""
    name = weights or content["evaluate"]
    if name not in content["encoders"]:
        raise InputError(f"{path}: there are no weights called {name}; it holds {', '.join(content['encoders'])}.")
    return content["encoders"][name]


def start(path: str | Path) -> dict:
    """What a run says of the model that it starts from: system (that of the first one, where models were chained), and a digest."""
    state, content = read_encoder_state(path)
    digest = hashlib.md5()
    for key in sorted(state):
        digest.update(state[key].cpu().contiguous().numpy().tobytes())
    before = content["info"].get("start")
    return {"system": before["system"] if before else system_of(path, content["info"]), "digest": digest.hexdigest()[:12]}


def provenance(path: str | Path, weights: str | None = None, untrained: bool = False) -> dict:
    """What io.provenance.write says of embeddings by this model."""
    _, content = read_encoder_state(path, weights)
    missing = contents.of_info(content)
    if missing:
        raise InputError(f"{path}: does not say how it came about ({missing}); train it again.")
    config, info = config_of(content, path), content["info"]
    used = cpu_time.logged(Path(path).parent) | ({"cpu_minutes": config.train.cpu_minutes} if config.train.cpu_minutes else {})
    trained = {"machine": info["machine"] | used} if "machine" in info and not untrained else {}
    return {"system": system_of(path, info), "weights": "untrained" if untrained else weights or content["evaluate"],
            "trained_on": corpus(info["trained_on"]), "training_data": info["data"], "method": config.method.name,
            "encoder": config.encoder.name, "config_hash": config_hash(config), "seed": config.seed,
            "steps": 0 if untrained else info["step"], "labels": "none" if untrained else info["labels"],
            "input": config.data.input, "commit": info["commit"], "start": (info.get("start") or {"system": "none"})["system"],
            "trainable": config.train.trainable, **trained, **augmentation(config)}


def augmentation(config: SystemConfig) -> dict:
    """What a result says of noises and rooms that its model's configuration asks for and training did without; else nothing."""
    return {"augmentation": f"without {config.idle_augmentation}: augment.dir is null"} if config.idle_augmentation else {}


def load(path: str | Path, weights: str | None = None, device: str | torch.device = "cpu", untrained: bool = False) -> Model:
    """A model ready for extraction: eval mode, on `device`. untrained: same architecture, freshly initialised from the seed."""
    return of_content(read_content(path), path, weights, device, untrained)


def of_content(content: dict, path: str | Path, weights: str | None = None, device: str | torch.device = "cpu",
               untrained: bool = False) -> Model:
    """`load` of what `read_content` gave; path: for the messages."""
    state, config = state_of(content, path, weights), config_of(content, path)
    if content["num_features"] != config.num_features:
        raise InputError(f"{path}: its encoder reads {content['num_features']} features a frame, its configuration computes "
                         f"{config.num_features}; take another file, or train it again.")
    with torch.device("meta"):   # takes no memory: a damaged configuration may ask for any size
        _require_fit(_encoder(config, content, weights), state, path)
    torch.manual_seed(config.seed)
    encoder = _encoder(config, content, weights)
    if not untrained:
        encoder.load_state_dict(state)
    front_end, head, classes = FrontEnd(config.features, config.cmvn, waveform=config.waveform), None, content.get("classes", [])
    if classes:
        head = classifiers.build(config.method, encoder.embed_dim, len(classes))
        _require_fit(head, content["classifier"], path)
        head.load_state_dict(content["classifier"])
        head = head.to(device).eval()
    by_default = not untrained and weights in (None, content["evaluate"])
    return Model(config, front_end.to(device).eval(), encoder.to(device).eval(), content["info"], head, classes, by_default)


def _encoder(config: SystemConfig, content: dict, weights: str | None) -> Encoder | Projected:
    """The encoder of a model file, freshly initialised."""
    encoder = build_encoder(config.encoder, content["num_features"])
    projection = content.get("projections", {}).get(weights or content["evaluate"])
    if projection and projection.get("pooled") == FrameMean.pooled and config.encoder.name == "dsvae":
        return FrameMean(encoder, encoder.content_dim)
    return Projected(encoder, tuple(projection["dims"]), projection["batch_norm"]) if projection else encoder


def _require_fit(module: nn.Module, state: dict, path: str | Path) -> None:
    """Raises InputError where the weights of a file are not those of the configuration in it."""
    wrong = saved.misfit(state, module.state_dict())
    if wrong:
        raise InputError(f"{path}: its weights do not match its configuration ({wrong}); take another file.")
