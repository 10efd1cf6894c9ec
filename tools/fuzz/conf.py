"""Configurations of systems and features, and what --set says: read by YAML 1.2, or refused."""
import contextlib
import io
import math
import os
import random
import shutil
from pathlib import Path

from fuzz import mutate
from fuzz.case import Case, Check, Outcome, either, program, write

SHOW = "sslspk.bin.show_config"
SOUND = """base: mini.yaml
reproduces: "a test"
seed: 3
vad: false
features: {num_mel_bins: 40}
method:
  name: dino
  crops: [{count: 2, seconds: 2.5}]
  out_dim: 2048
  hidden_dim: 512
train: {steps: 360, optimizer: sgd, lr: 0.2, betas: [0.8, 0.9]}
"""


def prepare(base: Path) -> None:
    root = Path(os.environ["FUZZ_ROOT"])
    shutil.copytree(root / "egs/voxceleb/conf", base / "conf")
    write(base / "conf/mini/sound.yaml", SOUND)


def warm(base: Path) -> None:
    program(SHOW, "--conf", base / "conf/mini/sound.yaml")()


def _conf(base: Path, text: str | bytes) -> str:
    shutil.copy(base / "conf/mini/mini.yaml", "mini.yaml")
    write("x.yaml", text)
    return "x.yaml"


def _file(what: str, text: str | bytes, key: str = "", *answers: object, names: tuple[str, ...] = ("x.yaml",), must: bool = False):
    """A configuration; key: what is asked of it, answers: what may come out (none: it must be refused); must: a refusal is wrong."""
    def make(base: Path) -> Case:
        run = program(SHOW, "--conf", _conf(base, text), *([key] if key else []))
        return Case(what, run, either(*answers) if answers else None, not must, names)
    return make


def _set(words: list[str], key: str = "", *answers: object, names: tuple[str, ...] = ("set",), must: bool = False):
    """Words of --set on a sound configuration."""
    def make(base: Path) -> Case:
        options = [part for word in words for part in ("--set", word)]
        run = program(SHOW, "--conf", _conf(base, SOUND), *options, *([key] if key else []))
        what = " ".join(options)
        return Case(what if len(what) < 120 else what[:120] + "...", run, either(*answers) if answers else None, not must, names)
    return make


def _bomb(depth: int) -> str:
    lines = ["a0: &a0 [x, x, x, x, x, x, x, x, x]"]
    lines += [f"a{i}: &a{i} [" + ", ".join([f"*a{i - 1}"] * 9) + "]" for i in range(1, depth)]
    return "\n".join(lines) + f"\nreproduces: *a{depth - 1}\n"


def _features(what: str, text: str | bytes, sound: bool = False):
    def make(base: Path) -> Case:
        write("f.yaml", text)
        check: Check | None = (lambda outcome: None) if sound else None
        return Case(f"fbank conf: {what}", program("sslspk.bin.make_feats", "options", "--conf", "f.yaml"), check, not sound, ("f.yaml",))
    return make


SET_LITERAL = ["x$(touch${IFS}CANARY)", "`touch CANARY`", "a b", "it's", 'say "x"', "a;b", "R&D", "{a,b}x", "1:30", "yes", "no", "on",
    "~x", "é", "*", "!x",
               "%s", "a#b", "0x1G", "2020-01-01", "1_000", "a\\b", "-x", "?", "[1, 2", "{a: 1}", "1e3x", "NaN_", "=", "a=b", "12:30:45",
                   "y", "off"]
