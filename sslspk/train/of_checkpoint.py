"""Models of the checkpoints that a finished training kept, to judge which step was the best."""
import functools
from pathlib import Path

import torch
from torch import nn

from sslspk.config import check
from sslspk.errors import InputError
from sslspk.methods import build
from sslspk.methods.base import Corpus
from sslspk.train import checkpoint, model
from sslspk.train.config import SystemConfig
from sslspk.train.job import write_config

MANY = 10 ** 9   # recordings: no method refuses for lack of them


def places(method: nn.Module) -> dict[str, str]:
    """What the state_dict of a method puts before the keys of each of its encoders, by the encoder's name."""
    names = {id(module): name for name, module in method.named_modules(remove_duplicate=False)}
    return {name: names[id(encoder)] for name, encoder in method.encoders().items()}


def write_all(exp: Path) -> list[Path]:
    """Write EXP_stepN/{final.pt,config.yaml} for each checkpoint of step N in EXP/ckpt but the one that EXP/final.pt is; one that is up to
    date stays. Returns the folders. Raises InputError: no final.pt, or a damaged file."""
    content = checkpoint.load_model(exp / "final.pt")
    config, made, where = check(SystemConfig, content["config"], str(exp)), [], None
    for path in checkpoint.checkpoints(exp):
        step = checkpoint.step_of(path)
        if step == content["info"].get("step") and content["info"].get("averaged", 1) == 1:
            continue
        folder = exp.with_name(f"{exp.name}_step{step}")
        made.append(folder)
        if (folder / "final.pt").exists() and (folder / "final.pt").stat().st_mtime_ns > path.stat().st_mtime_ns:
            continue
        where = where or _places(config, content)
        state = checkpoint.load_step(path)["method"]
        encoders = {name: checkpoint.part(state, place) for name, place in where.items()}
        if any(found.keys() != content["encoders"][name].keys() for name, found in encoders.items()):
            raise InputError(f"{path}: the checkpoint of another system than {exp}/final.pt; remove it.")
        folder.mkdir(exist_ok=True)
        write_config(folder, config)
        info = {**content["info"], "step": step, "averaged": 1}
        checkpoint.save(folder / "final.pt", {**content, "encoders": encoders, "info": info, "classifier": None, "classes": []})
    return made


def _places(config: SystemConfig, content: dict) -> dict[str, str]:
    corpus = Corpus(MANY, len(content.get("classes") or ()), functools.partial(model.read_encoder_state, bare=True))
    with torch.device("meta"):   # takes no memory
        return places(build(config.method, config.encoder, content["num_features"], corpus))
