"""Exported folders: the same model when read back, everywhere where a model is named; the card; what is damaged."""
import itertools
import json
import os
import re
import shlex
import shutil
import subprocess

import numpy as np
import pytest
import safetensors.torch
import small_models
import torch
from recipe_copy import ROOT, snapshot
from small_models import CALIBRATION, voice, wav

import sslspk
from sslspk import cli, plain_yaml
from sslspk.api.about import about, fields
from sslspk.encoders.projected import Projected
from sslspk.errors import InputError
from sslspk.export import folder as export
from sslspk.export import graph
from sslspk.train import folder as folder_of_model
from sslspk.train import model as models
from sslspk.train.model import read_content

ROW = {"system": "toy", "weights": "teacher", "trained_on": "toy", "labels": "none", "commit": "abc", "backend": "cosine",
       "backend_labels": "none", "trials": "/home/me/data/test/trials_toy", "trials_md5": "6" * 32, "eer_percent": 12.25,
       "eer_percent_low": 10.0, "eer_percent_high": 15.5, "min_dcf_0.01": 0.91, "min_dcf_0.05": 0.5,
       "machine": {"processor": "Toy 5", "command": "train /home/me/data"},
       "commands": {"extraction": "extract /home/me/data", "scoring": "score /home/me/data"}}


@pytest.fixture(scope="module")
def place(tmp_path_factory):
    """toy/: final.pt with two encoders, one of them projected, a calibration, and results; out/: the exported folder; two recordings."""
    place = tmp_path_factory.mktemp("export")
    (place / "toy").mkdir()
    small_models.write(place / "toy", CALIBRATION)
    content = models.checkpoint.load(place / "toy/final.pt")
    torch.manual_seed(1)
    config = small_models.tiny()
    student = Projected(models.build_encoder(config.encoder, config.num_features), (5, 3), True)
    content["encoders"]["student"], content["projections"] = student.state_dict(), {"student": {"dims": [5, 3], "batch_norm": True}}
    models.checkpoint.save(place / "toy/final.pt", content)
    for name, row in {"scores_teacher": ROW, "scores_untrained": {**ROW, "weights": "untrained", "eer_percent": 40.0},
                      "scores_student": {**ROW, "weights": "student", "snorm": "as", "cohort_labels": "speaker"}}.items():
        (place / "toy" / name).mkdir()
        (place / "toy" / name / "result_trials_toy.json").write_text(json.dumps(row))
    (place / "toy/scores_teacher/result_broken.json").write_text("{")
    export.write(place / "toy/final.pt", place / "out", language="English", licence="cc-by-4.0")
    wav(place / "out/a.wav", voice(0.9))
    wav(place / "out/b.wav", voice(0.7, 210))
    return place


@pytest.fixture
def copy(place, tmp_path):
    """The exported folder, to be damaged."""
    subprocess.run(["cp", "-r", place / "out", tmp_path / "copy"], check=True)
    return tmp_path / "copy"


@pytest.mark.parametrize("weights", [None, "teacher", "student"])
def test_the_folder_is_the_same_model(place, weights):
    before, after = (sslspk.load(place / name, weights=weights) for name in ("toy/final.pt", "out"))
    a, b = place / "out/a.wav", place / "out/b.wav"
    assert np.array_equal(before.embed(a), after.embed(a)) and before.compare(a, b) == after.compare(a, b)
    assert (before.compare(a, b).llr is None) == (weights == "student"), "a calibration is of the model's own choice"
    for of in (models.provenance, models.start):
        assert of(place / "toy/final.pt") == of(place / "out") == of(place / "out/model.safetensors")
    assert models.provenance(place / "out")["system"] == "toy"


def test_it_says_of_itself_what_the_model_said(place):
    before, after = about(place / "toy"), about(place / "out")
    odd = ("file", "results", "calibration", "licence", "language")
    assert (after["licence"], after["language"], before["licence"], after["url"]) == ("cc-by-4.0", "English", "unknown", "unknown")
    assert {key: after[key] for key in after if key not in odd} == {key: before[key] for key in before if key not in odd}
    assert after["calibration"] == {**before["calibration"], "trials": "trials"}
    results = [f"scores_{name}/result_trials_toy.json" for name in ("student", "teacher", "untrained")]
    assert [row["file"] for row in after["results"]] == results
    assert "/home/me" not in "".join(path.read_text() for path in (place / "out").rglob("*.*") if path.suffix in (".json", ".md"))