CRAFTED = [
    _file("the sound one", SOUND, "seed", 3, must=True),
    _file("a repeated block: train", SOUND + "train: {lr: 0.1}\n"),
    _file("a repeated key: seed", SOUND + "seed: 4\n"),
    _file("a key repeated inside a flow mapping", SOUND.replace("{steps: 360,", "{steps: 360, steps: 5,")),
    _file("a key repeated in quotes", SOUND + '"seed": 4\n'),
    _file("seed: 1:30", SOUND.replace("seed: 3", "seed: 1:30"), names=("seed",)),
    _file("seed: true", SOUND.replace("seed: 3", "seed: true"), names=("seed",)),
    _file("seed: yes", SOUND.replace("seed: 3", "seed: yes"), names=("seed",)),
    _file("seed: 1_000", SOUND.replace("seed: 3", "seed: 1_000"), names=("seed",)),
    _file("seed: 017", SOUND.replace("seed: 3", "seed: 017"), "seed", 17, names=("seed",)),
    _file("seed: 0o17", SOUND.replace("seed: 3", "seed: 0o17"), "seed", 15, names=("seed",)),
    _file("seed: 0x1F", SOUND.replace("seed: 3", "seed: 0x1F"), "seed", 31, names=("seed",)),
    _file("seed: 0b11", SOUND.replace("seed: 3", "seed: 0b11"), names=("seed",)),
    _file("seed: -0", SOUND.replace("seed: 3", "seed: -0"), "seed", 0, names=("seed",)),
    _file("seed: 3.5", SOUND.replace("seed: 3", "seed: 3.5"), names=("seed",)),
    _file("seed: of 5000 digits", SOUND.replace("seed: 3", "seed: " + "9" * 5000), names=("x.yaml:3",)),
    _file("seed: null", SOUND.replace("seed: 3", "seed: null"), names=("seed",)),
    _file("seed: 2020-01-01", SOUND.replace("seed: 3", "seed: 2020-01-01"), names=("seed",)),
    _file("vad: 1", SOUND.replace("vad: false", "vad: 1"), names=("vad",)),
    _file("vad: yes", SOUND.replace("vad: false", "vad: yes"), names=("vad",)),
    _file("vad: 'true'", SOUND.replace("vad: false", "vad: 'true'"), names=("vad",)),
    _file("lr: true", SOUND.replace("lr: 0.2", "lr: true"), names=("lr",)),
    _file("lr: 1e-3", SOUND.replace("lr: 0.2", "lr: 1e-3"), "train.lr", "0.001", must=True),
    _file("lr: 1:30", SOUND.replace("lr: 0.2", "lr: 1:30"), names=("lr",)),
    _file("lr: .inf", SOUND.replace("lr: 0.2", "lr: .inf"), names=("lr",)),
    _file("lr: 1e999", SOUND.replace("lr: 0.2", "lr: 1e999"), names=("lr",)),
    _file("lr: .nan", SOUND.replace("lr: 0.2", "lr: .nan"), names=("lr",)),
    _file("reproduces: yes, a word in YAML 1.2", SOUND.replace('"a test"', "yes"), "reproduces", "yes", names=("reproduces",)),
    _file("reproduces: 5000 letters", SOUND.replace('"a test"', "A" * 5000), "reproduces", "A" * 5000),
    _file("an unknown key of 5000 letters", SOUND + "A" * 5000 + ": 1\n"),
    _file("an unknown key: steps under train misspelt", SOUND.replace("steps: 360", "stepz: 360"), names=("train.stepz",)),
    _file("an unknown key: lr at the top", SOUND + "lr: 1\n", names=("train.lr",)),
    _file("an unknown key: out_dim at the top", SOUND + "out_dim: 1\n", names=("method.out_dim",)),
    _file("lr: a value of 5000 letters", SOUND.replace("lr: 0.2", "lr: " + "A" * 5000), names=("lr",)),
    _file("train: a list", SOUND.replace("train: {steps: 360, optimizer: sgd, lr: 0.2, betas: [0.8, 0.9]}", "train: [1]"),
        names=("train",)),
    _file("method: a number", "method: 5\n", names=("method",)),
    _file("a list of keys", "- seed: 1\n"),
    _file("a number", "5\n"),
    _file("an empty file", "", names=("x.yaml", "method", "encoder")),
    _file("nested aliases, 9^8", _bomb(8)),
    _file("a key that is a list", "? [a, b]\n: 1\n" + SOUND),
    _file("a key that is a number", SOUND + "5: 1\n"),
    _file("a key that is null", SOUND + "~: 1\n"),
    _file("a key that is a mapping", SOUND + "{a: 1}: 1\n"),
    _file("100,000 brackets", "reproduces: " + "[" * 100000 + "\n"),
    _file("3000 nested lists, whole", "reproduces: " + "[" * 3000 + "]" * 3000 + "\n"),
    _file("3000 nested mappings", "".join(" " * i + "a:\n" for i in range(3000))),
    _file("python/object", SOUND + "x: !!python/object/apply:os.system ['touch CANARY']\n"),
    _file("an own tag", SOUND.replace("seed: 3", "seed: !mine 3"), names=("x.yaml", "seed")),
    _file("a merge key", SOUND + "x: &x {seed: 5}\n<<: *x\n"),
    _file("two documents", SOUND + "---\nseed: 4\n"),
    _file("YAML 1.1 asked for", "%YAML 1.1\n---\n" + SOUND.replace("seed: 3", "seed: 1:30")),
    _file("latin-1", (SOUND + "# Müller\n").encode("latin-1"), "seed", 3),
    _file("UTF-16", SOUND.encode("utf-16"), "seed", 3),
    _file("a byte order mark", b"\xef\xbb\xbf" + SOUND.encode(), "seed", 3, must=True),
    _file("CRLF", SOUND.replace("\n", "\r\n"), "seed", 3, must=True),
    _file("zero bytes at the end", SOUND.encode() + bytes(512)),
    _file("zero bytes in the place of the file", bytes(4096)),
    _file("a tab before a key", SOUND.replace("  out_dim", "\tout_dim")),
    _file("base: itself", "base: x.yaml\n"),
    _file("base: a folder", "base: .\n", names=("x.yaml", ".")),
    _file("base: a list", "base: [a]\n", names=("x.yaml", "base:")),
    _file("base: a number", "base: 5\n", names=("x.yaml", "base:")),
    _file("base: null", "base:\n" + SOUND.partition("\n")[2], names=("encoder", "x.yaml")),
    _file("base: not there", "base: no.yaml\n", names=("no.yaml",)),
    _file("base: a pipe", "base: 'touch CANARY |'\n", names=("x.yaml", "CANARY")),
    _file("base: with a zero byte", 'base: "a\\0b"\n'),
    _file("base: 5000 letters", "base: " + "A" * 5000 + "\n", names=("AAAA", "x.yaml")),
    _file("a file of 40 MB", "# " + "x" * (40 << 20) + "\n" + SOUND, "seed", 3),
    _file("crops: 10^30 views", SOUND.replace("count: 2", "count: " + "1" + "0" * 30), names=("count", "crops", "x.yaml:8")),
    _file("crops: none", SOUND.replace("[{count: 2, seconds: 2.5}]", "[]"), names=("crops",)),
    _file("num_mel_bins: 10^12", SOUND.replace("num_mel_bins: 40", "num_mel_bins: 1000000000000"), "seed", 3, names=("num_mel_bins",)),
    _file("betas of three", SOUND.replace("[0.8, 0.9]", "[0.8, 0.9, 1]"), names=("betas",)),
    _file("betas as words", SOUND.replace("[0.8, 0.9]", "[a, b]"), names=("betas",)),
    _file("after: the file itself", SOUND + "after: x\n", "seed", 3),
    _features("a sound one", "num_mel_bins: 40\n", True),
    _features("a repeated key", "num_mel_bins: 40\nnum_mel_bins: 80\n"),
    _features("bins as a word", "num_mel_bins: many\n"),
    _features("true bins", "num_mel_bins: true\n"),
    _features("1:20 bins", "num_mel_bins: 1:20\n"),
    *[_set([f"reproduces={text}"], "reproduces", text, names=("reproduces",)) for text in SET_LITERAL],
    _set(["seed=4"], "seed", 4, must=True),
    _set(["seed=4", "seed=5"], "seed", 5),
    _set(["seed=1:30"], names=("seed",)), _set(["seed=true"], names=("seed",)), _set(["seed=1_0"], names=("seed",)),
    _set(["seed="], names=("seed",)), _set(["=4"]), _set(["seed"]), _set([""]), _set(["a..b=1"]), _set([".=1"]),
    _set(["seed.x=1"], names=("seed",)),
    _set(["train=5"], names=("train",)), _set(["train={lr: 0.1, lr: 0.2}"], names=("train",)),
    _set(["train.lr=0.1"], "train.lr", 0.1, must=True),
    _set(["train.lr=1e-3"], "train.lr", 0.001, must=True), _set(["train.stepz=1"], names=("train.stepz",)),
    _set(["train.lr=" + "9" * 6000], names=("lr",)), _set(["A" * 6000 + "=1"], names=("A" * 20,)),
    _set(["seed=" + "A" * 6000], names=("seed",)),
    _set(["seed=" + "[" * 5000], names=("seed",)), _set(["seed=\udcff"], names=("seed",)), _set(["seed=3\nvad: true"], names=("seed",)),
    _set(["base=mini.yaml"], names=("base",)), _set(["seed=&a 5"], "seed", 5), _set(["seed=*a"], names=("seed",)),
    _set([".".join("a" * 3000) + "=1"]), _set(["method.crops.0.count=3"], names=("crops",)), _set(["seed: 5"]),
]


