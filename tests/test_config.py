import json
import os
import re
import subprocess
from pathlib import Path
from typing import Annotated, Literal

import pydantic
import pytest

from sslspk.config import Config, check, digest, load, merge, read_yaml, to_whole_yaml, to_yaml
from sslspk.errors import InputError
from sslspk.train.config import SystemConfig

ROOT = Path(__file__).resolve().parent.parent


class Small(Config):
    name: Literal["small"] = "small"
    width: int = 3


class Large(Config):
    name: Literal["large"] = "large"
    depth: int = 5


class Whole(Config):
    seed: int = 0
    net: Annotated[Small | Large, pydantic.Field(discriminator="name")] = Small()
    flag: bool = False
    rate: float = 1.0
    note: str = ""
    sizes: tuple[int, ...] = (1,)
    parts: tuple[Small, ...] = ()
    most: int | None = None


@pytest.fixture
def conf(tmp_path):
    def write(text, name="a.yaml"):
        (tmp_path / name).write_text(text)
        return tmp_path / name
    return write


def test_file_then_overrides(conf):
    cfg = load(Whole, conf("seed: 4\nnet: {name: large, depth: 9}\n"), ["net.depth=2", "flag=true"])
    assert (cfg.seed, cfg.net.depth, cfg.flag) == (4, 2, True)


def test_base_is_merged_key_by_key(conf):
    conf("seed: 4\nnet: {name: small, width: 7}\n", "base.yaml")
    cfg = load(Whole, conf("base: base.yaml\nflag: true\n"))
    assert (cfg.seed, cfg.net.width, cfg.flag) == (4, 7, True)


def test_a_file_may_be_laid_on_another(conf):
    below = conf("seed: 7\nflag: true\nnet: {name: large, depth: 2}\n", "below.yaml")
    above = conf("seed: 8\nnet: {name: large}\n", "above.yaml")
    assert load(Whole, above, ["flag=false"], under=below) == Whole(seed=8, net=Large(depth=2))
    assert load(Whole, conf("net: {name: small}\n"), under=below) == Whole(seed=7, flag=True, net=Small())


def test_another_name_replaces_the_whole_part():
    assert merge({"net": {"name": "small", "width": 7}}, {"net": {"name": "large"}}) == {"net": {"name": "large"}}


def test_base_in_a_circle(conf):
    conf("base: a.yaml\n", "b.yaml")
    with pytest.raises(InputError, match="circle"):
        load(Whole, conf("base: b.yaml\n"))


@pytest.mark.parametrize(("text", "said"), [
    ("sed: 4\n", "unknown key sed .did you mean seed"),
    ("seed: four\n", "seed: should be a valid integer, not 'four'"),
    ("net: {name: small, widht: 2}\n", "did you mean net.width"),
    ("net: {name: medium}\n", "net.name: should be one of 'small', 'large', not 'medium'"),
    ("net: {width: 3}\n", "key net.name is missing; add it"),
    ("net: {name: large, depht: 3}\n", "unknown key net.depht .did you mean net.depth"),
    ("net: {name: large, qx: 3}\n", "unknown key net.qx; remove it"),
    ("net: {name: large, depth: x}\n", "a.yaml: net.depth: should be a valid integer, not 'x'"),
    ("depth: 3\nnet: {name: large}\n", "unknown key depth .did you mean net.depth"),
    ("net: {name: large, seed: 3}\n", "unknown key net.seed .did you mean seed"),
    ("parts: [{name: small, width: 1}, {widht: 2}]\n", r"unknown key parts\[1\].widht .did you mean parts\[1\].width"),
    ("sizes: [1, 2.5]\n", r"sizes\[1\]: should be a valid integer, not 2.5"),
    ("sizes: 3\n", "sizes: should be a valid (tuple|array), not 3"),
    ("net: 3\n", "net: "),
    ("seed: 1\nnet: {name: small}\nseed: 2\n", "a.yaml:3: the key seed stands on line 1 already"),
    ("seed: [1\n", r"a.yaml:2: not valid YAML"),
    ("- 1\n- 2\n", "a configuration is a list of `key: value` lines"),
])
def test_mistakes_name_file_and_key(conf, text, said):
    with pytest.raises(InputError, match=said) as err:
        load(Whole, conf(text))
    assert "a.yaml" in str(err.value) and "\n" not in str(err.value)


def test_missing_file(tmp_path):
    with pytest.raises(InputError, match=r"No such file or directory.; check the name given to --conf or base:"):
        load(Whole, tmp_path / "none.yaml")


