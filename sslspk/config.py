"""Checked configuration: a YAML file with an optional `base:`, overrides `key.sub=value`, and models that refuse unknown keys.

    cfg = load(FeatureOptions, "conf/fbank.yaml", ["num_mel_bins=40"])

A file may start from another one (`base: other.yaml`, relative to the file that says so) and state only what differs.
Overrides take precedence over the file. Every error is an InputError that names file, key and remedy.
"""
import copy
import difflib
import hashlib
import itertools
import json
import os
import re
import typing
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, TypeVar

import pydantic

from sslspk import plain_yaml, reading
from sslspk.branches import Branch, without_effect
from sslspk.errors import InputError, named, shown

# Numbers that decide how much memory or how many processes are used have an upper bound, so that a typing error is found at once.
Few = typing.Annotated[int, pydantic.Field(gt=0, le=1000)]          # layers, views, masks
Size = typing.Annotated[int, pydantic.Field(gt=0, le=10_000_000)]   # of a layer, a batch, a queue
Seconds = typing.Annotated[float, pydantic.Field(gt=0, le=3600)]    # of audio
Probability = typing.Annotated[float, pydantic.Field(ge=0, le=1)]
LARGEST = 1e15   # of any other number that is not whole


class Config(pydantic.BaseModel):
    """Base of every configuration model: frozen, and an unknown key is an error."""

    model_config = pydantic.ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)

    @pydantic.model_validator(mode="after")
    def _no_number_is_beyond_use(self):
        for key, value in self:
            for number in value if isinstance(value, tuple) else (value,):
                if isinstance(number, float) and abs(number) > LARGEST:
                    raise ValueError(f"{key} {number:g} is too large; correct it")
        return self

    def branches(self, whole: "Config") -> list[Branch]:
        """The options that only have an effect together with others, of this part of the configuration `whole`."""
        return []


C = TypeVar("C", bound=Config)
MOST_BYTES, MOST_BASES, MOST_PIECES = 1 << 20, 16, 500_000   # of a file; of files that are laid on each other; of JSON's words in a tree
BEGIN, END = "# Written by a program; the last line tells that this file is whole.\n", "# end of this file\n"


def load(cls: type[C], path: str | Path | None = None, overrides: typing.Sequence[str] = (),
         under: str | Path | dict | None = None, instead: dict | None = None) -> C:
    """Read a YAML file (None: only defaults), apply `key.sub=value` overrides, and check the result against `cls`.

    under: another file, or what one holds, that this one is laid on, as if it were its `base:` (and the base of its base).
    instead: parts that take the place of the file's, whole; the overrides still beat them.

    Raises InputError for a missing or malformed file, an unknown key, a wrong type, an impossible combination, or an option without
    effect that the file itself or an override sets. What its base, a model or a file that a program wrote says may be without effect.
    """
    tree, own = _read(path) if path else ({}, {})
    whole = own.keys() >= cls.model_fields.keys()   # as programs write it
    given = {} if whole else {key: copy.deepcopy(value) for key, value in own.items() if key not in (instead or {})}
    if under:
        tree = merge(under if isinstance(under, dict) else read_yaml(under), tree)
    tree.update(instead or {})
    for item in overrides:
        _override(tree, item)
        _override(given, item)
    where = named("/".join(Path(path).parts[-2:]), 50) if path else "the defaults"   # conf/NAME.yaml, EXP/config.yaml
    where += f" with {_clip(' '.join(f'--set {item}' for item in overrides), 40)}" if overrides else ""
    config = check(cls, tree, where)
    idle = next(without_effect(config, config, given), None)
    if idle:
        raise InputError(f"{where}: {idle}.")
    return config


def check(cls: type[C], tree: dict, source: str) -> C:
    """Validate a plain dictionary against `cls`; `source` is what the message calls its origin.

    Types are strict: `true` and "3" are no numbers, and 3.0 is no whole one. Raises InputError.
    """
    try:   # as JSON, since strict Python input would refuse a list for a tuple; in pieces, since a tree may share its branches
        pieces = list(itertools.islice(json.JSONEncoder().iterencode(tree), MOST_PIECES + 1))
    except (TypeError, ValueError, RecursionError):
        pieces = None
    if pieces is None or len(pieces) > MOST_PIECES:
        raise InputError(f"{source}: this is no configuration, or a damaged one; run the command that wrote it again.")
    try:
        return cls.model_validate_json("".join(pieces), strict=True)
    except pydantic.ValidationError as err:
        raise InputError(f"{source}: {_sentences(cls, tree, err)}.") from None


def read_yaml(path: str | Path) -> dict:
    """A YAML mapping as a dictionary, merged over the file that its `base:` names (InputError when malformed)."""
    return _read(path)[0]


