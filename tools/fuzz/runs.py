"""A small training run, whole and stopped half-way, and what its folder may meet: damaged logs, checkpoints and stray names."""
import io
import json
import os
import shutil
import zipfile
from collections.abc import Callable
from pathlib import Path

from fuzz.case import Case, Check, Outcome, program, write

TINY = {
    "features": {"num_mel_bins": 20}, "cmvn": {"cmn": "utterance"}, "data": {"batch_size": 4, "workers": 0},
    "augment": {"reverb_prob": 0, "noise_prob": 0},
    "encoder": {"name": "tdnn", "channels": 8, "pooled_channels": 12, "embed_dim": 6, "segment_layers": 1},
    "method": {"name": "dino", "out_dim": 16, "hidden_dim": 8, "bottleneck_dim": 4, "crops": [{"count": 2, "seconds": 0.4}]},
    "train": {"steps": 4, "optimizer": "adamw", "lr": 0.01, "lr_batch": None, "warmup_epochs": 0, "log_every": 1, "save_every": 2},
}


def bit_of_weights(data: bytes) -> bytes:
    """A file of torch's in which one bit of its largest array is another."""
    with zipfile.ZipFile(io.BytesIO(data)) as archive:
        largest = max(archive.infolist(), key=lambda member: member.file_size)
        content = archive.read(largest)
    place = data.index(content) + len(content) // 2
    return data[:place] + bytes([data[place] ^ 4]) + data[place + 1:]


