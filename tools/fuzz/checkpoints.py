"""final.pt and checkpoints, and the folder of a run: the weights that were saved, or a sentence; nothing in them runs."""
import io
import itertools
import os
import random
import zipfile
from collections.abc import Callable
from pathlib import Path

from fuzz import mutate, runs
from fuzz.case import Case, Check, Outcome, program, write


def prepare(base: Path) -> None:
    runs.prepare(base)
    done = _extract(base)()
    if done.status:
        raise SystemExit(f"no embeddings of the fixture: {done}")
    write(base / "reference.ark", Path("e/x.ark").read_bytes())


def warm(base: Path) -> None:
    write("m/final.pt", (base / "exp/final.pt").read_bytes())
    _extract(base, "m/final.pt")()


def _extract(base: Path, model: object = None) -> Callable[[], Outcome]:
    return program("sslspk.bin.extract_embeddings", base / "data", model or base / "exp/final.pt", "e/x.ark", "e/x.scp")


def _same_embeddings(base: Path) -> Check:
    def check(outcome: Outcome) -> str | None:
        same = Path("e/x.ark").read_bytes() == (base / "reference.ark").read_bytes()
        return None if same else "the embeddings are others than those of the sound model"
    return check


def _file(what: str, change: Callable[[bytes], bytes], sound: bool = False, names: tuple[str, ...] = ("final.pt",)):
    def make(base: Path) -> Case:
        write("m/final.pt", change((base / "exp/final.pt").read_bytes()))
        return Case(f"final.pt: {what}", _extract(base, "m/final.pt"), _same_embeddings(base) if sound else None, True, names)
    return make


def _model(what: str, may: bool = False, names: tuple[str, ...] = ("final.pt",), **changes: object):
    """final.pt with parts of its content replaced ("gone": left out); may: the part has no share in an embedding."""
    def edit(data: bytes) -> bytes:
        import torch
        content = torch.load(io.BytesIO(data), weights_only=True)
        for key, value in changes.items():
            content[key] = value(content.get(key)) if callable(value) else value
        out = io.BytesIO()
        torch.save({key: value for key, value in content.items() if not (isinstance(value, str) and value == "gone")}, out)
        return out.getvalue()
    return _file(what, edit, may, names)


def _saved(what: str, content: Callable[[], object], **options: object):
    def edit(data: bytes) -> bytes:
        import torch
        out = io.BytesIO()
        torch.save(content(), out, **options)
        return out.getvalue()
    return _file(what, edit)


def _kind(what: str, make_it: Callable[[str], object]):
    def make(base: Path) -> Case:
        os.mkdir("m")
        make_it("m/final.pt")
        return Case(f"final.pt: {what}", _extract(base, "m/final.pt"), None, True, ("final.pt",))
    return make


def _weights(change: Callable[[object], object]):
    """Every tensor of the encoder that is evaluated."""
    return lambda encoders: {name: {key: change(value) for key, value in state.items()} for name, state in encoders.items()}


def _config(**changes: object):
    return lambda config: {**config, **changes}


def _evil():
    class Evil:
        def __reduce__(self):
            return (os.system, ("touch CANARY",))
    return {"format": 1, "x": Evil()}


def _bomb(data: bytes) -> bytes:
    """A member of the archive that is said to hold 60 GB."""
    out = io.BytesIO()
    with zipfile.ZipFile(io.BytesIO(data)) as old, zipfile.ZipFile(out, "w", zipfile.ZIP_DEFLATED) as new:
        for member in old.namelist():
            content = old.read(member)
            new.writestr(member, content if not member.endswith("/data/0") else bytes(1 << 30))
    return out.getvalue()


def _zeros():
    import torch
    return torch.zeros(3)


def _float(value):
    return value.is_floating_point()


