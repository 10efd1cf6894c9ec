"""npz, JSON and result files: of i-vectors, calibrations, provenance and tables of results."""
import io
import json
import os
import random
import runpy
import shutil
import struct
import zipfile
from collections.abc import Callable
from pathlib import Path

from fuzz import mutate
from fuzz.case import Case, Check, Outcome, as_program, program, said, write
from fuzz.trials import SCORES, TRIALS

ROW = {"system": "dino", "weights": "teacher", "trained_on": "vox", "labels": "none", "commit": "abc", "targets": 3, "nontargets": 4,
    "trials_md5": "0" * 32, "eer_percent": 5.5,
       "min_dcf_0.01": 0.5, "min_dcf_0.05": 0.4, "act_dcf_0.05": 0.9, "cllr": 1.0, "seed": 0, "steps": 10}


def prepare(base: Path) -> None:
    import numpy as np

    from sslspk.io import ark
    from sslspk.ivector import state
    from sslspk.ivector.config import IvectorConfig
    rng = np.random.default_rng(0)
    config = IvectorConfig(num_gaussians=2, ivector_dim=3).model_dump(mode="json")
    info = {"config": config, "trained_on": "vox", "labels": "none", "utterances": 4, "frames": 80}
    (base / "ivector").mkdir()
    state.finish(base / "ivector", matrix=rng.normal(size=(2, 4, 3)), covariances=np.stack([np.eye(4)] * 2), shift=np.ones((2, 4)),
        ubm_weights=np.full(2, 0.5),
                 ubm_means=rng.normal(size=(2, 4)), ubm_covariances=np.stack([np.eye(4)] * 2), info=np.array(json.dumps(info)))
    with ark.Writer(base / "emb.ark", base / "xvector.scp") as out:
        for utt in ("s1-a", "s1-b", "s2-a", "s2-b", "s3-a", "s3-b"):
            out.write(utt, rng.normal(size=4))
    write(base / "provenance.json", json.dumps({key: ROW[key] for key in ("system", "weights", "trained_on", "labels", "commit")}))
    write("trials", TRIALS)
    write("a/scores_trials", SCORES)
    done = program("sslspk.bin.train_calibration", "trials", "a/scores_trials", "cal.json")()
    if done.status:
        done = program("sslspk.bin.train_calibration", "trials", "a/scores_trials", "cal")()
    found = next((path for path in (base / "cal.json", *base.glob("cal/*.json")) if path.is_file()), None)
    if found is None:
        raise SystemExit(f"no calibration: {done}")
    shutil.copy(found, base / "calibration.json")


def warm(base: Path) -> None:
    _score("--provenance", base / "provenance.json")(base).run()


def _ivector(what: str, change: Callable[[bytes], bytes], answer: Check | None = None, must: bool = False):
    """EXP/final.npz of an i-vector system."""
    def make(base: Path) -> Case:
        write("exp/final.npz", change((base / "ivector/final.npz").read_bytes()))

        def main() -> None:
            from sslspk.ivector import extractor
            ubm, model, config, info = extractor.load(Path("exp"))
            print(ubm.means.shape, model.matrix.shape, config.num_gaussians, info["labels"])
        return Case(f"i-vector model: {what}", lambda: as_program("ivectors", main, []), answer, not must, ("final.npz",))
    return make


def _arrays(**changes: object) -> Callable[[bytes], bytes]:
    """Arrays of the npz replaced (None: left out; bytes: raw content of the member)."""
    def change(data: bytes) -> bytes:
        import numpy as np
        with np.load(io.BytesIO(data)) as old:
            arrays = {name: old[name] for name in old.files}
        raw = {name: value for name, value in changes.items() if isinstance(value, bytes)}
        for name, value in changes.items():
            arrays[name] = value(arrays[name]) if callable(value) else value
        out = io.BytesIO()
        np.savez(out, **{name: value for name, value in arrays.items() if value is not None and name not in raw})
        with zipfile.ZipFile(out, "a") as archive:
            for name, value in raw.items():
                archive.writestr(f"{name}.npy", value)
        return out.getvalue()
    return change


