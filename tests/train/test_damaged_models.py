"""Checkpoints, final.pt and logs that are not what was written: one sentence, nothing run, and the way back that it names."""
import io
import json
import os
import pickle
import zipfile
from pathlib import Path

import pytest
import torch
from torch import nn

from sslspk.config import check
from sslspk.encoders import build
from sslspk.errors import InputError
from sslspk.nn import saved
from sslspk.train import checkpoint, contents, failures, log, model
from sslspk.train.config import SystemConfig

CONFIG = check(SystemConfig, {"method": {"name": "simclr"}, "encoder": {"name": "tdnn", "channels": 8, "embed_dim": 4},
                              "features": {"num_mel_bins": 20}}, "test")
INFO = {"trained_on": "c", "data": "d", "step": 3, "labels": "none", "commit": "x", "start": None}


def whole_step(step=3):
    weight = nn.Parameter(torch.ones(2, 2))
    optimizer = torch.optim.SGD([weight], lr=0.1, momentum=0.9)
    weight.sum().backward()
    optimizer.step()
    return {"step": step, "config": {}, "data": "d", "labels": "none", "start": {"system": "s", "digest": "d"},
            "method": {"w": weight.data}, "optimizer": optimizer.state_dict(), "bad": ["u2"],
            "best": {"step": 0, "score": -1.0, "earlier": []}}


def whole_model():
    state = build(CONFIG.encoder, 20).state_dict()
    return {"format": 1, "config": CONFIG.model_dump(mode="json"), "num_features": 20, "classifier": None, "classes": [],
            "encoders": {"encoder": state}, "evaluate": "encoder", "info": INFO, "projections": {}}


class Evil:
    def __reduce__(self):
        return os.system, ("touch RAN",)


def compressed(content):
    """The same file with its parts compressed, as a bomb would be."""
    plain, out = io.BytesIO(), io.BytesIO()
    torch.save(content, plain)
    with zipfile.ZipFile(plain) as source, zipfile.ZipFile(out, "w", zipfile.ZIP_DEFLATED) as target:
        for name in source.namelist():
            target.writestr(name, source.read(name))
    return out.getvalue()


def torch_bytes(content):
    file = io.BytesIO()
    torch.save(content, file)
    return file.getvalue()


FILES = {
    "empty": b"", "text": b"weights", "zeros": bytes(100000), "a pickle": pickle.dumps({"a": 1}), "code in a pickle": pickle.dumps(Evil()),
    "code": torch_bytes({"format": 1, "x": Evil()}), "a huge array of bytes": torch_bytes({"format": 1, "x": bytearray(9)}),
    "a sparse tensor": torch_bytes({"x": torch.eye(3).to_sparse()}), "a module": torch_bytes(nn.Linear(2, 2)),
    "compressed": compressed({"x": torch.zeros(10**6)}), "a list": torch_bytes([1]), "a tensor": torch_bytes(torch.ones(2)),
    "numbers for keys": torch_bytes({1: 2}), "half": torch_bytes({"x": torch.ones(1000)})[:3000], "legacy": None,
}


@pytest.mark.parametrize("name", FILES)
def test_what_is_no_file_of_ours_is_damaged_and_its_code_is_not_run(tmp_path, monkeypatch, name):
    monkeypatch.chdir(tmp_path)
    if name == "legacy":
        torch.save({"x": torch.ones(2)}, "x.pt", _use_new_zipfile_serialization=False)
    else:
        Path("x.pt").write_bytes(FILES[name])
    for path, load in (("x.pt", checkpoint.load), ("x.pt", model.load)):
        with pytest.raises(checkpoint.Damaged, match=r"^x.pt: not a readable model \(") as caught:
            load(Path(path))
        text = str(caught.value)
        assert len(text) <= 220 and text.isprintable() and "weights_only" not in text and not Path("RAN").exists()


@pytest.mark.parametrize(("change", "said"), [
    ({"step": None}, "it has no step"), ({"step": "3"}, "step is a str"), ({"step": 4}, "it is that of step 4"),
    ({"step": True}, "step is a bool"),
    ({"method": [1]}, "method is a list"), ({"method": {"w": 1}}, "method is no state_dict"), ({"optimizer": {}}, "optimizer is no state"),
    ({"optimizer": {"state": {0: 1}, "param_groups": []}}, "optimizer is no state"), ({"bad": [2]}, "bad holds other things"),
    *(({"figures": odd}, "figures holds other things") for odd in ([], {"loss": 1.0}, {"loss": ("1", 2)}, {"loss": (1.0, 0)})),
    ({"best": {"step": 1}}, "it has no score"), ({"start": {"system": 1}}, "system is a int"), ({"start": []}, "it has no system"),
    ({"data": torch.ones(3)}, "data is a Tensor"), ({"method": {"w": torch.ones(1).expand(10**12)}}, "method is no state_dict"),
])
def test_a_checkpoint_of_another_structure_is_passed_over(tmp_path, change, said):
    checkpoint.save(checkpoint.at(tmp_path, 2), whole_step(2))
    checkpoint.save(checkpoint.at(tmp_path, 3), {key: value for key, value in {**whole_step(3), **change}.items() if value is not None})
    heard = []
    assert checkpoint.load_newest(tmp_path, heard.append)["step"] == 2
    assert len(heard) == 1 and f"step-00000003.pt: not a whole checkpoint ({said}" in heard[0]