def mutated(base: Path, rng: random.Random) -> Case:
    """A damaged file, an awkward value, or an awkward --set; what it says a second reader of YAML 1.2 tells."""
    kind = rng.choice(("bytes", "value", "set"))
    if kind == "set":
        key = rng.choice(("seed", "reproduces", "vad", "train.lr", "train.steps", "method.out_dim", "train.betas", "method.crops",
            "data.input", "after", "train"))
        text = rng.choice(mutate.AWKWARD)
        run = program(SHOW, "--conf", _conf(base, SOUND), "--set", f"{key}={text}")
        return Case(f"--set {key}={text[:60]!r}", run, _agrees(_as_file(key, text)), names=(key.split(".")[-1], "set"))
    if kind == "value":
        lines = SOUND.splitlines(True)
        place = rng.randrange(1, len(lines))
        lines[place] = lines[place].partition(":")[0] + ": " + rng.choice(mutate.AWKWARD) + "\n"
        text, what = "".join(lines).encode("utf-8", "surrogateescape"), f"line {place + 1} is {lines[place].strip()[:60]!r}"
    else:
        what, text = mutate.damage(rng, SOUND.encode())
    return Case(what, program(SHOW, "--conf", _conf(base, text)), _agrees(text), names=("x.yaml", "base:"))