@pytest.mark.parametrize(("item", "said"), [
    *((item, "is written key=value") for item in ("seed", "=3", ".seed=3", "net.=3", "net..width=3")),
    ("seed.deep=3", "seed is a value, not a group"), ("net.width.x.y=3", "net.width is a value, not a group"),
    ("seed=[1", "not a YAML value; quote it"), ("note=a #b", "leave out a part"), ("note=a\nb", "leave out a part"), ("note=*b", "alias"),
    ("net={name: small, name: large}", "the key name stands"), ("base=b.yaml", "only a file has a base"),
    ("seed=", "seed: should be a valid integer, not null"), ("widht=3", "unknown key widht .did you mean net.width"),
    ("seed=" + "x" * 5000, "seed: should be a valid integer"), ("note=a: b", "leave out a part"),
    ("x" * 5000, "written key=value"), ("a\nb\x1b=3", "unknown key a"),
])
def test_malformed_override(conf, item, said):
    with pytest.raises(InputError, match=f"--set.*{said}") as err:
        load(Whole, conf("seed: 1\nnet: {name: small, width: 1}\n"), [item])
    text = str(err.value).replace(str(conf("")), "")
    assert len(text) <= 240 and text.isprintable()


def test_of_several_overrides_of_a_key_the_last_holds(conf):
    assert load(Whole, conf("seed: 1\n"), ["seed=2", "note=a", "seed=3", "most=4", "most="]) == Whole(seed=3, note="a")


SCALARS = {  # of each field, as a file or --set writes them: what is right, what of another type is refused
    "seed": (("3", "-3", "0x10", "0"), ("3.0", "3.7", "1e3", "true", "'3'", "1:30", "3 4", "null", "[3]", "{a: 3}", "1_000", "9" * 30)),
    "rate": (("1e-4", "3", "0.5", "-1E5", ".5"),
             ("true", "'0.5'", "1e-4x", "null", "inf", ".inf", "-.inf", ".nan", "1e999", "[1.0]", "0:30")),
    "flag": (("true", "False"), ("1", "0", "yes", "on", "'true'", "null", "0.0")),
    "note": (("x", "'3'", "yes", "1:30", "''", "2001-01-01"), ("3", "true", "null", "0.5", "[x]", "{x: y}")),
    "most": (("3", "null", "~"), ("3.0", "true", "'3'", "'null'")),
    "sizes": (("[1, 2]", "[]"), ("[1.0]", "[true]", "['1']", "[null]", "{1: 2}", "'12'", "12")),
}
RIGHT = [(key, text) for key, (right, _) in SCALARS.items() for text in right]
WRONG = [(key, text) for key, (_, wrong) in SCALARS.items() for text in wrong]


@pytest.mark.parametrize(("key", "text"), RIGHT)
def test_a_scalar_is_read_alike_in_a_file_and_behind_set_and_written_so(conf, tmp_path, key, text):
    found = load(Whole, conf(f"{key}: {text}\n"))
    assert load(Whole, None, [f"{key}={text}"]) == found == load(Whole, conf(to_whole_yaml(found)))
    kind = {"seed": int, "rate": float, "flag": bool, "note": str, "most": (int, type(None)), "sizes": tuple}[key]
    assert isinstance(getattr(found, key), kind) and check(Whole, found.model_dump(mode="json"), "x") == found


@pytest.mark.parametrize(("key", "text"), WRONG)
def test_a_scalar_of_another_type_is_refused(conf, key, text):
    for attempt in (lambda: load(Whole, conf(f"{key}: {text}\n")), lambda: load(Whole, None, [f"{key}={text}"])):
        with pytest.raises(InputError, match=f"{key}|9 digits|30 digits") as err:
            attempt()
        assert len(str(err.value)) < 300 and str(err.value).isprintable()


def models(kind=SystemConfig):
    """Every configuration model below one."""
    for field in kind.model_fields.values():
        stack = [field.annotation]
        while stack:
            part = stack.pop()
            if getattr(part, "__origin__", None) is None and isinstance(part, type) and issubclass(part, Config):
                yield part
                yield from models(part)
            stack += getattr(part, "__args__", ())


