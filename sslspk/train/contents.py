"""Checks the content of checkpoints and model files. Each function returns what is wrong, or None."""
import math

from torch import optim

from sslspk.nn import saved

STEP = {"step": int, "config": dict, "data": str, "labels": str, "method": dict, "optimizer": dict, "bad": list}
MODEL = {"config": dict, "num_features": int, "encoders": dict, "evaluate": str, "info": dict}
INFO = {"trained_on": str, "data": str, "step": int, "labels": str, "commit": str}
SAID = {**INFO, "system": str, "evaluated": dict, "averaged": int, "chosen": str}   # what may be said of a model
START = {"system": str, "digest": str}
BUDGET = {"cpu_seconds": float, "total": int}   # where CPU time ends the training
BEST = {"step": int, "score": float}   # and "earlier", a list
EVALUATED = {"by": str, **BEST, "earlier": list}
SCORED = {"by": str, "best_step": int, "percent": float}   # what a model says of it


def of_step(content: dict, step: int) -> str | None:
    """What is wrong with a step's checkpoint; None: nothing."""
    wrong = _parts(content, STEP | (BUDGET if BUDGET.keys() & content.keys() else {})) or _start(content)
    if wrong:
        return wrong
    if content["step"] != step:
        return f"it is that of step {content['step']}"
    if not saved.is_state(content["method"]):
        return "method is no state_dict"
    if not all(isinstance(utt, str) for utt in content["bad"]):
        return "bad holds other things than ids of utterances"
    best, figures = best_of(content), content.get("figures", {})
    if not isinstance(figures, dict) or not all(
            isinstance(pair, tuple) and [type(part) for part in pair] == [float, int] and pair[1] > 0 for pair in figures.values()):
        return "figures holds other things than sums and numbers of steps"
    if not isinstance(best, dict) or not isinstance(best.get("earlier", []), list):
        return "best is nothing that a training writes"
    evaluated = _parts(content["evaluated"], EVALUATED) if "evaluated" in content else None
    return (_parts(best, BEST) if best else None) or evaluated or _optimizer(content["optimizer"])


def best_of(content: dict) -> dict:
    """What the checkpoint of a step says of the best one so far; the score was called recall once."""
    best = content.get("best", {})
    if not isinstance(best, dict) or "recall" not in best:
        return best
    return {"score" if key == "recall" else key: value for key, value in best.items()}


def of_model(content: dict) -> str | None:
    """What is wrong with a final.pt; None: nothing."""
    wrong = _parts(content, MODEL) or _parts(content["info"], {key: kind for key, kind in SAID.items() if key in content["info"]}) \
        or _start(content["info"]) or (_parts(content["info"]["evaluated"], SCORED) if "evaluated" in content["info"] else None)
    if wrong:
        return wrong
    encoders, classes = content["encoders"], content.get("classes", [])
    if content["evaluate"] not in encoders or content["num_features"] < 1:
        return "the encoder to evaluate is missing" if content["num_features"] > 0 else "num_features is below 1"
    heads = {"the classifier": content.get("classifier") or {}} if classes else {}
    for name, state in {**encoders, **heads}.items():
        if not isinstance(name, str) or not saved.is_state(state) or not state:
            return f"{str(name)[:60]} is no state_dict"
        bad = saved.not_finite(state)
        if bad:
            return f"NaN or infinity in the weights of {name[:60]} ({bad[:60]})"
    if not isinstance(classes, list) or not all(isinstance(name, str) for name in classes):
        return "classes are no list of names"
    return _projections(content.get("projections", {}))


def of_info(content: dict) -> str | None:
    """What is wrong with the `info` of a final.pt, if all its keys are needed; None: nothing."""
    return _parts(content["info"], INFO)


def misfit_of_optimizer(state: dict, optimizer: optim.Optimizer) -> str | None:
    """What keeps the state of an optimizer (see `of_step`) from being loaded into this one."""
    own, groups = optimizer.state_dict()["param_groups"], state["param_groups"]
    if [len(group["params"]) for group in own] != [len(group["params"]) for group in groups]:
        return "its optimizer is that of another model"
    for mine, theirs in zip(own, groups, strict=True):
        odd = next((key for key, value in mine.items() if key not in theirs or not _alike(value, theirs[key])), None)
        if odd:
            return f"its optimizer has another {odd}"
    for group, mine in zip(groups, optimizer.param_groups, strict=True):
        for number, weight in zip(group["params"], mine["params"], strict=True):
            slots = {key: value for key, value in state["state"].get(number, {}).items() if hasattr(value, "shape") and value.ndim}
            if any(value.shape != weight.shape for value in slots.values()):
                return "its optimizer has arrays of other shapes"
            if not saved.is_state(slots) or saved.not_finite(slots):
                return "its optimizer holds NaN or infinity"
    return None


def _alike(mine: object, theirs: object) -> bool:
    numbers = (int, float)
    if isinstance(mine, numbers) and isinstance(theirs, numbers):
        return math.isfinite(theirs)
    return type(mine) is type(theirs)


def _parts(content: dict, kinds: dict[str, type]) -> str | None:
    for key, kind in kinds.items():
        if not isinstance(content, dict) or key not in content:
            return f"it has no {key}"
        value = content[key]
        if not isinstance(value, (int, float) if kind is float else kind) or (isinstance(value, bool) and kind is not bool):
            return f"{key} is a {type(value).__name__}"
        if kind is int and value < 0:
            return f"{key} is below 0"
    return None


def _start(content: dict) -> str | None:
    start = content.get("start")
    return None if start is None else _parts(start, START)


def _optimizer(content: dict) -> str | None:
    groups, slots = content.get("param_groups"), content.get("state")
    good = isinstance(groups, list) and isinstance(slots, dict) and all(isinstance(slot, dict) for slot in slots.values()) \
        and all(isinstance(group, dict) and isinstance(group.get("params"), list) for group in groups)
    return None if good else "optimizer is no state of one"


def _projections(content: object) -> str | None:
    good = isinstance(content, dict) and all(
        isinstance(options, dict) and isinstance(options.get("batch_norm"), bool) and isinstance(options.get("dims"), list)
        and all(isinstance(size, int) and 0 < size <= 1 << 20 for size in options["dims"]) for options in content.values())
    return None if good else "projections are not as they are written"
