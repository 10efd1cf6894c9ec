from typing import Annotated, Literal

import pydantic
import pytest

from sslspk.config import Config, check, digest, load, merge, to_yaml
from sslspk.errors import InputError


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
    ("seed: four\n", "seed: .*integer.*'four'"),
    ("net: {name: small, widht: 2}\n", "did you mean width"),
    ("net: {name: medium}\n", "net"),
    ("seed: [1\n", r"a.yaml:2: not valid YAML"),
    ("- 1\n- 2\n", "a configuration is a list of `key: value` lines"),
])
def test_mistakes_name_file_and_key(conf, text, said):
    with pytest.raises(InputError, match=said) as err:
        load(Whole, conf(text))
    assert "a.yaml" in str(err.value) and "\n" not in str(err.value)


def test_missing_file(tmp_path):
    with pytest.raises(InputError, match="no such configuration file"):
        load(Whole, tmp_path / "none.yaml")


@pytest.mark.parametrize("item", ["seed", "=3", "seed.deep=3", "seed=[1"])
def test_malformed_override(conf, item):
    with pytest.raises(InputError, match="--set"):
        load(Whole, conf("seed: 1\n"), [item])


def test_frozen_and_reproducible(conf, tmp_path):
    cfg = load(Whole, conf("seed: 4\n"))
    with pytest.raises(pydantic.ValidationError):
        cfg.seed = 5
    (tmp_path / "again.yaml").write_text(to_yaml(cfg))
    again = load(Whole, tmp_path / "again.yaml")
    assert again == cfg and digest(again) == digest(cfg) != digest(check(Whole, {"seed": 5}, "x"))