def _npy(shape: str, descr: str = "'<f8'") -> bytes:
    head = f"{{'descr': {descr}, 'fortran_order': False, 'shape': {shape}}}".encode()
    head += b" " * (-(len(head) + 11) % 64) + b"\n"
    return b"\x93NUMPY\x01\x00" + struct.pack("<H", len(head)) + head


def _pickled() -> bytes:
    return _npy("(1,)", "'|O'") + b"cos\nsystem\n(S'touch CANARY'\ntR."


def _bomb(data: bytes) -> bytes:
    """An npz of some MB whose array takes 20 GB."""
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w", zipfile.ZIP_DEFLATED) as archive, archive.open("matrix.npy", "w", force_zip64=True) as member:
        member.write(_npy(f"({20 << 27},)"))
        for _ in range(96):
            member.write(bytes(1 << 20))
    return out.getvalue()


def _info(**changes: object) -> Callable[[bytes], bytes]:
    import numpy as np

    def edit(old) -> object:
        return np.array(json.dumps({key: value for key, value in {**json.loads(str(old)), **changes}.items() if value != "gone"}))
    return _arrays(info=edit)


def _score(option: str, value: object, text: str | bytes | None = None, what: str = "", answer: Check | None = None,
        names: tuple[str, ...] = ("p.json",)):
    """steps/score.sh's program with a file of JSON."""
    def make(base: Path) -> Case:
        write("trials", TRIALS)
        for folder in ("e",):
            write(f"{folder}/xvector.scp", (base / "xvector.scp").read_bytes())
        if text is not None:
            write("p.json", text)
        run = program("sslspk.bin.score", "--bootstrap", 0, option, value, "trials", "e", "e", "out")

        def check(outcome: Outcome) -> str | None:
            return (answer or said("EER"))(outcome) if json.loads(Path("out/result_trials.json").read_text()) else "no result"
        return Case(f"{option}: {what or value}"[:120], run, check if answer else None, True, names)
    return make


def _calibration(what: str, change: Callable[[dict], object] | str | bytes, sound: bool = False):
    def make(base: Path) -> Case:
        model = json.loads((base / "calibration.json").read_text())
        write("p.json", json.dumps(change(model)) if callable(change) else change)
        write("trials", TRIALS)
        write("a/scores_trials", SCORES)
        run = program("sslspk.bin.apply_calibration", "--same-list", "true", "--bootstrap", 0, "p.json", "trials", "a/scores_trials", "out")
        return Case(f"calibration: {what}", run, said("EER") if sound else None, not sound, ("p.json",))
    return make


def _table(what: str, change: Callable[[dict], object] | str | bytes, answer: Check | None = None, must: bool = False):
    """local/show_table.py over one result file."""
    def make(base: Path) -> Case:
        write("exp/dino/scores_x/result_trials_test.json", json.dumps(change(dict(ROW))) if callable(change) else change)
        root = Path(os.environ["FUZZ_ROOT"])

        def main() -> None:
            return runpy.run_path(str(root / "local/show_table.py"))["main"]()
        run = lambda: as_program("show_table.py", main, ["--out", "R.md", "exp"])  # noqa: E731
        return Case(f"result: {what}", run, answer, not must, ("result_trials_test.json",))
    return make


def _without(key: str) -> Callable[[dict], dict]:
    return lambda row: {name: value for name, value in row.items() if name != key}


def _with(**changes: object) -> Callable[[dict], dict]:
    return lambda row: {**row, **{key.replace("__", "."): value for key, value in changes.items()}}