def _as_file(key: str, text: str) -> bytes:
    *parents, last = key.split(".")
    lines = [f"{'  ' * i}{name}:\n" for i, name in enumerate(parents)]
    return ("".join(lines) + "  " * len(parents) + f"{last}: {text}\n").encode("utf-8", "surrogateescape")


def _agrees(text: bytes) -> Check:
    """An acceptance must show every value that ruamel.yaml finds in the file, of the same type; what it refuses must be refused."""
    def check(outcome: Outcome) -> str | None:
        from ruamel.yaml import YAML
        from ruamel.yaml.error import MarkedYAMLError, YAMLStreamError
        try:
            with contextlib.redirect_stderr(io.StringIO()):
                wanted, found = YAML(typ="safe", pure=True).load(text), YAML(typ="safe", pure=True).load(outcome.out)
        except (MarkedYAMLError, YAMLStreamError, ValueError, RecursionError, TypeError, NotImplementedError) as err:
            return f"exit 0, but YAML 1.2 refuses it: {str(err)[:120]!r}"
        return _differ("", wanted, found)
    return check


def _differ(key: str, wanted: object, found: object) -> str | None:
    if isinstance(wanted, dict) and isinstance(found, dict):
        return next((why for name, value in wanted.items() if name != "base" or key
                     for why in [_differ(f"{key}.{name}".lstrip("."), value, found.get(name, "nothing"))] if why), None)
    if isinstance(wanted, list) and isinstance(found, list) and len(wanted) == len(found):
        return next((why for a, b in zip(wanted, found, strict=True) for why in [_differ(key, a, b)] if why), None)
    numbers = all(isinstance(value, int | float) and not isinstance(value, bool) for value in (wanted, found))
    same = math.isclose(wanted, found, rel_tol=1e-12) if numbers else type(wanted) is type(found) and wanted == found
    return None if same else f"{key} is {found!r:.80} where the file says {wanted!r:.80}"