def test_no_folder_of_the_machine_is_given_away(place):
    for path in place.glob("out/scores_*/*.json"):
        assert "/home/me" not in path.read_text() and json.loads(path.read_text())["machine"] == {"processor": "Toy 5"}


def test_one_encoder_alone_becomes_the_models_choice(place, tmp_path):
    export.write(place / "toy", tmp_path / "out", "student")
    content = read_content(tmp_path / "out")
    assert list(content["encoders"]) == ["student"] and content["evaluate"] == "student"
    assert sslspk.load(tmp_path / "out").dim == 3 and sslspk.load(tmp_path / "out").calibration is None
    assert sorted(path.parent.name for path in (tmp_path / "out").rglob("result_*.json")) == ["scores_student", "scores_untrained"]
    with pytest.raises(InputError, match="there are no weights called pupil; it holds teacher, student"):
        export.write(place / "toy", tmp_path / "none", "pupil")
    assert not (tmp_path / "none").exists()


def test_a_folder_of_a_folder_is_the_same(place, tmp_path):
    export.write(place / "out", tmp_path / "again", language="English", licence="cc-by-4.0")
    for name in ("README.md", "config.yaml", "calibration.json", "model.safetensors"):
        assert (tmp_path / "again" / name).read_bytes() == (place / "out" / name).read_bytes()


def test_what_its_maker_said_is_kept(place, tmp_path):
    """In another export of the folder, as a whole or one value anew, and in the metadata of an ONNX file."""
    cli.run(["export", str(place / "out"), str(tmp_path / "again"), "--url", "https://example.org"])
    cli.run(["export", str(tmp_path / "again"), str(tmp_path / "third"), "--licence", "mit"])
    before, again, third = ((folder / "README.md").read_text() for folder in (place / "out", tmp_path / "again", tmp_path / "third"))
    assert again.replace("- published at https://example.org\n", "") == before and "license: cc-by-4.0" in again
    assert "license: mit" in third and "language: English" in third and "https://example.org" in third
    assert graph.metadata(models.load(tmp_path / "third"), "wave", fields(read_content(tmp_path / "third")["info"])).items() >= {
        "licence": "mit", "language": "English", "url": "https://example.org"}.items()
    for odd in ({"card": "mit"}, {"card": {"licence": 3}}, {}):
        assert fields(odd, language="de") == {"licence": "unknown", "language": "de", "url": "unknown"}


@pytest.mark.parametrize(("words", "said"), [
    (["DIR", "--onnx-input", "features"], "--onnx-input needs --onnx FILE"), (["--onnx", "toy"], "toy is a folder, not a file"),
    (["--onnx", "toy/final.pt"], "final.pt is an input"), (["--onnx", "toy/calibration.json"], "calibration.json is an input")])
def test_what_export_refuses_at_once(place, tmp_path, words, said):
    shutil.copytree(place / "toy", tmp_path / "toy")
    (tmp_path / "toy/calibration.json").write_text("{}")
    before = snapshot(tmp_path)
    with pytest.raises(InputError, match=re.escape(said)):
        cli.run(["export", str(tmp_path / "toy"), *(word if word.startswith("-") or word == "features" else str(tmp_path / word)
                                                    for word in words)])
    assert snapshot(tmp_path) == before


def test_the_card(place):
    text = (place / "out/README.md").read_text()
    head = plain_yaml.parse(text.split("---\n")[1], "head")
    assert head["license"] == "cc-by-4.0" and head["language"] == "English" and head["datasets"] == ["toy"]
    assert {"dino", "tdnn", "self-supervised", "speaker-verification"} <= set(head["tags"])
    results = head["model-index"][0]["results"]
    assert [row["metrics"][0]["value"] for row in results] == [12.25, 12.25], "what is untrained is no figure of the model"
    assert results[0]["dataset"] == {"name": "trials_toy", "type": "trials_toy", "revision": "6" * 32}
    assert f"| trials_toy | {'6' * 32} | teacher | cosine | 12.25 (10.00-15.50) | 0.910 | 0.500 | none |" in text
    assert f"| trials_toy | {'6' * 32} | student | cosine as-norm | 12.25 (10.00-15.50) | 0.910 | 0.500 | speaker |" in text
    assert "No label was used to train it" in text and "calibration.json" in text
    assert "50 target and 50 non-target trials (pseudo labels)" in text and "from a cosine of 0.7431 on, with a prior of 0.05" in text