FILES = [
    _file("the sound one", lambda data: data, True), _saved("a command", _evil),
    _saved("a command, old form", _evil, _use_new_zipfile_serialization=False),
    _file("a pickle alone", lambda data: b"cos\nsystem\n(S'touch CANARY'\ntR."),
    _file("empty", lambda data: b""), _file("cut", lambda data: data[:len(data) // 2]), _file("cut by one byte", lambda data: data[:-1]),
    _file("zeros", lambda data: bytes(len(data))), _file("text", lambda data: b"hello\n"),
    _file("a web page", lambda data: b"<html>404</html>"),
    _file("a git-lfs pointer", lambda data: b"version https://git-lfs.github.com/spec/v1\noid sha256:00\nsize 1\n"),
    _file("a zip of nothing", lambda data: b"PK\5\6" + bytes(18)), _file("a bomb", _bomb),
    _file("a bit changed", runs.bit_of_weights),
    _kind("a folder", os.mkdir), _kind("a FIFO", os.mkfifo), _kind("a device without end", lambda path: os.symlink("/dev/zero", path)),
    _kind("a link to itself", lambda path: os.symlink("final.pt", path)),
    _saved("a list", lambda: [1, 2]), _saved("a tensor", lambda: _zeros()), _saved("a number", lambda: 5),
    _saved("null", lambda: None), _saved("an empty dictionary", dict),
    _saved("a state dict of another toolkit", lambda: {"conv1.weight": _zeros()}),
    _saved("a dictionary of numbers", lambda: {1: 2}),
    *[_model(f"without {key}", key in ("classifier", "classes", "projections"), **{key: "gone"})
        for key in ("format", "config", "num_features", "classifier", "classes", "encoders", "evaluate", "info", "projections")],
    _model("format 2", format=2), _model("format '1'", format="1"), _model("format 1.0", True, format=1.0),
    _model("encoders a list", encoders=[1]), _model("encoders empty", encoders={}),
    _model("encoders of words", encoders={"student": "x", "teacher": "y"}),
    _model("an encoder without weights", encoders={"student": {}, "teacher": {}}),
    _model("weights of NaN", encoders=_weights(lambda x: x * float("nan") if _float(x) else x)),
    _model("weights of other shapes", encoders=_weights(lambda x: x[:1] if x.ndim else x)),
    _model("weights as lists", encoders=_weights(lambda x: x.tolist())),
    _model("weights of whole numbers", encoders=_weights(lambda x: x.long())),
    _model("one weight too many", encoders=lambda found: {name: {**state, "more": state[next(iter(state))]} for name,
        state in found.items()}),
    _model("one weight too few", encoders=lambda found: {name: dict(list(state.items())[1:]) for name, state in found.items()}),
    _model("weights of infinity", encoders=_weights(lambda x: x / 0 if _float(x) else x)),
    _model("evaluate a list", evaluate=["student"]), _model("evaluate nobody", evaluate="nobody"),
    _model("evaluate 5000 letters", evaluate="A" * 5000), _model("num_features a word", num_features="20"),
    _model("num_features 21", num_features=21), _model("num_features 10^9", num_features=10 ** 9),
    _model("num_features -1", num_features=-1), _model("num_features null", num_features=None),
    _model("config a list", config=[]), _model("config a word", config="x"), _model("config with an unknown key", config=_config(sead=1)),
    _model("config without encoder", config=lambda config: {key: value for key, value in config.items() if key != "encoder"}),
    _model("an encoder of 10^7 channels", config=lambda config: {**config, "encoder": {**config["encoder"], "channels": 10 ** 7}}),
    _model("an encoder of other size", config=lambda config: {**config, "encoder": {**config["encoder"], "channels": 16}}),
    _model("features of 10^9 bins", config=lambda config: {**config, "features": {**config["features"], "num_mel_bins": 10 ** 9}}),
    _model("features of 40 bins", config=lambda config: {**config, "features": {**config["features"], "num_mel_bins": 40}}),
    _model("features of another rate", names=("8000",), config=lambda config: {**config, "features": {**config["features"],
        "sample_frequency": 8000.0}}),
    _model("seed true", config=_config(seed=True)),
    _model("info a list", info=[]), _model("info empty", info={}), _model("info.labels a number", info=lambda info: {**info, "labels": 5}),
    _model("info.step a word", info=lambda info: {**info, "step": "last"}),
    _model("info.start a word", info=lambda info: {**info, "start": "x"}),
    _model("info.trained_on null", info=lambda info: {**info, "trained_on": None}),
    _model("info.commit a list", info=lambda info: {**info, "commit": [1]}),
    _model("classes a number", classes=5), _model("classes without a classifier", classes=["a", "b"]),
    _model("projections a list", projections=[1]),
    _model("a projection of words", projections={name: {"dims": "x", "batch_norm": 1} for name in ("student", "teacher")}),
    _model("a projection without dims", projections={"student": {}, "teacher": {}}),
    _model("a projection of 10^9", projections={"student": {"dims": [10 ** 9, 10 ** 9], "batch_norm": False}, "teacher": {"dims": [10 ** 9,
        10 ** 9], "batch_norm": False}}),
]
CRAFTED = [case for pair in itertools.zip_longest(FILES, runs.CRAFTED) for case in pair if case]


def mutated(base: Path, rng: random.Random) -> Case:
    """A damaged final.pt (its checksums tell), or a damaged log of a run that goes on."""
    if rng.random() < 0.7:
        what, damaged = mutate.damage(rng, (base / "exp/final.pt").read_bytes())
        return _file(what, lambda _: damaged, True)(base)
    what, damaged = mutate.damage(rng, (base / "half/progress.jsonl").read_bytes())
    return runs.log(what, lambda _: damaged)(base)