DEEP = "[" * 100000
MANY = '{"a": ' + "9" * 5000 + "}"
CRAFTED = [
    _ivector("the sound one", lambda data: data, said("(2, 4)", "none"), True), _ivector("an array pickled", _arrays(matrix=_pickled())),
    _ivector("info pickled", _arrays(info=_pickled())),
    _ivector("without matrix", _arrays(matrix=None)), _ivector("without info", _arrays(info=None)),
    _ivector("without ubm_means", _arrays(ubm_means=None)), _ivector("matrix of other shape", _arrays(matrix=lambda x: x[:, :2])),
    _ivector("matrix of one dimension", _arrays(matrix=lambda x: x.ravel())),
    _ivector("matrix of letters", _arrays(matrix=lambda x: x.astype(str))),
    _ivector("matrix of NaN", _arrays(matrix=lambda x: x * float("nan"))),
    _ivector("weights of three Gaussians", _arrays(ubm_weights=lambda x: [0.1] * 3)),
    _ivector("infinite covariances", _arrays(ubm_covariances=lambda x: x * float("inf"))),
    _ivector("negative weights", _arrays(ubm_weights=lambda x: -x)),
    _ivector("covariances of another dimension", _arrays(covariances=lambda x: x[:, :3, :3])),
    _ivector("shift of 10^9 numbers in the header", _arrays(shift=_npy("(1000000000,)"))),
    _ivector("a shape of 2^62", _arrays(shift=_npy(f"({2 ** 62},)"))), _ivector("a negative shape", _arrays(shift=_npy("(-5,)"))),
    _ivector("a shape that is code", _arrays(shift=_npy("__import__('os').system('touch CANARY')"))),
    _ivector("a type that is none", _arrays(shift=_npy("(1,)", "'<q99'") + bytes(8))),
    _ivector("a header of 60,000 blanks", _arrays(shift=b"\x93NUMPY\x01\x00\xff\xff" + b" " * 65535)),
    _ivector("a deflated bomb of 20 GB", _bomb),
    _ivector("info that is no JSON", _arrays(info=lambda x: "{")), _ivector("info that is a list", _arrays(info=lambda x: "[]")),
    _ivector("info of 100,000 brackets", _arrays(info=lambda x: DEEP)),
    _ivector("info with a number of 5000 digits", _arrays(info=lambda x: MANY)),
    _ivector("info without config", _info(config="gone")), _ivector("config a list", _info(config=[])),
    _ivector("config with another key", _info(config={"num_gausians": 2})), _ivector("info without labels", _info(labels="gone")),
    _ivector("labels a number", _info(labels=5)), _ivector("config that says 7 Gaussians of 2", _info(config={"num_gaussians": 7}),
        said("(2, 4)")),
    _ivector("empty", lambda data: b""), _ivector("cut", lambda data: data[:len(data) // 2]),
    _ivector("an npy alone", lambda data: _npy("(1,)") + bytes(8)),
    _ivector("a pickle alone", lambda data: b"cos\nsystem\n(S'touch CANARY'\ntR."),
    _ivector("a zip without members", lambda data: b"PK\5\6" + bytes(18)),
    _ivector("a byte of the numbers changed",
        lambda data: data[:len(data) // 2] + bytes([data[len(data) // 2] ^ 1]) + data[len(data) // 2 + 1:]),
    _ivector("bytes behind the end", lambda data: data + b"x" * 99, said("(2, 4)")), _ivector("text", lambda data: b"hello\n"),
    *[_score("--provenance", "p.json", text, what, answer) for what, text, answer in (
        ("the sound one", json.dumps(ROW), said("EER")), ("empty", "", None), ("a list", "[]", None), ("a number", "5", None),
        ("null", "null", None), ("cut", '{"system": "di', None), ("100,000 brackets", DEEP, None),
        ("a number of 5000 digits", MANY, None), ("a key twice", '{"system": "a", "system": "b"}', None),
        ("latin-1", '{"system": "é"}'.encode("latin-1"), None), ("UTF-16", json.dumps(ROW).encode("utf-16"), said("EER")),
        ("a byte order mark", "\ufeff" + json.dumps(ROW), said("EER")), ("NaN, which is no JSON", '{"seed": NaN}', None),
        ("Infinity", '{"seed": Infinity}', None), ("a lone surrogate", '{"system": "\\ud800"}', said("EER")),
        ("zero bytes", bytes(512), None), ("two objects", "{}{}", None), ("a comment", "{} // x", None),
            ("single quotes", "{'a': 1}", None), ("a line of 5000 letters", "A" * 5000, None),
                ("100 MB of blanks", " " * (100 << 20) + "{}", said("EER")))],
    _calibration("the sound one", lambda model: model, True), _calibration("an unknown key", _with(x=1)), _calibration("a list", "[]"),
    _calibration("of 100,000 brackets", DEEP), _calibration("a number of 5000 digits", MANY),
    _calibration("a key twice", lambda model: {**model}, True),
    _calibration("a weight that is a word", lambda model: {**model, "weights": ["a"]}),
    _calibration("weights of two systems", lambda model: {**model, "weights": [1.0, 2.0]}),
    _calibration("NaN", lambda model: {**model, "offset": float("nan")}),
    _calibration("no systems", lambda model: {**model, "systems": []}),
    _calibration("labels a list", lambda model: {**model, "labels": ["none"]}),
    _calibration("labels of 5000 letters", lambda model: {**model, "labels": 5}), _calibration("cut", '{"weights": [1'),
    _table("the sound one", lambda row: row, said("5.50"), True),
    *[_table(f"without {key}", _without(key)) for key in ("system", "labels", "eer_percent", "targets", "trials_md5", "min_dcf_0.01",
        "commit")],
    _table("an EER that is a word", _with(eer_percent="five")), _table("an EER of null", _with(eer_percent=None)),
    _table("an EER of NaN", _with(eer_percent=float("nan"))), _table("an EER that is a list", _with(eer_percent=[5])),
    _table("labels a number", _with(labels=5)), _table("labels null", _with(labels=None)),
    _table("a system with a line break", _with(system="a\nb | c")),
    _table("a system of 5000 letters", _with(system="A" * 5000), said("EER")),
    _table("weights a list", _with(weights=[1]), said("5.50")), _table("steps an object", _with(steps={"a": 1}), said("5.50")),
    _table("targets a word", _with(targets="three")), _table("a list", "[]"), _table("of 100,000 brackets", DEEP),
    _table("a number of 5000 digits", MANY),
    _table("cut", json.dumps(ROW)[:50]), _table("empty", ""), _table("zero bytes", bytes(100)), _table("fused a word", _with(fused="two")),
    _table("an interval that is a word", _with(eer_percent_low="a", eer_percent_high="b")),
]


def mutated(base: Path, rng: random.Random) -> Case:
    """A damaged npz (its checksums tell), or damaged JSON, as a second reader understands it."""
    if rng.random() < 0.5:
        data = (base / "ivector/final.npz").read_bytes()
        what, damaged = mutate.damage(rng, data)
        return _ivector(what, lambda _: damaged, _same_model(base))(base)
    text = json.dumps(ROW).encode()
    what, damaged = mutate.damage(rng, text)
    case = rng.choice((_table(what, damaged), _score("--provenance", "p.json", damaged, what)))(base)

    def check(outcome: Outcome) -> str | None:
        try:
            json.loads(damaged.decode("utf-8-sig"))
        except ValueError as err:
            return f"exit 0, but it is no JSON: {err}"
        return None
    return case._replace(accepted=check)


def _same_model(base: Path) -> Check:
    def check(outcome: Outcome) -> str | None:
        import numpy as np
        with np.load(base / "ivector/final.npz") as wanted, np.load("exp/final.npz") as found:
            odd = [name for name in wanted.files if not np.array_equal(wanted[name], found[name])]
        return f"{odd[0]} is not as it was written" if odd else None
    return check
