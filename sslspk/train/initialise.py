"""Initial weights from another run: its encoder, or its whole method."""
from pathlib import Path

from sslspk.errors import InputError
from sslspk.methods.base import Method
from sslspk.nn import saved
from sslspk.nn.queue import KeyQueue
from sslspk.train import checkpoint
from sslspk.train.config import SystemConfig
from sslspk.train.model import read_encoder_state


def initialise(method: Method, config: SystemConfig, data: str, say) -> str:
    """Fill a new method as train.init_from and train.init_part say; returns the labels that those weights had seen.

    encoder: every bare encoder gets that of the model. everything: whatever of the other run's newest checkpoint (the best epoch's
    where they were judged on train.valid) has a place of the same name and shape here (queue, key encoder, projection, head); it must
    have been trained on the same data, whose fingerprint is `data`.
    """
    model, part = config.train.init_from, config.train.init_part
    if model is None:
        if config.after or part == "everything":
            raise InputError(f"this system starts from {config.after or 'another run (train.init_part: everything)'}, but train.init_from "
                             "names no model; give --init-from EXP/final.pt, or --set after=null train.init_part=encoder.")
        if getattr(config.encoder, "lora", None):
            raise InputError("encoder.lora keeps a pre-trained model as it is, but train.init_from names none; give --init-from MODEL, or "
                             "set encoder.lora=null.")
        return "none"
    state, content = read_encoder_state(model, bare=True)
    if part == "everything":
        _take_over(method, Path(model).parent, data, say)
        return content["info"]["labels"]
    for encoder in method.backbones():
        fitting = encoder.adopted(state)
        wrong = saved.misfit(fitting, encoder.state_dict())
        if wrong:
            raise InputError(f"--init-from {model}: its encoder is not this one's shape ({wrong}); use the same `encoder:` section.")
        encoder.load_state_dict(fitting)
    return content["info"]["labels"]


def _take_over(method: Method, exp: Path, data: str, say) -> None:
    newest = checkpoint.load_newest(exp, say)
    if newest is None:
        raise InputError(f"{exp}: holds no checkpoint to take everything from; use --set train.init_part=encoder, or train it again.")
    best = newest.get("best", {"step": 0})["step"]  # epochs were judged on train.valid, and final.pt is that of this step
    if best:
        newest = checkpoint.load_step(checkpoint.at(exp, best))
    if newest["data"] != data:  # queue and prototypes speak of recordings and speakers by number
        raise InputError(f"{exp}: was trained on other data ({newest['data']}, now {data}); use --set train.init_part=encoder.")
    mine, theirs = method.state_dict(), newest["method"]
    fitting = {key: value for key, value in theirs.items() if key in mine and saved.misfit({key: value}, {key: mine[key]}) is None
               and not key.endswith("known.chosen")}  # whose labels may be used is this run's to say
    names = {id(module): name for name, module in method.named_modules(remove_duplicate=False)}
    needed = [key for encoder in method.backbones() for key in checkpoint.part(mine, names[id(encoder)])]
    found = {key for encoder in method.backbones() for key in checkpoint.part(fitting, names[id(encoder)])}
    missing = [key for key in needed if key not in found]
    if missing:
        raise InputError(f"{exp}: its method does not hold this one's encoder ({missing[0]} has another name or shape there); use the same "
                         "`encoder:` section, or --set train.init_part=encoder.")
    method.load_state_dict(fitting, strict=False)
    for module in method.modules():
        if isinstance(module, KeyQueue):
            module.step.fill_(-1)  # this run counts its steps from 0
    new = sorted({key.split(".")[0] for key in set(mine) - set(fitting)})
    say(f"took {len(fitting)} of {len(mine)} arrays from {exp}; new: {', '.join(new) or 'none'}")

