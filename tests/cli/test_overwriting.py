"""What a user has given is never overwritten, and what is refused has written and printed nothing."""
import shutil

import numpy as np
import pytest
import small_models
from recipe_copy import snapshot
from small_models import voice, wav

import sslspk
from sslspk import cli
from sslspk.cli import recipe
from sslspk.io import table


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    """m/final.pt; a.wav, b.wav; d/, a data directory of these with a trial list; list.txt, their paths; emb/, their embeddings."""
    folder = tmp_path_factory.mktemp("made")
    small_models.write(folder / "m")
    for place, name in enumerate("ab"):
        wav(folder / f"{name}.wav", voice(0.4, 120 + 90 * place, place))
    (folder / "d").mkdir()
    table.write(folder / "d/wav.scp", {"s-a": "a.wav", "t-b": "b.wav"})
    table.write(folder / "d/utt2spk", {"s-a": "s", "t-b": "t"})
    (folder / "d/trials").write_text("s-a t-b nontarget\ns-a s-a target\n")
    (folder / "list.txt").write_text("a.wav\nb.wav\n")
    (folder / "notes.scp").write_text("mine notes.txt\n")
    (folder / "sub").mkdir()
    (folder / "sub/link.scp").symlink_to("../d/wav.scp")
    return folder


@pytest.fixture
def place(made, tmp_path, monkeypatch):
    shutil.copytree(made, tmp_path / "here", symlinks=True)
    monkeypatch.chdir(tmp_path / "here")
    monkeypatch.setenv("SSLSPK_MODEL", "m")
    return tmp_path / "here"


@pytest.mark.parametrize(("words", "said"), [
    ("embed --out d/wav.scp d", "d/wav.scp is an input"), ("embed --out d/wav.ark d", "d/wav.scp is an input"),
    ("embed --out d/wav.scp d/wav.scp", "d/wav.scp is an input"), ("embed --out sub/link.scp d", "link.scp is an input"),
    ("embed --out notes.ark a.wav", "notes.scp is there"), ("embed --out list.npy a.wav", "list.txt is there"),
    ("embed --out list.npy -", "list.txt is an input"), ("embed --out table.csv table.csv", "table.csv is an input"),
    ("embed --out kaldi a.wav", "kaldi/xvector.scp is there"), ("embed --out d d", "a data directory|d/xvector"),
    ("embed --out x.mp3 a.wav", "the ending '.mp3' is none of"), ("embed --out x.NPY a.wav", "the ending '.NPY' is none of"),
    ("score --data d --out d/trials d/trials", "d/trials is an input"), ("score --out d/wav.scp --data d d/trials", "wav.scp"),
    ("score --out d/utt2spk --utt2spk d/utt2spk --data d d/trials", "d/utt2spk"), ("score --out a.wav --data d d/trials", "a.wav"),
    ("score --out m/final.pt --data d d/trials", "m/final.pt is an input"),
    ("score --out sub --data d d/trials", "sub is a folder, not a file"),
    ("score --out /dev/null --data d d/trials", "/dev/null is a device, not a file")])
def test_no_input_and_no_file_of_others_is_overwritten(place, words, said, monkeypatch):
    if "table.csv" in words:
        wav(place / "table.wav", voice(0.3))
        (place / "table.wav").rename(place / "table.csv")   # a recording by whatever name
    if "kaldi" in words or "d d" in words:
        folder = place / ("kaldi" if "kaldi" in words else "d")
        folder.mkdir(exist_ok=True)
        (folder / "xvector.scp").write_text("a raw_xvector.1.ark:5\n")
    before = snapshot(place)
    with open("list.txt") as stdin, monkeypatch.context() as patch, pytest.raises(sslspk.InputError, match=said):
        patch.setattr("sys.stdin", stdin)
        cli.run(words.split())
    assert snapshot(place) == before


def test_a_list_on_the_standard_input_is_known_by_the_file_itself(place, monkeypatch):
    (place / "list.txt").rename(place / "list.csv")
    with open("list.csv") as stdin, monkeypatch.context() as patch, pytest.raises(sslspk.InputError, match=r"list\.csv is an input"):
        patch.setattr("sys.stdin", stdin)
        cli.run(["embed", "--out", "list.csv", "-"])
    assert (place / "list.csv").read_text() == "a.wav\nb.wav\n"


@pytest.mark.parametrize("out", ["x.csv", "x.npy", "x.ark", "x.scp", "emb", "emb.v2", "d/emb.scp", "odd.name/"])
def test_the_same_command_may_run_again(place, out, capsys):
    """What it wrote itself is its own, also beside other inputs."""
    for _ in range(2):
        assert cli.run(["embed", "--out", out, "d"]) == 0
        assert capsys.readouterr().out == f"2 embeddings of 2 recordings in {out}\n"
    assert cli.run(["score", "--data", "d", "--out", "s", "d/trials"]) == cli.run(["score", "--data", "d", "--out", "s", "d/trials"]) == 0


def test_nothing_is_printed_where_the_command_fails(place, capsys):
    (place / "bad.wav").write_text("no audio " * 40)
    (place / "one").write_text("s-a s-a target\n")
    for words, said in (("embed --window 0.2 a.wav bad.wav", "bad.wav"), ("embed a.wav bad.wav", "bad.wav"),
                        ("score --data d --out s one", "non-target|nontarget"),
                        ("score --data d --utt2spk list.txt --out s d/trials", "list.txt")):
        with pytest.raises(sslspk.InputError, match=said):
            cli.run(words.split())
        assert capsys.readouterr().out == "" and not (place / "s").exists()


@pytest.mark.parametrize("window", [(), ("--window", "0.2", "--shift", "0.2")])
def test_the_count_says_what_was_left_out(place, capsys, window):
    (place / "bad.wav").write_text("no audio " * 40)
    cli.run(["embed", "--skip-bad", *window, "--out", "x.npy", "a.wav", "bad.wav", "b.wav"])
    count = 4 if window else 2
    assert capsys.readouterr().out == f"{count} embeddings of 2 of 3 recordings in x.npy; 1 left out\n" and len(np.load("x.npy")) == count


@pytest.mark.parametrize(("target", "way"), [("own", "a file in a folder"), ("own", "a file"), ("voxceleb", ""), ("own", "a dangling link"),
                                             ("own", "path.sh of another")])
def test_what_is_in_the_way_of_a_companion_is_said_first(tmp_path, target, way):
    other = tmp_path / "work/voxceleb"
    other.parent.mkdir()
    if way == "a file":
        other.write_text("mine")
    elif way == "a dangling link":
        other.symlink_to("nowhere")
    elif way:
        other.mkdir()
        (other / ("path.sh" if "path" in way else "mine")).write_text("mine")
    before = sorted(tmp_path.rglob("*"))
    with pytest.raises(sslspk.InputError, match="work/voxceleb is where own needs the recipe voxceleb; choose another folder"):
        cli.run(["recipe", "--name", "own", str(tmp_path / "work" / target)])
    assert sorted(tmp_path.rglob("*")) == before


def test_a_companion_that_is_there_is_left_as_it_is(tmp_path, capsys):
    assert "voxceleb" in recipe.needed("own")
    cli.run(["recipe", str(tmp_path / "voxceleb")])
    (tmp_path / "voxceleb/run.sh").write_text("mine")
    cli.run(["recipe", "--name", "own", str(tmp_path / "own")])
    assert (tmp_path / "voxceleb/run.sh").read_text() == "mine" and "voxceleb is in" in capsys.readouterr().out