def prepare(base: Path) -> None:
    """base/{data,c.yaml}, base/exp: a finished run, base/half: one that was killed after step 2 of 4, and after the log of step 3."""
    import numpy as np

    from sslspk.io import audio, datadir, table
    (base / "data").mkdir()
    rng, lengths = np.random.default_rng(7), {}
    with audio.PackWriter(base / "data/wav.ark", base / "data/pack.scp") as pack:
        for i in range(8):
            utt, count = f"s{i // 2}-u{i}", int(rng.integers(8000, 12000))
            pack.write(utt, (3000 * np.sin(0.05 * (1 + i // 2) * np.arange(count)) + 900 * rng.normal(size=count)).astype(np.int16), 16000)
            lengths[utt] = count
    wav = table.read(base / "data/pack.scp")
    datadir.write(base / "data", wav=wav, utt2spk={utt: utt[:2] for utt in wav}, utt2num_samples=lengths)
    write(base / "c.yaml", json.dumps(TINY))
    done = train(base, base / "exp")()
    if done.status:
        raise SystemExit(f"the run of the fixture failed: {done}")
    shutil.copytree(base / "exp", base / "half")
    for name in ("final.pt", "ckpt/step-00000004.pt"):
        os.unlink(base / "half" / name)


def train(base: Path, exp: Path | str = "exp") -> Callable[[], Outcome]:
    return program("sslspk.bin.train", "--conf", base / "c.yaml", base / "data", exp)


def same_weights(base: Path) -> Check:
    """The run ends with the weights of the one that nothing happened to, and its log has each step once."""
    def check(outcome: Outcome) -> str | None:
        import torch
        wanted, found = (torch.load(path / "final.pt", weights_only=True)["encoders"]["student"] for path in (base / "exp", Path("exp")))
        odd = [key for key, value in wanted.items() if not torch.equal(value, found[key])]
        if odd:
            return f"the weights {odd[0]} are others than those of an uninterrupted run"
        lines = Path("exp/progress.jsonl").read_text(errors="replace").splitlines()
        try:
            steps = [json.loads(line)["step"] for line in lines]
        except (ValueError, KeyError, TypeError) as err:
            return f"progress.jsonl still holds a damaged line: {err}"
        return None if steps[-2:] == [3, 4] and set(steps[:-2]) <= {1, 2} else f"progress.jsonl has the steps {steps}"
    return check


def _run(what: str, change: Callable[[Path], object], must: bool = True, names: tuple[str, ...] = ()):
    """The stopped run with something changed in exp/; the same command goes on and ends alike, or says what is in its way."""
    def make(base: Path) -> Case:
        shutil.copytree(base / "half", "exp")
        change(Path("exp"))
        return Case(f"resume: {what}", train(base), same_weights(base), not must, names)
    return make


def log(what: str, change: Callable[[bytes], bytes]):
    """Damage to progress.jsonl never stops a resume."""
    def edit(exp: Path) -> None:
        path = exp / "progress.jsonl"
        path.write_bytes(change(path.read_bytes()))
    return _run(f"progress.jsonl {what}", edit)


def _newest(what: str, change: Callable[[bytes], bytes]):
    """A damaged newest checkpoint beside a sound one before it."""
    def edit(exp: Path) -> None:
        data = (exp / "ckpt/step-00000002.pt").read_bytes()
        (exp / "ckpt/step-00000003.pt").write_bytes(change(data))
    return _run(f"the newest checkpoint {what}", edit)


def _state(what: str, **changes: object):
    """The only checkpoint with parts of its state replaced ("gone": left out)."""
    def edit(exp: Path) -> None:
        import torch
        path = exp / "ckpt/step-00000002.pt"
        state = torch.load(path, weights_only=True)
        state = {key: value(state.get(key)) if callable(value) else value for key, value in {**state, **changes}.items()}
        torch.save({key: value for key, value in state.items() if not (isinstance(value, str) and value == "gone")}, path)
    return _run(f"a checkpoint {what}", edit, False, ("ckpt", "step-", "other data", "loss"))


def _line(**values: object) -> bytes:
    return json.dumps(values).encode() + b"\n"


CRAFTED = [
    _run("nothing changed", lambda exp: None),
    log("begins with zero bytes", lambda text: bytes(512) + text), log("ends with zero bytes", lambda text: text + bytes(512)),
    log("is zeros alone", lambda text: bytes(len(text))), log("is empty", lambda text: b""),
    log("with a line without step", lambda text: _line(loss=1) + text),
    log("with a step that is a word", lambda text: _line(step="two") + text),
    log("with a step of null", lambda text: _line(step=None) + text),
    log("with a line that is a list", lambda text: b"[1]}\n" + text), log("with a number", lambda text: b"5}\n5\n" + text),
    log("with a string that ends so", lambda text: b'"}\n"a}"\n' + text), log("cut in its last line", lambda text: text[:-9]),
    log("with a line cut in the middle", lambda text: text[:30] + b"\n" + text),
    log("in latin-1", lambda text: "é\n".encode("latin-1") + text),
    log("with 100,000 brackets", lambda text: b"[" * 100000 + b"}\n" + text),
    log("with a number of 5000 digits", lambda text: b'{"step": ' + b"9" * 5000 + b"}\n" + text),
    log("with a step of NaN", lambda text: b'{"step": NaN}\n' + text), log("with lines twice", lambda text: text + text),
    _run("progress.jsonl is a folder", lambda exp: (os.unlink(exp / "progress.jsonl"), os.mkdir(exp / "progress.jsonl")), False,
        ("progress.jsonl",)),
    _run("progress.jsonl is gone", lambda exp: os.unlink(exp / "progress.jsonl")),
    _run("ckpt/ holds step-abc.pt", lambda exp: write(exp / "ckpt/step-abc.pt", b"x")),
    _run("ckpt/ holds step-.pt", lambda exp: write(exp / "ckpt/step-.pt", b"x")),
    _run("ckpt/ holds step-00000003 (1).pt", lambda exp: shutil.copy(exp / "ckpt/step-00000002.pt", exp / "ckpt/step-00000003 (1).pt")),
    _run("ckpt/ holds ._step-00000003.pt", lambda exp: write(exp / "ckpt/._step-00000003.pt", b"x")),
    _run("ckpt/ holds step-1e3.pt", lambda exp: write(exp / "ckpt/step-1e3.pt", b"x")),
    _run("ckpt/ holds step--0000001.pt", lambda exp: write(exp / "ckpt/step--0000001.pt", b"x")),
    _run("ckpt/ holds a folder step-00000003.pt", lambda exp: os.mkdir(exp / "ckpt/step-00000003.pt"), False, ("step-00000003.pt",)),
    _run("ckpt/ holds a link to nowhere", lambda exp: os.symlink("nowhere", exp / "ckpt/step-00000003.pt"), False, ("step-00000003.pt",)),
    _run("ckpt/ holds a FIFO", lambda exp: os.mkfifo(exp / "ckpt/step-00000003.pt"), False, ("step-00000003.pt",)),
    _run("ckpt/ holds a temporary of a killed save", lambda exp: write(exp / "ckpt/.step-00000003.pt.0123456789ab.tmp", b"x" * 999)),
    _run("a killed write of final.pt", lambda exp: write(exp / ".final.pt.0123456789ab.tmp", b"x" * 999)),
    _run("ckpt is a file", lambda exp: (shutil.rmtree(exp / "ckpt"), write(exp / "ckpt", b"x")), False, ("ckpt",)),
    _run("no checkpoint", lambda exp: shutil.rmtree(exp / "ckpt")),
    _run("config.yaml cut", lambda exp: write(exp / "config.yaml", (exp / "config.yaml").read_bytes()[:200]), False, ("config.yaml",)),
    _run("config.yaml of another system", lambda exp: write(exp / "config.yaml", (exp / "config.yaml").read_text().replace("out_dim: 16",
        "out_dim: 32")), False, ("exp", "out_dim")),
    _run("config.yaml with zero bytes", lambda exp: write(exp / "config.yaml", bytes(512)), False, ("config.yaml",)),
    _run("config.yaml a folder", lambda exp: (os.unlink(exp / "config.yaml"), os.mkdir(exp / "config.yaml")), False, ("config.yaml",)),
    _run("final.pt is a folder", lambda exp: os.mkdir(exp / "final.pt"), False, ("final.pt",)),
    _run("final.pt is empty", lambda exp: write(exp / "final.pt", b"")),
    _run("final.pt is text", lambda exp: write(exp / "final.pt", b"hello")),
    _newest("empty", lambda data: b""), _newest("cut", lambda data: data[:len(data) // 2]),
    _newest("of zeros", lambda data: bytes(len(data))),
    _newest("with a bit changed", bit_of_weights),
    _newest("that is a pickle", lambda data: b"cos\nsystem\n(S'touch CANARY'\ntR."),
    _newest("that is text", lambda data: b"hello\n"),
    *[_state(f"without {key}", **{key: "gone"}) for key in ("step", "data", "method", "optimizer", "bad", "best", "labels", "start",
        "config")],
    _state("of step -1", step=-1), _state("of step 'two'", step="two"), _state("of step 10^9", step=10 ** 9),
    _state("of step 2.5", step=2.5), _state("of a list of weights", method=[1]), _state("of no weights", method={}),
    _state("of weights that are words", method=lambda state: dict.fromkeys(state, "a")),
    _state("of other shapes", method=lambda state: {key: value[:1] if value.ndim else value for key, value in state.items()}),
    _state("of NaN", method=lambda state: {key: value * float("nan") if value.is_floating_point() else value for key,
        value in state.items()}),
    _state("of an optimizer without groups", optimizer={"state": {}, "param_groups": []}),
    _state("of an optimizer that is a word", optimizer="adam"), _state("of bad utterances that are a number", bad=5),
    _state("of a best epoch that is a word", best="first"),
    _state("of labels that are a number", labels=5), _state("of other data", data="9 utterances, digest 0"),
]