@pytest.mark.parametrize("cls", [SystemConfig, *dict.fromkeys(models())], ids=lambda cls: cls.__name__)
def test_no_field_takes_true_or_text_for_a_number(cls):
    for key, field in cls.model_fields.items():
        kind = re.sub("'[^']*'", "", str(field.annotation))   # without the words that a Literal allows, such as disjoint
        for value in (*([] if "bool" in kind else [True]), "3", "true"):
            if any(number in kind for number in ("int", "float", "bool")):
                with pytest.raises(InputError, match=f"{key}: should be"):
                    check(cls, {key: value}, "x")


@pytest.mark.parametrize("path", sorted(ROOT.glob("egs/*/conf/*.yaml")), ids=lambda path: str(path.relative_to(ROOT)))
def test_what_earlier_versions_wrote_of_every_system_is_read(conf, path):
    """They wrote with PyYAML: floats with a dot, YAML 1.1's words in quotes, lists without indents; JSON is YAML as well."""
    tree = read_yaml(path)
    if not {"encoder", "method"} <= tree.keys():
        return
    found = check(SystemConfig, tree, str(path))
    for text in (to_yaml(found), to_whole_yaml(found), json.dumps(found.model_dump(mode="json"))):
        again = load(SystemConfig, conf(text))
        assert again == found and digest(again) == digest(found)


@pytest.mark.parametrize("text", ["base: b.yaml\n", "base:   b.yaml   # below\r\nseed: 1\r\n", "\ufeffbase: b.yaml\nseed: 1\n",
                                  "seed: 1\nbase: b.yaml", "base: my b.yaml\n", "base: d/../b.yaml\n"])
def test_the_steps_stamps_read_the_same_base(conf, tmp_path, text):
    (tmp_path / "d").mkdir()
    for name in ("b.yaml", "my b.yaml"):
        conf("note: below\n", name)
    assert load(Whole, conf(text)).note == "below" and "note: below" in stamped(tmp_path / "a.yaml")


@pytest.mark.parametrize("text", [
    "base : b.yaml\n", "'base': b.yaml\n", "base: 'b.yaml'\n", "{base: b.yaml}\n", "base: |-\n  b.yaml\n", "base:\n  b.yaml\n",
    "base: b.yaml b\n c\n", "base: [b.yaml]\n", "base:\n",
    "base: null\n", "base: 3\n", "note: 'a\nbase: b.yaml'\n", "? base\n: b.yaml\n", "base: ''\n"])
def test_a_base_that_the_stamps_would_not_see_is_refused(conf, text):
    conf("note: below\n", "b.yaml")
    with pytest.raises(InputError, match=r"a.yaml: `base:` stands at the start of a line"):
        load(Whole, conf(text))


def stamped(path):
    """The text by which a step's stamp knows a configuration."""
    done = subprocess.run(["bash", "-euo", "pipefail", "-c", f". {ROOT}/utils/done.sh; done_conf \"$0\"", path], text=True,
                          capture_output=True, timeout=20, check=True)
    assert done.stderr == ""
    return done.stdout


@pytest.mark.parametrize("make", [lambda path: path.mkdir(), os.mkfifo, lambda path: path.symlink_to("/dev/zero"), lambda path: None,
                                  lambda path: path.write_text("base: b.yaml\n"), lambda path: path.write_bytes(b"seed: \0\n")],
                         ids=["folder", "pipe", "device", "missing", "circle", "zero byte"])
def test_a_base_that_is_no_configuration_stops_neither_the_stamp_nor_the_reader(conf, tmp_path, make):
    make(tmp_path / "b.yaml")
    with pytest.raises(InputError, match=r"b\.yaml"):
        load(Whole, conf("base: b.yaml\n"))
    assert stamped(tmp_path / "a.yaml").startswith("base: b.yaml\n")


@pytest.mark.parametrize(("data", "said"), [
    (b"seed: 1\n# M\xfcller\n", ":2: not UTF-8"), (b"\xff\xfes\0e\0", "zero bytes"), (b"seed: 1\n\0\0\0", ":2: zero bytes"),
    (b"# x\n" * 300_000, "larger than 1 MB")], ids=["latin-1", "utf-16", "zero bytes", "large"])
def test_bytes_that_are_no_configuration(tmp_path, data, said):
    (tmp_path / "a.yaml").write_bytes(data)
    with pytest.raises(InputError, match=said):
        read_yaml(tmp_path / "a.yaml")


def test_a_chain_of_bases_has_an_end(conf):
    for number in range(30):
        conf(f"base: {number + 1}.yaml\n", f"{number}.yaml")
    conf("seed: 3\n", "30.yaml")
    with pytest.raises(InputError, match="too many files"):
        read_yaml(conf("base: 0.yaml\n"))
    assert load(Whole, conf("base: 20.yaml\n")).seed == 3


