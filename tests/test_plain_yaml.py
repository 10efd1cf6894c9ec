"""YAML 1.2 as configurations need it: what each scalar is, what is refused and where, that little work is done, and the way back."""
import math
import random
import time

import pytest

from sslspk import plain_yaml
from sslspk.errors import InputError
from sslspk.plain_yaml import dump, parse, parse_value


@pytest.mark.parametrize(("text", "value"), [
    ("1", 1), ("-7", -7), ("+7", 7), ("007", 7), ("0x1F", 31), ("0o17", 15), ("017", 17), ("999999999999999999", 10**18 - 1),
    ("1.5", 1.5), ("1.", 1.0), (".5", 0.5), ("1e-4", 1e-4), ("1E5", 1e5), ("-2.5e+3", -2500.0), (".inf", math.inf), ("-.INF", -math.inf),
    ("true", True), ("False", False), ("NULL", None), ("~", None), ("", None),
    ("1:30", "1:30"), ("yes", "yes"), ("on", "on"), ("1_000", "1_000"), ("0b11", "0b11"), ("2001-01-01", "2001-01-01"), ("1e", "1e"),
    ("tRue", "tRue"), ("\u0661", "\u0661"), ("'3'", "3"), ('"true"', "true"), ("''", ""), ("|-\n  3", "3"), (">\n  null\n", "null\n"),
])
def test_a_scalar_is_what_the_core_schema_of_1_2_says(text, value):
    found = parse(f"key: {text}\n", "x")["key"]
    assert (found, type(found)) == (value, type(value))


def test_a_key_is_its_text():
    assert parse("1: a\ntrue: b\n'no': c\n? d\n: [e]\n", "x") == {"1": "a", "true": "b", "no": "c", "d": ["e"]}


@pytest.mark.parametrize(("text", "line", "said"), [
    ("train: {steps: 3}\nseed: 1\ntrain: {lr: 0.1}\n", 3, "the key train stands on line 1 already"),
    ("a:\n  b: 1\n  'b': 1\n", 3, "the key a.b stands on line 2 already"),
    ("a: [{b: 1, b: 2}]\n", 1, "the key a.0.b stands on line 1"),
    ("a: &x 3\nb: 3\n", 1, "the anchor or alias 'x' is not read here; write out"),
    ("a: 3\nb: *x\n", 2, "the anchor or alias 'x'"),
    ("&x a: 3\n", 1, "the anchor or alias 'x'"),
    ("a: 1\nb: !!python/object/apply:os.system [ls]\n", 2, "the tag '.*os.system' is not read here"),
    ("a: ! 3\n", 1, "the tag '!'"),
    ("!!map {a: 3}\n", 1, "the tag"),
    ("%YAML 1.1\n---\na: 1\n", 2, "a directive"),
    ("a: 1\n---\nb: 1\n", 2, "a second document"),
    ("a: 1\n...\n---\n", 3, "a second document"),
    ("? [a, b]\n: 1\n", 1, "is in the place of a key"),
    ("{a: 1}: 1\n", 1, "is in the place of a key"),
    ("a: 1\nb: 1000000000000000000\n", 2, "a number of 19 digits"),
    ("a: " + "9" * 5000, 1, "a number of 5000 digits"),
    ('a: "x\\0"\n', 1, "zero byte"),
    ('a: "\\ud800"\n', 1, "half a character"),
    ('"\\0": 1\n', 1, "zero byte"),
    ('a: "\\UFFFFFFFF"\n', 1, "not valid YAML"),
    ("a: 1\nb: \x01\n", 2, "not valid YAML"),
    ("a: 1\nb: [1\n", 3, "not valid YAML"),
    ("a: 1\n\tb: 2\n", 2, "not valid YAML"),
    ("a: b: c\n", 1, "not valid YAML"),
    ("a: @x\n", 1, "not valid YAML"),
    ("x" * 5000 + "\n: 1\n", 2, "not valid YAML"),
])
def test_what_is_not_taken_is_told_with_its_line(text, line, said):
    with pytest.raises(InputError, match=said) as err:
        parse(text, "a.yaml")
    assert str(err.value).startswith(f"a.yaml:{line}: ") and len(str(err.value)) <= 170 and str(err.value).isprintable()