def _read(path: str | Path, seen: tuple[str, ...] = ()) -> tuple[dict, dict]:
    """What `read_yaml` gives, and what the file says itself, without its base: nothing if a program wrote it, with every option."""
    path, where = Path(path), named(path)
    text = reading.text(path, MOST_BYTES, "check the name given to --conf or base:")
    if os.path.realpath(path) in seen or len(seen) > MOST_BASES:
        raise InputError(f"{where}: `base:` goes round in a circle, or through too many files; remove it from one of them.")
    tree = plain_yaml.parse(text, where)
    if text.startswith(BEGIN) and not text.endswith(END):
        raise InputError(f"{where}: cut short, its last line ({END.strip()}) is missing; run the command that wrote it again.")
    if tree is None:
        tree = {}
    if not isinstance(tree, dict):
        raise InputError(f"{where}: a configuration is a list of `key: value` lines, this is {shown(tree)}.")
    lines = _base_lines(text)
    if lines != ([tree["base"]] if "base" in tree else []):
        raise InputError(f"{where}: `base:` stands at the start of a line of its own with an unquoted name behind it: `base: other.yaml`.")
    tree.pop("base", None)
    own = {} if text.startswith(BEGIN) else tree
    return (merge(_read(path.parent / lines[0], (*seen, os.path.realpath(path)))[0], tree) if lines else tree), own


def _base_lines(text: str) -> list[str]:
    """The files that lines beginning with `base:` name. done_conf of utils/done.sh must find the same files."""
    lines = (line.removesuffix("\r") for line in text.split("\n"))
    return [re.sub(" #.*", "", line.removeprefix("base:")).strip(" ") for line in lines if line.startswith("base:")]


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


def flat(tree: dict, above: str = "") -> dict:
    """{dotted key: value} of nested mappings; a list is a value."""
    found = {}
    for key, value in tree.items():
        found.update(flat(value, f"{above}{key}.") if isinstance(value, dict) else {f"{above}{key}": value})
    return found


def differing(trees: Sequence[dict], missing: object = None) -> dict[str, list]:
    """{key: its value in each of some `flat` mappings} where these are not all the same. missing: stands where one lacks the key."""
    table = {key: [tree.get(key, missing) for tree in trees] for key in {key: None for tree in trees for key in tree}}
    return {key: values for key, values in table.items() if any(value != values[0] for value in values)}


def digest(config: Config, exclude: dict | None = None) -> str:
    """Twelve hexadecimal digits that identify what differs from the defaults (and every `name`), less the keys in `exclude`.

    So a new option of a later version does not change the digest of a configuration that does not use it.
    """
    whole = config.model_dump(mode="json", exclude=exclude)
    return hashlib.sha256(json.dumps(_chosen(config, whole), sort_keys=True).encode()).hexdigest()[:12]


def _chosen(value: Any, dumped: Any) -> Any:
    """A value as JSON, without the keys of configurations that have their defaults."""
    if isinstance(value, tuple):
        return [_chosen(*pair) for pair in zip(value, dumped, strict=True)]
    if not isinstance(value, Config):
        return dumped
    fields, held = type(value).model_fields, dict(value)
    return {key: _chosen(held[key], content) for key, content in dumped.items()
            if key == "name" or held[key] != fields[key].get_default(call_default_factory=True)}


def to_yaml(config: Config) -> str:
    """The whole configuration as YAML; loading it gives an equal model."""
    return plain_yaml.dump(config.model_dump(mode="json"))


def to_whole_yaml(config: Config, note: str = "") -> str:
    """The same between two lines by which `read_yaml` finds a file that was cut short: keys that are gone would pass for defaults.

    note: one line, written as a comment.
    """
    return BEGIN + (f"# {note}\n" if note else "") + to_yaml(config) + END


def _override(tree: dict, item: str) -> None:
    """Set one key of the tree; the last of several overrides of a key holds, and nothing behind the = is null."""
    key, sep, text = item.partition("=")
    *parents, last = key.split(".")
    if not sep or not all((*parents, last)):
        raise InputError(f"--set {_clip(item)}: an override is written key=value or part.key=value.")
    if len(parents) > 8:
        raise InputError(f"--set {_clip(item)}: no option has so many parts; an override is written key=value or part.key=value.")
    if key == "base":
        raise InputError("--set base: only a file has a base; write base: into the file that --conf names.")
    for depth, name in enumerate(parents, 1):
        below = tree.get(name)
        if below is not None and not isinstance(below, dict):
            raise InputError(f"--set {_clip(item)}: {_clip('.'.join(parents[:depth]))} is a value, not a group of keys.")
        tree[name] = tree = dict(below or {})
    try:
        tree[last] = plain_yaml.parse_value(text)
    except plain_yaml.Refused as err:
        what = "" if "not valid" in str(err) else f" ({_clip(str(err).partition('; ')[0], 70)})"
        raise InputError(f"--set {_clip(item)}: this is not a YAML value{what}; quote it: --set '{_clip(key)}=\"...\"'.") from None


