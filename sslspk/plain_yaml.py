"""The part of YAML 1.2 that configurations are written in: mappings with unique keys, lists, and the scalars of its core schema.

    parse("seed: 3\\nmethod: {name: dino}\\n", "a.yaml")   ->   {"seed": 3, "method": {"name": "dino"}}

Tags, directives, anchors and aliases, and a second document are refused: nobody needs them here, and they can hide what is meant or grow
without end. A key is its text; a quoted scalar is a string; plain `true`, `null`, `12`, `0x1F`, `1e-4` and the like are not.
"""
import io
import re

from ruamel.yaml import YAML, events
from ruamel.yaml.error import YAMLError
from ruamel.yaml.nodes import ScalarNode
from ruamel.yaml.representer import SafeRepresenter

from sslspk.errors import InputError, shown

DEPTH, NODES = 32, 20_000   # how deep lists and mappings lie in each other; how many of them and of scalars there are, keys included
WORDS = {form: value for word, value in (("null", None), ("true", True), ("false", False))
         for form in (word, word.capitalize(), word.upper())} | {"": None, "~": None}
INTEGERS = ((10, re.compile(r"[-+]?[0-9]+")), (8, re.compile(r"0o[0-7]+")), (16, re.compile(r"0x[0-9a-fA-F]+")))
FLOAT = re.compile(r"[-+]?(\.[0-9]+|[0-9]+(\.[0-9]*)?)([eE][-+]?[0-9]+)?")
INFINITE = re.compile(r"[-+]?\.(inf|Inf|INF)|\.(nan|NaN|NAN)")
DIGITS = 18   # of a whole number: it fits into 64 bits
NO_TEXT = re.compile("[\0\ud800-\udfff]")   # a zero byte, half a character: no path and no file of UTF-8 can hold them


class Refused(ValueError):
    """What is not taken, in a few words, and the number of its line."""

    def __init__(self, what: str, line: int):
        super().__init__(what)
        self.line = line


def parse(text: str, where: str) -> object:
    """What a file holds, as plain Python; None for an empty one. Raises InputError that begins with `where` and the line."""
    try:
        return _Reader(text).document()
    except Refused as err:
        raise InputError(f"{where}:{err.line}: {err}.") from None


def parse_value(text: str) -> object:
    """What stands behind the = of an override, on one line. Raises Refused where YAML would drop or fold a part of it."""
    whole = text.strip(" \t")
    reader = _Reader(whole)
    value, root = reader.document(), reader.root
    if isinstance(root, events.ScalarEvent) and not root.style:
        kept = root.value == whole
    elif root is None:
        kept = not whole
    else:   # quoted, or in brackets
        inline = root.style in ("'", '"') if isinstance(root, events.ScalarEvent) else root.flow_style
        kept = inline and (root.start_mark.index, reader.end) == (0, len(whole)) and "\n" not in whole and "\r" not in whole
    if not kept:
        raise Refused("YAML would leave out a part of it", 1)
    return value


def dump(tree: object) -> str:
    """A tree of dictionaries, lists and scalars as YAML, keys in their order; `parse` gives it back."""
    writer, out = YAML(typ="safe", pure=True), io.StringIO()
    writer.Representer, writer.width = _Representer, 1 << 30   # long texts on one line: folding them could lose a blank
    writer.default_flow_style, writer.sort_base_mapping_type_on_output = False, False
    writer.dump(tree, out)
    return out.getvalue()


class _Representer(SafeRepresenter):
    """Writes 1e-06 as 1.0e-06, which YAML 1.1 takes for a number as well, and escapes what some readers take for the end of a line."""

    def represent_str(self, value: str) -> ScalarNode:
        return self.represent_scalar("tag:yaml.org,2002:str", value, style=None if value.isprintable() else '"')

    def represent_float(self, value: float) -> ScalarNode:
        text = repr(value)
        if "e" not in text or "." in text:
            return super().represent_float(value)
        return self.represent_scalar("tag:yaml.org,2002:float", text.replace("e", ".0e"))


_Representer.add_representer(float, _Representer.represent_float)
_Representer.add_representer(str, _Representer.represent_str)