@pytest.mark.parametrize(("change", "said"), [
    ({"encoders": {}}, "the encoder to evaluate is missing"), ({"encoders": {"encoder": [1]}}, "encoder is no state_dict"),
    ({"encoders": {"encoder": {}}}, "encoder is no state_dict"), ({"evaluate": "teacher"}, "the encoder to evaluate is missing"),
    ({"num_features": 0}, "num_features is below 1"), ({"num_features": 20.5}, "num_features is a float"), ({"info": []}, "info is a list"),
    ({"info": {"step": "x"}}, "step is a str"), ({"classes": ["a"], "classifier": {"w": 3}}, "the classifier is no state_dict"),
    ({"classes": [1], "classifier": {"w": torch.ones(1)}}, "classes are no list of names"),
    ({"projections": {"encoder": 3}}, "projections are not"),
    ({"projections": {"encoder": {"dims": [10**12], "batch_norm": True}}}, "projections are not"),
    ({"encoders": {"encoder": {"w": torch.tensor([1, float("nan")])}}}, r"NaN or infinity in the weights of encoder \(w\)"),
    ({"config": 3}, "config is a int"),
])
def test_a_model_of_another_structure_is_refused(tmp_path, change, said):
    path = tmp_path / "final.pt"
    checkpoint.save(path, whole_model())
    assert model.load(path).encoder.embed_dim == 4 and model.provenance(path)["steps"] == 3
    checkpoint.save(path, {**whole_model(), **change})
    for read in (model.load, model.start, model.provenance):
        with pytest.raises(checkpoint.Damaged, match=rf"final.pt: not a whole model \({said}"):
            read(path)


def renamed(state):
    first = next(iter(state))
    return {("other" if key == first else key): value for key, value in state.items()}


@pytest.mark.parametrize(("change", "said"), [
    (renamed, "is missing"), (lambda state: {**state, "more": torch.ones(1)}, "more is no key of it"),
    (lambda state: {key: value[..., None] for key, value in state.items()}, "has the shape"),
    (lambda state: {key: value.long() for key, value in state.items()}, "is int64 in place of float32"),
    (lambda state: {key: value.to(torch.complex64) for key, value in state.items()}, "is complex64 in place of"),
])
def test_weights_that_are_not_the_configurations_are_refused(tmp_path, change, said):
    content = whole_model()
    content["encoders"] = {"encoder": change(content["encoders"]["encoder"])}
    checkpoint.save(tmp_path / "final.pt", content)
    with pytest.raises(InputError, match=f"do not match its configuration .*{said}"):
        model.load(tmp_path / "final.pt")


def test_what_a_model_does_not_say_is_named(tmp_path):
    checkpoint.save(tmp_path / "final.pt", {**whole_model(), "info": {"labels": "none"}})
    with pytest.raises(InputError, match="does not say how it came about"):
        model.provenance(tmp_path / "final.pt")


@pytest.mark.parametrize("change", ["groups", "shapes", "lr", "nan"])
def test_an_optimizer_of_another_model_is_refused(change):
    state = whole_step()["optimizer"]
    optimizer = torch.optim.SGD([nn.Parameter(torch.ones(2, 2))], lr=0.1, momentum=0.9)
    assert contents.misfit_of_optimizer(state, optimizer) is None
    if change == "groups":
        state["param_groups"][0]["params"].append(1)
    elif change == "lr":
        state["param_groups"][0]["lr"] = "high"
    else:
        state["state"][0]["momentum_buffer"] = torch.full((3, 3) if change == "shapes" else (2, 2), float("nan"))
    said = {"groups": "of another model", "shapes": "of other shapes", "lr": "another lr", "nan": "NaN"}[change]
    assert said in contents.misfit_of_optimizer(state, optimizer)


