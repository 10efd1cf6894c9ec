"""Options that have no effect beside others, such as a temperature that only one kind of head divides by."""
import json
import typing
from collections.abc import Iterator

import pydantic


class Branch(typing.NamedTuple):
    """Options that only have an effect where `taken` is true; `name` says where that is, such as "pooling: mhfa"."""

    name: str
    taken: bool
    options: tuple[str, ...]


def without_effect(whole: pydantic.BaseModel, part: pydantic.BaseModel, given: dict, above: str = "") -> Iterator[str]:
    """A sentence for each option of `given` that has no effect in this part, except those with their default values."""
    fields = type(part).model_fields
    idle = {option: branch.name for branch in part.branches(whole) if not branch.taken for option in branch.options}
    for key, value in given.items():
        held = getattr(part, key, None)
        if isinstance(held, pydantic.BaseModel) and isinstance(value, dict):
            yield from without_effect(whole, held, value, f"{above}{key}.")
        elif key in idle and held != fields[key].get_default(call_default_factory=True):
            default = json.dumps(fields[key].get_default(call_default_factory=True))
            yield f"{above}{key} needs {idle[key]}; remove it (default {default})"