def test_a_card_says_what_is_not_known(tmp_path):
    export.write(small_models.write(tmp_path, vad=True), tmp_path / "out")
    text = (tmp_path / "out/README.md").read_text()
    head = plain_yaml.parse(text.split("---\n")[1], "head")
    assert head["license"] == "other" and "language" not in head and "model-index" not in head
    assert "not named by its maker" in text and "None were measured" in text and "Silence is cut out first" in text
    assert "calibration.json" not in text and "one speaker from" not in text


def test_the_snippets_of_the_card_run(place, monkeypatch, capsys):
    monkeypatch.chdir(place / "out")
    blocks = dict(re.findall(r"```(python|bash)\n(.*?)```", (place / "out/README.md").read_text(), re.DOTALL))
    exec(blocks["python"], {})
    words = capsys.readouterr().out.split()
    assert -1 <= float(words[0]) <= 1 and words[3] in ("True", "False")
    commands = [shlex.split(line) for line in blocks["bash"].splitlines()]
    assert [command[:2] for command in commands] == [["sslspk", "compare"], ["sslspk", "embed"], ["sslspk", "export"]]
    for command in commands[:2]:   # the third is the command of tests/export/test_graph.py
        assert cli.run(command[1:]) == 0
    assert len((place / "out/embeddings.csv").read_text().splitlines()) == 3
    os.remove(place / "out/embeddings.csv")


@pytest.mark.parametrize("name", ["toy", "out", "toy/final.pt"])
def test_what_is_there_already_is_left_alone(place, name):
    kept = sorted(str(path) for path in place.rglob("*"))
    with pytest.raises(InputError, match="is there already, and not empty; export into a new folder"):
        cli.run(["export", str(place / "toy"), str(place / name)])
    assert sorted(str(path) for path in place.rglob("*")) == kept
    with pytest.raises(InputError, match="no output given"):
        cli.run(["export", str(place / "toy")])


def weights_of(path, metadata, change=None):
    tensors = safetensors.torch.load_file(path)
    tensors = change(tensors) if change else tensors
    if "encoders" in metadata.get("sslspk", ""):
        metadata = {"sslspk": json.dumps({"md5": folder_of_model.md5(tensors), **json.loads(metadata["sslspk"])})}
    safetensors.torch.save_file(tensors, path, metadata)


def flip(path):
    content = bytearray(path.read_bytes())
    content[-9] ^= 4
    path.write_bytes(content)


def edit(path, change):
    path.write_text(change(path.read_text()))


def damages():
    """Name -> (what is done to the folder, what is said)."""
    good = {"format": 1, "num_features": 20, "evaluate": "teacher", "info": {}, "encoders": ["teacher", "student"]}

    def said(**changes):
        return lambda folder: weights_of(folder / "model.safetensors", {"sslspk": json.dumps({**good, **changes})})

    return {
        "cut short": (lambda f: os.truncate(f / "model.safetensors", 900), "model.safetensors: not a readable model"),
        "one bit": (lambda f: flip(f / "model.safetensors"), "its weights are not those that were written"),
        "empty": (lambda f: os.truncate(f / "model.safetensors", 0), "model.safetensors: not a readable model"),
        "huge header": (lambda f: (f / "model.safetensors").write_bytes(b"\xff" * 64), "not a readable model"),
        "another program's": (lambda f: weights_of(f / "model.safetensors", {"format": "pt"}), "another program's file, as its metadata"),
        "no JSON": (lambda f: weights_of(f / "model.safetensors", {"sslspk": "{"}), "model.safetensors: metadata"),
        "a list": (lambda f: weights_of(f / "model.safetensors", {"sslspk": "[]"}), "not a whole model"),
        "later": (said(format=2), "written by a later version of sslspk"),
        "no such weights": (said(evaluate="pupil"), "the encoder to evaluate is missing"),
        "info": (said(info={"system": 3}), "system is a int"),
        "a mean of words": (said(info={"averaged": "2"}), "averaged is a str"),
        "no encoders": (said(encoders={}), "its metadata name no encoders"),
        "NaN": (lambda f: weights_of(f / "model.safetensors", {"sslspk": json.dumps(good)}, lambda tensors: {
            key: value * float("nan") if value.is_floating_point() else value for key, value in tensors.items()}), "NaN or infinity"),
        "no config": (lambda f: os.remove(f / "config.yaml"), "config.yaml is not there, so the folder is not whole"),
        "half a config": (lambda f: edit(f / "config.yaml", lambda text: text[:text.index("train:")]), "config.yaml: cut short"),
        "another encoder": (lambda f: edit(f / "config.yaml", lambda text: text.replace("embed_dim: 6", "embed_dim: 7")),
                            "its weights do not match its configuration"),
        "a folder": (lambda f: (os.remove(f / "model.safetensors"), os.mkdir(f / "model.safetensors")), "is a folder, not a file"),
        "no weights": (lambda f: os.remove(f / "model.safetensors"), "final.pt cannot be read"),
        "calibration": (lambda f: (f / "calibration.json").write_text("[]"), "calibration.json"),
    }