LAUGHS = "a0: &a0 [x, x, x, x, x, x, x, x, x]\n" + "".join(f"a{i}: &a{i} [{', '.join([f'*a{i - 1}'] * 9)}]\n" for i in range(1, 9))


@pytest.mark.parametrize("text", [
    LAUGHS, "[" * 100_000, "{" * 100_000, "{a: " * 50_000, "- " * 100_000, "? " * 100_000, "a: [" + "1," * 100_000 + "]",
    "".join(" " * i + "a:\n" for i in range(1000)), "".join(f"k{i}: 1\n" for i in range(50_000)), '"' + "a\n" * 100_000, "a: &x [*x]\n",
], ids=["laughs", "lists", "flow", "flow keys", "dashes", "questions", "long list", "indents", "many keys", "open quote", "itself"])
def test_the_work_is_bounded(text):
    began = time.process_time()
    with pytest.raises(InputError):
        parse(text, "a.yaml")
    assert time.process_time() - began < 10   # one to two seconds for the worst, where ruamel.yaml alone takes minutes for some


@pytest.mark.parametrize(("text", "value"), [
    ("", None), ("  ", None), ("3", 3), (" 3 ", 3), ("a b  c", "a b  c"), ("a#b", "a#b"), ("x$(touch${IFS}P)", "x$(touch${IFS}P)"),
    ("it's", "it's"), ('"a #b"', "a #b"), ("'it''s'", "it's"), ('"a\\nb"', "a\nb"),
    ("[1, {a: b}]", [1, {"a": "b"}]), ("{a: 1e-4}", {"a": 1e-4}),
    ("a;b&c*d", "a;b&c*d"), ("1:30", "1:30"), ("a:b", "a:b"), ("-x", "-x"), ("é{}", "é{}"),
])
def test_a_value_of_an_override_arrives_whole(text, value):
    assert parse_value(text) == value


@pytest.mark.parametrize("text", [
    "x #y", "#x", "'x' #y", "[1] #y", "a: b", "- a", "? a", "&x", "&x 3", "*x", "!x", "!!str 3", "|", ">", "|x", "--- x", "--- 'x'", "---",
    "...", "x\ny", "'x\ny'", "[1,\n2]", "x\n---\ny", "%x", "@x", "`x`", "[1", "{a: 1, a: 2}", "'x", "x\0", "a\x85b",
    "x\r", '"x" y', "[1] [2]", "\ufeffx"])
def test_a_value_that_would_not_arrive_whole_is_refused(text):
    with pytest.raises(plain_yaml.Refused) as err:
        parse_value(text)
    assert len(str(err.value)) < 120


WORDS = ["yes", "1:30", "0x1f", "1e-4", "017", "~", "null", " ", "  ", "\n", "\t", " #x", ": ", "- ", "'", '"', "\\", "é", "\u2028", "\x85",
         "\ufeff", "{", "}", "[", ",", "&", "*", "!", "%", "@", "`", "|", ">", "?", "<<", "---", "...", "\r", "\x1b", "😀", "a", "1_000"]


def test_what_is_written_is_read_back():
    rng = random.Random(1)
    for _ in range(300):
        text = "".join(rng.choices(WORDS, k=rng.randrange(9))) + " word" * rng.choice((0, 0, 40))
        number = rng.choice((rng.random() * 10.0 ** rng.randrange(-300, 300), rng.randrange(-10**17, 10**17), 1e-6, 1e22, 5e-324, 0, -0.0))
        tree = {"text": text, "list": [number, {text or "key": True}], "none": None, "empty": [[], {}, ""]}
        assert repr(parse(dump(tree), "x")) == repr(tree), dump(tree)
    assert dump({"b": 1e-6, "a": [1]}) == "b: 1.0e-06\na:\n- 1\n"   # in order, and a number for YAML 1.1 as well
