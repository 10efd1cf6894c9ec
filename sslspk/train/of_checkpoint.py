"""Makes models from checkpoints of a training, finished or still running."""
import functools
from pathlib import Path

import torch
from torch import nn

from sslspk.config import check
from sslspk.encoders.projected import Projected
from sslspk.errors import InputError
from sslspk.methods import build
from sslspk.methods.base import Corpus, Method
from sslspk.train import checkpoint, model
from sslspk.train.config import SystemConfig
from sslspk.train.rerun import write_config

MANY = 10 ** 9   # recordings: no method refuses for lack of them


def places(method: nn.Module) -> dict[str, str]:
    """What the state_dict of a method puts before the keys of each of its encoders, by the encoder's name."""
    names = {id(module): name for name, module in method.named_modules(remove_duplicate=False)}
    return {name: names[id(encoder)] for name, encoder in method.encoders().items()}


def projections(method: Method) -> dict[str, dict]:
    """{name: {"dims", "batch_norm", "pooled"}} of the encoders that have something behind them, as `model.write` takes it."""
    return {name: {"dims": list(encoder.dims), "batch_norm": encoder.batch_norm, "pooled": encoder.pooled}
            for name, encoder in method.encoders().items() if isinstance(encoder, Projected)}


def write_all(exp: Path) -> list[Path]:
    """Write EXP_stepN/{final.pt,config.yaml} for each checkpoint of step N in EXP/ckpt but the one that EXP/final.pt is; one that is up to
    date stays. Returns the folders. Raises InputError: no final.pt, or a damaged file."""
    content, made, where = checkpoint.load_model(exp / "final.pt"), [], None
    for path in checkpoint.checkpoints(exp):
        if checkpoint.step_of(path) == content["info"].get("step") and content["info"].get("averaged", 1) == 1:
            continue
        folder = _folder(exp, path)
        made.append(folder)
        if not _is_made(folder, path):
            where = where or places(_build(check(SystemConfig, content["config"], str(exp)), len(content.get("classes") or ())))
            _write(folder, path, checkpoint.load_step(path)["method"], content, where)
    return made


def write(exp: Path, step: int | str = "newest") -> Path:
    """Write EXP_stepN/{final.pt,config.yaml} of the checkpoint of a step, which may be "newest" or "best" (train.eval_data); the training
    may still run. Returns the folder, in which nothing changes where it is up to date. Raises InputError: no such checkpoint, or a damaged
    one."""
    paths = checkpoint.checkpoints(exp)
    if not paths:
        raise InputError(f"{exp}/ckpt has no checkpoint yet; train.save_every of {exp}/config.yaml says when there is one.")
    step = _best(paths[-1]) if step == "best" else step
    path = paths[-1] if step == "newest" else checkpoint.at(exp, int(step))
    if path not in paths:
        known = ", ".join(str(checkpoint.step_of(one)) for one in paths[-9:])
        raise InputError(f"{exp}/ckpt has no checkpoint of step {step}; there are {known}.")
    folder = _folder(exp, path)
    if not _is_made(folder, path):
        state = checkpoint.load_step(path)
        if "info" not in state:
            raise InputError(f"{path}: an earlier version of sslspk began this training; its model can be read when it has ended.")
        config = check(SystemConfig, state["config"], str(exp))
        method = _build(config, 2)
        content = {"format": 1, "config": state["config"], "num_features": config.num_features, "evaluate": method.evaluate,
                   "info": state["info"], "projections": projections(method)}
        _write(folder, path, state["method"], content, places(method))
    return folder


def _best(newest: Path) -> int:
    """The step that was scored best, as the newest checkpoint says. Raises InputError."""
    found = checkpoint.load_step(newest).get("evaluated")
    if not found:
        raise InputError(f"{newest.parent.parent}: this training was never scored, so none is the best; train with train.eval_data.")
    return found["step"]


def _folder(exp: Path, path: Path) -> Path:
    return exp.with_name(f"{exp.name}_step{checkpoint.step_of(path)}")


def _is_made(folder: Path, path: Path) -> bool:
    """Whether a folder holds the model of a checkpoint."""
    made = folder / "final.pt"
    return made.exists() and made.stat().st_mtime_ns > path.stat().st_mtime_ns


def _write(folder: Path, path: Path, state: dict, content: dict, where: dict[str, str]) -> None:
    """content: of a final.pt of the training, which may lack the encoders; where: `places`. Raises InputError."""
    encoders = {name: checkpoint.part(state, place) for name, place in where.items()}
    if any(found.keys() != content["encoders"][name].keys() for name, found in encoders.items() if "encoders" in content):
        raise InputError(f"{path}: the checkpoint of another system than {path.parent.parent}/final.pt; remove it.")
    folder.mkdir(exist_ok=True)
    write_config(folder, check(SystemConfig, content["config"], str(path)))
    info = {**content["info"], "step": checkpoint.step_of(path), "averaged": 1}
    info.pop("chosen", None)   # "best" or "last" is said of final.pt alone
    checkpoint.save(folder / "final.pt", {**content, "encoders": encoders, "info": info, "classifier": None, "classes": []})


def _build(config: SystemConfig, classes: int) -> Method:
    """The method without its weights."""
    corpus = Corpus(MANY, classes, functools.partial(model.read_encoder_state, bare=True), frame_classes=2)
    with torch.device("meta"):   # takes no memory
        return build(config.method, config.encoder, config.num_features, corpus)