class _Reader:
    """One pass over the events of ruamel.yaml's parser, which makes no values itself and reads no further than asked."""

    def __init__(self, text: str):
        self.text, self.events, self.left = text, YAML(typ="safe", pure=True).parse(text), NODES
        self.root: events.Event | None = None
        self.end, self.line = 0, 1   # index behind the last event, number of the line that it begins on

    def document(self) -> object:
        """The value of the one document; its first event stays in `root`, the index behind it in `end`."""
        self._next()
        event, value = self._next(), None
        if isinstance(event, events.DocumentStartEvent):
            if event.version or event.tags:
                raise Refused("a directive (%) is not read here; remove it", self.line)
            self.root = self._next()
            value, end = self._node(self.root, ()), self.end
            self._next()
            if not isinstance(self._next(), events.StreamEndEvent):
                raise Refused("a second document (---) begins here; keep one", self.line)
            self.end = end
        return value

    def _next(self) -> events.Event:
        try:
            event = next(self.events)
        except (YAMLError, ValueError, OverflowError) as err:   # the last two: an escape such as "\\UFFFFFFFF"
            raise self._malformed(err) from None
        self.end, self.line = event.end_mark.index, event.start_mark.line + 1
        return event

    def _malformed(self, err: Exception) -> Refused:
        mark, position = getattr(err, "problem_mark", None), getattr(err, "position", None)
        line = mark.line + 1 if mark else self.text.count("\n", 0, position) + 1 if isinstance(position, int) else self.line
        what = getattr(err, "problem", None) or getattr(err, "reason", None) or err
        return Refused(f"not valid YAML ({' '.join(str(what).split())[:80]}); correct that line", line)

    def _node(self, event: events.Event, keys: tuple[str, ...]) -> object:
        self._admit(event, keys)
        if isinstance(event, events.ScalarEvent):
            return self._scalar(event)
        if isinstance(event, events.MappingStartEvent):
            return self._mapping(keys)
        found: list = []
        while not isinstance(event := self._next(), events.SequenceEndEvent):
            found.append(self._node(event, (*keys, str(len(found)))))
        return found

    def _mapping(self, keys: tuple[str, ...]) -> dict:
        found, lines = {}, {}
        while not isinstance(event := self._next(), events.MappingEndEvent):
            self._admit(event, keys)
            if not isinstance(event, events.ScalarEvent):
                raise Refused("a list or a group of keys is in the place of a key; write a name", self.line)
            key, line = self._text(event), self.line
            if key in found:
                path = shown(".".join((*keys, key)), 60).strip("'")
                raise Refused(f"the key {path} stands on line {lines[key]} already; keep one of the two", line)
            found[key], lines[key] = self._node(self._next(), (*keys, key)), line
        return found

    def _admit(self, event: events.Event, keys: tuple[str, ...]) -> None:
        self.left -= 1
        if self.left < 0:
            raise Refused(f"there are more than {NODES} keys and values; no configuration needs so many", self.line)
        if len(keys) > DEPTH:
            raise Refused(f"more than {DEPTH} groups lie in each other; no configuration needs so many", self.line)
        if event.anchor is not None:
            raise Refused(f"the anchor or alias {shown(event.anchor, 40)} is not read here; write out what it stands for", self.line)
        if event.tag is not None:
            raise Refused(f"the tag {shown(event.tag, 40)} is not read here; remove it", self.line)

    def _text(self, event: events.ScalarEvent) -> str:
        if NO_TEXT.search(event.value):
            raise Refused(f"{shown(event.value)} holds a zero byte or half a character; remove it", self.line)
        return event.value

    def _scalar(self, event: events.ScalarEvent) -> object:
        text = self._text(event)
        if event.style:
            return text
        if text in WORDS:
            return WORDS[text]
        for base, form in INTEGERS:
            if form.fullmatch(text):
                if len(text) > DIGITS:
                    raise Refused(f"{shown(text, 40)} is a number of {len(text)} digits; no option takes one so large", self.line)
                return int(text, base)
        if FLOAT.fullmatch(text):
            return float(text)
        if INFINITE.fullmatch(text):
            return float(text.lower().replace(".", ""))
        return text