def test_several_mistakes_are_told_as_far_as_a_line_reaches(conf):
    path = conf("".join(f"k{i}: 1\n" for i in range(2000)))
    with pytest.raises(InputError, match=r"unknown key k0; remove it; .*; and 199\d more.$") as err:
        load(Whole, path)
    assert len(str(err.value)) - len(str(path)) < 170


@pytest.mark.parametrize("name", ["../other", "a/b", "''"])
def test_the_system_before_is_a_name_beside_it(conf, name):
    with pytest.raises(InputError, match="after: "):
        load(SystemConfig, conf(f"after: {name}\nencoder: {{name: tdnn}}\nmethod: {{name: simclr}}\n"))


def circular():
    tree = {"name": "small"}
    tree["net"] = tree
    return tree


def shared():
    tree = []
    for _ in range(40):
        tree = [tree, tree]
    return {"net": tree}


@pytest.mark.parametrize("tree", [circular(), shared(), {"seed": {1, 2}}, {"note": b"x"}, {("a", "b"): 1}, {"seed": 10**5000}, [], 3, None,
                                  {"note": "\ud800"}, {"rate": float("nan")}, {"seed": 1.0}])
def test_what_a_damaged_model_file_may_hold_is_refused(tree):
    with pytest.raises(InputError, match=r"^x\.pt: ") as err:
        check(Whole, tree, "x.pt")
    assert len(str(err.value)) < 170


def test_frozen_and_reproducible(conf, tmp_path):
    cfg = load(Whole, conf("seed: 4\n"))
    with pytest.raises(pydantic.ValidationError):
        cfg.seed = 5
    (tmp_path / "again.yaml").write_text(to_yaml(cfg))
    again = load(Whole, tmp_path / "again.yaml")
    assert again == cfg and digest(again) == digest(cfg) != digest(check(Whole, {"seed": 5}, "x"))


class Later(Whole):
    """Whole with options that came later, at every depth."""

    class Parts(Small):
        height: int = 7

    parts: tuple[Parts, ...] = ()
    more: tuple[int, ...] = (2, 3)


def test_a_digest_is_of_what_differs_from_the_defaults():
    """An option that comes later leaves it alone until it is used; `name` always counts; a part may be left out of it."""
    for tree in ({}, {"seed": 4}, {"net": {"name": "large", "depth": 9}}, {"parts": [{"width": 4}, {}]}):
        assert digest(check(Whole, tree, "x")) == digest(check(Later, tree, "x"))
    trees = ({}, {"seed": 4}, {"net": {"name": "large"}}, {"net": {"name": "large", "depth": 9}}, {"parts": [{}]}, {"parts": [{}, {}]},
             {"more": [2]}, {"parts": [{"height": 8}]}, {"most": 3}, {"most": 4}, {"note": "a"})
    assert len({digest(check(Later, tree, "x")) for tree in trees}) == len(trees)
    assert digest(check(Whole, {"seed": 5}, "x"), {"seed"}) == digest(check(Whole, {}, "x"))


@pytest.mark.parametrize("item", [
    "data.workers=1000000", "data.batch_size=1000000000", "data.draws_per_epoch=1000000000000", "method.out_dim=1000000000000",
    "method.head_layers=100000", "method.crops=[{count: 100000, seconds: 1}]", "method.crops=[{count: 2, seconds: 1e300}]",
    "encoder={name: tdnn, channels: 1000000000}", "encoder={name: resnetse34l, widths: [16, 32, 64, 100000000]}",
    "features.num_mel_bins=1000000000", "features.sample_frequency=1e308", "features.frame_length=1e300", "augment.eq_points=1000000000",
    "augment.rir_seconds=1e300", "augment.snr_db.noise=[0, 1e300]", "train.epochs=1e300", "train.betas=[0.9, 1.5]",
    "train.timeout_seconds=100000000000000000", "train.accumulate=1000000000000"])
def test_a_number_beyond_any_use_is_refused(item):
    with pytest.raises(InputError) as caught:
        load(SystemConfig, ROOT / "egs/voxceleb/conf/mini/dino_tdnn.yaml", [item])
    key, said = item.split("=")[0].split(".")[-1], str(caught.value)
    assert re.search(rf": \S*{key}\S*: should be less than |: {key} \S+ is too large", said) and len(said) < 240, said
