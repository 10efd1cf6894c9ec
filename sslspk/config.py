"""Checked configuration: a YAML file with an optional `base:`, dotted overrides, and models that refuse what they do not know.

    cfg = load(FeatureOptions, "conf/fbank.yaml", ["num_mel_bins=40"])

A file may start from another one (`base: other.yaml`, relative to the file that says so) and state only what differs.
The command line beats the file. Whatever is wrong ends in one InputError that names file, key and remedy.
"""
import difflib
import hashlib
import json
import types
import typing
from pathlib import Path
from typing import Any, TypeVar

import pydantic
import yaml

from sslspk.errors import InputError


class Config(pydantic.BaseModel):
    """Base of every configuration model: frozen, and an unknown key is an error."""

    model_config = pydantic.ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)


C = TypeVar("C", bound=Config)
BEGIN, END = "# Written by a program; the last line tells that this file is whole.\n", "# end of this file\n"


def load(cls: type[C], path: str | Path | None = None, overrides: typing.Sequence[str] = (),
         under: str | Path | dict | None = None) -> C:
    """Read a YAML file (None: only defaults), apply `key.sub=value` overrides, and check the result against `cls`.

    under: another file, or what one holds, that this one is laid on, as if it were its `base:` (and the base of its base).

    Raises InputError for a missing or malformed file, an unknown key, a wrong type, or an impossible combination.
    """
    tree = read_yaml(path) if path else {}
    if under:
        tree = merge(under if isinstance(under, dict) else read_yaml(under), tree)
    for item in overrides:
        _override(tree, item)
    where = str(path) if path else "the defaults"
    return check(cls, tree, where + (f" with --set {' --set '.join(overrides)}" if overrides else ""))


def check(cls: type[C], tree: dict, source: str) -> C:
    """Validate a plain dictionary against `cls`; `source` is what the message calls its origin."""
    try:
        return cls.model_validate(tree)
    except pydantic.ValidationError as err:
        raise InputError(f"{source}: " + "; ".join(_sentence(cls, e) for e in err.errors()[:3]) + ".") from None


def read_yaml(path: str | Path, seen: tuple[Path, ...] = ()) -> dict:
    """A YAML mapping as a dictionary, merged over the file that its `base:` names (InputError when malformed)."""
    path = Path(path)
    if path.resolve() in seen:
        raise InputError(f"{path}: `base:` goes round in a circle; remove it from one of the files.")
    try:
        text = path.read_text(encoding="utf-8-sig")
        tree = yaml.safe_load(text)
    except FileNotFoundError:
        raise InputError(f"{path}: there is no such configuration file; check the name given to --conf or base:.") from None
    except (yaml.YAMLError, UnicodeDecodeError) as err:
        mark = getattr(err, "problem_mark", None)
        line = f":{mark.line + 1}" if mark else ""
        raise InputError(f"{path}{line}: not valid YAML ({getattr(err, 'problem', err)}); mend that line.") from None
    if text.startswith(BEGIN) and not text.endswith(END):
        raise InputError(f"{path}: cut short, its last line ({END.strip()}) is missing; run the command that wrote it again.")
    if tree is None:
        return {}
    if not isinstance(tree, dict):
        raise InputError(f"{path}: a configuration is a list of `key: value` lines, this is a {type(tree).__name__}.")
    base = tree.pop("base", None)
    if base is None:
        return tree
    return merge(read_yaml(path.parent / str(base), (*seen, path.resolve())), tree)


def merge(under: dict, over: dict) -> dict:
    """`over` laid on `under`, mapping by mapping; a mapping whose `name` differs replaces the one below it whole."""
    out = dict(under)
    for key, value in over.items():
        below = out.get(key)
        if isinstance(value, dict) and isinstance(below, dict) and value.get("name", below.get("name")) == below.get("name"):
            out[key] = merge(below, value)
        else:
            out[key] = value
    return out


def digest(config: Config, exclude: dict | None = None) -> str:
    """Twelve hexadecimal digits that identify the configuration (its JSON with sorted keys), less the keys in `exclude`."""
    text = json.dumps(config.model_dump(mode="json", exclude=exclude), sort_keys=True)
    return hashlib.sha256(text.encode()).hexdigest()[:12]


def to_yaml(config: Config) -> str:
    """The whole configuration as YAML; loading it gives an equal model."""
    return yaml.safe_dump(config.model_dump(mode="json"), sort_keys=False)


def to_whole_yaml(config: Config) -> str:
    """The same between two lines by which `read_yaml` finds a file that was cut short: keys that are gone would pass for defaults."""
    return BEGIN + to_yaml(config) + END


def _override(tree: dict, item: str) -> None:
    key, sep, text = item.partition("=")
    if not sep or not key:
        raise InputError(f"--set {item}: an override is written key=value or part.key=value.")
    *parents, last = key.split(".")
    for name in parents:
        below = tree.get(name)
        if below is not None and not isinstance(below, dict):
            raise InputError(f"--set {item}: {name} is a value, not a group of keys.")
        tree[name] = tree = dict(below or {})
    try:
        tree[last] = yaml.safe_load(text)
    except yaml.YAMLError:
        raise InputError(f"--set {item}: {text!r} is not a YAML value; quote it.") from None


def _sentence(cls: type[Config], error: Any) -> str:
    loc = [str(part) for part in error["loc"]]
    key = ".".join(loc) or "the whole"
    if error["type"] == "extra_forbidden":
        near = difflib.get_close_matches(loc[-1], _keys(cls), n=1)
        return f"unknown key {key}" + (f" (did you mean {near[0]}?)" if near else "; remove it")
    if error["type"] == "missing":
        return f"key {key} is missing; add it"
    if error["type"] == "value_error":
        return f"{key}: {error['ctx']['error']}"
    return f"{key}: {error['msg'][0].lower() + error['msg'][1:]}, not {error['input']!r}"


def _keys(kind: Any) -> set[str]:
    """Every key known anywhere below a model, for 'did you mean'."""
    if isinstance(kind, type) and issubclass(kind, Config):
        return set(kind.model_fields).union(*(_keys(f.annotation) for f in kind.model_fields.values()))
    if typing.get_origin(kind) in (typing.Union, types.UnionType, typing.Annotated, list, tuple, dict):
        return set().union(*(_keys(arg) for arg in typing.get_args(kind)))
    return set()