@pytest.mark.parametrize("name", ["step-abc.pt", "step-3.pt", "step--0000003.pt", ".step-00000009.pt.1a2b.tmp", "step-00000009.pt~",
                                  "#step-00000009.pt#", "step-00000009 (copy).pt", "step-000000000009.pt", f"step-{9 * chr(0x660)}.pt"])
@pytest.mark.parametrize("make", [Path.mkdir, lambda path: path.write_bytes(b"x"), os.mkfifo])
def test_what_else_lies_beside_checkpoints_is_passed_over(tmp_path, name, make):
    checkpoint.save(checkpoint.at(tmp_path, 3), whole_step(3))
    make(tmp_path / "ckpt" / name)
    assert checkpoint.load_newest(tmp_path)["step"] == 3
    checkpoint.save_step(tmp_path, 6, whole_step(6), keep=1, every=3, total=9)
    assert [path.name for path in checkpoint.checkpoints(tmp_path)] == ["step-00000006.pt"] and os.path.lexists(tmp_path / "ckpt" / name)


GOOD = [json.dumps({"step": step, "loss": loss}) for step, loss in ((1, 1.0), (2, float("nan")), (3, 0.5))]


@pytest.mark.parametrize("damage", [
    bytes(5000), b'{"step": 2, "lo', b"\xff\xfe\n", b"[1]\n", b"3\n", b'{"step": "2"}\n', b'{"loss": 1}\n', b'{"step": NaN}\n',
    b"[" * 100000 + b"\n",
    b"{" + b" " * 300000 + b"}\n", b"\r\n", b'{"step": true}\n',
    b"\xfe\xff" + '{"step": 1}'.encode("utf-16-be") + b"\n",
])
@pytest.mark.parametrize("place", ["before", "between", "after"])
def test_a_damaged_log_stops_no_resume(tmp_path, capsys, damage, place):
    path, lines = tmp_path / "progress.jsonl", [f"{line}\n".encode() for line in GOOD]
    at = {"before": 0, "between": 1, "after": 3}[place]
    damage = damage if damage.endswith(b"\n") or not damage.strip(b"\0") else damage + b"\n"
    path.write_bytes(b"".join([*lines[:at], damage, *lines[at:]]))
    log._forget_after(path, 2)
    assert path.read_text().splitlines() == GOOD[:2]
    assert (f"lines of {path} were left out" in capsys.readouterr().out) == bool(damage.strip(b"\0") or place == "after")


def test_a_log_of_zeros_is_left_out_in_little_time(tmp_path):
    path = tmp_path / "progress.jsonl"
    with path.open("wb") as file:
        file.truncate(64 << 20)
    log._forget_after(path, 2)
    assert path.read_bytes() == b""


@pytest.mark.parametrize("make", [Path.mkdir, os.mkfifo])
def test_a_log_that_is_no_file_is_told(tmp_path, make):
    make(tmp_path / "progress.jsonl")
    with pytest.raises(InputError, match=r"progress.jsonl is a (folder|pipe), not a file; move it away"):
        log._forget_after(tmp_path / "progress.jsonl", 2)


@pytest.mark.parametrize("damage", [b"", bytes(100), b"[]", b'{"time": "x"}', b"\xff", b"{" * 9999])
def test_a_damaged_note_of_a_rank_counts_as_silence(tmp_path, damage):
    folder = tmp_path / failures.FOLDER
    folder.mkdir()
    (folder / "rank-0.json").write_bytes(damage)
    assert "ended without a word" in failures.first(tmp_path, 2, {})
    (folder / "rank-1.json").write_text(json.dumps({"time": 1.5, "rank": 1, "host": "h", "text": "lost"}))
    assert "rank 1 of 2 (h) failed first" in failures.first(tmp_path, 2, {})


def test_misfit_names_the_first_difference():
    own = {"a": torch.ones(2), "b": torch.ones(2, dtype=torch.int64)}
    assert saved.misfit({"a": torch.ones(2, dtype=torch.float64), "b": own["b"]}, own) is None
    assert saved.misfit({}, own) == "a is missing, and 1 more"
    assert saved.misfit({**own, "b": torch.ones(2)}, own) == "b is float32 in place of int64"


@pytest.mark.parametrize(("part", "key", "value", "said"), [
    ("encoder", "channels", 10**7, "do not match its configuration"),
    ("features", "num_mel_bins", 10**7, "its configuration computes 10000000"),
])
def test_a_configuration_of_any_size_takes_no_memory_before_it_is_refused(tmp_path, part, key, value, said):
    content = whole_model()
    content["config"] = {**content["config"], part: {**content["config"][part], key: value}}
    checkpoint.save(tmp_path / "final.pt", content)
    with pytest.raises(InputError, match=said):
        model.load(tmp_path / "final.pt")