@pytest.mark.parametrize("name", damages())
def test_a_damaged_folder_is_named(copy, name):
    damage, said = damages()[name]
    damage(copy)
    with pytest.raises(InputError, match=re.escape(said)) as caught:
        sslspk.load(copy)
    assert str(caught.value).startswith(str(copy)) and len(str(caught.value)) < 250 + len(str(copy))


def shell(*lines, cwd=ROOT):
    script = "\n".join([". utils/models.sh", *lines])
    return subprocess.run(["bash", "-euc", script], cwd=cwd, text=True, capture_output=True, check=True).stdout.splitlines()


def test_the_shell_finds_the_file_of_a_model(place):
    toy, out = place / "toy", place / "out"
    lines = [f"model_file {path}" for path in (toy, toy / "final.pt", out, out / "model.safetensors", place / "none", "none/final.pt")]
    assert shell(*lines) == list(map(str, (toy / "final.pt", toy / "final.pt", out / "model.safetensors", out / "model.safetensors",
                                           place / "none/final.pt", "none/final.pt")))
    assert shell(f"model_name {out}", f"model_path {out}", f"model_file {toy}; model_missing {out}; model_name {toy}/final.pt") == [
        "out", str(out / "model.safetensors"), str(toy / "final.pt"), "toy"]
    assert shell("model_file 'wespeaker_ecapa x.pt'; model_file 'wav2vec2_base random'") == ["x.pt"]
    assert shell("model_word 'wespeaker_ecapa x.pt'", f"model_word {out}", "model_embeds 'wespeaker_ecapa x.pt' && echo yes",
                 "model_embeds 'hubert_base x.pt' || echo no") == ["wespeaker_ecapa x.pt", str(out / "model.safetensors"), "yes", "no"]


@pytest.mark.parametrize("names", [(), *itertools.combinations(models.FILES, 1), *itertools.combinations(models.FILES, 2), models.FILES])
def test_the_shell_and_python_name_the_same_file(tmp_path, names):
    folder = tmp_path / "my model"
    folder.mkdir()
    for name in names:
        (folder / name).write_text("weights")
    given = [folder, *(folder / name for name in names), tmp_path / "none.pt", "none.npz"]
    assert shell(*(f"model_file '{path}'" for path in given)) == [str(models.file_of(path)) for path in given]


def test_i_vectors_are_no_network(tmp_path):
    (tmp_path / "final.npz").write_text("i-vectors")
    with pytest.raises(InputError, match=r"final\.npz: an i-vector system, which has no network; use steps/extract_ivectors\.sh"):
        sslspk.load(tmp_path)


def test_a_step_takes_the_folder(place, tmp_path):
    (tmp_path / "data").mkdir()
    (tmp_path / "data/wav.scp").write_text(f"u1 {place}/out/a.wav\nu2 {place}/out/b.wav\n")
    (tmp_path / "data/utt2spk").write_text("u1 s1\nu2 s2\n")
    (tmp_path / "data/spk2utt").write_text("s1 u1\ns2 u2\n")
    subprocess.run([ROOT / "steps/extract_embeddings.sh", "--nj", "1", tmp_path / "data", place / "out", tmp_path / "emb"],
                   cwd=ROOT / "egs/voxceleb", check=True, capture_output=True)
    assert json.loads((tmp_path / "emb/provenance.json").read_text()).items() >= models.provenance(place / "toy").items()