def _clip(text: str, limit: int = 45) -> str:
    """A part of the input as a message names it: at most `limit` characters, on one line."""
    text = text if text.isprintable() else ascii(text)[1:-1]
    return text if len(text) <= limit else text[:limit - 3] + "..."


def _sentences(cls: type[Config], tree: dict, err: pydantic.ValidationError) -> str:
    """What is wrong, first things first, as far as one line can tell it."""
    said = [_sentence(cls, tree, error) for error in itertools.islice(err.errors(include_url=False), 3)]
    count = next((count for count in range(len(said), 1, -1) if len("; ".join(said[:count])) <= 140), 1)
    more = err.error_count() - count
    return "; ".join(said[:count]) + (f"; and {more} more" if more else "")


def _sentence(cls: type[Config], tree: dict, error: Any) -> str:
    path, kind, context = *_place(cls, error["loc"]), error.get("ctx", {})
    key = _clip(path) or "the whole"
    if error["type"] == "extra_forbidden":
        near = _nearest(cls, tree, path, kind)
        return f"unknown key {key}" + (f" (did you mean {near}?)" if near else "; remove it")
    if error["type"] == "missing":
        return f"key {key} is missing; add it"
    if error["type"] == "union_tag_not_found":
        return f"key {key}.name is missing; add it"
    if error["type"] == "union_tag_invalid":
        return f"{key}.name: should be one of {_clip(context['expected_tags'], 80)}, not {shown(context['tag'], 40)}"
    if error["type"] == "value_error":
        return f"{key}: {context['error']}" if path else str(context["error"])
    value = error["input"]
    value = json.dumps(value) if value is None or isinstance(value, bool) else shown(value, 40)
    message = error["msg"].removeprefix("Input ")
    return f"{key}: {_clip(message[0].lower() + message[1:], 60)}, not {value}"


def _place(cls: type[Config], loc: tuple[str | int, ...]) -> tuple[str, Any]:
    """The key that a user would write for pydantic's location, which also holds names of models, and what it is a key of."""
    path, kind, within = "", cls, cls
    for part in loc:
        models = list(_models(kind))
        chosen = [model for model in models if part in typing.get_args(model.model_fields["name"].annotation)] if len(models) > 1 else []
        if chosen:
            kind = chosen[0]
            continue
        path += f"[{part}]" if isinstance(part, int) else f".{part}" if path else part
        within = kind
        kind = next((model.model_fields[part].annotation for model in models if part in model.model_fields), kind)
    return path, within


def _models(kind: Any) -> Iterator[type[Config]]:
    """The configuration models that a type may hold."""
    if typing.get_origin(kind) is None and isinstance(kind, type) and issubclass(kind, Config):   # tuple[int] is a type to Python 3.10
        yield kind
    for part in typing.get_args(kind):
        yield from _models(part)


def _nearest(cls: type[Config], tree: dict, path: str, within: Any) -> str | None:
    """The known key that is meant by an unknown one: of that name elsewhere, else spelt alike beside it, else spelt alike elsewhere."""
    parent, _, name = path.rpartition(".")
    beside = {key: f"{parent}.{key}" if parent else key for model in _models(within) for key in model.model_fields}
    known: dict[str, str] = {}
    for key in _keys(cls, tree):
        known.setdefault(key.rpartition(".")[2], key)
    for paths, cutoff in ((known, 1.0), (beside, 0.6), (known, 0.6)):
        near = difflib.get_close_matches(name, paths, n=1, cutoff=cutoff)
        if near:
            return paths[near[0]]
    return None


def _keys(kind: Any, tree: Any, prefix: str = "") -> Iterator[str]:
    """The whole path of every key below a type, of one of several models the one that the tree names; none inside lists."""
    models = list(_models(kind))
    name = tree.get("name") if isinstance(tree, dict) else None
    chosen = [model for model in models if name in typing.get_args(model.model_fields["name"].annotation)] if len(models) > 1 else models
    for model in chosen:
        for key, field in model.model_fields.items():
            yield prefix + key
            if typing.get_origin(field.annotation) not in (list, tuple):
                yield from _keys(field.annotation, tree.get(key) if isinstance(tree, dict) else None, f"{prefix}{key}.")
