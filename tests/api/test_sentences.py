"""What is refused is said in one sentence of 160 characters at most, paths of usual length included, from Python and the command line."""
import os
import re
import shutil

import numpy as np
import pytest
import small_models
from small_models import CALIBRATION, voice, wav

import sslspk
from sslspk import cli
from sslspk.export import folder as export
from sslspk.io import ark

EXP = "exp/simclr_ecapa_small_seed1"
LISTS = {"gone": "u1 a_speaker-a_video_of_theirs-00012\n", "label": "u1 u2 foo\n", "alone": "u1\n", "four": "u1 u2 u1 u2\n",
         "mixed": "1 u1 u2\nu1 u2 target\n", "torn": "u1 u2\nu1\n", "maybe": "u1 u2 target\nu1 u2 maybe\n"}


@pytest.fixture(scope="module")
def place(tmp_path_factory):
    """A trained model and what was made of it, some of it damaged; recordings that are none; trial lists with mistakes."""
    folder = tmp_path_factory.mktemp("here")
    (folder / EXP).mkdir(parents=True)
    small_models.write(folder / EXP, CALIBRATION)
    export.write(folder / EXP, folder / "published/simclr")
    for name in ("short_header", "flipped", "no_config", "half_config"):
        shutil.copytree(folder / "published/simclr", folder / f"published/{name}")
    os.truncate(folder / "published/short_header/model.safetensors", 900)
    content = (folder / "published/flipped/model.safetensors").read_bytes()
    (folder / "published/flipped/model.safetensors").write_bytes(content[:-9] + bytes([content[-9] ^ 4]) + content[-8:])
    (folder / "published/no_config/config.yaml").unlink()
    text = (folder / "published/half_config/config.yaml").read_text()
    (folder / "published/half_config/config.yaml").write_text(text[:text.index("train:")])
    content = (folder / f"{EXP}/final.pt").read_bytes()
    (folder / "exp/cut.pt").write_bytes(content[:len(content) // 2])
    for name in ("short", "two", "text"):
        (folder / f"recordings/{name}").mkdir(parents=True)
    wav(folder / "recordings/short/u1.wav", voice(0.05))
    wav(folder / "recordings/two/u1.wav", np.stack([voice(0.5)] * 2, 1))
    (folder / "recordings/text/u1.wav").write_text("no audio " * 40)
    wav(folder / "a.wav", voice(0.5))
    for name, text in LISTS.items():
        (folder / f"trials_{name}").write_text(text)
    with ark.Writer(str(folder / "exp/emb.ark"), str(folder / "exp/emb/xvector.scp")) as writer:
        writer.write("u1", np.ones(6))
    return folder


def load(path, **options):
    return lambda: sslspk.load(path, **options)


def command(*words):
    return lambda: cli.run(list(words))


def model(call):
    return lambda: call(sslspk.load(EXP))


def embed(*words):
    return command("embed", "--model", EXP, *words)


def of_list(name):
    return command("score", "--embeddings", "exp/emb", f"trials_{name}")


FORMS = '"enrol test target|nontarget" or "1|0 enrol test"'
AGAIN = "copy it again, or give another file"
KINDS = {
    "layer": (load(EXP, layer="foo"), "layer 'foo': this encoder has no such layer; it has layers, pooling"),
    "a long layer": (load(EXP, layer="x" * 500), "no such layer"), "layer 99": (load(EXP, layer=99), "layer '99'"),
    "--layer": (embed("--layer", "foo", "a.wav"), "layer 'foo'"), "no vector": (load(EXP, layer=""), "layer ''"),
    "weights": (load(EXP, weights="student"), "no weights called student"),
    "our model as another's": (command("info", f"wespeaker_ecapa {EXP}/final.pt"), "name it alone, without an architecture"),
    "our model as a frame model": (command("info", f"hubert_base {EXP}/final.pt"), "name it alone, without an architecture"),
    "unknown architecture": (command("info", f"hubert {EXP}/final.pt"), "the nearest are hubert_base"),
    "no file of an architecture": (command("info", "wespeaker_ecapa downloads/wespeaker/avg_model.pt"), "give the file of its weights"),
    "None": (load(None), "not by None; give its path"), "3": (load(3), "not by 3"), "no name": (load(""), "not by ''"),
    "bytes": (load(b"final.pt"), "not by b'final.pt'"),
    "cut model": (load("exp/cut.pt"), AGAIN), "text for a model": (load("trials_four"), AGAIN),
    "cut weights": (load("published/short_header"), AGAIN), "flipped weights": (load("published/flipped"), "copy or export it again"),
    "no config": (load("published/no_config"), "is not there, so the folder is not whole; copy or export it again"),
    "half a config": (load("published/half_config"), "cut short"), "no model": (load("exp/emb"), "train it first"),
    "unknown id": (of_list("gone"), "(1 of 1 trials); use the list of this data"),
    "label": (of_list("label"), f"trials_label:1: the label is 'foo' where the form is {FORMS}"),
    "one field": (of_list("alone"), f'trials_alone:1: 1 field where the form is {FORMS} or "enrol test"; correct'),
    "four fields": (of_list("four"), "4 fields where"), "no second": (of_list("torn"), "trials_torn:2: 1 field where"),
    "other form": (of_list("mixed"), "trials_mixed:2: the label is 'u1' where the form is \"1|0 enrol test\""),
    "no label": (of_list("maybe"), "trials_maybe:2: the label is 'maybe'"),
    "onnx is a folder": (command("export", EXP, "--onnx", "recordings"), "recordings is a folder, not a file"),
    "short": (embed("recordings/short"), "recordings/short/u1.wav lasts"),
    "text": (embed("recordings/text"), "recordings/text/u1.wav cannot be"),
    "two": (embed("recordings/two"), "recordings/two/u1.wav has 2 channels"),
    "two of a table": (embed("--out", "x.npy", "trials.scp"), "utt-1 has 2 channels"),
    "two below --audio": (command("score", "--model", EXP, "--audio", "recordings", "trials_two"), "recordings/two/u1.wav has 2 channels"),
    "channel of a file": (embed("--channel", "5", "recordings/two"), "two/u1.wav has 2 channels, and channel 5 asks for number 6"),
    "channel of samples": (model(lambda it: it.embed(np.stack([voice(0.5)] * 2), 16000, channel=5)), "array has 2 channels, and channel 5"),
    "prior": (model(lambda it: it.compare("a.wav", "a.wav", prior="x")), "the prior 'x' is not between 0 and 1"),
    "--prior": (command("compare", "--model", EXP, "--layer", "layers.0", "--prior", "1e-2", *["a.wav"] * 2), "a prior needs a calibra"),
    "rate": (model(lambda it: it.embed(voice(0.5), 10_000_000)), "a whole number from 1000 to 1000000, not 10000000"),
    "shift": (embed("--shift", "1", "a.wav"), "a shift needs a window"),
    "a command": (embed("sox recordings/speaker1/a.wav -t wav - |"), "--allow-pipes true"),
    "ending": (embed("--out", "exp/embeddings/of_the_test.json", "a.wav"), "the ending '.json' is none of"),
    "input": (command("score", "--data", "recordings", "--out", "trials_label", "trials_torn"), "1 field"),
}


@pytest.mark.parametrize("kind", KINDS)
def test_a_refusal_is_one_short_sentence(place, monkeypatch, capfd, kind):
    monkeypatch.chdir(place)
    monkeypatch.delenv("SSLSPK_MODEL", raising=False)
    (place / "trials.scp").write_text("utt-1 recordings/two/u1.wav\n")
    (place / "trials_two").write_text("two/u1.wav two/u1.wav\n")
    call, part = KINDS[kind]
    with pytest.raises(sslspk.InputError) as caught:
        call()
    said = str(caught.value)
    assert part in said and len(said) <= 160 and said.endswith(".") and "\n" not in said, (len(said), said)
    option = kind.startswith("--") or "command" in kind or "onnx" in kind or "ending" in kind
    assert option or not re.search(r"(^| )--[a-z]", said), "who calls from Python has no such option"
    assert capfd.readouterr().out == ""
