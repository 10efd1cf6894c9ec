"""Checks that the run in a folder has the configuration and the initial weights that are asked for."""
from pathlib import Path

from sslspk.config import check, read_yaml, to_whole_yaml
from sslspk.errors import InputError
from sslspk.io.files import atomic_write
from sslspk.train import checkpoint, model, pretrained
from sslspk.train.config import SystemConfig, differences


def start_of(config: SystemConfig) -> dict | None:
    """What model.start says of train.init_from; None without one, or where the model is no longer there."""
    path = config.train.init_from
    return model.start(path) if path and pretrained.there(path) else None


def require_same_start(exp: Path, content: dict, start: dict | None) -> None:
    """InputError when the run in `exp`, of which `content` is a checkpoint or final.pt's info, began with other weights."""
    began = content.get("start")
    if began and start and began["digest"] != start["digest"]:
        raise InputError(f"{exp}: the run there started from other weights of {began['system']} ({began['digest']}, now "
                         f"{start['digest']}); train into another directory (run.sh: --tag), or remove this one.")


def _config_of(exp: Path) -> SystemConfig:
    """What the run in `exp` was started with: its config.yaml or, where that is damaged, what its model or newest checkpoint says."""
    path = exp / "config.yaml"
    try:
        return check(SystemConfig, read_yaml(path), str(path))
    except InputError as err:
        for kept in (exp / "final.pt", *reversed(checkpoint.checkpoints(exp))):
            try:
                content = checkpoint.load(kept)
                print(f"warning: {err} {kept} holds the same, which is written there again.")
                config = check(SystemConfig, content["config"], str(kept))
            except (InputError, KeyError):
                continue   # missing, damaged as well, or written before checkpoints had it
            write_config(exp, config)
            return config
        raise


def write_config(exp: Path, config: SystemConfig) -> None:
    """exp/config.yaml, by which the run can be made again."""
    with atomic_write(exp / "config.yaml") as f:
        f.write(to_whole_yaml(config, config.warning))


def require_same(exp: Path, config: SystemConfig) -> None:
    """InputError when the run in `exp` was made with another configuration."""
    changed = differences(_config_of(exp), config)
    if changed:
        raise InputError(f"{exp / 'config.yaml'}: the run there has {changed[0]}; train into another directory (run.sh: --tag), "
                         "remove this one, or give the same options again.")
