"""Checkpoints: written whole or not at all, found again after a crash, averaged into final.pt, loaded without running code.

    exp/SYS/ckpt/step-00000120.pt   everything a resume needs       exp/SYS/final.pt   what extraction and fine-tuning need
"""
import errno
import os
import re
from collections.abc import Sequence
from pathlib import Path

import torch

from sslspk.errors import InputError, shown
from sslspk.io.files import atomic_write
from sslspk.nn import saved
from sslspk.train import contents


class Damaged(InputError):
    """A file that is not, or no longer, what `save` wrote."""


AGAIN = "copy it again, or give another file"
REMEDY = "train it first, or check the name"
LOST = (None, errno.EIO, errno.EINVAL)   # the disk lost it; it points before its start
NAME = re.compile(r"step-(\d{8,18})\.pt")


def save(path: Path, content: dict) -> None:
    """torch.save to a temporary name, fsync, rename. Raises OSError."""
    path.parent.mkdir(parents=True, exist_ok=True)
    try:
        with atomic_write(path, "wb") as f:
            torch.save(content, f)
    except RuntimeError as err:   # what torch makes of a write that fails
        if "inline_container" not in str(err):
            raise
        number = (err.__context__.errno if isinstance(err.__context__, OSError) else None) or errno.ENOSPC
        raise OSError(number, os.strerror(number), str(path)) from err


def load(path: Path, device: str | torch.device = "cpu") -> dict:
    """Read and verify a file that `save` wrote. Raises Damaged, and InputError when it is missing or cannot be got at now."""
    try:
        content = saved.read(path, REMEDY, device)
    except saved.HoldsObjects as err:
        raise Damaged(f"{path}: not a readable model (it holds {err}, which could run code); take a file of this toolkit.") from None
    except saved.Unreadable as err:
        raise Damaged(f"{path}: not a readable model ({err}); {AGAIN}.") from None
    except OSError as err:
        if err.errno not in LOST:
            raise InputError(f"{path} cannot be read now ({err.strerror}); solve that, then run the same command again.") from None
        raise Damaged(f"{path}: not a readable model ({err}); {AGAIN}.") from None
    if not isinstance(content, dict) or not all(isinstance(key, str) for key in content):
        raise Damaged(f"{path}: not a readable model (it holds a {type(content).__name__}); take a file of this toolkit.")
    return content


def load_step(path: Path) -> dict:
    """A checkpoint with all that a resume needs. Raises as `load` does."""
    content = load(path)
    wrong = contents.of_step(content, step_of(path))
    if wrong:
        raise Damaged(f"{path}: not a whole checkpoint ({wrong}); {AGAIN}.")
    return content


def load_model(path: Path) -> dict:
    """A final.pt with all that extraction needs, its weights finite. Raises as `load` does."""
    return verified(load(path), path)


def verified(content: dict, path: Path) -> dict:
    """The content of a model file when it is whole. Raises as `load_model` does, naming `path`."""
    form = content.get("format")
    if type(form) is int and form > 1:
        raise InputError(f"{path}: written by a later version of sslspk (its format is {shown(form)}, known is 1); update sslspk.")
    if form != 1:
        raise InputError(f"{path}: a checkpoint or another program's file, not a model; give the run's final.pt.")
    wrong = contents.of_model(content)
    if wrong:
        raise Damaged(f"{path}: not a whole model ({wrong}); make it again from its checkpoints, or train it again.")
    return content


def checkpoints(exp: Path) -> list[Path]:
    """The checkpoints of a run, oldest first; whatever else lies beside them is passed over."""
    return sorted((path for path in (exp / "ckpt").glob("step-*.pt") if NAME.fullmatch(path.name) and path == at(exp, step_of(path))),
                  key=step_of)


def load_newest(exp: Path, say=print) -> dict | None:
    """The newest checkpoint that can be read (None: there is none); a damaged one is named and passed over."""
    paths = checkpoints(exp)
    for path in reversed(paths):
        try:
            return load_step(path)
        except Damaged as err:
            say(f"warning: {err} Falling back to the checkpoint before it.")
    if paths:
        raise InputError(f"{exp}/ckpt: no checkpoint can be read ({len(paths)} tried); remove them to start from the beginning.")
    return None


def regular(exp: Path, every: int, total: int) -> list[Path]:
    """The checkpoints of planned steps, oldest first; those that a signal asked for in between do not count in averages."""
    return [path for path in checkpoints(exp) if step_of(path) % every == 0 or step_of(path) == total]


def at(exp: Path, step: int) -> Path:
    """The checkpoint of a step."""
    return exp / "ckpt" / f"step-{step:08d}.pt"


def step_of(path: Path) -> int:
    """The step of a checkpoint."""
    return int(path.stem.removeprefix("step-"))


def save_step(exp: Path, step: int, content: dict, keep: int, every: int, total: int, bests: Sequence[Sequence[int]] = ()) -> None:
    """Save a checkpoint; keep it, the last `keep` of planned steps and, of each list of `bests`, the last step up to each of these."""
    newest = at(exp, step)
    save(newest, content)
    kept = {newest, *regular(exp, every, total)[-keep:]}
    # A training that falls back to one of them needs what was the best then.
    kept |= {at(exp, max((best for best in steps if best <= step_of(path)), default=0)) for path in kept for steps in bests}
    for old in checkpoints(exp):
        if old not in kept:
            old.unlink()


def average(states: list[dict]) -> dict:
    """The mean of several state dictionaries; what is not floating point (counters) comes from the last one."""
    mean = {}
    for key, last in states[-1].items():
        if last.is_floating_point():
            mean[key] = torch.stack([state[key].double() for state in states]).mean(0).to(last.dtype)
        else:
            mean[key] = last
    return mean


def part(state: dict, prefix: str) -> dict:
    """The entries of a state dictionary below `prefix.`, without it."""
    return {key[len(prefix) + 1:]: value for key, value in state.items() if key.startswith(prefix + ".")}
