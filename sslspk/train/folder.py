"""A model as a folder to publish: config.yaml, and model.safetensors, which holds weights and no code.

    encoders/NAME/KEY, classifier/KEY: tensors      all else that a final.pt holds is JSON in the file's metadata, under `sslspk`
"""
import hashlib
import json
import os
from pathlib import Path

import safetensors
import safetensors.torch
import torch

from sslspk import reading
from sslspk.config import check, read_yaml, to_whole_yaml
from sslspk.errors import InputError
from sslspk.io.files import atomic_write
from sslspk.train import checkpoint
from sslspk.train.config import SystemConfig

WEIGHTS, CONFIG = "model.safetensors", "config.yaml"
KEY = "sslspk"
REST = ("num_features", "evaluate", "info", "projections", "classes")


def write(folder: Path, content: dict) -> None:
    """Write what sslspk.train.model.read_content gives. The weights come last: with them the folder is whole. Raises OSError."""
    tensors = {f"encoders/{name}/{key}": value for name, state in content["encoders"].items() for key, value in state.items()}
    tensors |= {f"classifier/{key}": value for key, value in (content.get("classifier") or {}).items()}
    tensors = {key: value.detach().cpu().clone(memory_format=torch.contiguous_format) for key, value in tensors.items()}
    rest = {"format": 1, **{key: content[key] for key in REST if key in content}}
    rest |= {"encoders": list(content["encoders"]), "md5": md5(tensors)}
    # A second key would make the bytes differ from one export to the next: their order is not kept.
    whole = safetensors.torch.save(tensors, {KEY: json.dumps(rest)})
    with atomic_write(folder / CONFIG) as file:
        file.write(to_whole_yaml(check(SystemConfig, content["config"], CONFIG)))
    with atomic_write(folder / WEIGHTS, "wb") as file:
        file.write(whole)


def read(path: Path) -> dict:
    """A model.safetensors, and the config.yaml beside it, in the form of a final.pt. Raises as checkpoint.load_model does."""
    os.close(reading.descriptor(path, checkpoint.REMEDY))
    try:
        with safetensors.safe_open(path, framework="pt") as file:
            said, tensors = (file.metadata() or {}).get(KEY), {key: file.get_tensor(key) for key in file.keys()}  # noqa: SIM118
    except (safetensors.SafetensorError, OSError, RuntimeError, ValueError, KeyError, TypeError, AttributeError) as err:
        what = f"not a readable model ({str(err)[:50]})"
        raise checkpoint.Damaged(f"{path}: {what}; {checkpoint.AGAIN}.") from None
    if said is None:
        raise InputError(f"{path}: another program's file, as its metadata have no {KEY}; give a model that sslspk export wrote.")
    content = reading.json_value(said, f"{path}: metadata")
    names = content.get("encoders") if isinstance(content, dict) else None
    if not isinstance(names, list) or not all(isinstance(name, str) for name in names):
        raise checkpoint.Damaged(f"{path}: not a whole model (its metadata name no encoders); export it again.")
    if content.pop("md5", None) != md5(tensors):
        raise checkpoint.Damaged(f"{path}: not a whole model (its weights are not those that were written); copy or export it again.")
    config = path.with_name(CONFIG)
    if not config.exists():
        raise InputError(f"{config} is not there, so the folder is not whole; copy or export it again.")
    content["config"] = read_yaml(config)
    content["encoders"] = {name: below(tensors, f"encoders/{name}/") for name in names}
    content["classifier"] = below(tensors, "classifier/") or None
    return checkpoint.verified(content, path)


def md5(tensors: dict) -> str:
    """A digest of the bytes of all tensors, in the order of their names: safetensors has no checksum."""
    digest = hashlib.md5(usedforsecurity=False)
    for key in sorted(tensors):
        digest.update(tensors[key].reshape(-1).view(torch.uint8).numpy())
    return digest.hexdigest()


def below(tensors: dict, prefix: str) -> dict:
    """The tensors whose names begin with the prefix, under their names without it."""
    return {key.removeprefix(prefix): value for key, value in tensors.items() if key.startswith(prefix)}
