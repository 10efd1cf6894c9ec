"""A trained model file (final.pt): the encoders' weights together with the configuration that made them."""
from dataclasses import dataclass
from pathlib import Path

import torch

from sslspk.config import check
from sslspk.encoders import build as build_encoder
from sslspk.encoders.base import Encoder
from sslspk.encoders.projected import Projected
from sslspk.errors import InputError
from sslspk.io.provenance import corpus
from sslspk.train import checkpoint
from sslspk.train.config import SystemConfig, config_hash
from sslspk.train.frontend import FrontEnd


@dataclass
class Model:
    """front_end.whole(wave) -> features, encoder(features) -> embedding; `info` says how it was trained (labels, steps, data)."""

    config: SystemConfig
    front_end: FrontEnd
    encoder: Encoder | Projected
    info: dict


def write(path: Path, config: SystemConfig, num_features: int, encoders: dict[str, dict], evaluate: str, info: dict,
          projections: dict[str, dict] | None = None) -> None:
    """Save encoder weights ({name: state_dict}); `evaluate` names the one that is used unless another is asked for.

    projections: {name: {"dims", "batch_norm"}} of those that are a Projected encoder.
    """
    checkpoint.save(path, {"format": 1, "config": config.model_dump(mode="json"), "num_features": num_features,
                           "encoders": encoders, "evaluate": evaluate, "info": info, "projections": projections or {}})


def read_encoder_state(path: str | Path, weights: str | None = None, bare: bool = False) -> tuple[dict, dict]:
    """(state of the encoder called `weights`, or of the model's own choice; the whole file). bare: without a projection on it."""
    content = checkpoint.load(Path(path))
    if content.get("format") != 1:
        raise InputError(f"{path}: a checkpoint or another program's file, not a model; give the run's final.pt.")
    name = weights or content["evaluate"]
    if name not in content["encoders"]:
        raise InputError(f"{path}: there are no weights called {name}; it holds {', '.join(content['encoders'])}.")
    state = content["encoders"][name]
    if bare and name in content.get("projections", {}):
        state = checkpoint.part(state, "encoder")
    return state, content


def provenance(path: str | Path, weights: str | None = None, untrained: bool = False) -> dict:
    """What io.provenance.write says of embeddings by this model (system: the name of the folder that the file lies in)."""
    _, content = read_encoder_state(path, weights)
    config, info = check(SystemConfig, content["config"], str(path)), content["info"]
    return {"system": Path(path).resolve().parent.name, "weights": "untrained" if untrained else weights or content["evaluate"],
            "trained_on": corpus(info["trained_on"]), "training_data": info["data"], "method": config.method.name,
            "encoder": config.encoder.name, "config_hash": config_hash(config), "seed": config.seed,
            "steps": 0 if untrained else info["step"], "labels": "none" if untrained else info["labels"],
            "road": config.data.road, "commit": info["commit"]}


def load(path: str | Path, weights: str | None = None, device: str | torch.device = "cpu", untrained: bool = False) -> Model:
    """A model ready for extraction: eval mode, on `device`. untrained: same architecture, freshly initialised from the seed."""
    state, content = read_encoder_state(path, weights)
    config = check(SystemConfig, content["config"], str(path))
    torch.manual_seed(config.seed)
    encoder = build_encoder(config.encoder, content["num_features"])
    projection = content.get("projections", {}).get(weights or content["evaluate"])
    if projection:
        encoder = Projected(encoder, tuple(projection["dims"]), projection["batch_norm"])
    if not untrained:
        encoder.load_state_dict(state)
    front_end = FrontEnd(config.features, config.cmvn)
    return Model(config, front_end.to(device).eval(), encoder.to(device).eval(), content["info"])
